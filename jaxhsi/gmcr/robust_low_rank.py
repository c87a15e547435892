"""Rank, uneven bands and spoilt values of a table, estimated together.

X = T V + noise, with noise deviation (of the spectrum) x (of the band). Rank and noise define each
other: bands of much noise look like components until they are weighted, and a spike is a singular
vector of its own. So the rank r grows from 1. At each r a weighted low-rank fit gives the
deviations with the right degrees of freedom and masks what is far outside of them, until no
singular value of the weighted table beyond r stands above those of white noise.

Source: maximum-likelihood PCA, Wentzell et al. 1997 (J. Chemometrics 11, 339), for noise that is a
product of bands and spectra; the edge of the Marchenko-Pastur law. NumPy in float64, on the host.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from jaxhsi.gmcr.clipped_values import clipped_values, run_length
from jaxhsi.gmcr.spike_detection import (
    FORMER_SPIKE_DEVIATIONS,
    MAD_TO_DEVIATION,
    SPIKE_DEVIATIONS,
    repeated_bands,
)
from jaxhsi.gmcr.weighted_projection import (
    edge_rank,
    first_fill,
    predict_rows,
    singular_vectors,
)

_MAX_RANK = 25
"""Largest rank that is tried; tables of more components are left to the unweighted estimate. Set by
hand: each rank costs ten decompositions."""
_HOPELESS_RANK, _HOPELESS_RATIO = 10, 3
"""From this rank on, so many times as many singular values above the edge are components, and
more than are tried. Set by hand."""
_MAX_SAMPLED_ROWS = 128
"""Spectra by which rank and deviations are estimated; more are drawn evenly. Set by hand."""
_MAX_ITERATIONS = 20
"""Iterations of fit, deviations and mask at one rank. Set by hand as a bound."""
_VARIANCE_TOLERANCE = 0.02
"""Largest change of a log variance that ends the iterations. Chosen by hand; not tuned."""
_MAX_SPIKE_BANDS = 3
"""Bands of a cosmic ray on a detector; what is broader is a line. Set by hand."""
_MAX_SPIKE_SHARE = 0.15
"""Share of the bands of a spectrum that may be spikes; above it the spectrum is another mixture."""
_MIN_BAND_SHARE = 0.2
"""Least deviation of a band relative to the median band's: dead bands and counts of zero have none.
Chosen by hand; not tuned."""
_ROUNDING = 1e-6
"""Deviation relative to the table's root mean square below which it is that of float32."""
_MAX_SPECTRUM_RATIO = 50.0
"""Bounds of the variance of a spectrum relative to the median. Chosen by hand; not tuned."""
_MAX_LEVERAGE = 0.5
"""A spectrum of higher leverage determines a component itself; what it leaves tells no noise."""
_FIRST_SHARE = 0.5
"""Share of a spectrum's largest score from which values are masked with it. Set by hand."""
_MIN_FREE_SHARE = 0.05
"""Least 1 - leverage; guards a division."""


class RobustFit(NamedTuple):
    """A low-rank fit with its noise.

    Attributes:
        rank: dimensions that stand above the noise.
        band_deviations: noise deviation of each band.
        spoilt_mask: clipped values and spikes, which took no part in the fit.
        filled: the table with these replaced by what the fit predicts.
        squared_scores: sum of the squared residuals of the masked values, in units of the noise.
    """

    rank: int
    band_deviations: Float[np.ndarray, " c"]
    spoilt_mask: Bool[np.ndarray, "n c"]
    filled: Float[np.ndarray, "n c"]
    squared_scores: float


@dataclass(kw_only=True)
class _Fit:
    """State of the iteration; ``predicted`` and ``scores`` are of the latest fit."""

    spectra: np.ndarray
    clipped: np.ndarray
    missing: np.ndarray
    masks_spikes: bool
    rounding_variance: float
    band_variance: np.ndarray
    spectrum_variance: np.ndarray
    mask: np.ndarray
    filled: np.ndarray
    scores: np.ndarray
    leverage: np.ndarray

    @property
    def excluded(self) -> np.ndarray:
        """Values that are no measurement, whatever the fit is."""
        return self.clipped | self.missing


