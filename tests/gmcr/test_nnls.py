"""Projected steps: by hand, against an exact solver, and that no residual rises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from jaxhsi.gmcr.nnls import nonnegative_least_squares


def problem(seed: int, n: int = 20, k: int = 5, bands: int = 30) -> tuple[np.ndarray, ...]:
    """Spectra, overlapping unit components, a support, a start of any kind."""
    random = np.random.default_rng(seed)
    rows = np.abs(random.normal(size=(k, bands))) + 0.3
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    support = (random.uniform(size=(n, k)) < 0.7).astype(np.float32)
    codes = random.uniform(0, 2, (n, k)) * (random.uniform(size=(n, k)) < 0.5)
    x = codes @ rows + 0.05 * random.normal(size=(n, bands))
    start = random.normal(size=(n, k)) * 2
    return tuple(np.asarray(a, np.float32) for a in (x, rows, support, start))


def run(x, rows, support, start, steps: int, **options) -> np.ndarray:
    gram, matched = jnp.asarray(rows @ rows.T), jnp.asarray(x @ rows.T)
    return np.asarray(
        nonnegative_least_squares(
            jnp.asarray(start), matched, gram, jnp.asarray(support), steps, **options
        )
    )


def residual(x, rows, codes) -> np.ndarray:
    return ((x.astype(float) - codes.astype(float) @ rows.astype(float)) ** 2).sum(1)


def test_one_step_by_hand():
    """One component of length 2: L = 4 and a step from 0 is the least-squares answer, b / 4."""
    one = jnp.ones((1, 1))
    found = nonnegative_least_squares(jnp.zeros((1, 1)), 6 * one, 4 * one, one, 1)
    np.testing.assert_allclose(found, [[1.5]], rtol=1e-5)
    below = nonnegative_least_squares(one, -6 * one, 4 * one, one, 1)
    np.testing.assert_array_equal(below, [[0.0]])
    free = nonnegative_least_squares(one, -6 * one, 4 * one, one, 1, non_negative=False)
    np.testing.assert_allclose(free, [[-1.5]], rtol=1e-5)


def test_no_step_is_the_start_on_the_support():
    start = jnp.asarray([[1.0, -2.0, 3.0]])
    support = jnp.asarray([[1.0, 1.0, 0.0]])
    found = nonnegative_least_squares(start, jnp.ones((1, 3)), jnp.eye(3), support, 0)
    np.testing.assert_array_equal(found, [[1.0, 0.0, 0.0]])


def test_many_steps_reach_the_exact_answer_on_the_support():
    x, rows, support, start = problem(0)
    found = run(x, rows, support, start, 300)
    for i in range(len(x)):
        on = support[i] > 0
        exact = np.zeros(rows.shape[0])
        exact[on] = nnls(rows[on].T.astype(float), x[i].astype(float))[0]
        np.testing.assert_allclose(found[i], exact, atol=2e-3)
    assert (found[support == 0] == 0).all()
    assert (found >= 0).all()


def test_without_bounds_it_is_least_squares():
    x, rows, _, start = problem(1)
    found = run(x, rows, np.ones_like(start), start, 400, non_negative=False)
    exact = np.linalg.lstsq(rows.T.astype(float), x.T.astype(float), rcond=None)[0].T
    np.testing.assert_allclose(found, exact, atol=5e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_no_residual_ever_rises(seed, steps):
    x, rows, support, start = problem(seed)
    before = residual(x, rows, run(x, rows, support, start, 0))
    after = residual(x, rows, run(x, rows, support, start, steps))
    assert (after <= before * (1 + 1e-4) + 1e-4).all()


@pytest.mark.parametrize("steps", [3])
def test_rows_are_by_themselves_and_it_can_be_mapped(steps):
    x, rows, support, start = problem(2, n=6)
    together = run(x, rows, support, start, steps)
    gram, matched = jnp.asarray(rows @ rows.T), jnp.asarray(x @ rows.T)

    def single(start, matched, support):
        return nonnegative_least_squares(start[None], matched[None], gram, support[None], steps)[0]

    alone = jax.vmap(single)(start, matched, support)
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_a_closed_support_gives_nothing():
    x, rows, support, start = problem(3)
    found = run(x, rows, np.zeros_like(support), start, 5)
    assert np.isfinite(found).all()
    assert not found.any()
