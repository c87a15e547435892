import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.normalisation import NORMALISATIONS, band_stats, normalise, project, project_normalised


@pytest.fixture
def spectra() -> jax.Array:
    return 100 + 20 * jax.random.normal(jax.random.key(0), (50, 7))


@pytest.mark.parametrize("kind", NORMALISATIONS)
def test_project_is_normalise_then_product(kind, spectra):
    stats = band_stats(spectra)
    weights = jax.random.normal(jax.random.key(1), (7, 3))
    expected = normalise(kind, spectra, stats) @ weights
    chex.assert_trees_all_close(project(kind, spectra, weights, stats), expected, atol=2e-4)


def test_project_all_is_the_product_with_the_concatenation(spectra):
    stats = band_stats(spectra)
    kinds = ("snv", "log", "band", "l2", "none")
    weights = jax.random.normal(jax.random.key(1), (5, 7, 2))
    whole = jnp.concatenate([normalise(kind, spectra, stats) for kind in kinds], axis=1)
    expected = whole @ weights.reshape(-1, 2)
    chex.assert_trees_all_close(
        project_normalised(kinds, spectra, weights, stats), expected, atol=2e-4
    )


def test_kinds_and_blocks_must_match(spectra):
    stats = band_stats(spectra)
    with pytest.raises(ValueError, match=r"shorter|longer"):
        project_normalised(("snv", "band"), spectra, jnp.ones((1, 7, 2)), stats)


def test_hand_values():
    x = jnp.array([[3.0, 4.0], [1.0, 0.0]])
    stats = band_stats(x)  # means 2, 2; deviations 1, 2; level 2
    chex.assert_trees_all_close(normalise("none", x, stats), x / 2)
    chex.assert_trees_all_close(normalise("band", x, stats), jnp.array([[1.0, 1.0], [-1.0, -1.0]]))
    chex.assert_trees_all_close(normalise("l2", x, stats)[0], jnp.array([0.6, 0.8]), atol=1e-5)
    # deviation of the spectrum 0.5, of all four values 1.5811: 0.5 / (0.5 + 0.2 * 1.5811)
    snv = 0.5 / (0.5 + 0.2 * 2.5**0.5)
    chex.assert_trees_all_close(normalise("snv", x, stats)[0], jnp.array([-snv, snv]), atol=1e-5)
    # log(3 / 2 + 0.01), log(0 / 2 + 0.01)
    chex.assert_trees_all_close(
        normalise("log", x, stats)[:, 0], jnp.log(jnp.array([1.51, 0.51])), atol=1e-6
    )


@settings(max_examples=30, deadline=None)
@given(gain=st.floats(0.2, 5.0), offset=st.floats(-50.0, 50.0))
def test_what_each_normalisation_does_not_see(gain, offset):
    x = 100 + 20 * jax.random.normal(jax.random.key(0), (20, 7))
    stats = band_stats(x)
    brighter = normalise("l2", gain * x, stats)
    chex.assert_trees_all_close(brighter, normalise("l2", x, stats), atol=1e-4)
    moved = normalise("snv", x + offset, stats)
    chex.assert_trees_all_close(moved, normalise("snv", x, stats), atol=1e-3)
    # Of brightness SNV sees what its floor lets through, and less of bright spectra.
    dark, bright = (jnp.abs(normalise("snv", factor * x, stats)) for factor in (1.0, 5.0))
    assert bool((bright > dark * 0.999).all())


def test_constant_bands_become_zeros(spectra):
    flat = spectra.at[:, 2].set(5.0)
    result = normalise("band", flat, band_stats(flat))
    chex.assert_trees_all_equal(result[:, 2], jnp.zeros(50))
    assert float(result[:, 3].std()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("kind", NORMALISATIONS)
@pytest.mark.parametrize("value", [0.0, 7.0])
def test_flat_spectra_stay_finite_with_their_gradients(kind, value, spectra):
    stats = band_stats(spectra)
    flat = jnp.full((2, 7), value)
    weights = jnp.ones((7, 3))
    gradient = jax.grad(lambda x: project(kind, x, weights, stats).sum())(flat)
    chex.assert_tree_all_finite((normalise(kind, flat, stats), gradient))


def test_unknown_normalisation_names_the_known(spectra):
    stats = band_stats(spectra)
    with pytest.raises(Exception, match="msc"):  # beartype refuses the literal first
        normalise("msc", spectra, stats)
    np.testing.assert_array_equal(NORMALISATIONS, ("none", "band", "l2", "snv", "log"))