def robust_low_rank(
    spectra: Float[np.ndarray, "n c"],
    *,
    mask_spikes: bool = True,
    missing_mask: Bool[np.ndarray, "n c"] | None = None,
) -> RobustFit | None:
    """Rank, band deviations and spoilt values of a table; None if its rank is beyond 25.

    Args:
        spectra: n of c bands, finite, in any units.
        mask_spikes: leave out values far outside the noise.
        missing_mask: values that were not measured, whatever stands there.

    >>> random = np.random.default_rng(0)
    >>> table = random.random((60, 2)) @ random.random((2, 40))
    >>> table += 0.01 * random.normal(size=table.shape) * np.where(np.arange(40) < 10, 50, 1)
    >>> fit = robust_low_rank(table)
    >>> fit.rank, bool(fit.band_deviations[:10].min() > 20 * fit.band_deviations[10:].max())
    (2, True)
    """
    places = _sampled_rows(len(spectra))
    missing = np.zeros(spectra.shape, bool) if missing_mask is None else missing_mask
    sample = _begin(spectra[places], missing[places], mask_spikes)
    for rank in range(1, min(_MAX_RANK, min(sample.spectra.shape) // 2) + 1):
        _settle(sample, rank)
        rank_above = edge_rank(_weighted(sample))
        if rank >= _HOPELESS_RANK and rank_above > _HOPELESS_RATIO * rank:
            return None
        if rank_above > rank:
            continue
        fit = _without_spikes_of_strange_spectra(sample, rank)
        if len(places) < len(spectra):
            fit = _fit_all(spectra, missing, fit, rank)
        return RobustFit(
            rank,
            np.sqrt(fit.band_variance),
            fit.mask,
            fit.filled,
            float(np.sum(fit.scores[fit.mask & ~fit.missing] ** 2)),
        )
    return None


def _sampled_rows(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, _MAX_SAMPLED_ROWS)).round().astype(int))


def _begin(spectra: np.ndarray, missing: np.ndarray, masks_spikes: bool) -> _Fit:
    if missing.any():
        spectra = first_fill(spectra, missing)
    clipped = clipped_values(spectra) & ~missing
    variance = spectra.var(axis=0)
    rounding_variance = _ROUNDING**2 * float(np.mean(spectra**2)) + 1e-300
    return _Fit(
        spectra=spectra,
        clipped=clipped,
        missing=missing,
        masks_spikes=masks_spikes,
        rounding_variance=rounding_variance,
        band_variance=np.maximum(variance, 1e-3 * np.median(variance) + rounding_variance),
        spectrum_variance=np.ones(len(spectra)),
        mask=clipped | missing,
        filled=spectra,
        scores=np.zeros(spectra.shape),
        leverage=np.zeros(len(spectra)),
    )


def _weighted(fit: _Fit) -> np.ndarray:
    return fit.filled / _deviations(fit)


def _deviations(fit: _Fit) -> np.ndarray:
    return np.sqrt(fit.spectrum_variance)[:, None] * np.sqrt(fit.band_variance)


def _settle(fit: _Fit, rank: int) -> None:
    """Fit, deviations and mask at one rank, until they no longer change."""
    fit.spectrum_variance = np.ones(len(fit.spectra))
    for _ in range(_MAX_ITERATIONS):
        former_variance, former_mask = fit.band_variance, fit.mask
        _iterate(fit, rank)
        change = np.abs(np.log(fit.band_variance / former_variance)).max()
        if change < _VARIANCE_TOLERANCE and np.array_equal(fit.mask, former_mask):
            return


def _iterate(fit: _Fit, rank: int) -> None:
    deviations = _deviations(fit)
    weighted, measured = fit.filled / deviations, fit.spectra / deviations
    left, right = singular_vectors(weighted, rank)
    predicted = predict_rows(measured, weighted, right, fit.mask)
    residual = measured - predicted
    fit.leverage = np.sum(left**2, axis=1)
    free_spectrum = np.maximum(1 - fit.leverage, _MIN_FREE_SHARE)
    free_band = np.maximum(1 - np.sum(right**2, axis=0), _MIN_FREE_SHARE)
    fit.scores = residual / np.sqrt(free_spectrum[:, None] * free_band)
    fit.scores /= _robust_deviation(np.where(fit.missing, np.nan, fit.scores))
    used = ~fit.excluded
    if fit.masks_spikes:
        used &= ~_spikes(fit.scores, fit.mask, fit.excluded)
    squares = np.where(used, residual**2, 0.0)
    count, num_bands = fit.spectra.shape
    band_freedom = np.maximum(used.sum(axis=0) * (count - rank) / count, 1) * free_band
    row_freedom = np.maximum(used.sum(axis=1) * (num_bands - rank) / num_bands, 1) * free_spectrum
    band_factor = squares.sum(axis=0) / band_freedom
    row_factor = squares.sum(axis=1) / row_freedom
    typical_factor = max(np.median(row_factor), 1e-300)
    row_factor = np.where(fit.leverage > _MAX_LEVERAGE, 1.0, row_factor / typical_factor)
    predicted = predicted * deviations
    # What was cut off was at least as large.
    predicted = np.where(fit.clipped, np.maximum(predicted, fit.spectra), predicted)
    variance = fit.band_variance * band_factor
    least_variance = max(_MIN_BAND_SHARE**2 * np.median(variance), fit.rounding_variance)
    fit.band_variance = np.maximum(variance, least_variance)
    # Half a step, as band and spectrum deviations explain part of one another.
    fit.spectrum_variance = np.clip(
        fit.spectrum_variance * np.sqrt(np.maximum(row_factor, 1e-6)),
        1 / _MAX_SPECTRUM_RATIO,
        _MAX_SPECTRUM_RATIO,
    )
    fit.mask, fit.filled = ~used, np.where(used, fit.spectra, predicted)


