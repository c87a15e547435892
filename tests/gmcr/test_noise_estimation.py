"""Noise estimated from mixed spectra: each kind for what it is, and white noise left alone."""

import numpy as np
import pytest

from jaxhsi.gmcr.noise_covariance import legendre_basis, white_noise
from jaxhsi.gmcr.noise_estimation import estimate_noise
from tests.helpers.noise import ar1
from tests.helpers.noisy_mixtures import BANDS, CLEAN, RANDOM, ROWS, WHITE, estimate_with


def test_white_noise_is_left_alone():
    noise, filled = estimate_with(WHITE)
    assert noise.is_white
    np.testing.assert_array_equal(filled, (CLEAN + WHITE).astype(np.float32))


def test_correlated_noise():
    noise, _ = estimate_with(ar1(ROWS, BANDS, 0.7))
    np.testing.assert_allclose(noise.ar_coefficients[0], 0.7, atol=0.07)
    assert not noise.offset.any()
    assert noise.spike_mask is None


def test_channels_that_differ():
    true = np.exp(np.sin(np.arange(BANDS) / 15))
    noise, _ = estimate_with(WHITE * true)
    assert np.corrcoef(np.log(noise.band_deviations), np.log(true))[0, 1] > 0.97
    assert not noise.ar_coefficients.any()


def test_an_offset_is_no_drift():
    noise, _ = estimate_with(WHITE + 4.0)
    np.testing.assert_allclose(noise.offset, 4.0, atol=0.4)
    assert not noise.is_coloured


def test_drift_of_every_spectrum():
    axis = np.linspace(-1, 1, BANDS)
    noise, _ = estimate_with(WHITE + 3 * RANDOM.normal(size=(ROWS, 1)) * axis)
    size = 3 * np.sqrt(np.sum(axis**2))
    np.testing.assert_allclose(noise.drift_deviations[1], size, rtol=0.35)
    assert noise.drift_deviations[2] == noise.drift_deviations[3] == 0
    assert not noise.ar_coefficients.any()
    assert not noise.offset.any()


def test_too_little_to_tell_is_white():
    """Without noise, or with hardly more spectra than components."""
    assert estimate_noise(CLEAN.astype(np.float32))[0].is_white
    few = (CLEAN + ar1(ROWS, BANDS, 0.7))[:6].astype(np.float32)
    assert estimate_noise(few)[0]._replace(offset=white_noise(BANDS).offset).is_white


def test_drift_beside_uneven_channels():
    """The baseline keeps its shape whatever the channels' noise is."""
    random = np.random.default_rng(5)
    bands, rows = 80, 400
    channels = np.exp(0.5 * random.normal(size=bands))
    channels /= np.sqrt(np.mean(channels**2))
    drifted = random.normal(size=(rows, 2)) * np.array([6.0, 4.0]) @ legendre_basis(bands)[[0, 2]]
    noise, _ = estimate_noise(channels * random.normal(size=(rows, bands)) + drifted)
    level = np.sqrt(np.mean(noise.band_deviations**2))
    np.testing.assert_allclose(noise.band_deviations / level, channels, rtol=0.3)
    np.testing.assert_allclose(noise.drift_deviations[[0, 2]], [6.0, 4.0], rtol=0.15)
    assert (noise.drift_deviations[[1, 3]] < 1).all()


def many(bands: int, rows: int, share: float) -> np.ndarray:
    """Mixtures of half as many components as bands, with white noise."""
    random, count = np.random.default_rng(7), bands // 2
    components = np.abs(random.normal(size=(count, bands)))
    codes = random.uniform(4, 16, (rows, count)) * (random.random((rows, count)) < share)
    return codes @ components + random.normal(size=(rows, bands))


@pytest.mark.slow
def test_errors_of_the_mixing_are_no_drift():
    """What many components leak into smooth curves is not taken for more."""
    assert not estimate_noise(many(96, 240, 0.06))[0].drift_deviations.any()


def test_an_offset_beside_many_components():
    """It stands above what they leak into smooth curves."""
    noise, _ = estimate_noise(many(160, 400, 0.05) + 1.5)
    np.testing.assert_allclose(noise.offset, 1.5, atol=0.5)
    assert not noise.is_coloured
