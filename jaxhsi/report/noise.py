"""The estimated noise: numbers for ``scores.json``."""

from typing import Any

import numpy as np

from jaxhsi.gmcr.noise_covariance import NoiseModel, ar_autocovariance

_RANGE_CORRELATION = np.exp(-1)
"""Correlation at which the range of correlated bands ends (the e-folding length)."""


def noise_scores(noise: NoiseModel, share: float, unit: float) -> dict[str, Any]:
    """Numbers; those of a kind that was not found are 0.

    Args:
        noise: departures from white.
        share: of the signal, the noise deviation over the root mean square of a spectrum.
        unit: that the data were divided by.
    """
    bands = len(noise.band_deviations)
    lags = (
        ar_autocovariance(noise.ar_coefficients, bands)
        if noise.ar_coefficients.any()
        else np.zeros(1)
    )
    low, high = np.quantile(noise.band_deviations, (0.05, 0.95))
    offset = np.asarray(noise.offset, float) * unit
    return {
        "share": share,
        "correlated_bands": int(np.argmax(np.append(lags, 0.0) < _RANGE_CORRELATION)),
        "correlation": noise.ar_coefficients[
            : np.max(np.flatnonzero(noise.ar_coefficients), initial=-1) + 1
        ]
        .astype(float)
        .tolist(),
        "band_ratio": float(high / low) if np.ptp(noise.band_deviations) > 0 else 0.0,
        "baseline": float(np.sqrt(np.sum(noise.drift_deviations**2) / bands)),
        "offset": float(offset.mean()),
        "offset_range": [float(offset.min()), float(offset.max())],
        "spikes": 0 if noise.spike_mask is None else int(noise.spike_mask.sum()),
    }
