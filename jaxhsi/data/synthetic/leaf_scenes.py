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
        return _library()["wavelength_nm"]

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
                rows, into_rows = _meet(y0, y1, top)
                columns, into_columns = _meet(x0, x1, left)
                tile, truth = _tile(self, top, left)
                cube[into_rows, into_columns] = tile[rows, columns]
                labels[into_rows, into_columns] = truth[rows, columns]
        return cube, labels


def _meet(start: int, stop: int, tile: int) -> tuple[slice, slice]:
    """Where the tile meets start:stop, counted from the tile and from start."""
    low, high = max(start, tile), min(stop, tile + TILE_SIDE)
    return slice(low - tile, high - tile), slice(low - start, high - start)


@cache
def _library() -> dict[str, np.ndarray]:
    with files("jaxhsi.data.synthetic").joinpath("leaf_spectra.npz").open("rb") as stream:
        return dict(np.load(stream))


def _random(seed: int, stream: int, index: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, (stream << 32) + index]))


# What a seed decides ------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _layout(scene: LeafScene) -> SceneLayout:
    rng = _random(scene.seed, LAYOUT_STREAM)
    drawn = rng.uniform(0.004, 0.02) * (rng.uniform() > 0.25)
    share = drawn if scene.lesion_share is None else scene.lesion_share
    direction, sun = rng.uniform(0, 2 * np.pi, 2)
    leaves = _leaves(rng)
    return SceneLayout(
        leaves=leaves,
        spectra=_spectra(rng),
        lamp_gradient=rng.uniform(0.4, 0.8) * np.array([np.sin(direction), np.cos(direction)]),
        shadow_direction=rng.uniform(0.025, 0.04) * np.array([np.sin(sun), np.cos(sun)]),
        lesions=_lesions(rng, leaves, share, scene.size) if share else [],
    )


