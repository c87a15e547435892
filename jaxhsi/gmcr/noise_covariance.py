"""Covariance of noise that is not white, and the change of coordinates that whitens it.

In units of its level in a spectrum, noise is

    e = b * a + t P,

with b the deviations of the bands, a an autoregressive process along the bands, and t P a smooth
drift: Legendre polynomials P of degree 0 to 3 times random amounts t. Its covariance over the
bands, Sigma = L L' (Cholesky), gives the whitener: x goes to x L'^-1, whose noise is white, and
back by L'. NumPy in float64, on the host.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float
from scipy.linalg import solve_toeplitz, solve_triangular, toeplitz

NUM_POLYNOMIALS = 4
"""Legendre polynomials of drift and offset: degrees 0 to 3. Set by hand: smooth enough that a peak
is not taken for drift."""
_MAX_AR_ORDER = 10
"""Largest order of the autoregressive process; the order itself is selected by the criterion below.
Set by hand."""
_ROW_BLOCK = 4096
"""Rows whose spectra are held at once."""
_BIC_FACTOR = 3.0
"""Multiple of a parameter's penalty by the Bayesian information criterion. Set by hand: what
mixing leaves of the components is correlated too and must not count as noise."""
_MIN_LOG_VARIANCE_SPREAD = 0.01
"""Least variance of the bands' log variances that matters: 5 % of deviation. Set by hand."""
_UNCORRELATED_FLOOR = 1e-4
"""Share of the noise that is not correlated, so that the inverse covariance stays in float32.
Chosen by hand; not tuned."""
_DIVERGENCE_TOLERANCE, _OFFSET_TOLERANCE = 0.01, 0.1
"""Differences between noise models that do not matter, see `noise_models_agree`. Set by hand."""
_MAX_AR_ROOT = 0.999
"""Largest root of a stationary process; one of 1 is a random walk, whose variance has no bound.
Chosen by hand; not tuned."""
_DRIFT_STANDARD_ERRORS = 4.0
"""By which drift must exceed what the rest of the noise holds of it. Set by hand: normal
errors exceed it once in 30,000 polynomials."""


class NoiseModel(NamedTuple):
    """Noise beside its level; `white_noise` says the neutral values.

    Attributes:
        band_deviations: deviation of each band, of mean square 1.
        ar_coefficients: of an autoregressive process along the bands, 0 beyond its order.
        drift_deviations: deviation of the amount of each Legendre polynomial, unit vectors, in
            units of the noise's; drift comes with the light and is not scaled by `band_deviations`.
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
        """Whether the covariance of the bands differs from a multiple of the identity."""
        is_uneven = (self.band_deviations != 1).any()
        return bool(is_uneven or self.ar_coefficients.any() or self.drift_deviations.any())

    @property
    def is_white(self) -> bool:
        """Whether noise is white, without offset and without spikes."""
        return not self.is_coloured and not self.offset.any() and self.spike_mask is None


def white_noise(num_bands: int) -> NoiseModel:
    """Bands alike, nothing else.

    >>> white_noise(8).is_white
    True
    """
    return NoiseModel(
        np.ones(num_bands),
        np.zeros(_max_ar_order(num_bands)),
        np.zeros(min(NUM_POLYNOMIALS, num_bands)),
        np.zeros(num_bands),
    )


class NoiseWhitener(NamedTuple):
    """The change of coordinates of rows without offset to those where noise is white, and back.

    Attributes:
        whitening_matrix: L'^-1, triangular.
        colouring_matrix: L'.
    """

    whitening_matrix: Float[np.ndarray | Array, "c c"]
    colouring_matrix: Float[np.ndarray | Array, "c c"]

    def transform(
        self, rows_scaled: Float[np.ndarray | Array, "n c"]
    ) -> Float[np.ndarray | Array, "n c"]:
        """X L'^-1: spectra without offset, or components, in whitened coordinates."""
        return rows_scaled @ self.whitening_matrix

    def inverse_transform(
        self, rows_white: Float[np.ndarray | Array, "n c"]
    ) -> Float[np.ndarray | Array, "n c"]:
        """X L': rows in the coordinates that they were whitened from."""
        return rows_white @ self.colouring_matrix


