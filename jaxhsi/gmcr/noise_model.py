"""How strong the noise of a spectrum is, told from the spectra alone."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxhsi.linear_algebra import solve

_MARGIN = 1.01
_LEAST = 1e-4
_ROUNDS = 50


class NoiseLaw(NamedTuple):
    """Noise variance of a spectrum as a power of its mean square m: exp(level) m^exponent.

    An exponent of 0 is additive noise of one deviation for all spectra, of 1 a fixed
    signal-to-noise ratio.

    Attributes:
        level: logarithm of the variance where m = 1.
        exponent: in 0..2.
    """

    level: Float[Array, ""]
    exponent: Float[Array, ""]


def noise_scale(law: NoiseLaw, mean_square: Float[Array, " n"]) -> Float[Array, " n"]:
    """Noise deviation of spectra of these mean squares (> 0), in the units of the spectra.

    Not below 1e-4 of their root mean square, 80 dB: of spectra without noise, sums in float32
    leave some.
    """
    deviation = jnp.exp(0.5 * (law.level + law.exponent * jnp.log(mean_square)))
    return jnp.maximum(deviation, _LEAST * jnp.sqrt(mean_square))


def fit_law(
    mean_square: Float[Array, " n"], variance: Float[Array, " n"], weight: Float[Array, " n"]
) -> NoiseLaw:
    """The law that fits noise variances measured per spectrum, by weighted least squares of logs.

    Where all spectra are equally strong the exponent is 0.
    """
    total = jnp.maximum(jnp.sum(weight), 1e-12)
    x, y = jnp.log(mean_square), jnp.log(jnp.maximum(variance, 1e-30))
    x_mean, y_mean = jnp.sum(weight * x) / total, jnp.sum(weight * y) / total
    spread = jnp.sum(weight * (x - x_mean) ** 2) / total
    slope = jnp.sum(weight * (x - x_mean) * (y - y_mean)) / total / jnp.maximum(spread, 1e-9)
    slope = jnp.where(spread > 1e-4, jnp.clip(slope, 0.0, 2.0), 0.0)
    level = jnp.log(jnp.sum(weight * variance * jnp.exp(-slope * x)) / total)
    return NoiseLaw(level, slope)


def edge_rank(
    singular: Float[Array, " q"], rows: int, columns: int
) -> tuple[Int[Array, ""], Float[Array, ""]]:
    """How many singular values stand above those of white noise, and the noise's deviation.

    The largest singular value of (n, c) white noise of deviation sigma is close to
    sigma (sqrt(n) + sqrt(c)); what lies below is noise and gives sigma anew, until nothing
    changes. Sigma is not taken to be less than 1e-4 of the data's root mean square, as in
    `noise_scale`. Source: the edge of the Marchenko-Pastur law.

    Args:
        singular: of the data, falling.
        rows: n.
        columns: c.
    """
    place = jnp.arange(len(singular))
    least = _LEAST * jnp.sqrt(jnp.sum(singular**2) / (rows * columns))

    def deviation(rank: Array) -> Array:
        tail = jnp.sum(jnp.where(place >= rank, singular, 0.0) ** 2)
        return jnp.maximum(jnp.sqrt(tail / ((rows - rank) * (columns - rank))), least)

    def enlarge(_: Array, rank: Array) -> Array:
        edge = _MARGIN * deviation(rank) * (rows**0.5 + columns**0.5)
        found = jnp.sum(singular > edge)
        return jnp.where(found < len(singular) - 1, jnp.maximum(rank, found), rank)

    rank = jax.lax.fori_loop(0, _ROUNDS, enlarge, jnp.zeros((), jnp.int32))
    return rank, deviation(rank)


def residual_law(
    x: Float[Array, "n c"], codes: Float[Array, "n p"], components: Float[Array, "p c"]
) -> NoiseLaw:
    """The law of what codes and components leave over, corrected for what they swallowed.

    A spectrum's residual has c (1 - h) - nnz degrees of freedom, with h its leverage in the fit
    of the components. Spectra that mostly determine a component themselves count little.

    Args:
        x: in the units of the data.
        codes: likewise.
        components: unit rows; those that no code uses do not matter.
    """
    mean_square = jnp.mean(x**2, axis=1)
    bands = x.shape[1]
    freedom = degrees_of_freedom(codes, jnp.sqrt(mean_square), bands)
    variance = jnp.sum((x - codes @ components) ** 2, axis=1) / freedom
    return fit_law(mean_square, variance, jnp.where(freedom > 0.2 * bands, freedom, 1e-6))


def degrees_of_freedom(
    codes: Float[Array, "n p"], scale: Float[Array, " n"], bands: int
) -> Float[Array, " n"]:
    """Of the residual of each spectrum: c (1 - h) - nnz, h its leverage; at least 1.

    Args:
        codes: in the units of the data.
        scale: of each spectrum, or of its noise, by which it counts in the fit of the components.
        bands: c.
    """
    relative = codes / scale[:, None]
    gram = relative.T @ relative + 1e-6 * jnp.eye(codes.shape[1])
    leverage = jnp.sum(relative * solve(gram, relative.T).T, axis=1)
    return jnp.maximum(bands * (1 - leverage) - jnp.sum(codes != 0, axis=1), 1.0)
