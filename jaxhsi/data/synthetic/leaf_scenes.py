"""Leaf scenes with known truth: three leaves on woven cloth under a push-broom camera.

A scene is a function of its options and seed. It is drawn tile by tile on a fixed grid, textures
are analytic in absolute position, and the noise of a tile comes from a counter-based generator
keyed by (seed, tile), so a pixel does not depend on the window through which it is looked at.
Lengths are in units of the image's side; only optics and cloth count in pixels.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float32, UInt8

from jaxhsi.data.synthetic.leaf_appearance import (
    disease_shares,
    shading,
    specular_streak,
    tissue_weights,
    weave_weights,
)
from jaxhsi.data.synthetic.leaf_layout import (
    EDGE_WIDTH,
    LAYOUT_STREAM,
    NOISE_STREAM,
    STRIPES_STREAM,
    TILE_SIDE,
    Map,
    SceneLayout,
    draw_leaves,
    draw_lesions,
    draw_spectra,
    leaf_coordinates,
    load_spectra,
    random_generator,
)

BACKGROUND, TISSUE, LESION = 0, 1, 2


@dataclass(frozen=True)
class LeafScene:
    """A square cube of three leaves on cloth, 301 bands, 400..1000 nm, with its true label map.

    A pixel is `gain * (sum_m a_m light_m s_m + glare) + noise`: a_m are the abundances of cloth,
    healthy, vein, chlorotic and necrotic spectra s_m, light_m holds shading and shadow, glare is
    flat over the bands, gain the column stripes, and the noise's variance
    `shot * r / q + (read / q)^2` with q the camera's response, low in the blue.

    Args:
        size: side in pixels, 64..4096.
        seed: any integer >= 0; it alone decides what random draws are made.
        lesion_share: necrotic share of the image, 0..0.02. None draws it: a quarter of the seeds
            are healthy (no lesion pixel at all), the others U(0.004, 0.02).
        noise_scale: scale of shot and read noise; 1 gives about 35 dB in the bright near infrared.
        stripe_deviation: standard deviation of the columns' gains.
        glare_scale: scale of specular streaks.
        shadow_strength: part of the light that a leaf takes from the cloth beside it, 0..1.

    Raises:
        ValueError: an option is out of range.
    """

    size: int = 256
    seed: int = 0
    lesion_share: float | None = None
    noise_scale: float = 1.0
    stripe_deviation: float = 0.01
    glare_scale: float = 1.0
    shadow_strength: float = 0.7

    def __post_init__(self):
        if not 64 <= self.size <= 4096:
            raise ValueError(f"size={self.size} is out of range; choose 64..4096 pixels")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed={self.seed} is out of range; choose 0..2**64 - 1")
        if self.lesion_share is not None and not 0 <= self.lesion_share <= 0.02:
            raise ValueError(
                f"lesion_share={self.lesion_share} is out of range; choose 0..0.02, "
                "or None to draw it from the seed"
            )
        if (
            min(self.noise_scale, self.stripe_deviation, self.glare_scale, self.shadow_strength) < 0
            or self.shadow_strength > 1
        ):
            raise ValueError(f"{self}: noise, stripes, glare must be >= 0 and shadow in 0..1")

    @property
    def wavelengths(self) -> Float32[np.ndarray, "c"]:
        """Band centres, nm."""
        return load_spectra()["wavelength_nm"]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the whole cube."""
        return self.size, self.size, len(self.wavelengths)

    def window(
        self, y0: int, x0: int, height: int, width: int
    ) -> tuple[Float32[np.ndarray, "h w c"], UInt8[np.ndarray, "h w"]]:
        """Renders `[y0, y0 + height) x [x0, x0 + width)`: reflectance in 0..1.5, and the truth.

        A label is the class with the largest abundance in the pixel: 0 background (cloth),
        1 tissue, 2 lesion. The chlorotic halo is living and counts as tissue; necrosis is lesion.
        Equal to the same slice of the whole scene, bit for bit, in memory of the window's size.

        Raises:
            ValueError: the window is empty or leaves the scene.
        """
        y1, x1 = y0 + height, x0 + width
        if not (0 <= y0 < y1 <= self.size and 0 <= x0 < x1 <= self.size):
            raise ValueError(
                f"window y {y0}:{y1}, x {x0}:{x1} does not fit in a scene of {self.size} x "
                f"{self.size} pixels; keep it inside and at least one pixel wide"
            )
        cube = np.empty((height, width, self.shape[2]), np.float32)
        labels = np.empty((height, width), np.uint8)
        for top in range(y0 - y0 % TILE_SIDE, y1, TILE_SIDE):
            for left in range(x0 - x0 % TILE_SIDE, x1, TILE_SIDE):
                tile_rows, window_rows = _overlap_slices(y0, y1, top)
                tile_columns, window_columns = _overlap_slices(x0, x1, left)
                tile_values, tile_labels = _render_tile(self, top, left)
                cube[window_rows, window_columns] = tile_values[tile_rows, tile_columns]
                labels[window_rows, window_columns] = tile_labels[tile_rows, tile_columns]
        return cube, labels


def _overlap_slices(start: int, stop: int, tile_start: int) -> tuple[slice, slice]:
    """Where the tile meets start:stop, counted from the tile and from start."""
    low, high = max(start, tile_start), min(stop, tile_start + TILE_SIDE)
    return slice(low - tile_start, high - tile_start), slice(low - start, high - start)


