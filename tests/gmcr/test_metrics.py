"""Scores: the reference's streaming sums, matching of components, shares of variance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.gmcr import metrics
from tests.helpers.reference import REFERENCE

X, Y = jnp.asarray(REFERENCE["score/x"]), jnp.asarray(REFERENCE["score/reconstructed"])


@pytest.mark.parametrize("mode", ["dense", "threshold", "mask"])
def test_streamed_scores_agree_with_the_reference(mode):
    def entries(x, y):
        large = (jnp.abs(x) >= 0.05) | (jnp.abs(y) >= 0.05)
        return {"dense": None, "threshold": large, "mask": x != 0}[mode]

    @jax.jit
    def streamed(x, y):
        first = metrics.fit_sums(x[:4], y[:4], entries=entries(x[:4], y[:4]))
        # The last batch is filled up to the size of the first.
        more = jnp.pad(x[4:], ((0, 2), (0, 0)), constant_values=9.0)
        rows = jnp.arange(4) < 2
        fitted = jnp.pad(y[4:], ((0, 2), (0, 0)))
        second = metrics.fit_sums(more, fitted, rows, entries(more, fitted))
        sums = metrics.combine_sums(first, second)
        return metrics.nmse(sums), metrics.r2(sums)

    np.testing.assert_allclose(streamed(X, Y), REFERENCE[f"score/{mode}"], rtol=2e-6)


def test_fit_by_hand():
    """Residual 1, squares 1 + 9 + 1 + 1, means 2 and 1: centred squares 2, so R2 = 1/2."""
    x = jnp.array([[1.0, 1.0], [3.0, 1.0]])
    sums = metrics.fit_sums(x, x.at[0, 0].set(2.0))
    assert metrics.nmse(sums) == pytest.approx(1 / 12)
    assert metrics.r2(sums) == pytest.approx(0.5)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**31))
def test_matching_finds_a_permutation_again(found, truth, seed):
    rng = np.random.default_rng(seed)
    spectra = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    order = rng.permutation(6)[:found]
    scale = rng.uniform(0.5, 2, (found, 1))
    match = metrics.matched_cosines(scale * spectra[order], spectra[:truth])
    assert len(match.cosine) == min(found, truth)
    assert len(set(match.found_index)) == len(set(match.true_index)) == len(match.cosine)
    assert (np.diff(match.cosine) <= 1e-12).all()
    shared = (order < truth).sum()
    np.testing.assert_allclose(match.cosine[:shared], 1)
    assert (order[match.found_index[:shared]] == match.true_index[:shared]).all()


def test_matching_takes_the_best_sum_and_rows_of_zeros():
    """Greedy pairing would take 0.8 + 0; the best is 0.6 + 0.8. Rows: (4, 3) / 5 and (0, 1)."""
    truth = np.array([[1.0, 0.0], [0.0, 1.0]])
    match = metrics.matched_cosines(np.array([[0.0, 0.0], [3.0, 4.0]]), truth)
    np.testing.assert_allclose(match.cosine, [0.8, 0.0])
    assert match.found_index.tolist() == [1, 0]
    assert match.true_index.tolist() == [1, 0]
    with pytest.raises(ValueError, match="2 bands and the truth 3"):
        metrics.matched_cosines(truth, np.eye(3))


def test_variance_share_by_definition():
    rng = np.random.default_rng(0)
    c, s = rng.uniform(size=(7, 3)), rng.uniform(size=(3, 5))
    c[:, 2] = 0
    x = c @ s + 0.1 * rng.normal(size=(7, 5))
    residual = x - c @ s
    parts = c.T[:, :, None] * s[:, None, :]
    left_out = np.square(residual + parts).sum((1, 2))
    expected = (left_out - np.square(residual).sum()) / np.square(x).sum()
    share = metrics.variance_share(x, c, s)
    np.testing.assert_allclose(share, expected, rtol=1e-9, atol=1e-12)
    assert share[2] == pytest.approx(0, abs=1e-12)


def test_variance_shares_of_components_apart_add_up_to_the_fit():
    c, s = np.array([[3.0, 0.0], [0.0, 4.0]]), np.eye(2)
    np.testing.assert_allclose(metrics.variance_share(c, c, s), [9 / 25, 16 / 25])
