"""How leaves, lesions and cloth look, as abundances and light of each pixel."""

import numpy as np

from jaxhsi.data.synthetic.leaf_layout import (
    EDGE_WIDTH,
    LESION_LOBES,
    Leaf,
    LeafCoordinates,
    Lesion,
    Map,
)


def shading(leaf: Leaf, coordinates: LeafCoordinates) -> Map:
    """Lambert's cosine on a blade that is curved across and folded at the midrib, 0.5..1.1."""
    midrib_fold = 0.3 * leaf.tilt * np.tanh(12 * coordinates.across)
    blade_curve = 0.92 + leaf.tilt * coordinates.across - 0.22 * coordinates.across**2
    return np.clip(
        blade_curve + midrib_fold + 0.08 * np.sin(3 * coordinates.along + leaf.phase), 0.5, 1.1
    )


def specular_streak(leaf: Leaf, coordinates: LeafCoordinates) -> Map:
    """Specular reflection where the blade faces the lamp, broken up by its ripples."""
    streak_profile = np.exp(-(((coordinates.across - np.sign(leaf.tilt) * 0.45) / 0.13) ** 2))
    ripple = np.sin(7 * coordinates.along + leaf.phase) + 0.5 * np.sin(
        41 * coordinates.along + 9 * coordinates.across
    )
    return leaf.glare_peak * streak_profile * np.clip(ripple, 0, 1)


def tissue_weights(
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


def disease_shares(lesions: list[Lesion], y: Map, x: Map, image_side: int) -> tuple[Map, Map]:
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


def weave_weights(lit_share: Map, y: Map, x: Map, image_side: int) -> list[Map]:
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
