"""Sparse codes: thresholds by hand, non-negative least squares, and the best subset."""

from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from jaxhsi.gmcr.sparse_coding import count_usage, sparse_codes, sparsity_penalty

OPEN = jnp.ones(4)
CODE = jax.jit(sparse_codes, static_argnames=("max_active", "gate_ridge", "non_negative"))


def test_price_by_hand():
    """Seven open spectra: 2 (log 8 + 2)."""
    np.testing.assert_allclose(sparsity_penalty(jnp.float32(7.0)), 2 * (np.log(8) + 2), rtol=1e-6)


def test_orthogonal_components_are_thresholded():
    """Each coefficient gains its square: 9 and 25 pass a price of 8, 4 and 0.01 do not."""
    x = jnp.array([[3.0, 2.0, 5.0, 0.1], [-3.0, 0.0, 0.0, -4.0]])
    found = CODE(x, jnp.eye(4), OPEN, jnp.float32(8.0))
    np.testing.assert_allclose(found, [[3, 0, 5, 0], [0, 0, 0, 0]], atol=1e-3)
    signed = CODE(x, jnp.eye(4), OPEN, jnp.float32(8.0), non_negative=False)
    np.testing.assert_allclose(signed, [[3, 0, 5, 0], [-3, 0, 0, -4]], atol=1e-3)


def test_closed_gates_take_no_part():
    gates = jnp.array([1.0, 0.0, 1.0, 5e-4])
    found = CODE(jnp.full((1, 4), 9.0), jnp.eye(4), gates, jnp.float32(1.0))
    assert (np.asarray(found)[0] > 0).tolist() == [True, False, True, False]


def test_a_half_closed_gate_shrinks_its_component():
    """Gate 1/2: damping 0.1 (2 - 1), so that 11 / 1.1 = 10."""
    found = CODE(jnp.full((1, 1), 11.0), jnp.eye(1), jnp.full(1, 0.5), jnp.float32(1.0))
    np.testing.assert_allclose(found, [[10.0]], rtol=1e-4)


def mixtures(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    components = np.abs(random.normal(size=(4, 30)))
    components /= np.linalg.norm(components, axis=1, keepdims=True)
    codes = random.uniform(30, 100, (6, 4)) * (random.random((6, 4)) < 0.5)
    return codes @ components + random.normal(size=(6, 30)), components, codes


def description(x: np.ndarray, s: np.ndarray, price: float) -> tuple[float, tuple[int, ...]]:
    """The shortest ||x - c S||^2 + price nnz(c) over all supports, c >= 0."""
    supports = [t for size in range(5) for t in combinations(range(4), size)]
    lengths = [
        (nnls(s[list(t)].T, x)[1] ** 2 if t else float(x @ x)) + price * len(t) for t in supports
    ]
    return min(lengths), supports[int(np.argmin(lengths))]


@pytest.mark.parametrize("seed", range(4))
def test_codes_are_the_best_subset(seed):
    """Of clearly present components; the fit on them is least squares."""
    x, s, _ = mixtures(seed)
    found = np.asarray(
        CODE(jnp.asarray(x, jnp.float32), jnp.asarray(s, jnp.float32), OPEN, jnp.float32(8.0))
    )
    for row, spectrum in zip(found, x, strict=True):
        _, best = description(spectrum, s, 8.0)
        assert tuple(np.flatnonzero(row)) == best
        if best:
            exact = np.linalg.lstsq(s[list(best)].T, spectrum)[0]
            np.testing.assert_allclose(row[list(best)], exact, rtol=1e-3)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2.0, 8.0, 200.0]))
def test_no_coefficient_is_negative_or_cheaper_than_its_price(seed, price):
    """Leaving any of them out, the others as they are best, costs the price or more."""
    x, s, _ = mixtures(seed)
    found = np.asarray(
        CODE(jnp.asarray(x, jnp.float32), jnp.asarray(s, jnp.float32), OPEN, jnp.float32(price))
    )
    assert (found >= 0).all()
    for row, spectrum in zip(found, x, strict=True):
        support = np.flatnonzero(row)
        error = ((spectrum - row @ s) ** 2).sum()
        for gone in support:
            others = s[[i for i in support if i != gone]]
            left = spectrum - np.linalg.lstsq(others.T, spectrum)[0] @ others
            assert (left**2).sum() - error >= 0.99 * price


def test_no_more_than_the_most():
    x = jnp.array([[9.0, 8.0, 7.0, 6.0]])
    found = CODE(x, jnp.eye(4), OPEN, jnp.float32(1.0), max_active=2)
    np.testing.assert_allclose(found, [[9, 8, 0, 0]], atol=1e-3)


def test_used_counts_spectra():
    assert count_usage(jnp.array([[1.0, 0.0], [2.0, 0.0], [0.0, -1.0]])).tolist() == [2, 1]


def test_components_that_are_nearly_the_same_break_nothing():
    """Twelve copies of one spectrum and large amounts: finite codes that fit to a few per cent."""
    one = np.abs(np.random.default_rng(0).normal(size=50))
    s = np.tile(one / np.linalg.norm(one), (12, 1))
    s = jnp.asarray(s * (1 + 1e-7 * np.random.default_rng(1).normal(size=s.shape)), jnp.float32)
    x = 1e4 * s[:3]
    found = CODE(x, s, jnp.ones(12), jnp.float32(9.0))
    np.testing.assert_allclose(found @ s, x, rtol=0.03, atol=1)


@pytest.mark.parametrize("apart", [0.004, 0.002, 0.001, 0.0003])
def test_components_that_are_nearly_the_same_do_not_overflow(apart):
    """Five copies of each of three spectra, all but equal, in spectra of 450 noise deviations."""
    for seed in range(10):
        random = np.random.default_rng(seed)
        rows = np.repeat(np.abs(random.normal(size=(3, 200))), 5, axis=0)
        rows += apart * random.normal(size=rows.shape)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        x = 450 * rows[::4] + random.normal(size=(4, 200))
        single = [jnp.asarray(a, jnp.float32) for a in (x, rows, np.ones(15), 9.0)]
        codes = np.asarray(CODE(*single))
        assert (codes.sum(1) < 1.05 * np.linalg.norm(x, axis=1)).all()
        assert (np.linalg.norm(x - codes @ rows, axis=1) < 1.3 * np.sqrt(200)).all()