@lru_cache(maxsize=64)
def _scene_layout(scene: LeafScene) -> SceneLayout:
    rng = random_generator(scene.seed, LAYOUT_STREAM)
    drawn_share = rng.uniform(0.004, 0.02) * (rng.uniform() > 0.25)
    lesion_share = drawn_share if scene.lesion_share is None else scene.lesion_share
    lamp_direction, sun_direction = rng.uniform(0, 2 * np.pi, 2)
    leaves = draw_leaves(rng)
    return SceneLayout(
        leaves=leaves,
        spectra=draw_spectra(rng),
        lamp_gradient=rng.uniform(0.4, 0.8)
        * np.array([np.sin(lamp_direction), np.cos(lamp_direction)]),
        shadow_direction=rng.uniform(0.025, 0.04)
        * np.array([np.sin(sun_direction), np.cos(sun_direction)]),
        lesions=draw_lesions(rng, leaves, lesion_share, scene.size) if lesion_share else [],
    )


def _render_tile(
    scene: LeafScene, tile_top: int, tile_left: int
) -> tuple[Float32[np.ndarray, "h w c"], UInt8[np.ndarray, "h w"]]:
    layout = _scene_layout(scene)
    y = np.broadcast_to(
        (tile_top + 0.5 + np.arange(TILE_SIDE))[:, None] / scene.size, (TILE_SIDE, TILE_SIDE)
    )
    x = np.broadcast_to(
        (tile_left + 0.5 + np.arange(TILE_SIDE))[None] / scene.size, (TILE_SIDE, TILE_SIDE)
    )
    necrosis, halo = disease_shares(layout.lesions, y, x, scene.size)
    mottle = 0.5 + 0.5 * np.sin(31 * x + 4 * np.sin(17 * y)) * np.sin(29 * y + 4 * np.sin(19 * x))
    cloth_share, living_share, dead_share, glare = np.ones_like(x), 0.0, 0.0, 0.0
    leaf_weights, dead_light = [], 0.0
    for leaf in layout.leaves:  # the first lies on top
        coordinates = leaf_coordinates(leaf, y, x)
        leaf_share = cloth_share * np.clip(
            0.5 - coordinates.distance * scene.size / EDGE_WIDTH, 0, 1
        )
        cloth_share, living_share, dead_share = (
            cloth_share - leaf_share,
            living_share + leaf_share * (1 - necrosis),
            dead_share + leaf_share * necrosis,
        )
        lit_share = leaf_share * shading(leaf, coordinates)
        glare = glare + leaf_share * (1 - 0.7 * necrosis) * specular_streak(leaf, coordinates)
        leaf_weights += tissue_weights(
            leaf, coordinates, lit_share * (1 - necrosis), halo, mottle, scene.size
        )
        dead_light = dead_light + 0.75 * lit_share * necrosis  # sunken and dull
    cloth_weights = weave_weights(cloth_share * _cloth_light(scene, layout, y, x), y, x, scene.size)
    spectrum_weights = [
        *cloth_weights,
        dead_light * mottle,
        dead_light * (1 - mottle),
        *leaf_weights,
    ]
    lamp_light = 1 + layout.lamp_gradient[0] * (y - 0.5) + layout.lamp_gradient[1] * (x - 0.5)
    light = (np.stack(spectrum_weights, -1) * lamp_light[..., None]).astype(np.float32)
    reflectance = (
        light @ layout.spectra
        + (scene.glare_scale * lamp_light * glare).astype(np.float32)[..., None]
    )
    return _camera_signal(scene, reflectance, tile_top, tile_left), np.argmax(
        [cloth_share, living_share, dead_share], 0
    ).astype(np.uint8)


def _cloth_light(scene: LeafScene, layout: SceneLayout, y: Map, x: Map) -> Map:
    """Light left on the cloth: the leaves' outlines moved along the sun, with a penumbra."""
    light = np.ones_like(x)
    for leaf in layout.leaves:
        distance = leaf_coordinates(
            leaf, y - layout.shadow_direction[0], x - layout.shadow_direction[1]
        ).distance
        light = np.minimum(light, 1 - scene.shadow_strength * np.clip(0.5 - distance / 0.03, 0, 1))
    return light


def _camera_signal(
    scene: LeafScene, reflectance: Float32[np.ndarray, "h w c"], tile_top: int, tile_left: int
) -> Float32[np.ndarray, "h w c"]:
    """Column stripes, smooth over the bands; then shot and read noise."""
    wavelengths = scene.wavelengths
    phase = np.linspace(0, np.pi, len(wavelengths))
    smooth_basis = np.stack([np.ones_like(phase), *(np.cos(m * phase) for m in (1, 2, 3))]) / 1.58
    stripe_weights = random_generator(
        scene.seed, STRIPES_STREAM, tile_left // TILE_SIDE
    ).standard_normal((TILE_SIDE, 4))
    reflectance *= (1 + scene.stripe_deviation * stripe_weights @ smooth_basis).astype(np.float32)
    camera_response = (0.25 + 0.75 / (1 + np.exp(-(wavelengths - 520) / 40))) * (
        1 - 0.5 * ((wavelengths - 400) / 600) ** 4
    )
    tile_index = (tile_top // TILE_SIDE) * (4096 // TILE_SIDE) + tile_left // TILE_SIDE
    noise = random_generator(scene.seed, NOISE_STREAM, tile_index).standard_normal(
        reflectance.shape, np.float32
    )
    noise *= np.sqrt(reflectance * (1e-4 / camera_response) + (1.5e-3 / camera_response) ** 2)
    reflectance += np.float32(scene.noise_scale) * noise
    return np.clip(reflectance, 0, 1.5, out=reflectance)
