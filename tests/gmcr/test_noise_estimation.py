"""Noise told from mixed spectra: each kind found for what it is, and white noise left alone."""

import numpy as np
import pytest

from jaxhsi.gmcr.noise_covariance import NoiseModel, legendre_basis, white_noise
from jaxhsi.gmcr.noise_estimation import estimate_noise, noise_from_residual, residual_from_codes
from tests.gmcr.test_noise_covariance import ar1

ROWS, BANDS, COUNT = 48, 160, 4


def mixed(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clean spectra about 10 strong, their codes and components."""
    random = np.random.default_rng(seed)
    components = np.abs(random.normal(size=(COUNT, BANDS)))
    present = random.permuted(np.arange(COUNT) < random.integers(1, 4, (ROWS, 1)), axis=1)
    codes = present * random.uniform(4, 16, (ROWS, COUNT))
    return codes @ components, codes, components


CLEAN, CODES, COMPONENTS = mixed()
RANDOM = np.random.default_rng(1)
WHITE = RANDOM.normal(size=CLEAN.shape)


def found(noise: np.ndarray) -> tuple[NoiseModel, np.ndarray]:
    return estimate_noise((CLEAN + noise).astype(np.float32))


def test_white_noise_is_left_alone():
    noise, filled = found(WHITE)
    assert noise.is_white
    np.testing.assert_array_equal(filled, (CLEAN + WHITE).astype(np.float32))


def test_correlated_noise():
    noise, _ = found(ar1(ROWS, BANDS, 0.7))
    np.testing.assert_allclose(noise.ar_coefficients[0], 0.7, atol=0.07)
    assert not noise.offset.any()
    assert noise.spike_mask is None


def test_channels_that_differ():
    true = np.exp(np.sin(np.arange(BANDS) / 15))
    noise, _ = found(WHITE * true)
    assert np.corrcoef(np.log(noise.band_deviations), np.log(true))[0, 1] > 0.97
    assert not noise.ar_coefficients.any()


def test_an_offset_is_no_drift():
    noise, _ = found(WHITE + 4.0)
    np.testing.assert_allclose(noise.offset, 4.0, atol=0.4)
    assert not noise.is_coloured


def test_drift_of_every_spectrum():
    axis = np.linspace(-1, 1, BANDS)
    noise, _ = found(WHITE + 3 * RANDOM.normal(size=(ROWS, 1)) * axis)
    size = 3 * np.sqrt(np.sum(axis**2))
    np.testing.assert_allclose(noise.drift_deviations[1], size, rtol=0.35)
    assert noise.drift_deviations[2] == noise.drift_deviations[3] == 0
    assert not noise.ar_coefficients.any()
    assert not noise.offset.any()


def test_spikes_are_masked_and_filled():
    hits = np.random.default_rng(5).random(CLEAN.shape) < 0.003
    noise, filled = found(WHITE + hits * 40)
    assert noise.spike_mask[hits].mean() > 0.9
    assert noise.spike_mask.sum() < 1.3 * hits.sum()
    assert np.abs(filled - CLEAN)[hits & noise.spike_mask].mean() < 4
    assert not noise.is_coloured


@pytest.mark.parametrize("noisy", [ar1(ROWS, BANDS, 0.7), WHITE + 4.0, WHITE])
def test_codes_tell_the_same_as_singular_vectors(noisy):
    before, _ = found(noisy)
    x, scale = CLEAN + noisy, np.ones(ROWS)
    after = noise_from_residual(residual_from_codes(x, before, CODES, COMPONENTS, scale))
    np.testing.assert_allclose(after.ar_coefficients[0], before.ar_coefficients[0], atol=0.05)
    np.testing.assert_allclose(after.offset, before.offset, atol=0.2)
    assert after.is_white == before.is_white


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


def test_a_strong_line_of_all_spectra_is_no_spike():
    """Its singular vector stands on one channel; left out, nothing could be told of the noise."""
    line = np.random.default_rng(6).uniform(200, 400, (ROWS, 1)) * (np.arange(BANDS) == 60)
    noise, _ = found(ar1(ROWS, BANDS, 0.7) + line)
    np.testing.assert_allclose(noise.ar_coefficients[0], 0.7, atol=0.07)
    assert noise.spike_mask is None


def many(bands: int, rows: int, share: float) -> np.ndarray:
    """Mixtures of half as many components as bands, with white noise."""
    random, count = np.random.default_rng(7), bands // 2
    components = np.abs(random.normal(size=(count, bands)))
    codes = random.uniform(4, 16, (rows, count)) * (random.random((rows, count)) < share)
    return codes @ components + random.normal(size=(rows, bands))


def test_errors_of_the_mixing_are_no_drift():
    """What many components leak into smooth curves is not taken for more."""
    assert not estimate_noise(many(96, 240, 0.06))[0].drift_deviations.any()


def test_an_offset_beside_many_components():
    """It stands above what they leak into smooth curves."""
    noise, _ = estimate_noise(many(160, 400, 0.05) + 1.5)
    np.testing.assert_allclose(noise.offset, 1.5, atol=0.5)
    assert not noise.is_coloured
