"""Leaf scenes with known truth: three leaves on woven cloth under a push-broom camera.

A scene is a function of its options and seed. It is drawn tile by tile on a fixed grid, textures
are analytic in absolute position, and the noise of a tile comes from a counter-based generator
keyed by (seed, tile), so a pixel does not depend on the window through which it is looked at.
Lengths are in units of the image's side; only optics and cloth count in pixels.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, UInt8

BACKGROUND, TISSUE, LESION = 0, 1, 2
TILE_SIDE = 64  # pixels; the grid on which everything is drawn
EDGE_WIDTH = 1.6  # pixels; width over which optics mix two materials
LESION_LOBES = np.array(
    [[2, 0.16], [3, 0.10], [5, 0.06]]
)  # harmonics and strength of a lesion's outline
LAYOUT_STREAM, NOISE_STREAM, STRIPES_STREAM = range(3)  # independent random streams of one seed

Map = Float[np.ndarray, "h w"]


class Leaf(NamedTuple):
    """One blade: place, pose (radians), form, light, and the chlorotic part of its tissue."""

    y: float
    x: float
    angle: float
    half_length: float  # half the blade
    half_width: float  # half the blade's width, in half lengths
    bend: float
    skew: float  # > 0: broadest towards the tip
    vein_pairs: float  # pairs of side veins per half length
    tilt: float  # how the blade leans to the lamp
    glare_peak: float  # peak of the specular streak, in reflectance
    phase: float


class Lesion(NamedTuple):
    """One necrotic spot with its halo; `halo_ratio` is the halo's radius in radii of the spot."""

    y: float
    x: float
    radius: float
    halo_ratio: float
    phase: float


class SceneLayout(NamedTuple):
    """Everything random about a scene but its noise and stripes."""

    leaves: list[Leaf]
    lesions: list[Lesion]
    spectra: Float32[np.ndarray, "m c"]  # cloth (2), necrosis (2), then four of each leaf
    lamp_gradient: Float[np.ndarray, "2"]  # gradient of the light over the scene (y, x)
    shadow_direction: Float[np.ndarray, "2"]  # where shadows fall (y, x)


class LeafCoordinates(NamedTuple):
    """A blade's own coordinates: along -1..1, across -1..1, distance to the margin (< 0 inside)."""

    along: Map
    side: Map  # signed distance from the midrib, in half lengths
    across: Map
    distance: Map


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
        return _load_spectra()["wavelength_nm"]

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


@cache
def _load_spectra() -> dict[str, np.ndarray]:
    with files("jaxhsi.data.synthetic").joinpath("leaf_spectra.npz").open("rb") as stream:
        return dict(np.load(stream))


def _random_generator(seed: int, stream: int, index: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, (stream << 32) + index]))


# What a seed decides ------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _scene_layout(scene: LeafScene) -> SceneLayout:
    rng = _random_generator(scene.seed, LAYOUT_STREAM)
    drawn_share = rng.uniform(0.004, 0.02) * (rng.uniform() > 0.25)
    lesion_share = drawn_share if scene.lesion_share is None else scene.lesion_share
    lamp_direction, sun_direction = rng.uniform(0, 2 * np.pi, 2)
    leaves = _draw_leaves(rng)
    return SceneLayout(
        leaves=leaves,
        spectra=_draw_spectra(rng),
        lamp_gradient=rng.uniform(0.4, 0.8)
        * np.array([np.sin(lamp_direction), np.cos(lamp_direction)]),
        shadow_direction=rng.uniform(0.025, 0.04)
        * np.array([np.sin(sun_direction), np.cos(sun_direction)]),
        lesions=_draw_lesions(rng, leaves, lesion_share, scene.size) if lesion_share else [],
    )


