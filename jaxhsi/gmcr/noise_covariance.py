"""Noise that is not white: what of it was found, and the frame in which it is white.

In units of its level in a spectrum, noise is channels * AR(p) process + drift, with the drift a
sum of Legendre polynomials 0..3 of random size. Its covariance Sigma = L L' gives the frame: x goes
to x L'^-1, where the noise is white, and back by L'. NumPy in float64, on the host.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float
from scipy.linalg import solve_toeplitz, solve_triangular, toeplitz

DEGREES = 4
"""Legendre polynomials of drift and offset: 0..3."""
_MOST_LAGS = 10
_STRICT = 3.0  # multiple of a parameter's price by the Bayesian information criterion
_CHANNELS = 0.01  # least variance of the channels' log variances that matters: 5 % of deviation
_FLOOR = 1e-4  # of the noise that is not correlated, so that its inverse stays in float32
_SAME_COLOUR, _SAME_OFFSET = 0.01, 0.1
_STABLE = 0.999  # root of an AR process that counts as one
_SURE = 4.0  # standard errors by which drift must exceed the noise


class Noise(NamedTuple):
    """What was found out about noise beside its level; `white_noise` says the neutral values.

    Attributes:
        channels: deviation of each channel, of mean square 1.
        correlation: coefficients of an AR process along the axis, 0 beyond its order.
        drift: deviation of each Legendre polynomial, unit vectors, in units of the noise's; it
            comes with the light and not with the channels, and so these do not scale it.
        offset: added to every spectrum, in the units of the data.
        spikes: entries that were left out; None if there are none.
    """

    channels: Float[np.ndarray, " c"]
    correlation: Float[np.ndarray, " p"]
    drift: Float[np.ndarray, " k"]
    offset: Float[np.ndarray, " c"]
    spikes: Bool[np.ndarray, "n c"] | None = None

    @property
    def coloured(self) -> bool:
        """Whether the covariance of the channels differs from a multiple of the identity."""
        return bool((self.channels != 1).any() or self.correlation.any() or self.drift.any())

    @property
    def white(self) -> bool:
        """Whether nothing at all was found."""
        return not self.coloured and not self.offset.any() and self.spikes is None


def white_noise(bands: int) -> Noise:
    """Channels alike, nothing else."""
    return Noise(
        np.ones(bands),
        np.zeros(_lags(bands)),
        np.zeros(min(DEGREES, bands)),
        np.zeros(bands),
    )


class Frame(NamedTuple):
    """Maps of spectra (rows) into the frame where noise is white, and back; triangular.

    Attributes:
        whiten: L'^-1.
        colour: L'.
    """

    whiten: Float[np.ndarray | Array, "c c"]
    colour: Float[np.ndarray | Array, "c c"]


def legendre(bands: int) -> Float[np.ndarray, "4 c"]:
    """Orthonormal rows that span the polynomials up to degree 3; fewer for fewer bands than 4."""
    basis = np.polynomial.legendre.legvander(np.linspace(-1, 1, bands), min(DEGREES, bands) - 1)
    rows = np.linalg.qr(basis)[0].T
    return rows * np.sign(rows[:, -1:])


def frame(noise: Noise, bands: int) -> Frame | None:
    """Where this noise is white; None if it is so already."""
    if not noise.coloured:
        return None
    lower = np.linalg.cholesky(covariance(noise, bands))
    return Frame(solve_triangular(lower, np.eye(bands), lower=True).T, lower.T)


def covariance(noise: Noise, bands: int) -> Float[np.ndarray, "c c"]:
    """Sigma: of the channels, for noise of level 1."""
    basis = legendre(bands)
    even = toeplitz(autocovariance(noise.correlation, bands)) + _FLOOR * np.eye(bands)
    own = noise.channels[:, None] * even * noise.channels
    return own + (basis.T * noise.drift**2) @ basis


def same_noise(first: Noise, second: Noise, constant: Float[np.ndarray, " n"]) -> bool:
    """Whether two noises are as good as one another.

    Their covariances, of whatever level, differ by less than 0.01 in Kullback-Leibler divergence
    per channel, deviations wrong by a tenth; their offsets by less than a tenth of the noise.

    Args:
        first: one.
        second: the other.
        constant: what a unit offset adds to each spectrum in units of its noise, as far as mixing
            does not explain it.
    """
    bands = len(first.channels)
    shift = np.sqrt(np.mean((first.offset - second.offset) ** 2) * np.mean(constant**2))
    if shift > _SAME_OFFSET:
        return False
    if not first.coloured and not second.coloured:
        return True
    old, new = covariance(first, bands), covariance(second, bands)
    product = np.linalg.solve(old, new)
    level = np.trace(product) / bands
    return bool(0.5 * (np.log(level) - np.linalg.slogdet(product)[1] / bands) < _SAME_COLOUR)


def autocovariance(coefficients: Float[np.ndarray, " p"], lags: int) -> Float[np.ndarray, " m"]:
    """Of a stationary AR process of variance 1, at lags 0 to ``lags`` - 1.

    By the Fourier transform of 1 / |1 - sum_k a_k e^{-i w k}|^2, on so many points that nothing
    wraps around.
    """
    points = 1 << (8 * max(lags, 64) - 1).bit_length()
    response = np.fft.rfft(np.concatenate([[1.0], -coefficients]), points)
    found = np.fft.irfft(1 / np.abs(response) ** 2, points)[:lags]
    return found / found[0]


def channel_deviations(
    variance: Float[np.ndarray, " c"], freedom: float
) -> Float[np.ndarray, " c"]:
    """Deviations of the channels, shrunk to what is not the error of measuring them; 1 if nothing.

    The logarithm of a variance of m degrees of freedom errs by a variance of 2 / m.

    Args:
        variance: of each channel, > 0.
        freedom: degrees of freedom that each was measured with.
    """
    logs = np.log(variance)
    total, error = logs.var(), 2 / freedom
    # the error of a variance of the logarithms over c channels, three times
    slack = 1 + 3 * np.sqrt(2 / len(logs))
    if total - slack * error < _CHANNELS:
        return np.ones_like(variance)
    kept = np.exp(0.5 * (1 - error / total) * (logs - logs.mean()))
    return kept / np.sqrt(np.mean(kept**2))


def correlation(
    rows: Float[np.ndarray, "m c"], weights: Float[np.ndarray, " m"], freedom: float
) -> Float[np.ndarray, " p"]:
    """Coefficients of the AR process of a covariance R' diag(w) R, order by BIC; then 0 to 10.

    Args:
        rows: R, such that all channels have the same variance.
        weights: w, of any sign.
        freedom: degrees of freedom that each was measured with.

    Source: Yule and Walker; Schwarz 1978, each parameter at three times its price.
    """
    bands = rows.shape[1]
    lags = _lags(bands)
    points = 1 << (2 * bands - 1).bit_length()
    power = weights @ np.abs(np.fft.rfft(rows, points, axis=1)) ** 2
    found = np.fft.irfft(power, points)[: lags + 1] / (bands - np.arange(lags + 1))
    values, best = freedom * bands, (np.inf, np.zeros(0))
    for order in range(lags + 1):
        a = solve_toeplitz(found[:order], found[1 : order + 1]) if order else np.zeros(0)
        left = max(1 - a @ found[1 : order + 1] / found[0], 1e-9)
        if np.abs(np.roots(np.concatenate([[1.0], -a]))).max(initial=0.0) > _STABLE:
            continue  # weights of both signs may give what no process has
        price = _STRICT * order * np.log(values)
        best = min(best, (values * np.log(left) + price, a), key=lambda pair: pair[0])
    return np.pad(best[1], (0, lags - len(best[1])))


def drift(
    amounts: Float[np.ndarray, "n k"],
    freedom: float,
    expected: Float[np.ndarray, " k"],
    doubt: Float[np.ndarray, " k"] | float = 0.0,
) -> Float[np.ndarray, " k"]:
    """Deviation of each polynomial beyond what the noise holds of it; 0 where it is not sure.

    Args:
        amounts: of each polynomial in each residual.
        freedom: degrees of freedom of a column, about n.
        expected: variance of each by the rest of the noise.
        doubt: how much more than that it may be.
    """
    variance = np.sum(amounts**2, axis=0) / freedom
    sure = variance > expected + np.maximum(_SURE * np.sqrt(2 / freedom) * expected, doubt)
    return np.where(sure, np.sqrt(np.maximum(variance - expected, 0)), 0.0)


def _lags(bands: int) -> int:
    """Most lags of an AR process in so many channels."""
    return min(_MOST_LAGS, max(1, bands // 4))
