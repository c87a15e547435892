"""How well concentrations explain spectra: counts and sums that add up over parts."""

import operator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Float32

from jaxhsi.gmcr.metrics import FitSums, fit_sums, r2
from jaxhsi.workflows.spectra_blocks import padded_blocks
from jaxhsi.workflows.unmixing_model import FitEvaluation

_MAX_REDUCED_CHI2 = 2.0
"""A residual is more than noise above twice its expected variance. Set by hand; and"""
_VARIANCE_DEVIATIONS = 5.0
"""above so many standard deviations of a variance that is measured in few bands (normal noise:
fewer than one spectrum in a million)."""

_fit_sums = jax.jit(fit_sums)


class FitCounts(NamedTuple):
    """Sums over spectra; those of parts add up.

    Attributes:
        squared_sums: squares of residual and data.
        poorly_explained: spectra whose residual is more than noise.
        component_usage: spectra that hold each component.
        component_signal: sum of the sizes of each component's contributions.
        valid_spectra: spectra that were unmixed.
        invalid_spectra: those that were not.
    """

    squared_sums: FitSums
    poorly_explained: int
    component_usage: Float[np.ndarray, " k"]
    component_signal: Float[np.ndarray, " k"]
    valid_spectra: int
    invalid_spectra: int

    def __add__(self, other: "FitCounts") -> "FitCounts":
        """Sums of both parts."""
        squared_sums = FitSums(*map(np.add, self.squared_sums, other.squared_sums))
        return FitCounts(squared_sums, *map(operator.add, self[1:], other[1:]))

    @property
    def signal_shares(self) -> Float[np.ndarray, " k"]:
        """Share of each component in the signal of all."""
        return self.component_signal / max(self.component_signal.sum(), 1e-30)


def empty_counts(num_components: int, num_bands: int) -> FitCounts:
    """Counts of no spectrum.

    >>> empty_counts(2, 5).valid_spectra
    0
    """
    zeros = np.zeros(num_components)
    return FitCounts(FitSums(0.0, 0.0, np.zeros(num_bands), 0.0), 0, zeros, zeros, 0, 0)


def count_spectra(
    evaluation: FitEvaluation,
    concentrations: Float32[np.ndarray, "n k"],
    component_sizes: Float32[np.ndarray, " k"],
) -> FitCounts:
    """Counts of spectra and their concentrations.

    A residual is more than noise where its variance is more than twice that expected, and more than
    five of the standard deviations that a variance of so few bands has.
    """
    in_use = concentrations != 0
    freedom = np.maximum(evaluation.spectra.shape[1] - in_use.sum(1), 1)
    limit = np.maximum(_MAX_REDUCED_CHI2, 1 + _VARIANCE_DEVIATIONS * np.sqrt(2 / freedom))
    return FitCounts(
        _squared_sums(evaluation),
        int((evaluation.reduced_chi2 > limit).sum()),
        in_use.sum(0).astype(float),
        np.abs(concentrations).sum(0, dtype=np.float64) * component_sizes,
        len(in_use),
        0,
    )


def _squared_sums(evaluation: FitEvaluation) -> FitSums:
    """Sums in double precision, of blocks of few shapes; their rows of zeros add nothing."""
    total = [np.float64(0)] * len(FitSums._fields)
    blocks = map(padded_blocks, (evaluation.spectra, evaluation.reconstruction))
    for block in zip(*blocks, strict=True):
        total = list(map(np.add, total, jax.device_get(_fit_sums(*block))))
    return FitSums(*total)._replace(num_spectra=np.float64(len(evaluation.spectra)))


def count_scores(
    counts: FitCounts, seconds: float, spectrum_word: str = "pixels"
) -> dict[str, Any]:
    """What ``scores.json`` holds of a cube or table.

    Args:
        counts: sums over its spectra.
        seconds: time that it took.
        spectrum_word: what its spectra are called, "pixels" or "spectra".
    """
    count = max(counts.valid_spectra, 1)
    return {
        "r2": float(r2(counts.squared_sums)) if counts.valid_spectra else None,
        "poorly_explained": counts.poorly_explained / count,
        "mean_components": float(counts.component_usage.sum()) / count,
        "signal_shares": counts.signal_shares.tolist(),
        spectrum_word: counts.valid_spectra,
        f"invalid_{spectrum_word}": counts.invalid_spectra,
        "seconds": seconds,
        f"{spectrum_word}_per_second": counts.valid_spectra / max(seconds, 1e-9),
    }
