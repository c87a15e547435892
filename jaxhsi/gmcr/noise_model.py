"""Noise variance of a spectrum as a power law of its mean square, and its estimates."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxhsi.linear_algebra import solve

_EDGE_FACTOR = 1.01
"""Factor on the largest singular value of white noise. The edge is reached in the mean; its
fluctuation, of relative size (min(n, c))^(-2/3), is covered by 1 %. Set by hand."""
_MIN_RELATIVE_DEVIATION = 1e-4
"""Least noise deviation relative to the root mean square of a spectrum, 80 dB: rounding errors of
sums in float32 look like noise of that size."""
_CODE_RIDGE = 1e-5
"""Ridge of the Gram matrix of codes, relative to its mean diagonal element: above what rounding in
float32 leaves of a matrix of lower rank. Set by hand; it changes leverages by as much."""
_MAX_RANK_ITERATIONS = 50
"""Iterations of the rank; each finds at least one further direction or the last is repeated. Set by
hand as a bound."""
_MAX_EXPONENT = 2.0
"""Largest exponent of the power law: beyond it the signal-to-noise ratio would fall with signal."""
_MIN_LOG_SPREAD = 1e-4
"""Least variance of the log mean squares for an estimate of the exponent, a spread of 1 %. Chosen
by hand; not tuned."""
_MIN_LEVERAGE_SHARE = 0.2
"""Spectra with less than this share of their bands as degrees of freedom determine a component
themselves; they get next to no weight. Set by hand."""
_NEGLIGIBLE_WEIGHT = 1e-6
"""Weight of such spectra: above zero, so that a table of only such spectra has an estimate."""


class SignalDependentNoise(NamedTuple):
    """Noise variance of a spectrum as a power of its mean square m: exp(log_variance) m^exponent.

    An exponent of 0 is additive noise of one deviation for all spectra, an exponent of 1 a fixed
    signal-to-noise ratio.

    Attributes:
        log_variance: logarithm of the variance where m = 1.
        exponent: in 0..2.
    """

    log_variance: Float[Array, ""]
    exponent: Float[Array, ""]


def noise_deviation(
    noise_level: SignalDependentNoise, mean_square: Float[Array, " n"]
) -> Float[Array, " n"]:
    """Noise deviation of spectra of these mean squares, in the units of the spectra.

    It is at least 1e-4 of the root mean square (80 dB).

    Args:
        noise_level: power law of the variance.
        mean_square: of each spectrum, above 0.

    Returns:
        Standard deviation of each spectrum's noise.

    >>> import jax.numpy as jnp
    >>> additive = SignalDependentNoise(jnp.log(4.0), jnp.array(0.0))
    >>> noise_deviation(additive, jnp.array([1.0, 100.0])).tolist()
    [2.0, 2.0]
    """
    log_variance = noise_level.log_variance + noise_level.exponent * jnp.log(mean_square)
    # Half of the logarithm: the root of the variance without overflow.
    deviation = jnp.exp(0.5 * log_variance)
    return jnp.maximum(deviation, _MIN_RELATIVE_DEVIATION * jnp.sqrt(mean_square))


def spectrum_deviations(
    x: Float[Array, "n c"], noise_level: SignalDependentNoise
) -> Float[Array, "n 1"]:
    """Noise deviation of each spectrum, as a column."""
    return noise_deviation(noise_level, jnp.mean(x**2, axis=1))[:, None]


def divide_by_noise(
    x: Float[Array, "n c"], noise_level: SignalDependentNoise
) -> Float[Array, "n c"]:
    """Spectra in noise units."""
    return x / spectrum_deviations(x, noise_level)


def fit_noise_level(
    mean_square: Float[Array, " n"], variance: Float[Array, " n"], weight: Float[Array, " n"]
) -> SignalDependentNoise:
    """Power law of noise variances measured per spectrum, by weighted least squares of logarithms.

    Where all spectra are equally strong the exponent is 0.

    Args:
        mean_square: of each spectrum, above 0.
        variance: noise variance measured on each spectrum.
        weight: of each spectrum, e.g. its degrees of freedom.

    Returns:
        The law; the level preserves the weighted mean of variance m^-exponent.

    >>> import jax.numpy as jnp
    >>> m = jnp.array([1.0, 4.0])
    >>> float(fit_noise_level(m, 0.01 * m, jnp.ones(2)).exponent.round(3))
    1.0
    """
    total_weight = jnp.maximum(jnp.sum(weight), 1e-12)
    log_power, log_noise = jnp.log(mean_square), jnp.log(jnp.maximum(variance, 1e-30))
    mean_log_power, mean_log_noise = (
        jnp.sum(weight * log_power) / total_weight,
        jnp.sum(weight * log_noise) / total_weight,
    )
    power_spread = jnp.sum(weight * (log_power - mean_log_power) ** 2) / total_weight
    law_exponent = (
        jnp.sum(weight * (log_power - mean_log_power) * (log_noise - mean_log_noise))
        / total_weight
        / jnp.maximum(power_spread, 1e-9)
    )
    # Equal spectra say nothing of the exponent; any slope would only be noise.
    law_exponent = jnp.where(
        power_spread > _MIN_LOG_SPREAD, jnp.clip(law_exponent, 0.0, _MAX_EXPONENT), 0.0
    )
    # The mean of the variances, since the mean of their logarithms is biased low.
    log_variance = jnp.log(
        jnp.sum(weight * variance * jnp.exp(-law_exponent * log_power)) / total_weight
    )
    return SignalDependentNoise(log_variance, law_exponent)


def noise_edge_rank(
    singular_values: Float[Array, " q"], num_rows: int, num_columns: int
) -> tuple[Int[Array, ""], Float[Array, ""]]:
    """Number of singular values above those of white noise, and the noise's deviation.

    The largest singular value of (n, c) white noise of deviation sigma is close to
    sigma (sqrt(n) + sqrt(c)). What lies below is noise and gives sigma anew, until nothing changes.
    Sigma is at least 1e-4 of the data's root mean square, as in `noise_deviation`.

    Args:
        singular_values: of the data, falling.
        num_rows: n.
        num_columns: c.

    Returns:
        The rank, and sigma.

    Source: the edge of the Marchenko-Pastur law.

    >>> import jax.numpy as jnp
    >>> rank, _ = noise_edge_rank(jnp.array([100.0] + [1.0] * 9), 10, 10)
    >>> int(rank)
    1
    """
    value_index = jnp.arange(len(singular_values))
    root_mean_square = jnp.sqrt(jnp.sum(singular_values**2) / (num_rows * num_columns))
    least_deviation = _MIN_RELATIVE_DEVIATION * root_mean_square

    def deviation(rank: Array) -> Array:
        # A masked sum: the rank is a traced value, so that no slice of its length exists.
        tail_power = jnp.sum(jnp.where(value_index >= rank, singular_values, 0.0) ** 2)
        # What is left of the degrees of freedom once the signal directions are taken off.
        mean_square = tail_power / ((num_rows - rank) * (num_columns - rank))
        return jnp.maximum(jnp.sqrt(mean_square), least_deviation)

    def enlarge(_: Array, rank: Array) -> Array:
        noise_edge = _EDGE_FACTOR * deviation(rank) * (num_rows**0.5 + num_columns**0.5)
        num_above = jnp.sum(singular_values > noise_edge)
        # Without a single value left below the edge there is nothing to estimate sigma from.
        return jnp.where(num_above < len(singular_values) - 1, jnp.maximum(rank, num_above), rank)

    rank = jax.lax.fori_loop(0, _MAX_RANK_ITERATIONS, enlarge, jnp.zeros((), jnp.int32))
    return rank, deviation(rank)


def residual_noise_level(
    x: Float[Array, "n c"], codes: Float[Array, "n p"], components: Float[Array, "p c"]
) -> SignalDependentNoise:
    """Noise law of the residual x - codes @ components, corrected for degrees of freedom.

    Args:
        x: spectra.
        codes: concentrations, in the units of the spectra.
        components: unit rows; those that no code uses do not matter.

    Returns:
        The law of `fit_noise_level`, spectra weighted by their degrees of freedom.
    """
    mean_square = jnp.mean(x**2, axis=1)
    num_bands = x.shape[1]
    # Weights of the fit are relative to the size of a spectrum, as its noise nearly is.
    degrees_of_freedom = residual_degrees_of_freedom(codes, jnp.sqrt(mean_square), num_bands)
    variance = jnp.sum((x - codes @ components) ** 2, axis=1) / degrees_of_freedom
    is_informative = degrees_of_freedom > _MIN_LEVERAGE_SHARE * num_bands
    spectrum_weight = jnp.where(is_informative, degrees_of_freedom, _NEGLIGIBLE_WEIGHT)
    return fit_noise_level(mean_square, variance, spectrum_weight)


def residual_degrees_of_freedom(
    codes: Float[Array, "n p"], scale: Float[Array, " n"], num_bands: int
) -> Float[Array, " n"]:
    """Degrees of freedom of each spectrum's residual: c (1 - h) - nnz, at least 1.

    h is the leverage of the spectrum in the least-squares fit of the components, and nnz the number
    of its concentrations.

    Args:
        codes: concentrations, in the units of the data.
        scale: size of each spectrum, or of its noise: 1 / weight in the fit of the components.
        num_bands: c.

    Returns:
        Degrees of freedom, at least 1.
    """
    relative_codes = codes / scale[:, None]
    gram = relative_codes.T @ relative_codes
    # For components that no spectrum uses, and for more of them than there are different spectra.
    ridge = _CODE_RIDGE * (1 + jnp.mean(jnp.diagonal(gram)))
    system = gram + ridge * jnp.eye(codes.shape[1])
    leverage = jnp.sum(relative_codes * solve(system, relative_codes.T).T, axis=1)
    # Rounding may leave it outside of its range where the system is nearly singular.
    leverage = jnp.clip(leverage, 0.0, 1.0)
    return jnp.maximum(num_bands * (1 - leverage) - jnp.sum(codes != 0, axis=1), 1.0)
