"""Noise laws and the edge rank, against values by hand and drawn noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.gmcr.noise_model import (
    SignalDependentNoise,
    fit_noise_level,
    noise_deviation,
    noise_edge_rank,
    residual_degrees_of_freedom,
    residual_noise_level,
)

FIT, EDGE, RESIDUAL = (
    jax.jit(fit_noise_level),
    jax.jit(noise_edge_rank, static_argnums=(1, 2)),
    residual_noise_level,
)


def law(level: float, exponent: float) -> SignalDependentNoise:
    return SignalDependentNoise(jnp.float32(level), jnp.float32(exponent))


def test_scale_by_hand():
    """Variance 4 m^0.5: at m = 1 and 16 deviations of 2 and sqrt(16)."""
    scale = noise_deviation(law(np.log(4.0), 0.5), jnp.array([1.0, 16.0]))
    np.testing.assert_allclose(scale, [2.0, 4.0], rtol=1e-6)


def test_noise_is_never_less_than_80_db_below():
    np.testing.assert_allclose(
        noise_deviation(law(-40.0, 1.0), jnp.array([4.0])), [2e-4], rtol=1e-6
    )


@settings(max_examples=20, deadline=None)
@given(st.floats(-8, 8, width=32), st.floats(0, 2, width=32))
def test_a_law_is_found_again_from_its_variances(level, exponent):
    mean_square = jnp.geomspace(0.1, 100.0, 12)
    found = FIT(mean_square, noise_deviation(law(level, exponent), mean_square) ** 2, jnp.ones(12))
    np.testing.assert_allclose(found.exponent, exponent, atol=1e-4)
    np.testing.assert_allclose(found.log_variance, level, atol=1e-3)


def test_equally_strong_spectra_say_nothing_of_the_exponent():
    found = FIT(jnp.full(4, 2.0), jnp.array([0.9, 1.1, 1.0, 1.0]), jnp.ones(4))
    assert found.exponent == 0
    np.testing.assert_allclose(found.log_variance, 0.0, atol=1e-6)


def test_exponents_stay_within_what_noise_does():
    mean_square = jnp.array([1.0, 10.0])
    assert FIT(mean_square, mean_square**3, jnp.ones(2)).exponent == 2
    assert FIT(mean_square, 1 / mean_square, jnp.ones(2)).exponent == 0


def test_a_spectrum_without_weight_does_not_count():
    variance = jnp.array([1.0, 2.0, 4.0, 1e6])
    found = FIT(jnp.array([1.0, 2.0, 4.0, 8.0]), variance, jnp.array([1.0, 1.0, 1.0, 0.0]))
    np.testing.assert_allclose(found.exponent, 1.0, rtol=1e-5)


@pytest.mark.parametrize("rank", [0, 1, 5])
def test_edge_rank_counts_what_stands_out(rank):
    random = np.random.default_rng(rank)
    noise = 0.3 * random.normal(size=(60, 100))
    signal = random.normal(size=(60, rank)) @ random.normal(size=(rank, 100))
    singular = jnp.asarray(np.linalg.svd(signal + noise, compute_uv=False), jnp.float32)
    found, deviation = EDGE(singular, 60, 100)
    assert found == rank
    np.testing.assert_allclose(deviation, 0.3, rtol=0.03)


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_the_law_of_a_residual(exponent):
    """What codes and components swallowed is put back: the level is that of the drawn noise."""
    random = np.random.default_rng(1)
    components = np.linalg.qr(random.normal(size=(120, 3)))[0].T
    codes = random.uniform(1, 30, (80, 3)) * random.uniform(0.1, 1, (80, 1))
    clean = codes @ components
    truth = law(np.log(0.01), exponent)
    scale = np.asarray(noise_deviation(truth, jnp.asarray((clean**2).mean(1), jnp.float32)))
    x = clean + scale[:, None] * random.normal(size=clean.shape)
    fitted_codes = x @ components.T
    found = residual_noise_level(
        *(jnp.asarray(a, jnp.float32) for a in (x, fitted_codes, components))
    )
    np.testing.assert_allclose(found.exponent, exponent, atol=0.08)
    fitted = noise_deviation(found, jnp.asarray((clean**2).mean(1), jnp.float32))
    np.testing.assert_allclose(np.median(fitted / scale), 1.0, atol=0.02)


def test_degrees_of_freedom_by_hand():
    """Four spectra of one component share it, 8 (1 - 1 / 4) - 1; a fifth without it has all 8."""
    codes = jnp.array([[2.0], [2.0], [2.0], [2.0], [0.0]])
    free = residual_degrees_of_freedom(codes, jnp.ones(5), 8)
    np.testing.assert_allclose(free, [5, 5, 5, 5, 8], rtol=1e-5)
    alone = residual_degrees_of_freedom(codes[3:], jnp.ones(2), 8)
    np.testing.assert_allclose(alone, [1, 8], rtol=1e-5)
