"""Kernels over pairs of components: reference, hand values, equal spectra, masks."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads
from scipy.special import gamma, kv

from jaxhsi.upstream.gmcr import kernels
from tests.helpers.reference import REFERENCE

MATERN = {"lengthscale": 0.8, "sigma": 1.3}
CASES = {
    "linear": ("linear", {}),
    "polynomial": ("polynomial", {"c": 0.5, "d": 3}),
    "laplacian": ("laplacian", {"sigma": 0.7}),
    "rbf": ("rbf", {"sigma": 0.7}),
    **{f"matern{nu}": ("matern", {"nu": nu, **MATERN}) for nu in (0.5, 1.5, 2.5, 3.5)},
}
COMPONENTS = jnp.asarray(REFERENCE["kernel/components"])
ALL = jnp.ones(len(COMPONENTS), bool)


def penalty(name, used, **more):
    kernel, parameters = CASES[name]
    return lambda s: kernels.ambiguity_penalty(kernel, s, used, **parameters, **more)


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_the_reference(name):
    quirk = {"as_upstream": True} if name.startswith("matern") else {}
    value, gradient = jax.value_and_grad(penalty(name, ALL, **quirk))(COMPONENTS)
    np.testing.assert_allclose(value, REFERENCE[f"kernel/{name}"], rtol=2e-6)
    expected = REFERENCE[f"kernel/{name}/gradient"]
    np.testing.assert_allclose(gradient, expected, rtol=2e-5, atol=2e-6 * np.abs(expected).max())


def true_matern(r, nu):
    """Rasmussen and Williams 2006, equation 4.14."""
    t = np.sqrt(2 * nu) * r
    return 2 ** (1 - nu) / gamma(nu) * t**nu * kv(nu, t)


@pytest.mark.parametrize("nu", [0.5, 1.5, 2.5, 3.5])
def test_matern_is_the_one_of_the_bessel_functions(nu):
    s = jnp.array([[0.0, 0.0], [0.6, 0.8]])
    value = kernels.ambiguity_penalty("matern", s, jnp.ones(2, bool), nu=nu, **MATERN)
    assert value == pytest.approx(1.3**2 * true_matern(1 / 0.8, nu), rel=1e-5)
    upstream = kernels.ambiguity_penalty("matern", s, jnp.ones(2, bool), nu=nu, as_upstream=True)
    differs = abs(upstream - true_matern(1.0, nu)) > 1e-3
    assert differs == (nu == 3.5)  # at sigma 1, where its other defect is silent


def test_by_hand():
    """Rows e1, e2, e1 + e2: inner products 0, 1, 1; L1 distances 2, 1, 1; squared 2, 1, 1."""
    s, used = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), jnp.ones(3, bool)
    e = np.exp
    expected = {
        "linear": 2 / 3,
        "polynomial": (1 + 4 + 4) / 3,
        "laplacian": (e(-2) + 2 * e(-1)) / 3,
        "rbf": (e(-1) + 2 * e(-0.5)) / 3,
    }
    for name, value in expected.items():
        assert kernels.ambiguity_penalty(name, s, used) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_gradient_is_finite_where_spectra_are_equal(name):
    s = jnp.concatenate([COMPONENTS[:2], COMPONENTS[:1], COMPONENTS[:1] + 1e-7])
    value, gradient = jax.value_and_grad(penalty(name, jnp.ones(4, bool)))(s)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", ["laplacian", "rbf", "matern1.5"])
def test_gradient_is_that_of_finite_differences(name):
    check_grads(
        jax.jit(penalty(name, ALL)), (COMPONENTS,), 1, ["rev"], atol=2e-2, rtol=2e-2, eps=1e-2
    )


@functools.cache
def masked(name):
    return jax.jit(jax.value_and_grad(lambda s, used: penalty(name, used)(s)))


@functools.cache
def matrix(name):
    kernel, parameters = CASES[name]
    return np.asarray(kernels.KERNELS[kernel](COMPONENTS, **parameters))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**5 - 1), st.sampled_from(["linear", "rbf", "matern2.5"]))
def test_only_components_in_use_matter(bits, name):
    """The mean over the pairs in use, whatever the other rows hold."""
    used = [i for i in range(5) if bits >> i & 1]
    mask = np.isin(np.arange(5), used)
    spoiled = jnp.where(mask[:, None], COMPONENTS, jnp.nan)
    value, gradient = masked(name)(spoiled, jnp.asarray(mask))
    pairs = [matrix(name)[pair] for pair in itertools.combinations(used, 2)]
    assert value == pytest.approx(np.mean(pairs) if pairs else 0, rel=1e-5)
    assert (gradient[~mask] == 0).all()


def test_bad_names_and_numbers():
    with pytest.raises(ValueError, match=r"poly.*one of linear, polynomial"):
        kernels.ambiguity_penalty("poly", COMPONENTS, ALL)
    with pytest.raises(ValueError, match=r"nu 1\.0"):
        kernels.ambiguity_penalty("matern", COMPONENTS, ALL, nu=1.0)
