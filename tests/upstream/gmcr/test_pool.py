"""The pool: parameters to spectra as in the reference, the two starts, bad libraries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from jaxhsi.upstream.gmcr import pool
from jaxhsi.upstream.gmcr.options import PoolOptions
from tests.helpers.reference import REFERENCE

WAYS = [PoolOptions(sign, norm) for sign in ("abs", "softplus", None) for norm in (1, 2, "max")]


@pytest.mark.parametrize("norm", [1, 2, 3])
def test_components_agree_with_the_reference(norm):
    raw = jnp.asarray(REFERENCE[f"pool/{norm}/raw"])
    ours = pool.components(raw, PoolOptions(norm=norm))
    np.testing.assert_allclose(ours, REFERENCE[f"pool/{norm}/components"], rtol=1e-6, atol=1e-7)


def test_components_by_hand():
    raw = jnp.array([[3.0, -4.0]])
    for norm, expected in (
        (2, [0.6, 0.8]),
        (1, [3 / 7, 4 / 7]),
        ("max", [0.75, 1]),
        (None, [3, 4]),
    ):
        np.testing.assert_allclose(pool.components(raw, PoolOptions(norm=norm))[0], expected)
    signed = pool.components(raw, PoolOptions(None, 2))
    np.testing.assert_allclose(signed, [[0.6, -0.8]], rtol=1e-6)
    soft = pool.components(jnp.zeros((1, 2)), PoolOptions("softplus", None))
    np.testing.assert_allclose(soft, np.log(2), rtol=1e-6)


@pytest.mark.parametrize("norm", [1, 2, 3, "max"])
def test_a_row_of_zeros_stays_zero_with_zero_gradient(norm):
    raw = jnp.array([[0.0, 0.0], [1.0, 2.0]])
    out, back = jax.vjp(lambda r: pool.components(r, PoolOptions(norm=norm)), raw)
    assert (out[0] == 0).all()
    gradient = back(jnp.ones((2, 2)))[0]
    assert np.isfinite(gradient).all()
    assert (gradient[0] == 0).all()


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_gradient(options):
    raw = jnp.array([[0.5, 1.5, 0.9], [1.0, 0.3, -0.7]])
    check_grads(lambda r: pool.components(jnp.asarray(r), options), (raw,), 1,
                ["rev"], eps=3e-3, rtol=2e-2,
                atol=2e-2)  # fmt: skip


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(WAYS), st.integers(0, 1000))
def test_parameters_give_the_spectra_back(options, seed):
    spectra = jnp.asarray(np.random.default_rng(seed).uniform(0.1, 9, (2, 4)), jnp.float32)
    again = pool.components(pool.parameters(spectra, options), options)
    np.testing.assert_allclose(again, pool.normalised(spectra, options.norm), rtol=1e-4)


def test_random_start():
    raw = pool.random_parameters(jax.random.key(0), 40, 50)
    assert (raw >= 0).all()
    assert raw.mean() == pytest.approx(0.1 * np.sqrt(2 / np.pi), rel=0.05)  # of a folded normal
    signed = pool.random_parameters(jax.random.key(0), 40, 50, PoolOptions(None))
    assert signed.std() == pytest.approx(0.1, rel=0.05)
    assert (jnp.abs(signed) == raw).all()


@pytest.mark.parametrize("sign", ["abs", "softplus", None])
def test_a_library_gives_its_spectra_in_their_order(sign):
    library, options = np.array([[0.0, 2.0], [3.0, 4.0]], np.float32), PoolOptions(sign)
    spectra = pool.components(pool.library_parameters(library, options), options)
    np.testing.assert_allclose(spectra, [[0, 1], [0.6, 0.8]], atol=1e-5)


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        ((0, 1, np.nan), "spectrum 0 is not finite at band 1"),
        ((1, 0, -0.5), "1 negative values, down to -0.5.*non_negative to None"),
        ((1, slice(None), 0), "spectrum 1 is zero"),
    ],
)
def test_bad_libraries(spoil, match):
    library = np.ones((2, 3), np.float32)
    library[spoil[:2]] = spoil[2]
    with pytest.raises(ValueError, match=match):
        pool.library_parameters(library)


def test_bad_options():
    with pytest.raises(ValueError, match="norm 0"):
        PoolOptions(norm=0)
    with pytest.raises((ValueError, TypeError), match="'relu'"):  # a TypeError if types are checked
        PoolOptions(non_negative="relu")