def _draw_leaves(rng: np.random.Generator) -> list[Leaf]:
    """Three blades side by side, the whole row turned by a quarter now and then."""
    quarter_turn = rng.integers(4) * np.pi / 2
    leaves = []
    for offset in (-0.315, 0.0, 0.315):
        x, y = offset + rng.normal(0, 0.008), rng.normal(0, 0.015)
        leaf_centre = np.array([np.sin(quarter_turn) * x + np.cos(quarter_turn) * y,
                           np.cos(quarter_turn) * x - np.sin(quarter_turn) * y])  # fmt: skip
        leaves.append(
            Leaf(
                *(0.5 + leaf_centre).tolist(),
                angle=np.pi / 2 - quarter_turn + rng.normal(0, 0.08) + np.pi * rng.integers(2),
                half_length=rng.uniform(0.40, 0.46),
                half_width=rng.uniform(0.30, 0.37),
                bend=rng.uniform(-0.08, 0.08),
                skew=rng.uniform(-0.45, -0.05),
                vein_pairs=rng.uniform(4.5, 6.5),
                tilt=rng.choice([-1, 1]) * rng.uniform(0.12, 0.3),
                glare_peak=rng.uniform(0.12, 0.3),
                phase=rng.uniform(0, 2 * np.pi),
            )
        )
    return leaves


def _draw_spectra(rng: np.random.Generator) -> Float32[np.ndarray, "m c"]:
    """Cloth (2), necrosis (2), and of each leaf: dark, light, vein and chlorotic tissue."""
    library = _load_spectra()

    def pick(kind: str, count: int) -> np.ndarray:
        return library[kind][rng.choice(len(library[kind]), count, replace=False)]

    spectrum_rows = [*_cloth_spectra(library["wavelength_nm"]), *pick("necrotic", 2)]
    for dark, light, yellow in zip(
        pick("healthy", 3), pick("healthy", 3), pick("chlorotic", 3), strict=True
    ):
        pale_share = rng.uniform(0.0, 0.15)  # leaves differ in chlorophyll
        dark = (1 - pale_share) * dark + pale_share * yellow
        light = (0.9 - pale_share) * light + (0.1 + pale_share) * yellow
        spectrum_rows += [dark, light, 0.5 * light + 0.5 * yellow + 0.03, yellow]
    return np.array(spectrum_rows, np.float32)


def _cloth_spectra(nm: Float[np.ndarray, "c"]) -> tuple[np.ndarray, np.ndarray]:
    """Two dyed yarns, 0.03..0.10: one bluish, one greyish brown, both rising in the infrared."""
    infrared = 1 / (1 + np.exp(-(nm - 780) / 50))
    blue = 0.044 + 0.005 * np.exp(-(((nm - 460) / 55) ** 2)) + 0.016 * infrared
    brown = 0.066 + 0.008 * (nm - 400) / 600 + 0.020 * infrared
    return blue, brown


def _draw_lesions(
    rng: np.random.Generator, leaves: list[Leaf], lesion_share: float, image_side: int
) -> list[Lesion]:
    """Spots of varied size, apart from each other and from margins, `lesion_share` of the image in all."""
    max_resolved = (
        lesion_share * image_side**2 / (np.pi * 2.5**2)
    )  # that many spots of radius 2.5 pixels fit
    num_lesions = int(np.clip(max_resolved, 1, rng.integers(6, 25)))
    size_weights = np.sort(np.exp(rng.normal(0, 0.4, num_lesions)))[::-1]
    lesion_areas = lesion_share * size_weights**2 / (size_weights**2).sum()
    lesions: list[Lesion] = []
    for radius in np.sqrt(
        lesion_areas / (np.pi * (1 + (LESION_LOBES[:, 1] ** 2).sum() / 2))
    ).tolist():
        y, x = rng.uniform(0.05, 0.95, (2, 1024))
        leaf_distances = [_leaf_coordinates(leaf, y[None], x[None]).distance[0] for leaf in leaves]
        distance = np.sort(
            leaf_distances, axis=0
        )  # the nearest leaf holds the spot, the next is clear
        free_room = np.minimum(-distance[0] - 1.2 * radius, distance[1] - 1.2 * radius)
        for other in lesions:
            gap = np.hypot(y - other.y, x - other.x) - 1.3 * (radius + other.radius)
            free_room = np.minimum(free_room, gap)
        best_place = np.argmax(np.minimum(free_room, 0))  # the first that fits, or the least bad
        halo, phase = rng.uniform(1.5, 2.4), rng.uniform(0, 2 * np.pi)
        lesions.append(Lesion(float(y[best_place]), float(x[best_place]), radius, halo, phase))
    return lesions


