"""Pairs of overlapping views of a window, and the exact correspondence between them.

A view is an affine map (2, 3) from crop pixel to window pixel, both as (row, column) with whole
numbers at pixel centres: position = map[:, :2] @ pixel + map[:, 2]. Since the maps are kept, any
pixel of one view can be found in the other; upstream drops them (``hsi_processing.py``) and so
compares different points of the scene.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from jaxhsi.normalisation import BandStats

Affine = Float[Array, "2 3"]

_NOISE_BANK = 1024  # noise spectra drawn a view; see `augment_view`


@dataclass(frozen=True)
class ViewOptions:
    """How two views of a window are drawn.

    Attributes:
        crop: side of a view, in pixels.
        overlap: range of the share of a crop that the other one covers, before rotation, scale
            and shift.
        degrees: largest rotation, either way.
        shift: largest shift of each view, as a share of the crop.
        scale: range of cube pixels per crop pixel.
        band_shift: largest shift along the bands, either way, edge bands repeated.
        gain: deviation of the logarithm of the illumination of a view.
        noise: deviation of the white noise, in units of each band's own deviation.
        dropout: chance that a band of a view is lost, and replaced by its mean.
    """

    crop: int = 32
    overlap: tuple[float, float] = (0.2, 0.8)
    degrees: float = 10.0
    shift: float = 0.1
    scale: tuple[float, float] = (0.9, 1.1)
    band_shift: int = 2
    gain: float = 0.05
    noise: float = 0.05
    dropout: float = 0.02

    def __post_init__(self):
        """Refuse ranges that draw nothing or nonsense."""
        ranges = {
            "crop": self.crop >= 4,
            "overlap": 0 < self.overlap[0] <= self.overlap[1] <= 1,
            "degrees": 0 <= self.degrees <= 180,
            "shift": 0 <= self.shift <= 1,
            "scale": 0 < self.scale[0] <= self.scale[1],
            "band_shift": self.band_shift >= 0,
            "gain": self.gain >= 0,
            "noise": self.noise >= 0,
            "dropout": 0 <= self.dropout < 1,
        }
        for name, good in ranges.items():
            if not good:
                raise ValueError(
                    f"--views.{name} {getattr(self, name)} is out of range: a crop has at least 4 "
                    "pixels, overlap and scale are (smallest, largest) above 0, overlap and "
                    "dropout are shares, and nothing is negative"
                )


def window_size(options: ViewOptions) -> int:
    """Side of a window that holds both views of a pair, however they are drawn."""
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
    k_overlap, k_split, k_sign, k_angle, k_scale, k_shift = jax.random.split(key, 6)
    overlap = jax.random.uniform(
        k_overlap, (), minval=options.overlap[0], maxval=options.overlap[1]
    )
    split = jax.random.uniform(k_split, ())
    kept = jnp.stack([overlap**split, overlap ** (1 - split)])
    offset = options.crop * (1 - kept) * jax.random.rademacher(k_sign, (2,), jnp.float32)
    jitter = jax.random.uniform(k_shift, (2, 2), minval=-1, maxval=1) * options.shift * options.crop
    middle = (window_size(options) - 1) / 2
    centre = middle + jnp.stack([-offset, offset]) / 2 + jitter
    angle = jnp.deg2rad(jax.random.uniform(k_angle, (2,), minval=-1, maxval=1) * options.degrees)
    low, high = options.scale
    scale = jax.random.uniform(k_scale, (2,), minval=low, maxval=high)
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
    grid = jnp.stack([rows, columns], axis=-1).astype(affine.dtype)
    return grid @ affine[:, :2].T + affine[:, 2]


def sample_bilinear(
    image: Float[Array, "h w c"], valid: Bool[Array, "h w"], at: Float[Array, "a b 2"]
) -> tuple[Float[Array, "a b c"], Bool[Array, "a b"]]:
    """Bilinear samples of an image, and whether all of their support is inside and valid.

    Positions within 1e-3 of a pixel take that pixel alone, so that the identity map does not
    lose the neighbours of invalid pixels to rounding.
    """
    at = jnp.where(jnp.abs(at - jnp.round(at)) < 1e-3, jnp.round(at), at)
    corner = jnp.floor(at)
    last = jnp.array(image.shape[:2]) - 1

    def tap(carry: tuple[Array, Array], step: Int[Array, "2"]) -> tuple[tuple[Array, Array], None]:
        values, support = carry
        weight = jnp.where(step == 1, at - corner, 1 - (at - corner)).prod(-1)
        cell = corner.astype(int) + step
        inside = ((cell >= 0) & (cell <= last)).all(-1)
        row, column = jnp.moveaxis(jnp.clip(cell, 0, last), -1, 0)
        values = values + weight[..., None] * image[row, column]
        return (values, support & ((weight == 0) | (inside & valid[row, column]))), None

    start = (
        jnp.zeros((*at.shape[:2], image.shape[2]), image.dtype),
        jnp.ones(at.shape[:2], bool),
    )
    # One corner after the other: side by side they would hold four copies of the crop.
    return lax.scan(tap, start, jnp.array([(0, 0), (0, 1), (1, 0), (1, 1)]))[0]


def sample_nearest(
    image: Float[Array, "h w c"], valid: Bool[Array, "h w"], at: Float[Array, "a b 2"]
) -> tuple[Float[Array, "a b c"], Bool[Array, "a b"]]:
    """The pixel nearest to each position, and whether it is inside and valid.

    Between pixels nothing is mixed: a mean of four has less noise than any pixel that is to be
    labelled, and neighbours that share it.
    """
    cell = jnp.round(at).astype(int)
    last = jnp.array(image.shape[:2]) - 1
    inside = ((cell >= 0) & (cell <= last)).all(-1)
    row, column = jnp.moveaxis(jnp.clip(cell, 0, last), -1, 0)
    return image[row, column], inside & valid[row, column]


def cut_views(
    window: Float[Array, "H W c"],
    valid: Bool[Array, "H W"],
    views: Float[Array, "2 2 3"],
    crop: int,
) -> tuple[Float[Array, "2 h w c"], Bool[Array, "2 h w"]]:
    """Cut both views out of a window; invalid pixels are zero in the result."""
    at = jax.vmap(lambda view: map_pixels(view, crop, crop))(views)
    values, inside = jax.vmap(sample_nearest, in_axes=(None, None, 0))(window, valid, at)
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
    valid: Bool[Array, "b H W"],
    options: ViewOptions,
) -> ViewPairs:
    """Draw and cut a pair of views out of each window, one key a window."""
    maps = jax.vmap(draw_view_maps, in_axes=(0, None))(keys, options)
    crops, inside = jax.vmap(cut_views, in_axes=(0, 0, 0, None))(window, valid, maps, options.crop)
    return ViewPairs(maps, crops, inside)


def match_views(
    views: Float[Array, "2 2 3"],
    values: Float[Array, "2 h w k"],
    valid: Bool[Array, "2 h w"],
) -> tuple[Float[Array, "2 h w k"], Bool[Array, "2 h w"]]:
    """Each view's values as seen from the other view's pixel grid.

    Entry i of the result lies on the grid of view i and holds the other view's values at the
    same points of the scene; the mask says where that view has them and view i is valid too.
    """
    height, width = values.shape[1:3]

    def seen(mine: Array, other: Array, other_values: Array, other_valid: Array) -> tuple:
        at = map_pixels(compose_affine(invert_affine(other), mine), height, width)
        return sample_bilinear(other_values, other_valid, at)

    result, inside = jax.vmap(seen)(views, views[::-1], values[::-1], valid[::-1])
    return result, inside & valid


def augment_view(
    key: Key[Array, ""], x: Float[Array, "h w c"], stats: BandStats, options: ViewOptions
) -> Float[Array, "h w c"]:
    """Change a view as a sensor and a lamp would: gain, band shift, noise, lost bands.

    The noise of each pixel is one of 1,024 white spectra drawn for this view, since drawing a
    number for every value of the view costs more than the rest of the training step.
    """
    k_gain, k_shift, k_noise, k_pick, k_drop = jax.random.split(key, 5)
    x = x * jnp.exp(options.gain * jax.random.normal(k_gain, ()))
    x = shift_bands(
        x,
        jax.random.randint(k_shift, (), -options.band_shift, options.band_shift + 1),
        options.band_shift,
    )
    bank = jax.random.normal(k_noise, (_NOISE_BANK, x.shape[-1])) * stats.deviation * options.noise
    x = x + bank[jax.random.randint(k_pick, x.shape[:2], 0, _NOISE_BANK)]
    lost = jax.random.bernoulli(k_drop, options.dropout, (x.shape[-1],))
    return jnp.where(lost, stats.mean, x)


def shift_bands(
    x: Float[Array, "h w c"], shift: Int[Array, ""], largest: int
) -> Float[Array, "h w c"]:
    """Band i of the result is band i + shift, the edge band beyond the ends; |shift| <= largest.

    Upstream rolls instead, which puts near infrared into blue.
    """
    if largest == 0:
        return x
    padded = jnp.pad(x, ((0, 0), (0, 0), (largest, largest)), mode="edge")
    return lax.dynamic_slice_in_dim(padded, shift + largest, x.shape[-1], axis=2)
