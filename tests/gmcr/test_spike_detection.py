"""Spikes of single spectra are replaced; lines of many are signal."""

import numpy as np

from tests.helpers.noise import ar1
from tests.helpers.noisy_mixtures import BANDS, CLEAN, ROWS, WHITE, estimate_with


def test_spikes_are_masked_and_filled():
    hits = np.random.default_rng(5).random(CLEAN.shape) < 0.003
    noise, filled = estimate_with(WHITE + hits * 40)
    assert noise.spike_mask[hits].mean() > 0.9
    assert noise.spike_mask.sum() < 1.3 * hits.sum()
    assert np.abs(filled - CLEAN)[hits & noise.spike_mask].mean() < 4
    assert not noise.is_coloured


def test_a_strong_line_of_all_spectra_is_no_spike():
    """Its singular vector stands on one channel; left out, nothing could be told of the noise."""
    line = np.random.default_rng(6).uniform(200, 400, (ROWS, 1)) * (np.arange(BANDS) == 60)
    noise, _ = estimate_with(ar1(ROWS, BANDS, 0.7) + line)
    np.testing.assert_allclose(noise.ar_coefficients[0], 0.7, atol=0.07)
    assert noise.spike_mask is None
