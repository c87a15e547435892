"""How noise departs from white, told from what linear mixing leaves of the spectra.

Before they are unmixed, mixing is the left singular vectors that stand above the noise. They are
found in whitened coordinates, as far as the noise is known, with the smooth curves of drift and
offset projected out, so that these are never taken for components; what is left gives the noise
anew. Afterwards the codes say the same with less freedom to fit noise.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import toeplitz

from jaxhsi.gmcr.component_pool import free_component_penalty
from jaxhsi.gmcr.initialisation import estimate_rank
from jaxhsi.gmcr.noise_covariance import (
    NoiseModel,
    NoiseWhitener,
    ar_autocovariance,
    estimate_ar_coefficients,
    estimate_band_deviations,
    estimate_drift_deviations,
    legendre_basis,
    noise_whitener,
    white_noise,
)
from jaxhsi.gmcr.noise_model import noise_deviation

_MAX_PASSES, _MAX_SPIKE_ROUNDS = 12, 6
_CHANGE_TOLERANCE = 0.02  # relative change of what was found that is none
_MIN_DEGREES_OF_FREEDOM = 8  # degrees of freedom that tell nothing
_NOISE_LEVEL_RANGE = 0.01, 20.0  # below, noise is that of float32; above, components are left in it
_MIN_GAIN_SHARE = (
    0.5  # share of a component's price that a departure must gain: else it does no harm
)
_SPIKE_DEVIATIONS, _STAYS = (
    7.0,
    5.0,
)  # noise deviations of a spike, and of one that was found before
_MAD_TO_DEVIATION = 1.4826  # deviation of normal values by the median of their sizes
_MAX_SPIKE_SHARE = (
    0.05  # share of spectra with the same channel far out that is no chance but a line
)
_NARROW_VECTOR = 0.05  # sum of v^4 above which a singular vector is made of spikes
_FLAT_VECTOR = (
    15.0  # the same of a singular vector of spectra, whatever the bands: at most so much / c
)
_FEW_SPECTRA_RATIO = 5.0  # sum of u^4 of a left one, times its length: 1 where all take part alike
_MIN_OFFSET_SHARE = (
    0.02  # share of a constant that components must leave unexplained for an offset to be seen
)
_LEAKAGE_TOLERANCE = (
    0.25  # by which the leak of singular vectors into the curves is in doubt; .24 was seen
)
_LEAKAGE_BIAS = 0.5  # share of the curves' leak that may be the same in all spectra
_OFFSET_STANDARD_ERRORS = 5.0  # standard errors of an offset's polynomials

_survey = jax.jit(estimate_rank)


class MixingResidual(NamedTuple):
    """What mixing leaves, in units of the noise deviation of each spectrum.

    Attributes:
        data_residual: residual of the spectra, offset included.
        offset_residual: residual of what a unit offset adds to the spectra.
        noise_deviation: noise deviation of each spectrum.
        leverage: of each spectrum in the fit.
        degrees_of_freedom: degrees of freedom of a channel.
        covariance_rows: of any number; their squares and products, weighted, are the covariance of
            the noise without drift.
        covariance_weights: of the rows.
        measured_share: share of the channels' dimensions that the covariance was measured in.
        noise_level: variance of the noise in whitened coordinates, about 1.
        leakage_rows: the squared size of their products with a smooth curve is the variance that
            errors of the mixing leave in its amounts.
    """

    data_residual: Float[np.ndarray, "n c"]
    offset_residual: Float[np.ndarray, " n"]
    noise_deviation: Float[np.ndarray, " n"]
    leverage: Float[np.ndarray, " n"]
    degrees_of_freedom: float
    covariance_rows: Float[np.ndarray, "m c"]
    covariance_weights: Float[np.ndarray, " m"]
    measured_share: float
    noise_level: float
    leakage_rows: Float[np.ndarray, "r c"]


def estimate_noise(
    spectra: Float[np.ndarray, "n c"],
) -> tuple[NoiseModel, Float[np.ndarray, "n c"]]:
    """Noise beside its level, and the spectra with spikes replaced by what mixing predicts.

    White noise is told in one pass and the spectra come back as they are.

    Args:
        spectra: spectra, in any units.
    """
    spectra = np.asarray(spectra, np.float64)
    noise, filled, before = white_noise(spectra.shape[1]), spectra, None
    for _ in range(_MAX_PASSES):
        residual, noise, filled = _remove_spikes(spectra, filled, noise)
        noise = noise_from_residual(residual, _LEAKAGE_TOLERANCE)._replace(
            spike_mask=noise.spike_mask
        )
        summary = _noise_summary(noise, residual)
        if noise.is_white or (before is not None and _summaries_agree(summary, before)):
            break
        before = summary
    return noise, filled


def noise_from_residual(residual: MixingResidual, leakage_tolerance: float = 0.0) -> NoiseModel:
    """Offset, channels, correlation and drift of what mixing leaves, white where it is too little.

    A departure counts where it gains half of what a component must: less can do no harm.

    Args:
        residual: of the spectra.
        leakage_tolerance: share by which the leak may be more than it is said to be.
    """
    bands = residual.data_residual.shape[1]
    if (
        residual.degrees_of_freedom < _MIN_DEGREES_OF_FREEDOM
        or bands * residual.measured_share < _MIN_DEGREES_OF_FREEDOM
        or not _NOISE_LEVEL_RANGE[0] < residual.noise_level < _NOISE_LEVEL_RANGE[1]
    ):
        return white_noise(bands)
    least, freedom, basis = (
        _min_chi2_gain(residual.data_residual),
        residual.degrees_of_freedom,
        legendre_basis(bands),
    )
    leaked = residual.noise_level * np.sum((residual.leakage_rows @ basis.T) ** 2, axis=0)
    offset, left = _estimate_offset(residual, basis, least, leaked)
    sharper = freedom * residual.measured_share
    variance = residual.covariance_weights @ residual.covariance_rows**2
    variance = np.maximum(variance, 0.1 * np.median(np.abs(variance)))
    channels = estimate_band_deviations(variance, sharper)
    size = np.sqrt(np.mean(variance / channels**2))
    process = estimate_ar_coefficients(
        residual.covariance_rows / (channels * size), residual.covariance_weights, sharper
    )
    amounts, shown = left @ basis.T / size, basis * channels
    expected = np.sum(shown @ toeplitz(ar_autocovariance(process, bands)) * shown, axis=1)
    leaked = leaked / size**2
    sizes = estimate_drift_deviations(
        amounts, freedom, expected + leaked, leakage_tolerance * leaked
    )
    sizes = sizes if freedom * np.sum(sizes**2) > least else np.zeros_like(sizes)
    return NoiseModel(channels, process, sizes, offset)


def residual_from_codes(
    spectra: Float[np.ndarray, "n c"],
    noise_model: NoiseModel,
    codes: Float[np.ndarray, "n k"],
    components: Float[np.ndarray, "k c"],
    noise_deviation: Float[np.ndarray, " n"],
) -> MixingResidual:
    """What mixing with these codes leaves, whatever the components.

    An error of a code, 1 / (sharp part of its component), leaks into the smooth curves.

    Args:
        spectra: spectra, offset included, spikes replaced.
        noise_model: as it is known; codes belong to data that it whitens.
        codes: in the units of the data.
        components: likewise.
        noise_deviation: noise deviation of each spectrum.
    """
    known, smooth = _whitener_and_smooth_basis(noise_model, spectra.shape[1])
    left = np.linalg.qr(codes / noise_deviation[:, None])[0]
    data, constant = spectra / noise_deviation[:, None], 1 / noise_deviation
    data, constant = data - left @ (left.T @ data), constant - left @ (left.T @ constant)
    seen = (data - np.outer(constant, noise_model.offset)) @ known.whitening_matrix
    seen = seen - (seen @ smooth.T) @ smooth
    freedom = float(max(len(spectra) - codes.shape[1] - 1, 1))
    own = components @ known.whitening_matrix
    own = np.linalg.norm(own - (own @ smooth.T) @ smooth, axis=1)
    leak = np.sqrt(np.mean(codes != 0, axis=0))[:, None] * components
    leverage, leak = np.sum(left**2, axis=1), leak / np.maximum(own, 1e-9)[:, None]
    measured = _covariance_factors(seen, freedom, smooth[:0], smooth, noise_model, known)
    return MixingResidual(data, constant, noise_deviation, leverage, freedom, *measured, leak)


def _remove_spikes(
    x: np.ndarray, filled: np.ndarray, noise: NoiseModel
) -> tuple[MixingResidual, NoiseModel, np.ndarray]:
    """Residual, noise with its spikes, and filled spectra when no more spikes come to light.

    The smaller ones are seen only when the larger are gone, and so is the noise.
    """
    for _ in range(_MAX_SPIKE_ROUNDS):
        residual = _singular_vector_residual(filled, noise)
        spikes, filled = _detect_spikes(x, filled, noise.spike_mask, residual)
        before = 0 if noise.spike_mask is None else noise.spike_mask.sum()
        noise = noise._replace(spike_mask=spikes)
        if spikes is None or spikes.sum() == before:
            break
    return residual, noise, filled


def _singular_vector_residual(x: np.ndarray, noise: NoiseModel) -> MixingResidual:
    """What the singular vectors leave that stand above the noise as it is known."""
    rows, bands = x.shape
    known, smooth = _whitener_and_smooth_basis(noise, bands)
    seen = (x - noise.offset) @ known.whitening_matrix
    seen = seen - (seen @ smooth.T) @ smooth
    found = _survey(jnp.asarray(seen, jnp.float32))
    mean_square = jnp.asarray(np.mean(seen**2, axis=1), jnp.float32)
    scale = np.asarray(noise_deviation(found.noise_level, mean_square), np.float64)
    rank = min(int(found.rank), rows // 2, 3 * bands // 4)
    seen, right = seen / scale[:, None], np.asarray(found.singular_vectors[:rank], np.float64)
    scores = seen @ right.T
    kept = ~_is_narrow(scores, right)
    right = right[kept]
    left, mixed = np.linalg.qr(scores[:, kept])
    data, constant = x / scale[:, None], 1 / scale
    fitted = left.T @ data
    seen = seen - left @ (left.T @ seen)
    freedom = float(max(rows - len(right) - 1, 1))
    measured = _covariance_factors(seen, freedom, right, smooth, noise, known)
    leak = np.linalg.solve(mixed, fitted)  # noise of spectra, by weights that predict a curve
    constant = constant - left @ (left.T @ constant)
    leverage = np.sum(left**2, axis=1)
    return MixingResidual(data - left @ fitted, constant, scale, leverage, freedom, *measured, leak)


def _is_narrow(scores: Float[np.ndarray, "n r"], right: Float[np.ndarray, "r c"]) -> np.ndarray:
    """Singular vectors made of spikes, in few spectra, or of noisy channels, weak.

    Strong ones of many spectra are signal, though they may stand on few channels where the others
    are noisy.

    Args:
        scores: of the spectra, in noise deviations.
        right: the vectors.
    """
    rows, bands = len(scores), right.shape[1]
    narrow = np.sum(right**4, axis=1) > max(_NARROW_VECTOR, _FLAT_VECTOR / bands)
    power = np.sum(scores**2, axis=0)
    few = np.sum(scores**4, axis=0) * rows > _FEW_SPECTRA_RATIO * power**2
    return narrow & (few | (power < rows * bands))  # weaker than all the noise of a spectrum


def _covariance_factors(
    seen: Float[np.ndarray, "n c"],
    freedom: float,
    taken: Float[np.ndarray, "r c"],
    smooth: Float[np.ndarray, "k c"],
    noise: NoiseModel,
    known: NoiseWhitener,
) -> tuple[Float[np.ndarray, "m c"], Float[np.ndarray, " m"], float, float]:
    """Rows, weights, share and level of `MixingResidual`, from a whitened residual.

    In the orthonormal rows that it lacks, taken and smooth, the noise is as it was known: a step of
    expectation maximisation, N = M + (1 - share) K, made longer to (N - (1 - share) K) / share.
    """
    bands = seen.shape[1]
    shadow = smooth @ (legendre_basis(bands) @ known.whitening_matrix).T * noise.drift_deviations
    values, vectors = np.linalg.eigh(np.eye(len(smooth)) - shadow @ shadow.T)
    calm = (vectors * np.sqrt(np.maximum(values, 0))).T @ smooth
    lacking = np.concatenate([taken, calm]) @ known.colouring_matrix
    steady = noise_whitener(
        noise._replace(drift_deviations=np.zeros_like(noise.drift_deviations)), bands
    )
    before = np.eye(bands) if steady is None else steady.colouring_matrix
    share = 1 - (len(taken) + len(smooth)) / bands
    level = float(np.sum(seen**2) / freedom / (bands * share))
    parts = (
        (1 / freedom, seen @ known.colouring_matrix),
        (level, lacking),
        (level * (share - 1), before),
    )
    weights = np.concatenate([np.full(len(rows), weight / share) for weight, rows in parts])
    return np.concatenate([rows for _, rows in parts]), weights, share, level


def _whitener_and_smooth_basis(
    noise: NoiseModel, bands: int
) -> tuple[NoiseWhitener, Float[np.ndarray, "k c"]]:
    """The whitener, and smooth curves in whitened coordinates as orthonormal rows."""
    known, basis = noise_whitener(noise, bands), legendre_basis(bands)
    if known is None:
        return NoiseWhitener(np.eye(bands), np.eye(bands)), basis
    return known, np.linalg.qr((basis @ known.whitening_matrix).T)[0].T


def _detect_spikes(
    x: np.ndarray,
    filled: np.ndarray,
    known: Bool[np.ndarray, "n c"] | None,
    residual: MixingResidual,
) -> tuple[Bool[np.ndarray, "n c"] | None, np.ndarray]:
    """Entries far outside the noise, if together they matter, and the spectra without them.

    Channels where many spectra are far out are lines, which mixing should explain. An entry's
    residual is 1 - leverage of what is wrong with it. One that was found before stays
    if it is a little less far out.
    """
    basis = legendre_basis(x.shape[1])
    rest = residual.data_residual - (residual.data_residual @ basis.T) @ basis
    size = np.abs(rest) if known is None else np.abs(rest[~known])
    spread = np.median(np.abs(rest), axis=0)
    deviation = np.maximum(_MAD_TO_DEVIATION * np.maximum(np.median(size), spread), 1e-12)
    room = np.maximum(1 - residual.leverage, 0.05)[:, None]
    scale = residual.noise_deviation[:, None]
    predicted = filled - rest * scale / room
    score = np.abs(x - predicted) / (scale * deviation) * np.sqrt(room)
    found = score > (
        _SPIKE_DEVIATIONS if known is None else np.where(known, _STAYS, _SPIKE_DEVIATIONS)
    )
    found &= found.sum(axis=0) <= _MAX_SPIKE_SHARE * len(x) + 2
    if np.sum(score[found] ** 2) < _min_chi2_gain(x):
        return None, x
    return found, np.where(found, predicted, x)


def _estimate_offset(
    residual: MixingResidual, basis: np.ndarray, least: float, leaked: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The offset, polynomials 0..3, where its gain matters; and the residual without it."""
    none = np.zeros(residual.data_residual.shape[1]), residual.data_residual
    constant, data, freedom = (
        residual.offset_residual,
        residual.data_residual,
        residual.degrees_of_freedom,
    )
    power = constant @ constant
    if power < _MIN_OFFSET_SHARE * np.sum(residual.noise_deviation**-2.0):
        return none
    amounts = data @ basis.T
    sizes = constant @ amounts / power
    spread = np.sum((amounts - np.outer(constant, sizes)) ** 2, axis=0) / freedom
    sure = sizes**2 * power > np.maximum(
        _OFFSET_STANDARD_ERRORS**2 * spread, _LEAKAGE_BIAS**2 * freedom * leaked
    )
    sizes = np.where(sure, sizes, 0.0)
    if np.sum(sizes**2) * power < least * residual.noise_level:
        return none
    return sizes @ basis, data - np.outer(constant, sizes @ basis)


def _noise_summary(noise: NoiseModel, residual: MixingResidual) -> np.ndarray:
    offset, spread = np.sqrt(np.mean(noise.offset**2)), noise.band_deviations.std()
    size, process = np.sqrt(np.sum(noise.drift_deviations**2)), noise.ar_coefficients
    spikes = 0 if noise.spike_mask is None else noise.spike_mask.sum()
    return np.array([residual.degrees_of_freedom, spikes, process.sum(), spread, size, offset])


def _summaries_agree(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.all(np.abs(a - b) <= _CHANGE_TOLERANCE * np.maximum(np.abs(a), np.abs(b))))


def _min_chi2_gain(x: np.ndarray) -> float:
    """Squared residual, in noise units, that a departure from white noise must explain."""
    return _MIN_GAIN_SHARE * float(free_component_penalty(jnp.float32(len(x)), x.shape[1]))
