"""Rising and single-peaked curves nearest to given ones."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.gmcr.unimodality import isotonic_regression, unimodal_regression

values = st.lists(st.integers(-8, 8), min_size=7, max_size=7)
one = jax.jit(unimodal_regression)


def is_unimodal(curve) -> bool:
    signs = np.sign(np.diff(np.asarray(curve)).round(4))
    signs = signs[signs != 0]
    return bool((np.diff(signs) <= 0).all())


def by_search(x) -> float:
    """Least squared error over all peaks, with isotonic regression of scikit-learn."""
    from sklearn.isotonic import isotonic_regression

    def error(part, increasing):
        if not len(part):
            return 0.0
        return ((part - isotonic_regression(part, increasing=increasing)) ** 2).sum()

    return min(error(x[:i], True) + error(x[i:], False) for i in range(len(x) + 1))


def test_neighbours_that_fall_become_their_mean():
    curve, errors = isotonic_regression(jnp.array([1.0, 3.0, 2.0, 4.0, 1.0]), 5)
    np.testing.assert_allclose(curve, [1, 2.5, 2.5, 2.5, 2.5], atol=1e-6)
    np.testing.assert_allclose(errors, [0, 0, 0.5, 0.5, 5], atol=1e-5)
    np.testing.assert_allclose(
        isotonic_regression(jnp.array([1.0, 3.0, 2.0, 4.0]), 3)[0], [1, 2.5, 2.5, 2.5]
    )


def test_a_second_peak_is_levelled_by_hand():
    np.testing.assert_allclose(
        one(jnp.array([0.0, 5.0, 1.0, 3.0, 0.0])), [0, 5, 2, 2, 0], atol=1e-6
    )


@given(values)
@settings(max_examples=30, deadline=None)
def test_it_is_the_nearest_curve_with_one_peak(x):
    x = np.array(x, np.float32)
    found = np.asarray(one(jnp.asarray(x)))
    assert is_unimodal(found)
    np.testing.assert_allclose(((found - x) ** 2).sum(), by_search(x), atol=1e-3)
    np.testing.assert_allclose(one(jnp.asarray(found)), found, atol=1e-5)
