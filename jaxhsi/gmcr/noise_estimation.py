"""Noise that is not white, estimated from what linear mixing leaves of the spectra.

`estimate_noise` alternates between the two: mixing is the singular vectors above the noise as far
as it is estimated (`mixing_residual`), and what they leave gives the noise anew.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import toeplitz

from jaxhsi.gmcr.mixing_residual import (
    MixingResidual,
    min_chi2_gain,
    residual_from_singular_vectors,
)
from jaxhsi.gmcr.noise_covariance import (
    NoiseModel,
    ar_autocovariance,
    estimate_ar_coefficients,
    estimate_band_deviations,
    estimate_drift_deviations,
    legendre_basis,
    white_noise,
)
from jaxhsi.gmcr.robust_low_rank import RobustFit, robust_low_rank
from jaxhsi.gmcr.spike_detection import remove_spikes
from jaxhsi.gmcr.weighted_projection import edge_rank, impute

_MAX_PASSES = 12
"""Passes of residual and noise; they end earlier when the noise no longer changes. Set by hand as a
bound."""
_CHANGE_TOLERANCE = 0.02
"""Relative change of the noise between passes that counts as none. Chosen by hand; not tuned."""
_MIN_DEGREES_OF_FREEDOM = 8
"""Fewer, of spectra or of bands, tell nothing of the noise. Chosen by hand; not tuned."""
_NOISE_LEVEL_RANGE = 0.01, 20.0
"""Levels in whitened coordinates that are believed: below, noise is that of float32; above,
components are left in it. Chosen by hand; not tuned."""
_MIN_RELATIVE_VARIANCE = 0.1
"""Least variance of a band relative to the median: the covariance is a difference and may fall
below zero. Chosen by hand; not tuned."""
_MIN_OFFSET_SHARE = 0.02
"""Share of a constant that components must leave unexplained for an offset to be estimated: below,
offset and components cannot be told apart. Chosen by hand; not tuned."""
_LEAKAGE_TOLERANCE = 0.25
"""Relative doubt of the leak of singular vectors into the smooth curves. Set by hand just above the
largest one that was measured, 0.24; by which script is not recorded."""
_LEAKAGE_BIAS = 0.5
"""Share of the curves' leak that may be the same in all spectra, as an offset is. Chosen by hand;
not tuned."""
_TYPICAL_BANDS = 3, 97
"""Percentiles of the deviations of bands that stand for quiet and noisy ones."""
_UNEVEN_BANDS_RATIO = 4.0
"""Noisy bands over quiet ones above which the rank must
be estimated on weighted bands. Set by hand: below, the unweighted estimate counts right."""
_MAX_LOW_COUNT = 50
"""Median of whole numbers below which they are counts whose noise depends on each entry. Chosen by
hand; not tuned."""
_MIN_COUNT_SHARE = 0.05
"""Least mean of a band of counts relative to that of all bands. Set by hand."""
_COUNT_TOLERANCE = 1e-3
"""Distance from a whole number that float32 makes of a count."""
_OFFSET_STANDARD_ERRORS = 5.0
"""Standard errors from which a polynomial of the offset is taken. Chosen by hand; not tuned."""


def estimate_noise(
    spectra: Float[np.ndarray, "n c"],
    *,
    mask_spikes: bool = True,
    missing_mask: Bool[np.ndarray, "n c"] | None = None,
) -> tuple[NoiseModel, Float[np.ndarray, "n c"]]:
    """Noise beside its level, and the spectra with spoilt values replaced by what mixing predicts.

    White noise is recognised in one pass and the spectra come back as they are.

    Args:
        spectra: spectra, in any units.
        mask_spikes: leave out values far outside the noise.
        missing_mask: values that were not measured, whatever stands there.
    """
    spectra = np.asarray(spectra, np.float64)
    missing = np.zeros(spectra.shape, bool) if missing_mask is None else missing_mask
    if _are_low_counts(np.where(missing, 0, spectra)):
        filled_spectra = impute(spectra, missing) if missing.any() else spectra
        noise_model = white_noise(spectra.shape[1])
        noise_model = noise_model._replace(band_deviations=_count_deviations(filled_spectra))
        return _with_missing(noise_model, missing), filled_spectra
    robust_fit = robust_low_rank(spectra, mask_spikes=mask_spikes, missing_mask=missing)
    if robust_fit is not None:
        return _estimate_from(robust_fit, spectra, missing)
    filled_spectra = impute(spectra, missing) if missing.any() else spectra
    measure = partial(remove_spikes, filled_spectra) if mask_spikes else _measure
    noise_model = white_noise(spectra.shape[1])
    noise_model, filled_spectra = _alternate(measure, filled_spectra, noise_model)
    return _with_missing(noise_model, missing), filled_spectra


def _measure(
    filled_spectra: np.ndarray, noise_model: NoiseModel
) -> tuple[MixingResidual, NoiseModel, np.ndarray]:
    """What mixing leaves of spectra without further spikes, and both as they are."""
    residual = residual_from_singular_vectors(filled_spectra, noise_model)
    return residual, noise_model, filled_spectra


def _alternate(
    measure: Callable[[np.ndarray, NoiseModel], tuple[MixingResidual, NoiseModel, np.ndarray]],
    filled_spectra: Float[np.ndarray, "n c"],
    noise_model: NoiseModel,
) -> tuple[NoiseModel, Float[np.ndarray, "n c"]]:
    """Residual and noise in turn, until the noise no longer changes.

    Args:
        measure: ``(filled_spectra, noise_model)`` -> what mixing leaves, and both with the spikes
            that it masks.
        filled_spectra: to begin with.
        noise_model: likewise.
    """
    former_summary = None
    for _ in range(_MAX_PASSES):
        residual, noise_model, filled_spectra = measure(filled_spectra, noise_model)
        noise_model = noise_from_residual(residual, _LEAKAGE_TOLERANCE)._replace(
            spike_mask=noise_model.spike_mask
        )
        noise_summary = _noise_summary(noise_model, residual)
        if noise_model.is_white or (
            former_summary is not None and _summaries_agree(noise_summary, former_summary)
        ):
            break
        former_summary = noise_summary
    return noise_model, filled_spectra


def count_bound(
    spectra: Float[np.ndarray, "n c"], filled_spectra: Float[np.ndarray, "n c"]
) -> int | None:
    """The most components that counts of few events show; None for other values.

    Rare events are far from normal and would pass for components of few spectra. The rank under
    weights of the bands is that of the mixing.

    Args:
        spectra: the table; missing values may hold anything.
        filled_spectra: with these replaced.
    """
    if not _are_low_counts(np.asarray(spectra, np.float64)):
        return None
    return max(1, edge_rank(filled_spectra / _count_deviations(filled_spectra)))


def _with_missing(noise_model: NoiseModel, missing: Bool[np.ndarray, "n c"]) -> NoiseModel:
    """The model whose mask holds the missing values too."""
    if not missing.any():
        return noise_model
    spikes = noise_model.spike_mask
    return noise_model._replace(spike_mask=missing if spikes is None else spikes | missing)


def _count_deviations(counts: Float[np.ndarray, "n c"]) -> Float[np.ndarray, " c"]:
    """Deviation of each band of counted events, the root of its mean, of mean square 1.

    That of a spectrum follows from its size, so that the noise of an entry is the product of both.

    Source: Keenan and Kotula 2004 (Surf. Interface Anal. 36, 203).
    """
    mean = counts.mean(axis=0)
    # Bands of hardly any event would weigh more than all others.
    variance = np.maximum(mean, _MIN_COUNT_SHARE * mean.mean())
    return np.sqrt(variance / variance.mean())


def _are_low_counts(spectra: Float[np.ndarray, "n c"]) -> bool:
    """Whether values are counts of few events, whose noise is not that of any band."""
    positive = spectra[spectra > 0]
    if (spectra < 0).any() or not len(positive):
        return False
    counts = spectra / positive.min()  # tables are scaled before they come here
    is_whole = np.abs(counts - np.round(counts)).max() < _COUNT_TOLERANCE
    return bool(is_whole and np.median(counts) < _MAX_LOW_COUNT)


def _estimate_from(
    robust_fit: RobustFit,
    spectra: Float[np.ndarray, "n c"],
    missing: Bool[np.ndarray, "n c"],
) -> tuple[NoiseModel, Float[np.ndarray, "n c"]]:
    """Noise beside its level, from a robust fit that tells which values are spoilt.

    Bands that are about alike are taken as alike at first.
    """
    band_deviations, noise_model = robust_fit.band_deviations, white_noise(spectra.shape[1])
    low, high = np.percentile(band_deviations, _TYPICAL_BANDS)
    if high > _UNEVEN_BANDS_RATIO * low:
        unit_deviations = band_deviations / np.sqrt(np.mean(band_deviations**2))
        noise_model = noise_model._replace(band_deviations=unit_deviations)
    is_spoilt = robust_fit.squared_scores > min_chi2_gain(*spectra.shape)
    is_spoilt |= bool(missing.any())
    # The mask joins the model at the end: it is known, and no pass changes it.
    noise_model, filled_spectra = _alternate(
        _measure, robust_fit.filled if is_spoilt else spectra, noise_model
    )
    spike_mask = robust_fit.spoilt_mask if is_spoilt else None
    return noise_model._replace(spike_mask=spike_mask), filled_spectra


def noise_from_residual(residual: MixingResidual, leakage_tolerance: float = 0.0) -> NoiseModel:
    """Offset, channels, correlation and drift of what mixing leaves, white where it is too little.

    A departure counts where it gains half of what a component must: less can do no harm.

    Args:
        residual: of the spectra.
        leakage_tolerance: share by which the leak may be more than it is said to be.
    """
    num_bands = residual.data_residual.shape[1]
    if (
        residual.degrees_of_freedom < _MIN_DEGREES_OF_FREEDOM
        or num_bands * residual.measured_share < _MIN_DEGREES_OF_FREEDOM
        or not _NOISE_LEVEL_RANGE[0] < residual.noise_level < _NOISE_LEVEL_RANGE[1]
    ):
        return white_noise(num_bands)
    min_gain = min_chi2_gain(*residual.data_residual.shape)
    smooth_basis = legendre_basis(num_bands)
    leakage_variance = residual.noise_level * np.sum(
        (residual.leakage_rows @ smooth_basis.T) ** 2, axis=0
    )
    # Before drift, which would otherwise absorb what all spectra share.
    offset, offset_free = _estimate_offset(residual, smooth_basis, min_gain, leakage_variance)
    # Fewer where part of the bands' dimensions was not measured, so that less is concluded.
    measured_freedom = residual.degrees_of_freedom * residual.measured_share
    band_variance = residual.covariance_weights @ residual.covariance_rows**2
    band_variance = np.maximum(
        band_variance, _MIN_RELATIVE_VARIANCE * np.median(np.abs(band_variance))
    )
    band_deviations = estimate_band_deviations(band_variance, measured_freedom)
    noise_size = np.sqrt(np.mean(band_variance / band_deviations**2))
    ar_coefficients = estimate_ar_coefficients(
        residual.covariance_rows / (band_deviations * noise_size),
        residual.covariance_weights,
        measured_freedom,
    )
    # What noise without drift has of the curves must be taken off before drift is measured.
    drift_amounts = offset_free @ smooth_basis.T / noise_size
    noise_curves = smooth_basis * band_deviations
    autocovariance = toeplitz(ar_autocovariance(ar_coefficients, num_bands))
    noise_variance = np.sum(noise_curves @ autocovariance * noise_curves, axis=1)
    leakage_variance = leakage_variance / noise_size**2
    drift_deviations = estimate_drift_deviations(
        drift_amounts,
        residual.degrees_of_freedom,
        noise_variance + leakage_variance,
        leakage_tolerance * leakage_variance,
    )
    # Like every departure, drift must gain what could add a component.
    if not residual.degrees_of_freedom * np.sum(drift_deviations**2) > min_gain:
        drift_deviations = np.zeros_like(drift_deviations)
    return NoiseModel(band_deviations, ar_coefficients, drift_deviations, offset)


def _estimate_offset(
    residual: MixingResidual,
    smooth_basis: Float[np.ndarray, "k c"],
    min_gain: float,
    leakage_variance: Float[np.ndarray, " k"],
) -> tuple[Float[np.ndarray, " c"], Float[np.ndarray, "n c"]]:
    """The offset, polynomials 0..3, where its gain matters; and the residual without it."""
    no_offset = np.zeros(residual.data_residual.shape[1]), residual.data_residual
    offset_residual, data_residual = residual.offset_residual, residual.data_residual
    degrees_of_freedom = residual.degrees_of_freedom
    offset_power = offset_residual @ offset_residual
    if offset_power < _MIN_OFFSET_SHARE * np.sum(residual.noise_deviation**-2.0):
        return no_offset
    curve_amounts = data_residual @ smooth_basis.T
    offset_sizes = offset_residual @ curve_amounts / offset_power
    residual_amounts = curve_amounts - np.outer(offset_residual, offset_sizes)
    amount_variance = np.sum(residual_amounts**2, axis=0) / degrees_of_freedom
    # Both chance and a leak that is alike in all spectra could pass for an offset.
    is_certain = offset_sizes**2 * offset_power > np.maximum(
        _OFFSET_STANDARD_ERRORS**2 * amount_variance,
        _LEAKAGE_BIAS**2 * degrees_of_freedom * leakage_variance,
    )
    offset_sizes = np.where(is_certain, offset_sizes, 0.0)
    if np.sum(offset_sizes**2) * offset_power < min_gain * residual.noise_level:
        return no_offset
    offset = offset_sizes @ smooth_basis
    return offset, data_residual - np.outer(offset_residual, offset)


def _noise_summary(noise_model: NoiseModel, residual: MixingResidual) -> np.ndarray:
    """Numbers whose change tells whether another pass is needed."""
    num_spikes = 0 if noise_model.spike_mask is None else noise_model.spike_mask.sum()
    return np.array(
        [
            residual.degrees_of_freedom,
            num_spikes,
            noise_model.ar_coefficients.sum(),
            noise_model.band_deviations.std(),
            np.sqrt(np.sum(noise_model.drift_deviations**2)),
            np.sqrt(np.mean(noise_model.offset**2)),
        ]
    )


def _summaries_agree(summary: np.ndarray, former_summary: np.ndarray) -> bool:
    larger = np.maximum(np.abs(summary), np.abs(former_summary))
    return bool(np.all(np.abs(summary - former_summary) <= _CHANGE_TOLERANCE * larger))
