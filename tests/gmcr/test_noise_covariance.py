"""Noise that is not white: its covariance and frame, and each part told from draws of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.gmcr.noise_covariance import (
    NoiseModel,
    ar_autocovariance,
    covariance_matrix,
    estimate_ar_coefficients,
    estimate_band_deviations,
    estimate_drift_deviations,
    legendre_basis,
    noise_models_agree,
    noise_whitener,
    white_noise,
)
from tests.helpers.noise import RANDOM, ar1


def coloured(bands: int = 40) -> NoiseModel:
    noise = white_noise(bands)
    channels = np.exp(0.3 * np.sin(np.arange(bands)))
    channels /= np.sqrt(np.mean(channels**2))
    process = np.r_[0.5, 0.2, np.zeros(8)]
    return noise._replace(
        band_deviations=channels, ar_coefficients=process, drift_deviations=np.array([3.0, 0, 1, 0])
    )


def test_polynomials_are_orthonormal_and_begin_with_a_constant():
    basis = legendre_basis(30)
    np.testing.assert_allclose(basis @ basis.T, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(basis[0], 30**-0.5)
    assert (np.diff(basis[1]) > 0).all()


@settings(max_examples=10, deadline=None)
@given(st.floats(-0.95, 0.95))
def test_autocovariance_of_first_order_is_a_power(a):
    np.testing.assert_allclose(ar_autocovariance(np.array([a]), 6), a ** np.arange(6), atol=1e-6)


def test_autocovariance_obeys_yule_and_walker():
    a = np.array([0.5, -0.3])
    r = ar_autocovariance(a, 8)
    np.testing.assert_allclose(r[2:], a[0] * r[1:-1] + a[1] * r[:-2], atol=1e-10)


def test_covariance_by_hand():
    """Squares of the channels on the diagonal, and d^2 / c of the drift everywhere."""
    noise = white_noise(4)._replace(
        drift_deviations=np.array([2.0, 0, 0, 0]), band_deviations=np.r_[1, 1, 1, 3.0]
    )
    expected = np.diag([1.0, 1, 1, 9]) * (1 + 1e-4) + 1
    np.testing.assert_allclose(covariance_matrix(noise, 4), expected, atol=1e-12)


def test_the_frame_makes_noise_white_and_goes_back():
    noise = coloured()
    there = noise_whitener(noise, 40)
    np.testing.assert_allclose(
        there.whitening_matrix @ there.colouring_matrix, np.eye(40), atol=1e-9
    )
    whitened = there.whitening_matrix.T @ covariance_matrix(noise, 40) @ there.whitening_matrix
    np.testing.assert_allclose(whitened, np.eye(40), atol=1e-9)
    assert noise_whitener(white_noise(40), 40) is None


def test_neutral_values_are_white():
    assert white_noise(12).is_white
    assert not coloured().is_white
    assert not white_noise(12)._replace(offset=np.ones(12)).is_white
    assert not white_noise(12)._replace(offset=np.ones(12)).is_coloured


def test_deviations_of_channels_are_found_where_they_differ():
    true = np.exp(0.5 * RANDOM.normal(size=200))
    true /= np.sqrt(np.mean(true**2))
    variance = true**2 * RANDOM.chisquare(100, 200) / 100
    found = estimate_band_deviations(variance, 100.0)
    assert np.sqrt(np.mean((found / true - 1) ** 2)) < 0.09
    np.testing.assert_allclose(np.mean(found**2), 1)
    np.testing.assert_array_equal(estimate_band_deviations(RANDOM.chisquare(20, 200), 20.0), 1)


@pytest.mark.parametrize("a", [0.8, 0.3, -0.5])
def test_correlation_is_found(a):
    rows = ar1(60, 300, a)
    found = estimate_ar_coefficients(rows, np.full(60, 1 / 60), 60.0)
    np.testing.assert_allclose(found[0], a, atol=0.03)
    np.testing.assert_allclose(found[1:], 0, atol=0.06)


def test_white_rows_have_no_correlation():
    rows = RANDOM.normal(size=(60, 300))
    np.testing.assert_array_equal(estimate_ar_coefficients(rows, np.full(60, 1 / 60), 60.0), 0)


def test_drift_is_what_exceeds_the_noise():
    amounts = RANDOM.normal(size=(200, 2)) * [4.0, 1.0]
    found = estimate_drift_deviations(amounts, 200.0, np.ones(2))
    np.testing.assert_allclose(found, [np.sqrt(15), 0], rtol=0.15)


def test_drift_within_the_doubt_is_none():
    amounts = np.full((50, 3), 4.0)  # variance 16, of which 1 is noise
    found = estimate_drift_deviations(amounts, 50.0, np.ones(3), np.array([0.0, 14.0, 16.0]))
    np.testing.assert_allclose(found, [np.sqrt(15), np.sqrt(15), 0])


def test_noises_are_the_same_up_to_level_and_a_little():
    noise = coloured()
    near = noise._replace(
        band_deviations=noise.band_deviations * np.where(np.arange(40) % 2, 1.03, 0.97)
    )
    assert noise_models_agree(noise, near, np.ones(5))
    assert not noise_models_agree(noise, white_noise(40), np.ones(5))
    shifted = noise._replace(offset=np.full(40, 0.05))
    assert noise_models_agree(noise, shifted, np.ones(5))
    assert not noise_models_agree(noise, shifted, np.full(5, 4.0))
