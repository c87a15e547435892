"""Views changed as a sensor and a lamp would, and their projections without the changed copy.

Pixel i of a view, with the spectrum x_i, becomes

    a_i = K S(g x_i + n_i) + (1 - K) m

g is the gain of the view, n_i white noise, S moves bands and repeats the edge, K is 0 at lost
bands, which take the mean m of the data. All of it is affine, so that spectra times weights W need
no a_i: with the transpose S' the weights are changed once a view,

    (a_i - m) W = (g (x_i - m) + n_i) S'K W + (K S g m - K m) W.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from jaxhsi.dgc.options import ViewOptions
from jaxhsi.normalisation import (
    BandStats,
    Normalisation,
    SpectrumMoments,
    centred_weights,
    project_centred,
    sum_of_blocks,
)

_MIN_NOISE_SPECTRA = 1024
"""Noise spectra drawn for a step at least, which its views share: as many as a view of 32 x 32 has
pixels. Drawing one for every pixel of every view costs more than the rest of the step. Set by
hand."""


class Augmentation(NamedTuple):
    """What is drawn for a view; for several views along a first axis.

    Attributes:
        gain: g, of the illumination.
        band_shift: bands by which S moves.
        is_lost: bands that are lost, where K is 0.
    """

    gain: Float[Array, "*n"]
    band_shift: Int[Array, "*n"]
    is_lost: Bool[Array, "*n c"]


def draw_augmentation(key: Key[Array, ""], num_bands: int, options: ViewOptions) -> Augmentation:
    """Draw how one view is changed, but for its noise.

    Args:
        key: of the view.
        num_bands: c.
        options: ranges of the draws.
    """
    gain_key, shift_key, lost_key = jax.random.split(key, 3)
    largest = options.band_shift
    return Augmentation(
        jnp.exp(options.gain * jax.random.normal(gain_key, ())),
        # As a sensor whose band centres drift: all pixels of a view alike.
        jax.random.randint(shift_key, (), -largest, largest + 1),
        jax.random.bernoulli(lost_key, options.dropout, (num_bands,)),
    )


def draw_noise(
    key: Key[Array, ""], view_shape: tuple[int, int], band_stats: BandStats, options: ViewOptions
) -> Float[Array, "m c"]:
    """White noise for the first m pixels of a view, row by row; the next m pixels have it again.

    Args:
        key: of the noise.
        view_shape: rows and columns; m pixels are whole rows, and the view a multiple of them.
        band_stats: whose deviations the noise is in proportion to.
        options: with the size of the noise.
    """
    height, width = view_shape
    row_counts = (r for r in range(1, height + 1) if height % r == 0)
    num_rows = next((r for r in row_counts if r * width >= _MIN_NOISE_SPECTRA), height)
    deviation = options.noise * band_stats.deviation
    return deviation * jax.random.normal(key, (num_rows * width, len(deviation)))


def augment(
    augmentation: Augmentation,
    x: Float[Array, "*pixels c"],
    noise: Float[Array, "m c"],
    band_mean: Float[Array, " c"],
    max_shift: int,
) -> Float[Array, "*pixels c"]:
    """The changed view a.

    Args:
        augmentation: of this view.
        x: the view.
        noise: from :func:`draw_noise`.
        band_mean: m, that lost bands take: it standardises to zero, which says nothing.
        max_shift: largest shift of bands, either way.
    """
    noisy = augmentation.gain * x.reshape(-1, *noise.shape) + noise
    moved = shift_bands(noisy, augmentation.band_shift, max_shift)
    return jnp.where(augmentation.is_lost, band_mean, moved).reshape(x.shape)


def augment_view(
    key: Key[Array, ""], x: Float[Array, "h w c"], band_stats: BandStats, options: ViewOptions
) -> Float[Array, "h w c"]:
    """Change a view as a sensor and a lamp would: gain, noise, band shift, lost bands.

    Args:
        key: of all draws.
        x: the view.
        band_stats: of the data.
        options: how far it is changed.
    """
    view_key, noise_key = jax.random.split(key)
    augmentation = draw_augmentation(view_key, x.shape[-1], options)
    noise = draw_noise(noise_key, x.shape[:2], band_stats, options)
    return augment(augmentation, x, noise, band_stats.mean, options.band_shift)


class AugmentedViews(NamedTuple):
    """Views and how each is changed, in the place of the changed copy.

    Attributes:
        centred: their pixels as they are in the cube, row by row, less the mean spectrum of the
            data.
        augmentation: of each view.
        noise: of all views, see :func:`draw_noise`.
    """

    centred: Float[Array, "n pixels c"]
    augmentation: Augmentation
    noise: Float[Array, "m c"]


def draw_augmented_views(
    keys: tuple[Key[Array, " n"], Key[Array, ""]],
    centred: Float[Array, "n pixels c"],
    band_stats: BandStats,
    options: ViewOptions,
) -> AugmentedViews:
    """Draw how views are changed.

    Args:
        keys: one for each view, and that of the noise.
        centred: the pixels of the views, row by row, less the mean spectrum.
        band_stats: of the data.
        options: how far they are changed.
    """
    view_keys, noise_key = keys
    draw = partial(draw_augmentation, num_bands=centred.shape[-1], options=options)
    noise = draw_noise(noise_key, (options.crop, options.crop), band_stats, options)
    return AugmentedViews(centred, jax.vmap(draw)(view_keys), noise)


def project_augmented(
    normalisations: Sequence[Normalisation],
    views: AugmentedViews,
    weights: Float[Array, "blocks c d"],
    stats: BandStats,
    max_shift: int,
) -> Float[Array, "n pixels d"]:
    """:func:`jaxhsi.normalisation.project_normalised` of changed views, which are not made.

    Args:
        normalisations: of the spectra; ``log`` is not affine, and the views are made after all.
        views: views and how they are changed.
        weights: a block for each normalisation.
        stats: statistics of the data set.
        max_shift: largest shift of bands, either way.
    """
    centred, augmentation, noise = views
    if "log" in normalisations:
        change = partial(augment, noise=noise, band_mean=stats.mean, max_shift=max_shift)
        changed = jax.vmap(change)(augmentation, centred + stats.mean)
        return project_centred(normalisations, changed - stats.mean, weights, stats)
    shift_back = jax.vmap(partial(_transposed_shift, max_shift=max_shift))
    is_kept = (~augmentation.is_lost).astype(centred.dtype)
    offset = is_kept * (
        jax.vmap(partial(shift_bands, max_shift=max_shift))(
            augmentation.gain[:, None] * stats.mean, augmentation.band_shift
        )
        - stats.mean
    )
    # A last column of ones, to sum over the bands.
    columns = jnp.pad(
        centred_weights(normalisations, weights, stats), ((0, 0), (0, 1)), constant_values=1
    )
    changed_columns = shift_back(is_kept[:, None] * columns.T, augmentation.band_shift).mT
    num_repeats = centred.shape[1] // len(noise)
    product = partial(jnp.matmul, precision=lax.Precision.HIGHEST)
    products = (
        product(centred, augmentation.gain[:, None, None] * changed_columns)
        + jnp.tile(product(noise, changed_columns), (1, num_repeats, 1))
        + (offset @ columns)[:, None]
    )
    # About one level for all spectra, so that no digits are lost where values are far from zero.
    level = stats.mean.mean()
    rest = offset + stats.mean - level
    squares = shift_back(jnp.stack([is_kept, 2 * is_kept * rest], 1), augmentation.band_shift)
    # Of three axes: with a fourth, of one tile, XLA's sums take fifty times as long on CPUs.
    noisy = augmentation.gain[:, None, None] * centred + jnp.tile(noise, (num_repeats, 1))
    factors = squares[:, 0, None] * noisy + squares[:, 1, None]
    mean_square = ((noisy * factors).sum(-1) + (rest**2).sum(-1)[:, None]) / rest.shape[-1]
    mean_over_level = products[..., -1] / rest.shape[-1]
    moments = SpectrumMoments(
        (level + mean_over_level)[..., None],
        jnp.maximum(mean_square - mean_over_level**2, 0)[..., None],
    )
    return sum_of_blocks(normalisations, products[..., :-1], moments, weights, stats)


def shift_bands(
    x: Float[Array, "*n c"], band_shift: Int[Array, ""], max_shift: int
) -> Float[Array, "*n c"]:
    """Band i of the result is band i + shift, the edge band beyond the ends.

    Upstream rolls instead, which puts near infrared into blue.

    Args:
        x: spectra.
        band_shift: S, of all of them.
        max_shift: largest shift, either way.
    """
    if max_shift == 0:
        return x
    # Static padding and a dynamic slice: the shift is drawn, shapes are fixed.
    padded = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(max_shift, max_shift)], mode="edge")
    return lax.dynamic_slice_in_dim(padded, band_shift + max_shift, x.shape[-1], axis=-1)


def _transposed_shift(
    values: Float[Array, "*n c"], band_shift: Int[Array, ""], max_shift: int
) -> Float[Array, "*n c"]:
    """S': what is at band i + shift comes to band i, the sum of all that came from the edge."""
    shift = partial(shift_bands, band_shift=band_shift, max_shift=max_shift)
    return jax.linear_transpose(shift, values)(values)[0]
