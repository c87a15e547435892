"""Rank, uneven bands and spoilt values together, where each would mislead the others."""

import numpy as np
import pytest

from jaxhsi.gmcr.clipped_values import clipped_values, run_length
from jaxhsi.gmcr.noise_estimation import estimate_noise
from jaxhsi.gmcr.robust_low_rank import robust_low_rank

BANDS = np.arange(80)
PEAKS = np.array([[12.0], [30.0], [55.0]])


def clean_table(seed: int, rows: int = 60) -> np.ndarray:
    """Three broad peaks in all mixtures."""
    components = np.exp(-0.5 * ((BANDS - PEAKS) / 6) ** 2) + 0.05
    return np.random.default_rng(seed).dirichlet(np.ones(3), rows) @ components


@pytest.mark.parametrize("ratio", [1, 10, 100, 1000])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rank_under_bands_of_uneven_noise(ratio, seed):
    deviation = 1e-3 * np.where(BANDS < 15, ratio, 1.0)
    noise = np.random.default_rng(100 + seed).normal(size=(60, 80)) * deviation
    fit = robust_low_rank(clean_table(seed) + noise)
    assert fit.rank == 3
    assert not fit.spoilt_mask.any()
    np.testing.assert_allclose(np.median(fit.band_deviations[:15]), 1e-3 * ratio, rtol=0.25)
    np.testing.assert_allclose(np.median(fit.band_deviations[15:]), 1e-3, rtol=0.15)


@pytest.mark.parametrize("share", [0.004, 0.02])
def test_spikes_of_any_height_are_masked_and_nothing_else(share):
    random = np.random.default_rng(3)
    clean = clean_table(3)
    table = clean + 1e-3 * random.normal(size=clean.shape)
    spikes = random.random(clean.shape) < share
    table[spikes] += random.uniform(0.05, 20, spikes.sum())
    fit = robust_low_rank(table)
    assert fit.rank == 3
    assert fit.spoilt_mask[spikes].mean() > 0.95
    assert fit.spoilt_mask[~spikes].mean() < 1e-3
    np.testing.assert_allclose(fit.filled[fit.spoilt_mask], clean[fit.spoilt_mask], atol=0.01)


def test_a_narrow_line_of_few_spectra_is_a_component_and_no_spike():
    """The same band in three spectra of sixty: cosmic rays do not do that."""
    random = np.random.default_rng(4)
    table = clean_table(4) + 1e-3 * random.normal(size=(60, 80))
    table[[5, 20, 33]] += np.outer([1.0, 0.8, 0.6], np.exp(-0.5 * (BANDS - 70) ** 2))
    fit = robust_low_rank(table)
    assert fit.rank == 4
    assert not fit.spoilt_mask.any()


def test_clipped_values_are_masked_and_filled_above_the_bound():
    random = np.random.default_rng(5)
    clean = clean_table(5)
    whole = clean + 1e-3 * random.normal(size=clean.shape)
    top = 0.85 * whole.max()
    fit = robust_low_rank(np.minimum(whole, top))
    clipped = whole > top
    assert fit.rank == 3
    np.testing.assert_array_equal(fit.spoilt_mask, clipped)
    assert (fit.filled[clipped] >= top).all()
    np.testing.assert_allclose(fit.filled[clipped], clean[clipped], atol=0.01)
    noise_model, filled = estimate_noise(np.minimum(whole, top))
    np.testing.assert_array_equal(noise_model.spike_mask, clipped)
    np.testing.assert_array_equal(filled, fit.filled)


def test_a_largest_value_without_a_plateau_is_not_clipped():
    """Spectra divided by their own maximum have a value of 1 each."""
    table = clean_table(6)
    assert not clipped_values(table / table.max(axis=1, keepdims=True)).any()
    assert not clipped_values(np.ones((3, 10))).any()


def test_more_spectra_than_are_sampled_are_all_masked():
    random = np.random.default_rng(7)
    table = clean_table(7, rows=700) + 1e-3 * random.normal(size=(700, 80))
    table[np.arange(0, 700, 7), np.arange(100) % 80] += 3
    fit = robust_low_rank(table)
    assert fit.rank == 3
    assert fit.spoilt_mask.sum() == 100
    assert fit.spoilt_mask[np.arange(0, 700, 7), np.arange(100) % 80].all()


def test_more_components_than_are_tried_are_left_to_others():
    random = np.random.default_rng(8)
    table = random.random((90, 40)) @ random.random((40, 100))
    assert robust_low_rank(table + 1e-6 * random.normal(size=table.shape)) is None


def test_run_lengths():
    mask = np.array([[1, 1, 1, 0, 1], [0, 0, 0, 0, 0], [1, 0, 1, 1, 0]], bool)
    expected = [[3, 3, 3, 0, 1], [0, 0, 0, 0, 0], [1, 0, 2, 2, 0]]
    np.testing.assert_array_equal(run_length(mask), expected)
