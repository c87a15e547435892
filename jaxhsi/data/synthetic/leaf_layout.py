"""What the seed of a leaf scene decides: leaves, lesions, spectra and light."""

from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32

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


@cache
def load_spectra() -> dict[str, np.ndarray]:
    """Measured spectra of leaves by kind, and their wavelengths in nm."""
    with files("jaxhsi.data.synthetic").joinpath("leaf_spectra.npz").open("rb") as stream:
        return dict(np.load(stream))


def random_generator(seed: int, stream: int, index: int = 0) -> np.random.Generator:
    """Counter-based generator of one stream of a seed."""
    return np.random.Generator(np.random.Philox(key=[seed, (stream << 32) + index]))


def draw_leaves(rng: np.random.Generator) -> list[Leaf]:
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


def draw_spectra(rng: np.random.Generator) -> Float32[np.ndarray, "m c"]:
    """Cloth (2), necrosis (2), and of each leaf: dark, light, vein and chlorotic tissue."""
    library = load_spectra()

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


def draw_lesions(
    rng: np.random.Generator, leaves: list[Leaf], lesion_share: float, image_side: int
) -> list[Lesion]:
    """Draw spots apart from each other and from margins; together `lesion_share` of the image."""
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
        leaf_distances = [leaf_coordinates(leaf, y[None], x[None]).distance[0] for leaf in leaves]
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


def leaf_coordinates(leaf: Leaf, y: Map, x: Map) -> LeafCoordinates:
    """Coordinates of pixels along and across a blade, and their distance to its margin."""
    dy, dx = (y - leaf.y) / leaf.half_length, (x - leaf.x) / leaf.half_length
    along = np.clip(np.cos(leaf.angle) * dx + np.sin(leaf.angle) * dy, -1.3, 1.3)
    side = np.cos(leaf.angle) * dy - np.sin(leaf.angle) * dx - leaf.bend * (along**2 - 0.4)
    local_half_width = leaf.half_width * (1 - along**2) * (1 + leaf.skew * along)
    local_half_width = local_half_width * (1 + 0.012 * np.sin(45 * along + leaf.phase))
    margin_slope = leaf.half_width * (leaf.skew - 2 * along - 3 * leaf.skew * along**2)
    distance = (np.abs(side) - local_half_width) / np.sqrt(1 + margin_slope**2) * leaf.half_length
    across = np.clip(side / np.maximum(local_half_width, 1e-3), -1, 1)
    return LeafCoordinates(along, side, across, distance)