def noise_whitener(noise_model: NoiseModel, num_bands: int) -> NoiseWhitener | None:
    """The whitener of a noise model; None if it is white already.

    >>> uneven = white_noise(8)._replace(band_deviations=np.sqrt(np.linspace(0.3, 1.7, 8)))
    >>> whitener = noise_whitener(uneven, 8)
    >>> whitened = whitener.transform(covariance_matrix(uneven, 8))
    >>> np.allclose(whitener.transform(whitened.T), np.eye(8))
    True
    >>> noise_whitener(white_noise(8), 8) is None
    True
    """
    if not noise_model.is_coloured:
        return None
    lower = np.linalg.cholesky(covariance_matrix(noise_model, num_bands))
    return NoiseWhitener(solve_triangular(lower, np.eye(num_bands), lower=True).T, lower.T)


def legendre_basis(num_bands: int) -> Float[np.ndarray, "k c"]:
    """Orthonormal rows that span the polynomials up to degree 3; fewer for fewer bands than 4.

    >>> basis = legendre_basis(20)
    >>> np.allclose(basis @ basis.T, np.eye(4))
    True
    """
    count = min(NUM_POLYNOMIALS, num_bands)
    basis = np.polynomial.legendre.legvander(np.linspace(-1, 1, num_bands), count - 1)
    rows = np.linalg.qr(basis)[0].T
    # QR leaves the signs open; fixed, the same model gives the same numbers anywhere.
    return rows * np.sign(rows[:, -1:])


def covariance_matrix(noise_model: NoiseModel, num_bands: int) -> Float[np.ndarray, "c c"]:
    """Sigma: covariance of the bands, for noise of level 1."""
    basis = legendre_basis(num_bands)
    process = toeplitz(ar_autocovariance(noise_model.ar_coefficients, num_bands))
    process = process + _UNCORRELATED_FLOOR * np.eye(num_bands)
    deviations = noise_model.band_deviations
    scaled = deviations[:, None] * process * deviations
    # Drift comes with the light: it is not scaled by the deviations of the bands.
    return scaled + (basis.T * noise_model.drift_deviations**2) @ basis


def noise_models_agree(
    first: NoiseModel, second: NoiseModel, unit_offset_residual: Float[np.ndarray, " n"]
) -> bool:
    """Whether two noise models are as good as one another.

    Their covariances, of whatever level, differ by less than 0.01 in Kullback-Leibler divergence
    per band, deviations wrong by a tenth; their offsets by less than a tenth of the noise.

    Args:
        first: one.
        second: the other.
        unit_offset_residual: what a unit offset adds to each spectrum in units of its noise, as far
            as mixing does not explain it.
    """
    num_bands = len(first.band_deviations)
    difference = np.mean((first.offset - second.offset) ** 2)
    if np.sqrt(difference * np.mean(unit_offset_residual**2)) > _OFFSET_TOLERANCE:
        return False
    # Most tables: no need to build two matrices of bands by bands.
    if not first.is_coloured and not second.is_coloured:
        return True
    old, new = covariance_matrix(first, num_bands), covariance_matrix(second, num_bands)
    product = np.linalg.solve(old, new)
    # The level is the noise law's; only the shape of the covariance counts here.
    level = np.trace(product) / num_bands
    divergence = 0.5 * (np.log(level) - np.linalg.slogdet(product)[1] / num_bands)
    return bool(divergence < _DIVERGENCE_TOLERANCE)


def ar_autocovariance(
    coefficients: Float[np.ndarray, " p"], num_lags: int
) -> Float[np.ndarray, " m"]:
    """Autocovariance of a stationary AR process of variance 1, at lags 0 to ``num_lags`` - 1.

    By the Fourier transform of 1 / |1 - sum_k a_k e^{-i w k}|^2, on so many points that nothing
    wraps around.

    >>> ar_autocovariance(np.array([0.5]), 4).round(6)  # of first order: powers of a_1
    array([1.   , 0.5  , 0.25 , 0.125])
    """
    points = 1 << (8 * max(num_lags, 64) - 1).bit_length()
    response = np.fft.rfft(np.concatenate([[1.0], -coefficients]), points)
    autocovariance = np.fft.irfft(1 / np.abs(response) ** 2, points)[:num_lags]
    return autocovariance / autocovariance[0]