# What a tile shows --------------------------------------------------------------------------------


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
    necrosis, halo = _disease_shares(layout.lesions, y, x, scene.size)
    mottle = 0.5 + 0.5 * np.sin(31 * x + 4 * np.sin(17 * y)) * np.sin(29 * y + 4 * np.sin(19 * x))
    cloth_share, living_share, dead_share, glare = np.ones_like(x), 0.0, 0.0, 0.0
    leaf_weights, dead_light = [], 0.0
    for leaf in layout.leaves:  # the first lies on top
        coordinates = _leaf_coordinates(leaf, y, x)
        leaf_share = cloth_share * np.clip(
            0.5 - coordinates.distance * scene.size / EDGE_WIDTH, 0, 1
        )
        cloth_share, living_share, dead_share = (
            cloth_share - leaf_share,
            living_share + leaf_share * (1 - necrosis),
            dead_share + leaf_share * necrosis,
        )
        lit_share = leaf_share * _shading(leaf, coordinates)
        glare = glare + leaf_share * (1 - 0.7 * necrosis) * _specular_streak(leaf, coordinates)
        leaf_weights += _tissue_weights(
            leaf, coordinates, lit_share * (1 - necrosis), halo, mottle, scene.size
        )
        dead_light = dead_light + 0.75 * lit_share * necrosis  # sunken and dull
    cloth_weights = _weave_weights(
        cloth_share * _cloth_light(scene, layout, y, x), y, x, scene.size
    )
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


def _leaf_coordinates(leaf: Leaf, y: Map, x: Map) -> LeafCoordinates:
    dy, dx = (y - leaf.y) / leaf.half_length, (x - leaf.x) / leaf.half_length
    along = np.clip(np.cos(leaf.angle) * dx + np.sin(leaf.angle) * dy, -1.3, 1.3)
    side = np.cos(leaf.angle) * dy - np.sin(leaf.angle) * dx - leaf.bend * (along**2 - 0.4)
    local_half_width = leaf.half_width * (1 - along**2) * (1 + leaf.skew * along)
    local_half_width = local_half_width * (1 + 0.012 * np.sin(45 * along + leaf.phase))
    margin_slope = leaf.half_width * (leaf.skew - 2 * along - 3 * leaf.skew * along**2)
    distance = (np.abs(side) - local_half_width) / np.sqrt(1 + margin_slope**2) * leaf.half_length
    across = np.clip(side / np.maximum(local_half_width, 1e-3), -1, 1)
    return LeafCoordinates(along, side, across, distance)


def _shading(leaf: Leaf, coordinates: LeafCoordinates) -> Map:
    """Lambert's cosine on a blade that is curved across and folded at the midrib, 0.5..1.1."""
    midrib_fold = 0.3 * leaf.tilt * np.tanh(12 * coordinates.across)
    blade_curve = 0.92 + leaf.tilt * coordinates.across - 0.22 * coordinates.across**2
    return np.clip(
        blade_curve + midrib_fold + 0.08 * np.sin(3 * coordinates.along + leaf.phase), 0.5, 1.1
    )


def _specular_streak(leaf: Leaf, coordinates: LeafCoordinates) -> Map:
    """Specular reflection where the blade faces the lamp, broken up by its ripples."""
    streak_profile = np.exp(-(((coordinates.across - np.sign(leaf.tilt) * 0.45) / 0.13) ** 2))
    ripple = np.sin(7 * coordinates.along + leaf.phase) + 0.5 * np.sin(
        41 * coordinates.along + 9 * coordinates.across
    )
    return leaf.glare_peak * streak_profile * np.clip(ripple, 0, 1)


