"""Pairs of overlapping views of a window, and the exact correspondence between them.

A view is an affine map (2, 3) from crop pixel to window pixel, both as (row, column) with whole
numbers at pixel centres: position = map[:, :2] @ pixel + map[:, 2]. Since the maps are kept, any
pixel of one view can be found in the other; upstream drops them (``hsi_processing.py``) and so
compares different points of the scene.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from jaxhsi.dgc.options import ViewOptions

Affine = Float[Array, "2 3"]


def window_size(options: ViewOptions) -> int:
    """Side of a window that holds both views of a pair, however they are drawn."""
    # Beyond 45 degrees a square needs no more room.
    angle = min(math.radians(options.degrees), math.pi / 4)
    turned = (math.cos(angle) + math.sin(angle)) * options.scale[1]
    apart = 1 - options.overlap[0]
    return math.ceil(options.crop * (turned + apart + 2 * options.shift)) + 2


def draw_view_maps(key: Key[Array, ""], options: ViewOptions) -> Float[Array, "2 2 3"]:
    """Two affine maps whose crops overlap by a share drawn uniformly from ``options.overlap``.

    The crops are offset by (dy, dx) with (1 - |dy| / crop) (1 - |dx| / crop) = overlap, in a
    random direction, symmetric about the middle of the window; then each is turned, scaled and
    shifted by itself (ranges of upstream, ``AugmentationPipeline``).
    """
    overlap_key, split_key, sign_key, angle_key, scale_key, shift_key = jax.random.split(key, 6)
    overlap = jax.random.uniform(
        overlap_key, (), minval=options.overlap[0], maxval=options.overlap[1]
    )
    split_share = jax.random.uniform(split_key, ())
    # The product of both shares is the overlap, however it is split over the axes.
    covered_shares = jnp.stack([overlap**split_share, overlap ** (1 - split_share)])
    offset = (
        options.crop * (1 - covered_shares) * jax.random.rademacher(sign_key, (2,), jnp.float32)
    )
    jitter = (
        jax.random.uniform(shift_key, (2, 2), minval=-1, maxval=1) * options.shift * options.crop
    )
    # Pixel centres are whole numbers, so that the middle lies between the first and the last.
    middle = (window_size(options) - 1) / 2
    centre = middle + jnp.stack([-offset, offset]) / 2 + jitter
    angle = jnp.deg2rad(jax.random.uniform(angle_key, (2,), minval=-1, maxval=1) * options.degrees)
    low, high = options.scale
    scale = jax.random.uniform(scale_key, (2,), minval=low, maxval=high)
    return jax.vmap(_affine, in_axes=(0, 0, 0, None))(angle, scale, centre, options.crop)


def _affine(angle: Array, scale: Array, centre: Array, crop: int) -> Affine:
    """Turn and scale about the middle of the crop, which lands on ``centre``."""
    cos, sin = scale * jnp.cos(angle), scale * jnp.sin(angle)
    linear = jnp.array([[cos, -sin], [sin, cos]])
    return jnp.concatenate([linear, (centre - linear.sum(1) * (crop - 1) / 2)[:, None]], axis=1)


def compose_affine(outer: Affine, inner: Affine) -> Affine:
    """The affine map p -> outer(inner(p))."""
    linear = outer[:, :2] @ inner[:, :2]
    return jnp.concatenate([linear, outer[:, :2] @ inner[:, 2:] + outer[:, 2:]], axis=1)


def invert_affine(affine: Affine) -> Affine:
    """The inverse of an affine map."""
    (a, b), (c, d) = affine[:, :2]
    linear = jnp.array([[d, -b], [-c, a]]) / (a * d - b * c)
    return jnp.concatenate([linear, -linear @ affine[:, 2:]], axis=1)


def map_pixels(affine: Affine, height: int, width: int) -> Float[Array, "h w 2"]:
    """Where the affine map sends the pixels of an h x w grid."""
    rows, columns = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
    # Whole numbers at pixel centres, as everywhere in this module.
    grid = jnp.stack([rows, columns], axis=-1).astype(affine.dtype)
    return grid @ affine[:, :2].T + affine[:, 2]


def sample_bilinear(
    image: Float[Array, "h w c"], valid_mask: Bool[Array, "h w"], positions: Float[Array, "a b 2"]
) -> tuple[Float[Array, "a b c"], Bool[Array, "a b"]]:
    """Bilinear samples of an image, and whether all of their support is inside and valid.

    Positions within 1e-3 of a pixel take that pixel alone, so that the identity map does not
    lose the neighbours of invalid pixels to rounding.
    """
    positions = jnp.where(
        jnp.abs(positions - jnp.round(positions)) < 1e-3, jnp.round(positions), positions
    )
    first_corner = jnp.floor(positions)
    last_pixel = jnp.array(image.shape[:2]) - 1

    def tap(carry: tuple[Array, Array], step: Int[Array, "2"]) -> tuple[tuple[Array, Array], None]:
        sampled_values, valid_support = carry
        corner_weight = jnp.where(
            step == 1, positions - first_corner, 1 - (positions - first_corner)
        ).prod(-1)
        cell = first_corner.astype(int) + step
        inside = ((cell >= 0) & (cell <= last_pixel)).all(-1)
        row, column = jnp.moveaxis(jnp.clip(cell, 0, last_pixel), -1, 0)
        sampled_values = sampled_values + corner_weight[..., None] * image[row, column]
        return (
            sampled_values,
            valid_support & ((corner_weight == 0) | (inside & valid_mask[row, column])),
        ), None

    start = (
        jnp.zeros((*positions.shape[:2], image.shape[2]), image.dtype),
        jnp.ones(positions.shape[:2], bool),
    )
    # One corner after the other: side by side they would hold four copies of the crop.
    return lax.scan(tap, start, jnp.array([(0, 0), (0, 1), (1, 0), (1, 1)]))[0]


def sample_nearest(
    image: Float[Array, "h w c"], valid_mask: Bool[Array, "h w"], positions: Float[Array, "a b 2"]
) -> tuple[Float[Array, "a b c"], Bool[Array, "a b"]]:
    """The pixel nearest to each position, and whether it is inside and valid.

    Between pixels nothing is mixed: a mean of four has less noise than any pixel that is to be
    labelled, and neighbours that share it.
    """
    # Half to even: a position between two pixels takes either, never both.
    cell = jnp.round(positions).astype(int)
    last_pixel = jnp.array(image.shape[:2]) - 1
    inside = ((cell >= 0) & (cell <= last_pixel)).all(-1)
    row, column = jnp.moveaxis(jnp.clip(cell, 0, last_pixel), -1, 0)
    return image[row, column], inside & valid_mask[row, column]


def cut_views(
    window: Float[Array, "H W c"],
    valid_mask: Bool[Array, "H W"],
    affine_maps: Float[Array, "2 2 3"],
    crop_size: int,
) -> tuple[Float[Array, "2 h w c"], Bool[Array, "2 h w"]]:
    """Cut both views out of a window; invalid pixels are zero in the result."""
    positions = jax.vmap(lambda view: map_pixels(view, crop_size, crop_size))(affine_maps)
    values, inside = jax.vmap(sample_nearest, in_axes=(None, None, 0))(
        window, valid_mask, positions
    )
    return jnp.where(inside[..., None], values, 0), inside


class ViewPairs(NamedTuple):
    """Pairs of views of a batch of windows.

    Attributes:
        maps: affine maps from crop to window.
        crops: the views as they are in the cube; zero where not valid.
        valid: whether the pixel of the window that was taken is.
    """

    maps: Float[Array, "b 2 2 3"]
    crops: Float[Array, "b 2 h w c"]
    valid: Bool[Array, "b 2 h w"]


def cut_view_pairs(
    keys: Key[Array, " b"],
    window: Float[Array, "b H W c"],
    valid_mask: Bool[Array, "b H W"],
    options: ViewOptions,
) -> ViewPairs:
    """Draw and cut a pair of views out of each window, one key a window."""
    affine_maps = jax.vmap(draw_view_maps, in_axes=(0, None))(keys, options)
    crops, crop_mask = jax.vmap(cut_views, in_axes=(0, 0, 0, None))(
        window, valid_mask, affine_maps, options.crop
    )
    return ViewPairs(affine_maps, crops, crop_mask)


def match_views(
    affine_maps: Float[Array, "2 2 3"],
    view_values: Float[Array, "2 h w k"],
    valid_mask: Bool[Array, "2 h w"],
) -> tuple[Float[Array, "2 h w k"], Bool[Array, "2 h w"]]:
    """Each view's values as seen from the other view's pixel grid.

    Entry i of the result lies on the grid of view i and holds the other view's values at the
    same points of the scene; the mask says where that view has them and view i is valid too.
    """
    height, width = view_values.shape[1:3]

    def sample_other(
        own_map: Array, other_map: Array, other_values: Array, other_valid: Array
    ) -> tuple:
        positions = map_pixels(compose_affine(invert_affine(other_map), own_map), height, width)
        return sample_bilinear(other_values, other_valid, positions)

    matched_values, matched_mask = jax.vmap(sample_other)(
        affine_maps, affine_maps[::-1], view_values[::-1], valid_mask[::-1]
    )
    return matched_values, matched_mask & valid_mask