def estimate_band_deviations(
    band_variance: Float[np.ndarray, " c"], degrees_of_freedom: float
) -> Float[np.ndarray, " c"]:
    """Deviations of the bands, shrunk to what is not the error of measuring them; 1 if nothing.

    The logarithm of a variance of m degrees of freedom errs by a variance of 2 / m.

    Args:
        band_variance: of each band, > 0.
        degrees_of_freedom: that each was measured with.

    >>> estimate_band_deviations(np.array([1.0, 1.1, 0.9, 1.0]), 20.0)  # within the error
    array([1., 1., 1., 1.])
    """
    logs = np.log(band_variance)
    total, error = logs.var(), 2 / degrees_of_freedom
    # the error of a variance of the logarithms over c bands, three times
    slack = 1 + 3 * np.sqrt(2 / len(logs))
    if total - slack * error < _MIN_LOG_VARIANCE_SPREAD:
        return np.ones_like(band_variance)
    # Shrunk by the share of the spread that is measuring error.
    deviations = np.exp(0.5 * (1 - error / total) * (logs - logs.mean()))
    return deviations / np.sqrt(np.mean(deviations**2))


def estimate_ar_coefficients(
    rows: Float[np.ndarray, "m c"], weights: Float[np.ndarray, " m"], degrees_of_freedom: float
) -> Float[np.ndarray, " p"]:
    """Coefficients of the AR process of a covariance R' diag(w) R, order by BIC; then 0 to 10.

    Args:
        rows: R, such that all bands have the same variance.
        weights: w, of any sign.
        degrees_of_freedom: that each band was measured with.

    Source: Yule and Walker; Schwarz 1978, each parameter at three times its penalty.
    """
    num_bands = rows.shape[1]
    max_order = _max_ar_order(num_bands)
    # Padded to twice the length, or the lags would wrap around.
    points = 1 << (2 * num_bands - 1).bit_length()
    # In blocks: of ten thousand bands all rows at once take gigabytes.
    power = sum(
        weights[start : start + _ROW_BLOCK]
        @ np.abs(np.fft.rfft(rows[start : start + _ROW_BLOCK], points, axis=1)) ** 2
        for start in range(0, len(rows), _ROW_BLOCK)
    )
    lags = np.fft.irfft(power, points)[: max_order + 1] / (num_bands - np.arange(max_order + 1))
    num_values, best = degrees_of_freedom * num_bands, (np.inf, np.zeros(0))
    for order in range(max_order + 1):
        a = solve_toeplitz(lags[:order], lags[1 : order + 1]) if order else np.zeros(0)
        # Above zero: rounding or weights of both signs may take it below.
        innovation = max(1 - a @ lags[1 : order + 1] / lags[0], 1e-9)
        if np.abs(np.roots(np.concatenate([[1.0], -a]))).max(initial=0.0) > _MAX_AR_ROOT:
            continue  # weights of both signs may give what no process has
        penalty = _BIC_FACTOR * order * np.log(num_values)
        criterion = num_values * np.log(innovation) + penalty
        best = min(best, (criterion, a), key=lambda pair: pair[0])
    return np.pad(best[1], (0, max_order - len(best[1])))


def estimate_drift_deviations(
    polynomial_amounts: Float[np.ndarray, "n k"],
    degrees_of_freedom: float,
    expected_variance: Float[np.ndarray, " k"],
    variance_tolerance: Float[np.ndarray, " k"] | float = 0.0,
) -> Float[np.ndarray, " k"]:
    """Deviation of each polynomial beyond what the noise holds of it; 0 where it is not certain.

    Args:
        polynomial_amounts: of each polynomial in each residual.
        degrees_of_freedom: of a column, about n.
        expected_variance: of each by the rest of the noise.
        variance_tolerance: how much more than that it may be.
    """
    variance = np.sum(polynomial_amounts**2, axis=0) / degrees_of_freedom
    chance = _DRIFT_STANDARD_ERRORS * np.sqrt(2 / degrees_of_freedom) * expected_variance
    # Both must be exceeded: chance, and what the mixing may have leaked.
    is_certain = variance > expected_variance + np.maximum(chance, variance_tolerance)
    return np.where(is_certain, np.sqrt(np.maximum(variance - expected_variance, 0)), 0.0)


def _max_ar_order(num_bands: int) -> int:
    """Largest order of an AR process along so many bands."""
    return min(_MAX_AR_ORDER, max(1, num_bands // 4))
