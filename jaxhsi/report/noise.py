"""The estimated noise: numbers for ``scores.json``."""

from typing import Any

import numpy as np

from jaxhsi.gmcr.noise_covariance import NoiseModel, ar_autocovariance

_RANGE_CORRELATION = np.exp(-1)
"""Correlation at which the range of correlated bands ends (the e-folding length)."""


def noise_scores(noise_model: NoiseModel, noise_share: float, data_unit: float) -> dict[str, Any]:
    """Size, correlation, baseline, offset and spikes; 0 of a kind that the noise does not have.

    The size is that of the median band: a few blind bands say nothing of the others.

    Args:
        noise_model: of the scaled data.
        noise_share: noise deviation over the root mean square of a spectrum.
        data_unit: number that the data were divided by.
    """
    num_bands = len(noise_model.band_deviations)
    autocovariance = (
        ar_autocovariance(noise_model.ar_coefficients, num_bands)
        if noise_model.ar_coefficients.any()
        else np.zeros(1)
    )
    # Coefficients beyond the order of the autoregression are zeros.
    ar_order = np.max(np.flatnonzero(noise_model.ar_coefficients), initial=-1) + 1
    low, high = np.quantile(noise_model.band_deviations, (0.02, 0.98))
    offset = np.asarray(noise_model.offset, float) * data_unit
    return {
        "share": noise_share * float(np.median(noise_model.band_deviations)),
        "correlated_bands": int(np.argmax(np.append(autocovariance, 0.0) < _RANGE_CORRELATION)),
        "correlation": noise_model.ar_coefficients[:ar_order].astype(float).tolist(),
        "band_ratio": float(high / low) if np.ptp(noise_model.band_deviations) > 0 else 0.0,
        "baseline": float(np.sqrt(np.sum(noise_model.drift_deviations**2) / num_bands)),
        "offset": float(offset.mean()),
        "offset_range": [float(offset.min()), float(offset.max())],
        "spikes": 0 if noise_model.spike_mask is None else int(noise_model.spike_mask.sum()),
    }