def _leaves(rng: np.random.Generator) -> list[Leaf]:
    """Three blades side by side, the whole row turned by a quarter now and then."""
    quarter = rng.integers(4) * np.pi / 2
    leaves = []
    for offset in (-0.315, 0.0, 0.315):
        x, y = offset + rng.normal(0, 0.008), rng.normal(0, 0.015)
        turned = np.array([np.sin(quarter) * x + np.cos(quarter) * y,
                           np.cos(quarter) * x - np.sin(quarter) * y])  # fmt: skip
        leaves.append(
            Leaf(
                *(0.5 + turned).tolist(),
                angle=np.pi / 2 - quarter + rng.normal(0, 0.08) + np.pi * rng.integers(2),
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


def _spectra(rng: np.random.Generator) -> Float32[np.ndarray, "m c"]:
    """Cloth (2), necrosis (2), and of each leaf: dark, light, vein and chlorotic tissue."""
    library = _library()

    def pick(kind: str, count: int) -> np.ndarray:
        return library[kind][rng.choice(len(library[kind]), count, replace=False)]

    rows = [*_cloth(library["wavelength_nm"]), *pick("necrotic", 2)]
    for dark, light, yellow in zip(
        pick("healthy", 3), pick("healthy", 3), pick("chlorotic", 3), strict=True
    ):
        pale = rng.uniform(0.0, 0.15)  # leaves differ in chlorophyll
        dark = (1 - pale) * dark + pale * yellow
        light = (0.9 - pale) * light + (0.1 + pale) * yellow
        rows += [dark, light, 0.5 * light + 0.5 * yellow + 0.03, yellow]
    return np.array(rows, np.float32)


def _cloth(nm: Float[np.ndarray, "c"]) -> tuple[np.ndarray, np.ndarray]:
    """Two dyed yarns, 0.03..0.10: one bluish, one greyish brown, both rising in the infrared."""
    infrared = 1 / (1 + np.exp(-(nm - 780) / 50))
    blue = 0.044 + 0.005 * np.exp(-(((nm - 460) / 55) ** 2)) + 0.016 * infrared
    brown = 0.066 + 0.008 * (nm - 400) / 600 + 0.020 * infrared
    return blue, brown


def _lesions(rng: np.random.Generator, leaves: list[Leaf], share: float, size: int) -> list[Lesion]:
    """Spots of varied size, apart from each other and from margins, `share` of the image in all."""
    resolved = share * size**2 / (np.pi * 2.5**2)  # that many spots of radius 2.5 pixels fit
    count = int(np.clip(resolved, 1, rng.integers(6, 25)))
    weights = np.sort(np.exp(rng.normal(0, 0.4, count)))[::-1]
    area = share * weights**2 / (weights**2).sum()
    lesions: list[Lesion] = []
    for radius in np.sqrt(area / (np.pi * (1 + (LESION_LOBES[:, 1] ** 2).sum() / 2))).tolist():
        y, x = rng.uniform(0.05, 0.95, (2, 1024))
        frames = [_frame(leaf, y[None], x[None]).distance[0] for leaf in leaves]
        distance = np.sort(frames, axis=0)  # the nearest leaf holds the spot, the next is clear
        room = np.minimum(-distance[0] - 1.2 * radius, distance[1] - 1.2 * radius)
        for other in lesions:
            gap = np.hypot(y - other.y, x - other.x) - 1.3 * (radius + other.radius)
            room = np.minimum(room, gap)
        best = np.argmax(np.minimum(room, 0))  # the first that fits, or the least bad
        halo, phase = rng.uniform(1.5, 2.4), rng.uniform(0, 2 * np.pi)
        lesions.append(Lesion(float(y[best]), float(x[best]), radius, halo, phase))
    return lesions


# What a tile shows --------------------------------------------------------------------------------


def _tile(
    scene: LeafScene, top: int, left: int
) -> tuple[Float32[np.ndarray, "h w c"], UInt8[np.ndarray, "h w"]]:
    layout = _layout(scene)
    y = np.broadcast_to(
        (top + 0.5 + np.arange(TILE_SIDE))[:, None] / scene.size, (TILE_SIDE, TILE_SIDE)
    )
    x = np.broadcast_to(
        (left + 0.5 + np.arange(TILE_SIDE))[None] / scene.size, (TILE_SIDE, TILE_SIDE)
    )
    necrosis, halo = _disease(layout.lesions, y, x, scene.size)
    mottle = 0.5 + 0.5 * np.sin(31 * x + 4 * np.sin(17 * y)) * np.sin(29 * y + 4 * np.sin(19 * x))
    clear, living, dead, glare = np.ones_like(x), 0.0, 0.0, 0.0
    leaf_weights, dead_light = [], 0.0
    for leaf in layout.leaves:  # the first lies on top
        frame = _frame(leaf, y, x)
        cover = clear * np.clip(0.5 - frame.distance * scene.size / EDGE_WIDTH, 0, 1)
        clear, living, dead = (
            clear - cover,
            living + cover * (1 - necrosis),
            dead + cover * necrosis,
        )
        lit = cover * _shading(leaf, frame)
        glare = glare + cover * (1 - 0.7 * necrosis) * _streak(leaf, frame)
        leaf_weights += _tissue(leaf, frame, lit * (1 - necrosis), halo, mottle, scene.size)
        dead_light = dead_light + 0.75 * lit * necrosis  # sunken and dull
    cloth = _weave(clear * _shadow(scene, layout, y, x), y, x, scene.size)
    weights = [*cloth, dead_light * mottle, dead_light * (1 - mottle), *leaf_weights]
    lamp = 1 + layout.lamp_gradient[0] * (y - 0.5) + layout.lamp_gradient[1] * (x - 0.5)
    light = (np.stack(weights, -1) * lamp[..., None]).astype(np.float32)
    cube = light @ layout.spectra + (scene.glare_scale * lamp * glare).astype(np.float32)[..., None]
    return _camera(scene, cube, top, left), np.argmax([clear, living, dead], 0).astype(np.uint8)


def _frame(leaf: Leaf, y: Map, x: Map) -> LeafCoordinates:
    dy, dx = (y - leaf.y) / leaf.half_length, (x - leaf.x) / leaf.half_length
    along = np.clip(np.cos(leaf.angle) * dx + np.sin(leaf.angle) * dy, -1.3, 1.3)
    side = np.cos(leaf.angle) * dy - np.sin(leaf.angle) * dx - leaf.bend * (along**2 - 0.4)
    half = leaf.half_width * (1 - along**2) * (1 + leaf.skew * along)
    half = half * (1 + 0.012 * np.sin(45 * along + leaf.phase))
    slope = leaf.half_width * (leaf.skew - 2 * along - 3 * leaf.skew * along**2)
    distance = (np.abs(side) - half) / np.sqrt(1 + slope**2) * leaf.half_length
    across = np.clip(side / np.maximum(half, 1e-3), -1, 1)
    return LeafCoordinates(along, side, across, distance)


def _shading(leaf: Leaf, frame: LeafCoordinates) -> Map:
    """Lambert's cosine on a blade that is curved across and folded at the midrib, 0.5..1.1."""
    fold = 0.3 * leaf.tilt * np.tanh(12 * frame.across)
    curve = 0.92 + leaf.tilt * frame.across - 0.22 * frame.across**2
    return np.clip(curve + fold + 0.08 * np.sin(3 * frame.along + leaf.phase), 0.5, 1.1)


def _streak(leaf: Leaf, frame: LeafCoordinates) -> Map:
    """Specular reflection where the blade faces the lamp, broken up by its ripples."""
    crest = np.exp(-(((frame.across - np.sign(leaf.tilt) * 0.45) / 0.13) ** 2))
    ripple = np.sin(7 * frame.along + leaf.phase) + 0.5 * np.sin(
        41 * frame.along + 9 * frame.across
    )
    return leaf.glare_peak * crest * np.clip(ripple, 0, 1)


def _tissue(
    leaf: Leaf, frame: LeafCoordinates, lit: Map, halo: Map, mottle: Map, size: int
) -> list[Map]:
    """Weights of dark, light, vein and chlorotic spectra; they add up to `lit`."""
    pixels = leaf.half_length * size
    taper = 1 - 0.35 * (frame.along + 1)
    midrib = np.clip(0.5 + (0.022 * taper - np.abs(frame.side)) * pixels / EDGE_WIDTH, 0, 1)
    phase = (frame.along - 0.8 * np.abs(frame.side)) * leaf.vein_pairs
    offset = np.abs(phase - np.round(phase)) / leaf.vein_pairs / np.hypot(1, 0.8)
    width = 0.010 * taper * (1 - 0.8 * np.abs(frame.across))
    branch = np.clip(0.5 + (width - offset) * pixels / EDGE_WIDTH, 0, 1)
    vein = (1 - halo) * np.maximum(0.9 * midrib, 0.5 * branch)
    blade = 1 - halo - vein
    return [lit * blade * mottle, lit * blade * (1 - mottle), lit * vein, lit * halo]


def _disease(lesions: list[Lesion], y: Map, x: Map, size: int) -> tuple[Map, Map]:
    """Necrotic part of the leaf, and chlorotic part of what lives, in each pixel."""
    necrosis, halo = np.zeros_like(x), np.zeros_like(x)
    for spot in lesions:
        radius, angle = np.hypot(y - spot.y, x - spot.x), np.arctan2(y - spot.y, x - spot.x)
        if radius.min() > 3 * spot.radius:
            continue
        lobes = sum(part * np.cos(m * angle + m * m * spot.phase) for m, part in LESION_LOBES)
        outline = spot.radius * (1 + lobes)
        necrosis = np.maximum(necrosis, np.clip(0.5 - (radius - outline) * size / EDGE_WIDTH, 0, 1))
        fade = (spot.halo_ratio * outline - radius) / ((spot.halo_ratio - 1) * outline)
        halo = np.maximum(halo, 0.9 * np.clip(1.6 * fade, 0, 1))
    return necrosis, halo


def _weave(lit: Map, y: Map, x: Map, size: int) -> list[Map]:
    """Weights of the two yarns of a plain weave; each yarn is round, so its middle is brightest."""
    pitch = np.pi * size / max(5.0, size / 52)
    warp, weft = np.sin(pitch * x), np.sin(pitch * y)
    on_top = np.clip(0.5 + 1.2 * warp * weft, 0, 1)
    round_ = 0.65 + 0.35 * (on_top * np.abs(warp) + (1 - on_top) * np.abs(weft))
    worn = 1 + 0.08 * np.sin(9 * x + 5 * y + 2 * np.sin(7 * y))
    return [lit * round_ * worn * on_top, lit * round_ * worn * (1 - on_top)]


def _shadow(scene: LeafScene, layout: SceneLayout, y: Map, x: Map) -> Map:
    """Light left on the cloth: the leaves' outlines moved along the sun, with a penumbra."""
    light = np.ones_like(x)
    for leaf in layout.leaves:
        distance = _frame(
            leaf, y - layout.shadow_direction[0], x - layout.shadow_direction[1]
        ).distance
        light = np.minimum(light, 1 - scene.shadow_strength * np.clip(0.5 - distance / 0.03, 0, 1))
    return light


def _camera(
    scene: LeafScene, cube: Float32[np.ndarray, "h w c"], top: int, left: int
) -> Float32[np.ndarray, "h w c"]:
    """Column stripes, smooth over the bands; then shot and read noise."""
    nm = scene.wavelengths
    phase = np.linspace(0, np.pi, len(nm))
    smooth = np.stack([np.ones_like(phase), *(np.cos(m * phase) for m in (1, 2, 3))]) / 1.58
    drawn = _random(scene.seed, STRIPES_STREAM, left // TILE_SIDE).standard_normal((TILE_SIDE, 4))
    cube *= (1 + scene.stripe_deviation * drawn @ smooth).astype(np.float32)
    response = (0.25 + 0.75 / (1 + np.exp(-(nm - 520) / 40))) * (1 - 0.5 * ((nm - 400) / 600) ** 4)
    tile = (top // TILE_SIDE) * (4096 // TILE_SIDE) + left // TILE_SIDE
    noise = _random(scene.seed, NOISE_STREAM, tile).standard_normal(cube.shape, np.float32)
    noise *= np.sqrt(cube * (1e-4 / response) + (1.5e-3 / response) ** 2)
    cube += np.float32(scene.noise_scale) * noise
    return np.clip(cube, 0, 1.5, out=cube)
