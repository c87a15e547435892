"""What was found out about noise: a sentence for each kind, and numbers for ``scores.json``."""

from typing import Any

import numpy as np

from jaxhsi.gmcr.noise_covariance import Noise, autocovariance

_CORRELATED = np.exp(-1)  # correlation of neighbours that ends the range


def noise_scores(noise: Noise, share: float, unit: float) -> dict[str, Any]:
    """Numbers; those of a kind that was not found are 0.

    Args:
        noise: departures from white.
        share: of the signal, the noise deviation over the root mean square of a spectrum.
        unit: that the data were divided by.
    """
    bands = len(noise.channels)
    lags = autocovariance(noise.correlation, bands) if noise.correlation.any() else np.zeros(1)
    low, high = np.quantile(noise.channels, (0.05, 0.95))
    offset = np.asarray(noise.offset, float) * unit
    return {
        "share": share,
        "correlated_bands": int(np.argmax(np.append(lags, 0.0) < _CORRELATED)),
        "correlation": noise.correlation[
            : np.max(np.flatnonzero(noise.correlation), initial=-1) + 1
        ]
        .astype(float)
        .tolist(),
        "channel_ratio": float(high / low) if np.ptp(noise.channels) > 0 else 0.0,
        "baseline": float(np.sqrt(np.sum(noise.drift**2) / bands)),
        "offset": float(offset.mean()),
        "offset_range": [float(offset.min()), float(offset.max())],
        "spikes": 0 if noise.spikes is None else int(noise.spikes.sum()),
    }


def noise_sentences(scores: dict[str, Any]) -> list[str]:
    """What was assumed about the noise, in words.

    Args:
        scores: of `noise_scores`.
    """
    told = [f"noise: {100 * scores['share']:.2g} % of the signal"]
    if scores["correlated_bands"]:
        told.append(f"noise is correlated over {_count(scores['correlated_bands'], 'band')}")
    elif scores["correlation"]:
        told.append("noise of neighbouring bands is correlated weakly")
    if scores["channel_ratio"]:
        told.append(
            f"noise differs from band to band, by a factor of {scores['channel_ratio']:.2g} between"
            " its noisiest and its quietest twentieth"
        )
    if scores["baseline"]:
        told.append(
            f"every spectrum has a smooth baseline of its own, {scores['baseline']:.2g} times the "
            "noise"
        )
    if scores["offset"] or any(scores["offset_range"]):
        low, high = scores["offset_range"]
        shape = f", from {low:.3g} to {high:.3g}" if high - low > 0.02 * abs(high) else ""
        told.append(
            f"all spectra have an offset of {scores['offset']:.3g}{shape}; it was taken off"
        )
    if scores["spikes"]:
        told.append(f"{_count(scores['spikes'], 'value')} far out of the noise left out as spikes")
    if len(told) == 1:
        told[0] += ", white"
    return told


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
