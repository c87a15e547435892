"""Spikes, such as cosmic rays: entries far outside the noise that mixing does not explain."""

import numpy as np
from jaxtyping import Bool, Float

from jaxhsi.gmcr.mixing_residual import (
    MixingResidual,
    min_chi2_gain,
    residual_from_singular_vectors,
)
from jaxhsi.gmcr.noise_covariance import NoiseModel, legendre_basis

_MAX_ROUNDS = 6
"""Rounds of detection; small spikes show only when larger ones are gone. Set by hand as a bound."""
SPIKE_DEVIATIONS = 7.0
"""Noise deviations from which an entry is a spike: normal noise reaches them once in 4e11 entries.
Chosen by hand; not tuned."""
FORMER_SPIKE_DEVIATIONS = 5.0
"""The same of an entry that was a spike in the round before: hysteresis, so that entries near the
bound do not come and go. Chosen by hand; not tuned."""
MAD_TO_DEVIATION = 1.4826
"""Deviation of normal values over the median of their absolute values, 1 / Phi^-1(3/4)."""
_CHANCE_DEVIATIONS = 4.0
"""By which spikes in one band may be more than they are on average, in standard deviations of their
number. Chosen by hand; not tuned."""
_MIN_RESIDUAL_SHARE = 0.05
"""Least 1 - leverage: a spectrum that the fit follows entirely would be divided by zero."""


def remove_spikes(
    spectra: Float[np.ndarray, "n c"],
    filled_spectra: Float[np.ndarray, "n c"],
    noise_model: NoiseModel,
) -> tuple[MixingResidual, NoiseModel, Float[np.ndarray, "n c"]]:
    """Residual, noise with its spikes, and filled spectra when no more spikes come to light.

    The smaller ones are detected only when the larger are gone, and so is the noise.

    Args:
        spectra: as measured.
        filled_spectra: with the spikes of the model replaced.
        noise_model: estimated so far.
    """
    for _ in range(_MAX_ROUNDS):
        # From the filled spectra, or the spikes would turn the singular vectors.
        residual = residual_from_singular_vectors(filled_spectra, noise_model)
        former_mask = noise_model.spike_mask
        spike_mask, filled_spectra = _detect_spikes(spectra, filled_spectra, former_mask, residual)
        former_count = 0 if former_mask is None else former_mask.sum()
        noise_model = noise_model._replace(spike_mask=spike_mask)
        if spike_mask is None or spike_mask.sum() == former_count:
            break
    return residual, noise_model, filled_spectra


def _detect_spikes(
    spectra: Float[np.ndarray, "n c"],
    filled_spectra: Float[np.ndarray, "n c"],
    former_mask: Bool[np.ndarray, "n c"] | None,
    residual: MixingResidual,
) -> tuple[Bool[np.ndarray, "n c"] | None, Float[np.ndarray, "n c"]]:
    """Entries far outside the noise, if together they matter, and the spectra without them.

    Bands where several spectra are far out are lines, which mixing should explain. An entry's
    residual is 1 - leverage of what is wrong with it. A former spike stays if it is a little less
    far out.
    """
    smooth_basis = legendre_basis(spectra.shape[1])
    sharp_residual = residual.data_residual
    sharp_residual = sharp_residual - (sharp_residual @ smooth_basis.T) @ smooth_basis
    # Medians, which the spikes themselves do not move.
    noise_sizes = np.abs(sharp_residual if former_mask is None else sharp_residual[~former_mask])
    band_spread = np.median(np.abs(sharp_residual), axis=0)
    band_deviation = np.maximum(
        MAD_TO_DEVIATION * np.maximum(np.median(noise_sizes), band_spread), 1e-12
    )
    residual_share = np.maximum(1 - residual.leverage, _MIN_RESIDUAL_SHARE)[:, None]
    spectrum_scale = residual.noise_deviation[:, None]
    predicted = filled_spectra - sharp_residual * spectrum_scale / residual_share
    deviations = np.abs(spectra - predicted) / (spectrum_scale * band_deviation)
    spike_score = deviations * np.sqrt(residual_share)
    spike_threshold = (
        SPIKE_DEVIATIONS
        if former_mask is None
        else np.where(former_mask, FORMER_SPIKE_DEVIATIONS, SPIKE_DEVIATIONS)
    )
    spike_mask = spike_score > spike_threshold
    spike_mask &= ~repeated_bands(spike_mask)
    if np.sum(spike_score[spike_mask] ** 2) < min_chi2_gain(*spectra.shape):
        return None, spectra
    return spike_mask, np.where(spike_mask, predicted, spectra)


def repeated_bands(spike_mask: Bool[np.ndarray, "n c"]) -> Bool[np.ndarray, " c"]:
    """Bands with more spikes than by chance: spikes fall anywhere, lines of a component do not.

    >>> mask = np.zeros((60, 100), bool)
    >>> mask[:4, 7] = mask[10, 20] = True
    >>> np.flatnonzero(repeated_bands(mask)).tolist()
    [7]
    """
    expected = spike_mask.mean() * len(spike_mask)
    return spike_mask.sum(axis=0) > 1 + expected + _CHANCE_DEVIATIONS * np.sqrt(expected)
