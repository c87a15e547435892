import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.dgc.gaussian_mixture import Mixture, fit_mixture
from jaxhsi.dgc.merge_tree import MergeTree
from jaxhsi.dgc.stability import cut_gaps, measure_stability, suggest_cuts
from jaxhsi.sharding import device_mesh

# Three groups far apart; the first is two that lie close.
CENTRES = np.array([[0.0, 0], [2.5, 0], [30, 0], [0, 30]])


@pytest.fixture(scope="module")
def fitted() -> tuple[jnp.ndarray, Mixture]:
    rng = np.random.default_rng(0)
    v = CENTRES[rng.integers(0, 4, 600)] + rng.normal(size=(600, 2))
    v = jnp.asarray(v, jnp.float32)
    return v, fit_mixture(jax.random.key(0), v, 5, 4)


def measured(fitted, mesh=None) -> np.ndarray:
    v, mixture = fitted
    share = np.asarray(mixture.cluster_share)
    touch = jnp.asarray(np.outer(share, share))
    return measure_stability(jax.random.key(1), v, mixture, touch, 2, mesh=mesh)


def test_cuts_along_true_gaps_are_stable_and_a_cluster_too_many_is_not(fitted):
    found = measured(fitted)
    assert found.shape == (2, 5)
    assert (found[:, 0] == 1).all()
    assert (found[:, 2] > 0.99).all()
    assert (found[:, 4] < found[:, 2] - 0.02).all()
    assert (found <= 1).all()
    np.testing.assert_array_equal(found, measured(fitted))


def test_fits_are_spread_over_devices(fitted):
    np.testing.assert_allclose(measured(fitted, device_mesh(8)), measured(fitted), atol=0.01)


def test_halves_too_small_to_cluster_are_refused(fitted):
    v, mixture = fitted
    with pytest.raises(ValueError, match="halves of 9 pixels cannot start 5 clusters"):
        measure_stability(jax.random.key(0), v[:9], mixture, jnp.eye(5))


def chain(heights: list[float]) -> MergeTree:
    count = len(heights) + 1
    pairs = [[0, 1], *([i + 1, count + i - 1] for i in range(1, count - 1))]
    return MergeTree(np.array(pairs), np.array(heights))


def test_gaps_by_hand():
    found = cut_gaps(chain([0.0, 1.0, 4.0, 10.0]))
    np.testing.assert_allclose(found[1:3], [12 / 6, 6 / 3])
    assert np.isnan(found[[0, 3, 4]]).all()  # one group; one without pixels; all


def test_the_largest_gap_of_the_stable_cuts_is_suggested_first():
    tree = chain([1.0, 1.1, 8.0, 10.0])
    scores = np.array([1, 0.95, 0.98, 0.93, 0.5])
    found = suggest_cuts(tree, scores)
    assert [each.num_groups for each in found] == [3, 2, 4]
    assert found[0].reason == (
        "the stable cut with the largest gap (the next merge goes 3.23 times as far); two halves "
        "of the data agree to 0.98"
    )
    assert [each.num_groups for each in suggest_cuts(tree, scores - 0.04)] == [3, 2]


def test_without_a_stable_cut_the_most_stable_is_named_as_such():
    (found,) = suggest_cuts(chain([1.0, 1.1, 8.0, 10.0]), np.array([1, 0.3, 0.4, 0.7, 0.9]))
    assert found.num_groups == 4
    assert "no cut is stable" in found.reason


def test_nothing_to_choose_from_is_no_suggestion():
    assert suggest_cuts(chain([1.0]), np.ones(2)) == ()