def _robust_deviation(scores: np.ndarray) -> np.ndarray:
    """Of each band, by medians, which spikes do not move; at least a third of all bands' own."""
    sizes = np.abs(scores)
    overall = MAD_TO_DEVIATION * np.nanmedian(sizes)
    return np.maximum(MAD_TO_DEVIATION * np.nanmedian(sizes, axis=0), 0.3 * overall + 1e-300)


def _spikes(scores: np.ndarray, former_mask: np.ndarray, excluded: np.ndarray) -> np.ndarray:
    """Narrow entries far outside the noise, in bands where no more are than by chance."""
    threshold = np.where(former_mask, FORMER_SPIKE_DEVIATIONS, SPIKE_DEVIATIONS)
    far_out = (np.abs(scores) > threshold) & ~excluded
    lengths = run_length(far_out)
    spikes = far_out & (lengths <= _MAX_SPIKE_BANDS)
    spikes &= ~repeated_bands(spikes)
    spikes[spikes.mean(axis=1) > _MAX_SPIKE_SHARE] = False
    return spikes


def _without_spikes_of_strange_spectra(fit: _Fit, rank: int) -> _Fit:
    """The fit without spikes in spectra that determine a component alone, if the rank stays.

    Nothing else predicts such a spectrum, so what is far out in it is not known to be wrong.
    """
    strange = (fit.leverage > _MAX_LEVERAGE) & (fit.mask & ~fit.excluded).any(axis=1)
    if not strange.any():
        return fit
    mask = fit.mask & ~(strange[:, None] & ~fit.excluded)
    trial = _Fit(**{**vars(fit), "mask": mask, "filled": np.where(mask, fit.filled, fit.spectra)})
    _settle(trial, rank)
    return trial if edge_rank(_weighted(trial)) <= rank else fit


def _fit_all(spectra: np.ndarray, missing: np.ndarray, sample: _Fit, rank: int) -> _Fit:
    """The fit of all spectra, begun at singular vectors and deviations of a sample.

    A decomposition of all spectra would hold the spikes of those that are not in the sample. So
    these are masked first, the largest of each spectrum before the others, which it distorts.
    """
    fit = _begin(spectra, missing, sample.masks_spikes)
    spectra = fit.spectra
    fit.band_variance = sample.band_variance
    right = singular_vectors(_weighted(sample), rank)[1]
    measured = spectra / _deviations(fit)
    for _ in range(_MAX_ITERATIONS if fit.masks_spikes else 0):
        predicted = predict_rows(measured, measured, right, fit.mask)
        scores = np.abs(measured - predicted)
        largest = np.where(fit.mask, 0, scores).max(axis=1, keepdims=True)
        far_out = (scores > np.maximum(SPIKE_DEVIATIONS, _FIRST_SHARE * largest)) & ~fit.mask
        far_out &= run_length(far_out) <= _MAX_SPIKE_BANDS
        if not far_out.any():
            break
        fit.mask = fit.mask | far_out
    too_many = (fit.mask & ~fit.excluded).mean(axis=1) > _MAX_SPIKE_SHARE
    fit.mask = np.where(too_many[:, None], fit.excluded, fit.mask)
    predicted = predict_rows(measured, measured, right, fit.mask) * _deviations(fit)
    fit.filled = np.where(fit.mask, predicted, spectra)
    _settle(fit, rank)
    return fit
