"""Normalisations of spectra, and their linear projections without the normalised copy."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxhsi.normalisation_names import NORMALISATIONS, Normalisation

_LOG_FLOOR = 1e-2  # of the mean level: bounds the logarithm of dark and negative values
# Of the overall deviation. A small floor would blow the noise of dark pixels up to the size of
# signal: measured on leaf scenes, 0.001 loses the lesions to clusters of noise.
_SNV_FLOOR = 0.2
_SPREAD_FLOOR = 1e-3  # of the mean level: data that hardly vary stay finite
_L2_FLOOR = 1e-6  # of the mean level times sqrt(c): so does an empty one


class BandStats(NamedTuple):
    """Statistics of a set of spectra that the normalisations refer to.

    Attributes:
        mean: mean of each band, in the units of the data.
        deviation: standard deviation of each band; 1 where the band is constant, so that a
            constant band becomes zeros and never infinities.
        mean_level: mean over all bands.
        overall_deviation: standard deviation over all values.
    """

    mean: Float[Array, " c"]
    deviation: Float[Array, " c"]
    mean_level: Float[Array, ""]
    overall_deviation: Float[Array, ""]


def band_stats(spectra: Float[Array, "n c"]) -> BandStats:
    """Statistics of spectra, for :func:`normalise` and :func:`project`."""
    mean, deviation = spectra.mean(0), spectra.std(0)
    is_constant = deviation <= 1e-6 * jnp.abs(mean).max()
    mean_level = jnp.maximum(jnp.abs(mean).mean(), jnp.finfo(spectra.dtype).tiny)
    overall_deviation = jnp.maximum(spectra.std(), _SPREAD_FLOOR * mean_level)
    return BandStats(mean, jnp.where(is_constant, 1.0, deviation), mean_level, overall_deviation)


def normalise(
    normalisation: Normalisation, x: Float[Array, "*n c"], stats: BandStats
) -> Float[Array, "*n c"]:
    """Normalise spectra along their bands.

    ``none``: x / level. ``band``: (x - mean) / deviation, per band over the data set. ``l2``:
    x / ||x||. ``snv`` (standard normal variate, Barnes et al. 1989): (x - mean_c x) / std_c x,
    per spectrum, with 0.2 of the overall deviation added to the divisor. ``log``:
    log(max(x, 0) / level + 0.01).

    Args:
        normalisation: one of :data:`NORMALISATIONS`.
        x: spectra in the units of the data.
        stats: statistics of the data set, from :func:`band_stats`.

    Raises:
        ValueError: ``normalisation`` is not known.
    """
    if normalisation == "none":
        return x / stats.mean_level
    if normalisation == "band":
        return (x - stats.mean) / stats.deviation
    if normalisation == "l2":
        return x / _length(x, stats)
    if normalisation == "snv":
        return (x - x.mean(-1, keepdims=True)) / _snv_divisor(x.var(-1, keepdims=True), stats)
    if normalisation == "log":
        return jnp.log(jnp.maximum(x, 0) / stats.mean_level + _LOG_FLOOR)
    raise ValueError(
        f"normalisation {normalisation!r} is not known; choose one of {NORMALISATIONS}"
    )


def project(
    kind: Normalisation, x: Float[Array, "*n c"], weights: Float[Array, "c d"], stats: BandStats
) -> Float[Array, "*n d"]:
    """``normalise(kind, x, stats) @ weights`` without the normalised copy of the spectra."""
    return project_normalised((kind,), x, weights[None], stats)


class SpectrumMoments(NamedTuple):
    """Mean and variance of each spectrum over its bands; what normalising one spectrum takes."""

    mean: Float[Array, "*n 1"]
    variance: Float[Array, "*n 1"]


def project_normalised(
    normalisations: Sequence[Normalisation],
    x: Float[Array, "*n c"],
    weights: Float[Array, "blocks c d"],
    stats: BandStats,
) -> Float[Array, "*n d"]:
    """The concatenated normalisations times the stacked weights, in one matrix product.

    Every normalisation but ``log`` is affine per spectrum and commutes with the product, so that
    the normalised copies of a cube, each as large as the cube, are never made. Computed about the
    mean spectrum and at the highest precision, since raw values may be thousands of deviations
    away from zero.

    Raises:
        ValueError: a kind is not known, or there are more or fewer kinds than blocks.
    """
    return project_centred(normalisations, x - stats.mean, weights, stats)


def project_centred(
    normalisations: Sequence[Normalisation],
    centred: Float[Array, "*n c"],
    weights: Float[Array, "blocks c d"],
    stats: BandStats,
) -> Float[Array, "*n d"]:
    """:func:`project_normalised` of spectra that the mean spectrum was taken from.

    Images are taken one by one, (b, pixels, c), as weights that differ between them would be: under
    ``jit`` on CPUs arrays as large as the cube are then made once for all products with them.
    """
    if centred.ndim > 3:
        pixels = centred.reshape(len(centred), -1, centred.shape[-1])
        projected = project_centred(normalisations, pixels, weights, stats)
        return projected.reshape(*centred.shape[:-1], -1)
    affine_kinds = [kind for kind in normalisations if kind != "log"]
    weight_blocks = dict(zip(normalisations, weights, strict=True))
    projected = jnp.zeros((), centred.dtype)
    if "log" in weight_blocks:
        projected = _matmul(normalise("log", centred + stats.mean, stats), weight_blocks["log"])
    if not affine_kinds:
        return projected
    affine_blocks = jnp.stack([weight_blocks[kind] for kind in affine_kinds])
    columns = centred_weights(affine_kinds, affine_blocks, stats)
    products = _matmul(centred, jnp.broadcast_to(columns, (*centred.shape[:-2], *columns.shape)))
    # About one level for all spectra: no digits are lost where values are far from zero.
    level = stats.mean.mean()
    deviations = centred + (stats.mean - level)
    moments = SpectrumMoments(
        level + deviations.mean(-1, keepdims=True), deviations.var(-1, keepdims=True)
    )
    return projected + sum_of_blocks(affine_kinds, products, moments, affine_blocks, stats)


def centred_weights(
    affine_kinds: Sequence[Normalisation], weights: Float[Array, "blocks c d"], stats: BandStats
) -> Float[Array, "c e"]:
    """Weights side by side that spectra less the mean spectrum are multiplied by.

    Args:
        affine_kinds: normalisations, none of them ``log``.
        weights: a block for each.
        stats: statistics of the data set.
    """
    blocks = [
        block / stats.deviation[:, None] if kind == "band" else block
        for kind, block in zip(affine_kinds, weights, strict=True)
    ]
    return jnp.concatenate(blocks, 1)


def sum_of_blocks(
    affine_kinds: Sequence[Normalisation],
    products: Float[Array, "*n e"],
    moments: SpectrumMoments,
    weights: Float[Array, "blocks c d"],
    stats: BandStats,
) -> Float[Array, "*n d"]:
    """From products with :func:`centred_weights` to the normalised spectra times the weights.

    Args:
        affine_kinds: normalisations, none of them ``log``.
        products: spectra less the mean spectrum, times the weights.
        moments: of the spectra themselves.
        weights: a block for each normalisation.
        stats: statistics of the data set.
    """
    parts = jnp.split(products, len(affine_kinds), -1)
    blocks = zip(affine_kinds, parts, weights, strict=True)
    return sum(_finish(kind, part, moments, block, stats) for kind, part, block in blocks)


def _finish(
    kind: Normalisation, centred: Array, moments: SpectrumMoments, weights: Array, stats: BandStats
) -> Array:
    """From (x - mean) @ weights, of scaled weights for ``band``, to the projection of a kind."""
    if kind == "band":
        return centred
    raw = centred + _matmul(stats.mean, weights)
    if kind == "none":
        return raw / stats.mean_level
    if kind == "l2":
        square = weights.shape[0] * (moments.variance + moments.mean**2)
        return raw / _floored_length(square, weights.shape[0], stats)
    if kind == "snv":
        return (raw - moments.mean * weights.sum(0)) / _snv_divisor(moments.variance, stats)
    raise ValueError(f"normalisation {kind!r} is not known; choose one of {NORMALISATIONS}")


def _matmul(x: Array, weights: Array) -> Array:
    return jnp.matmul(x, weights, precision=jax.lax.Precision.HIGHEST)


def _length(x: Array, stats: BandStats) -> Array:
    return _floored_length((x * x).sum(-1, keepdims=True), x.shape[-1], stats)


def _floored_length(sum_of_squares: Array, num_bands: int, stats: BandStats) -> Array:
    return jnp.sqrt(sum_of_squares + (_L2_FLOOR * stats.mean_level) ** 2 * num_bands)


def _snv_divisor(variance: Array, stats: BandStats) -> Array:
    # The tiny term keeps the gradient of the root finite on a flat spectrum.
    return jnp.sqrt(variance + 1e-30) + _SNV_FLOOR * stats.overall_deviation


def unit_rows(rows: Float[Any, "*n c"], min_length: float = 1e-12) -> Float[Any, "*n c"]:
    """Rows of Euclidean length 1: x / max(||x||, min_length). NumPy in, NumPy out; JAX likewise.

    Args:
        rows: vectors along the last axis.
        min_length: smallest divisor, so that a row of zeros stays one.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    return split_norms(rows, min_length)[0]


def split_norms(
    rows: Float[Any, "*n c"], min_length: float = 1e-12
) -> tuple[Float[Any, "*n c"], Float[Any, "*n"]]:
    """Rows of Euclidean length 1, see `unit_rows`, and the lengths that they had.

    >>> split_norms(np.array([[3.0, 4.0], [0.0, 0.0]]))[1].tolist()
    [5.0, 0.0]
    """
    namespace = jnp if isinstance(rows, jax.Array) else np
    norms = namespace.linalg.norm(rows, axis=-1)
    return rows / namespace.maximum(norms, min_length)[..., None], norms
