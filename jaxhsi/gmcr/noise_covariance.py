"""Noise that is not white: what of it was found, and the frame in which it is white.

In units of its level in a spectrum, noise is channels * AR(p) process + drift, with the drift a
sum of Legendre polynomials 0..3 of random size. Its covariance Sigma = L L' gives the frame: x goes
to x L'^-1, where the noise is white, and back by L'. NumPy in float64, on the host.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float
from scipy.linalg import solve_toeplitz, solve_triangular, toeplitz

NUM_POLYNOMIALS = 4
"""Legendre polynomials of drift and offset: 0..3."""
_MAX_AR_ORDER = 10
_BIC_FACTOR = 3.0  # multiple of a parameter's price by the Bayesian information criterion
_MIN_LOG_VARIANCE_SPREAD = (
    0.01  # least variance of the channels' log variances that matters: 5 % of deviation
)
_UNCORRELATED_FLOOR = (
    1e-4  # of the noise that is not correlated, so that its inverse stays in float32
)
_DIVERGENCE_TOLERANCE, _OFFSET_TOLERANCE = 0.01, 0.1
_MAX_AR_ROOT = 0.999  # root of an AR process that counts as one
_DRIFT_STANDARD_ERRORS = 4.0  # standard errors by which drift must exceed the noise


class NoiseModel(NamedTuple):
    """What was found out about noise beside its level; `white_noise` says the neutral values.

    Attributes:
        band_deviations: deviation of each channel, of mean square 1.
        ar_coefficients: coefficients of an AR process along the axis, 0 beyond its order.
        drift_deviations: deviation of each Legendre polynomial, unit vectors, in units of the noise's; it
            comes with the light and not with the channels, and so these do not scale it.
        offset: added to every spectrum, in the units of the data.
        spike_mask: entries that were left out; None if there are none.
    """

    band_deviations: Float[np.ndarray, " c"]
    ar_coefficients: Float[np.ndarray, " p"]
    drift_deviations: Float[np.ndarray, " k"]
    offset: Float[np.ndarray, " c"]
    spike_mask: Bool[np.ndarray, "n c"] | None = None

    @property
    def is_coloured(self) -> bool:
        """Whether the covariance of the channels differs from a multiple of the identity."""
        return bool(
            (self.band_deviations != 1).any()
            or self.ar_coefficients.any()
            or self.drift_deviations.any()
        )

    @property
    def is_white(self) -> bool:
        """Whether nothing at all was found."""
        return not self.is_coloured and not self.offset.any() and self.spike_mask is None


def white_noise(num_bands: int) -> NoiseModel:
    """Channels alike, nothing else."""
    return NoiseModel(
        np.ones(num_bands),
        np.zeros(_max_ar_order(num_bands)),
        np.zeros(min(NUM_POLYNOMIALS, num_bands)),
        np.zeros(num_bands),
    )


class NoiseWhitener(NamedTuple):
    """Maps of spectra (rows) into the frame where noise is white, and back; triangular.

    Attributes:
        whitening_matrix: L'^-1.
        colouring_matrix: L'.
    """

    whitening_matrix: Float[np.ndarray | Array, "c c"]
    colouring_matrix: Float[np.ndarray | Array, "c c"]


def legendre_basis(num_bands: int) -> Float[np.ndarray, "4 c"]:
    """Orthonormal rows that span the polynomials up to degree 3; fewer for fewer bands than 4."""
    basis = np.polynomial.legendre.legvander(
        np.linspace(-1, 1, num_bands), min(NUM_POLYNOMIALS, num_bands) - 1
    )
    rows = np.linalg.qr(basis)[0].T
    return rows * np.sign(rows[:, -1:])


def noise_whitener(noise_model: NoiseModel, num_bands: int) -> NoiseWhitener | None:
    """Where this noise is white; None if it is so already."""
    if not noise_model.is_coloured:
        return None
    lower = np.linalg.cholesky(covariance_matrix(noise_model, num_bands))
    return NoiseWhitener(solve_triangular(lower, np.eye(num_bands), lower=True).T, lower.T)


def covariance_matrix(noise_model: NoiseModel, num_bands: int) -> Float[np.ndarray, "c c"]:
    """Sigma: of the channels, for noise of level 1."""
    basis = legendre_basis(num_bands)
    even = toeplitz(
        ar_autocovariance(noise_model.ar_coefficients, num_bands)
    ) + _UNCORRELATED_FLOOR * np.eye(num_bands)
    own = noise_model.band_deviations[:, None] * even * noise_model.band_deviations
    return own + (basis.T * noise_model.drift_deviations**2) @ basis


def noise_models_agree(
    first: NoiseModel, second: NoiseModel, unit_offset_residual: Float[np.ndarray, " n"]
) -> bool:
    """Whether two noises are as good as one another.

    Their covariances, of whatever level, differ by less than 0.01 in Kullback-Leibler divergence
    per channel, deviations wrong by a tenth; their offsets by less than a tenth of the noise.

    Args:
        first: one.
        second: the other.
        unit_offset_residual: what a unit offset adds to each spectrum in units of its noise, as far as mixing
            does not explain it.
    """
    bands = len(first.band_deviations)
    shift = np.sqrt(np.mean((first.offset - second.offset) ** 2) * np.mean(unit_offset_residual**2))
    if shift > _OFFSET_TOLERANCE:
        return False
    if not first.is_coloured and not second.is_coloured:
        return True
    old, new = covariance_matrix(first, bands), covariance_matrix(second, bands)
    product = np.linalg.solve(old, new)
    level = np.trace(product) / bands
    return bool(
        0.5 * (np.log(level) - np.linalg.slogdet(product)[1] / bands) < _DIVERGENCE_TOLERANCE
    )


def ar_autocovariance(
    coefficients: Float[np.ndarray, " p"], num_lags: int
) -> Float[np.ndarray, " m"]:
    """Of a stationary AR process of variance 1, at lags 0 to ``num_lags`` - 1.

    By the Fourier transform of 1 / |1 - sum_k a_k e^{-i w k}|^2, on so many points that nothing
    wraps around.
    """
    points = 1 << (8 * max(num_lags, 64) - 1).bit_length()
    response = np.fft.rfft(np.concatenate([[1.0], -coefficients]), points)
    found = np.fft.irfft(1 / np.abs(response) ** 2, points)[:num_lags]
    return found / found[0]


def estimate_band_deviations(
    band_variance: Float[np.ndarray, " c"], degrees_of_freedom: float
) -> Float[np.ndarray, " c"]:
    """Deviations of the channels, shrunk to what is not the error of measuring them; 1 if nothing.

    The logarithm of a variance of m degrees of freedom errs by a variance of 2 / m.

    Args:
        band_variance: of each channel, > 0.
        degrees_of_freedom: degrees of freedom that each was measured with.
    """
    logs = np.log(band_variance)
    total, error = logs.var(), 2 / degrees_of_freedom
    # the error of a variance of the logarithms over c channels, three times
    slack = 1 + 3 * np.sqrt(2 / len(logs))
    if total - slack * error < _MIN_LOG_VARIANCE_SPREAD:
        return np.ones_like(band_variance)
    kept = np.exp(0.5 * (1 - error / total) * (logs - logs.mean()))
    return kept / np.sqrt(np.mean(kept**2))


def estimate_ar_coefficients(
    rows: Float[np.ndarray, "m c"], weights: Float[np.ndarray, " m"], degrees_of_freedom: float
) -> Float[np.ndarray, " p"]:
    """Coefficients of the AR process of a covariance R' diag(w) R, order by BIC; then 0 to 10.

    Args:
        rows: R, such that all channels have the same variance.
        weights: w, of any sign.
        degrees_of_freedom: degrees of freedom that each was measured with.

    Source: Yule and Walker; Schwarz 1978, each parameter at three times its price.
    """
    bands = rows.shape[1]
    lags = _max_ar_order(bands)
    points = 1 << (2 * bands - 1).bit_length()
    power = weights @ np.abs(np.fft.rfft(rows, points, axis=1)) ** 2
    found = np.fft.irfft(power, points)[: lags + 1] / (bands - np.arange(lags + 1))
    values, best = degrees_of_freedom * bands, (np.inf, np.zeros(0))
    for order in range(lags + 1):
        a = solve_toeplitz(found[:order], found[1 : order + 1]) if order else np.zeros(0)
        left = max(1 - a @ found[1 : order + 1] / found[0], 1e-9)
        if np.abs(np.roots(np.concatenate([[1.0], -a]))).max(initial=0.0) > _MAX_AR_ROOT:
            continue  # weights of both signs may give what no process has
        price = _BIC_FACTOR * order * np.log(values)
        best = min(best, (values * np.log(left) + price, a), key=lambda pair: pair[0])
    return np.pad(best[1], (0, lags - len(best[1])))


def estimate_drift_deviations(
    polynomial_amounts: Float[np.ndarray, "n k"],
    degrees_of_freedom: float,
    expected_variance: Float[np.ndarray, " k"],
    variance_tolerance: Float[np.ndarray, " k"] | float = 0.0,
) -> Float[np.ndarray, " k"]:
    """Deviation of each polynomial beyond what the noise holds of it; 0 where it is not sure.

    Args:
        polynomial_amounts: of each polynomial in each residual.
        degrees_of_freedom: degrees of freedom of a column, about n.
        expected_variance: variance of each by the rest of the noise.
        variance_tolerance: how much more than that it may be.
    """
    variance = np.sum(polynomial_amounts**2, axis=0) / degrees_of_freedom
    sure = variance > expected_variance + np.maximum(
        _DRIFT_STANDARD_ERRORS * np.sqrt(2 / degrees_of_freedom) * expected_variance,
        variance_tolerance,
    )
    return np.where(sure, np.sqrt(np.maximum(variance - expected_variance, 0)), 0.0)


def _max_ar_order(num_bands: int) -> int:
    """Most lags of an AR process in so many channels."""
    return min(_MAX_AR_ORDER, max(1, num_bands // 4))