def _tissue_weights(
    leaf: Leaf,
    coordinates: LeafCoordinates,
    lit_share: Map,
    halo_share: Map,
    mottle: Map,
    image_side: int,
) -> list[Map]:
    """Weights of dark, light, vein and chlorotic spectra; they add up to `lit_share`."""
    pixels_per_length = leaf.half_length * image_side
    taper = 1 - 0.35 * (coordinates.along + 1)
    midrib_share = np.clip(
        0.5 + (0.022 * taper - np.abs(coordinates.side)) * pixels_per_length / EDGE_WIDTH, 0, 1
    )
    vein_phase = (coordinates.along - 0.8 * np.abs(coordinates.side)) * leaf.vein_pairs
    vein_distance = np.abs(vein_phase - np.round(vein_phase)) / leaf.vein_pairs / np.hypot(1, 0.8)
    vein_width = 0.010 * taper * (1 - 0.8 * np.abs(coordinates.across))
    side_vein_share = np.clip(
        0.5 + (vein_width - vein_distance) * pixels_per_length / EDGE_WIDTH, 0, 1
    )
    vein_share = (1 - halo_share) * np.maximum(0.9 * midrib_share, 0.5 * side_vein_share)
    blade_share = 1 - halo_share - vein_share
    return [
        lit_share * blade_share * mottle,
        lit_share * blade_share * (1 - mottle),
        lit_share * vein_share,
        lit_share * halo_share,
    ]


def _disease_shares(lesions: list[Lesion], y: Map, x: Map, image_side: int) -> tuple[Map, Map]:
    """Necrotic part of the leaf, and chlorotic part of what lives, in each pixel."""
    necrosis_share, halo_share = np.zeros_like(x), np.zeros_like(x)
    for spot in lesions:
        radius, angle = np.hypot(y - spot.y, x - spot.x), np.arctan2(y - spot.y, x - spot.x)
        if radius.min() > 3 * spot.radius:
            continue
        lobes = sum(part * np.cos(m * angle + m * m * spot.phase) for m, part in LESION_LOBES)
        spot_outline = spot.radius * (1 + lobes)
        necrosis_share = np.maximum(
            necrosis_share, np.clip(0.5 - (radius - spot_outline) * image_side / EDGE_WIDTH, 0, 1)
        )
        halo_fade = (spot.halo_ratio * spot_outline - radius) / (
            (spot.halo_ratio - 1) * spot_outline
        )
        halo_share = np.maximum(halo_share, 0.9 * np.clip(1.6 * halo_fade, 0, 1))
    return necrosis_share, halo_share


def _weave_weights(lit_share: Map, y: Map, x: Map, image_side: int) -> list[Map]:
    """Weights of the two yarns of a plain weave; each yarn is round, so its middle is brightest."""
    yarn_frequency = np.pi * image_side / max(5.0, image_side / 52)
    warp, weft = np.sin(yarn_frequency * x), np.sin(yarn_frequency * y)
    warp_share = np.clip(0.5 + 1.2 * warp * weft, 0, 1)
    yarn_shading = 0.65 + 0.35 * (warp_share * np.abs(warp) + (1 - warp_share) * np.abs(weft))
    wear_pattern = 1 + 0.08 * np.sin(9 * x + 5 * y + 2 * np.sin(7 * y))
    return [
        lit_share * yarn_shading * wear_pattern * warp_share,
        lit_share * yarn_shading * wear_pattern * (1 - warp_share),
    ]


def _cloth_light(scene: LeafScene, layout: SceneLayout, y: Map, x: Map) -> Map:
    """Light left on the cloth: the leaves' outlines moved along the sun, with a penumbra."""
    light = np.ones_like(x)
    for leaf in layout.leaves:
        distance = _leaf_coordinates(
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
    stripe_weights = _random_generator(
        scene.seed, STRIPES_STREAM, tile_left // TILE_SIDE
    ).standard_normal((TILE_SIDE, 4))
    reflectance *= (1 + scene.stripe_deviation * stripe_weights @ smooth_basis).astype(np.float32)
    camera_response = (0.25 + 0.75 / (1 + np.exp(-(wavelengths - 520) / 40))) * (
        1 - 0.5 * ((wavelengths - 400) / 600) ** 4
    )
    tile_index = (tile_top // TILE_SIDE) * (4096 // TILE_SIDE) + tile_left // TILE_SIDE
    noise = _random_generator(scene.seed, NOISE_STREAM, tile_index).standard_normal(
        reflectance.shape, np.float32
    )
    noise *= np.sqrt(reflectance * (1e-4 / camera_response) + (1.5e-3 / camera_response) ** 2)
    reflectance += np.float32(scene.noise_scale) * noise
    return np.clip(reflectance, 0, 1.5, out=reflectance)
