import os
import subprocess
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from jaxhsi.dgc import gaussian_mixture as mixtures
from jaxhsi.dgc.gaussian_mixture import Mixture


def three_clouds(seed: int = 0, sizes=(300, 300, 300)) -> tuple[jax.Array, np.ndarray]:
    means = jnp.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
    truth = np.repeat(np.arange(3), sizes)
    stretch = jnp.array([[1.0, 0.5], [0.0, 0.6]])
    noise = jax.random.normal(jax.random.key(seed), (len(truth), 2)) @ stretch
    return means[truth] + noise, truth


def labels(v: jax.Array, mixture: Mixture) -> np.ndarray:
    shape = mixtures.whiten_mixture(mixture)
    return np.asarray(mixtures.mixture_logits(v @ shape.whitening, shape.centres).argmax(-1))


def same_partition(a: np.ndarray, b: np.ndarray) -> float:
    table = np.zeros((3, 3))
    np.add.at(table, (a, b), 1)
    return table.max(0).sum() / len(a)


def test_statistics_of_hand_values():
    v = jnp.array([[1.0, 0.0], [3.0, 2.0], [9.0, 9.0]])
    r = jnp.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    got = mixtures.mixture_statistics(v, r, jnp.array([True, True, False]))
    # Over the two valid pixels: shares 1.5 / 2 and 0.5 / 2, and so on.
    chex.assert_trees_all_close(got.cluster_share, jnp.array([0.75, 0.25]))
    chex.assert_trees_all_close(got.first_moment, jnp.array([[1.25, 0.5], [0.75, 0.5]]))
    chex.assert_trees_all_close(got.second_moment, jnp.array([[5.0, 3.0], [3.0, 2.0]]))


def test_geometry_whitens_the_shared_covariance():
    v, truth = three_clouds()
    mixture = mixtures.mixture_statistics(v, jax.nn.one_hot(truth, 3))
    shape = mixtures.whiten_mixture(mixture)
    within = v - mixture.first_moment[truth] / mixture.cluster_share[truth][:, None]
    covariance = within.T @ within / len(v)
    ridge = mixtures.SHRINKAGE * jnp.trace(covariance) / 2 * jnp.eye(2)
    whitened = shape.whitening.T @ (covariance + ridge) @ shape.whitening
    chex.assert_trees_all_close(whitened, jnp.eye(2), atol=1e-3)
    expected = jnp.linalg.slogdet(covariance + ridge)[1]
    chex.assert_trees_all_close(shape.log_det, expected, atol=1e-3)


def test_logits_are_half_squared_distances():
    z, centres = jnp.array([[1.0, 2.0]]), jnp.array([[1.0, 2.0], [4.0, 6.0]])
    chex.assert_trees_all_close(mixtures.mixture_logits(z, centres), jnp.array([[0.0, -12.5]]))


def test_fit_finds_clouds_and_agrees_with_scikit_learn():
    v, truth = three_clouds()
    ours = labels(v, mixtures.fit_mixture(jax.random.key(0), v, 3))
    theirs = GaussianMixture(3, covariance_type="tied", n_init=4, random_state=0).fit_predict(v)
    assert same_partition(ours, truth) > 0.99
    assert same_partition(ours, theirs) > 0.995


def test_equal_priors_do_not_feed_the_large_cluster():
    v, truth = three_clouds(sizes=(3000, 150, 150))
    ours = labels(v, mixtures.fit_mixture(jax.random.key(0), v, 3))
    assert same_partition(ours, truth) > 0.99


def test_fit_is_deterministic_in_its_key():
    v, _ = three_clouds()
    once, again = (mixtures.fit_mixture(jax.random.key(7), v, 3) for _ in range(2))
    chex.assert_trees_all_equal(once, again)


def test_more_clusters_than_distinct_pixels_stays_finite():
    v = jnp.repeat(jnp.array([[0.0, 1.0], [1.0, 0.0]]), 5, axis=0)
    chex.assert_tree_all_finite(
        mixtures.whiten_mixture(mixtures.fit_mixture(jax.random.key(0), v, 4))
    )


def test_one_cluster_is_the_mean():
    v, _ = three_clouds()
    mixture = mixtures.fit_mixture(jax.random.key(0), v, 1)
    chex.assert_trees_all_close(mixture.first_moment[0], v.mean(0), atol=1e-4)


def test_fewer_pixels_than_clusters_is_an_error():
    with pytest.raises(ValueError, match="5 clusters need as many valid pixels, got 3"):
        mixtures.fit_mixture(jax.random.key(0), jnp.zeros((3, 2)), 5)


@pytest.mark.parametrize("order", [[2, 0, 1], [1, 2, 0]])
def test_clusters_are_numbered_by_falling_share_whatever_order_they_were_met_in(order):
    share = jnp.array([0.5, 0.3, 0.2])
    mixture = Mixture(share, jnp.arange(6.0).reshape(3, 2), jnp.eye(2))
    shuffled = Mixture(share[jnp.array(order)], mixture.first_moment[jnp.array(order)], jnp.eye(2))
    chex.assert_trees_all_equal(mixtures.number_clusters(shuffled), mixture)


def test_equal_shares_are_numbered_along_the_first_axis_whatever_rounding_makes_of_them():
    position = jnp.array([[3.0], [-2.0], [0.5]])
    for rounding in ([0, 1e-7, 2e-7], [2e-7, 1e-7, 0]):
        share = jnp.full(3, 1 / 3) + jnp.array(rounding)
        mixture = mixtures.number_clusters(Mixture(share, share[:, None] * position, jnp.eye(1)))
        means = mixture.first_moment / mixture.cluster_share[:, None]
        np.testing.assert_allclose(means.ravel(), [-2.0, 0.5, 3.0], rtol=1e-6)


ONE_THREAD_LABELS = """
import jax, sys
import numpy as np
from tests.dgc.test_gaussian_mixture import labels, three_clouds
from jaxhsi.dgc.gaussian_mixture import fit_mixture
assert len(jax.devices()) == 1
v, _ = three_clouds(sizes=(400, 300, 200))
np.save(sys.argv[1], labels(v, fit_mixture(jax.random.key(3), v, 3, 6, 20)))
"""


def test_clusters_have_the_same_numbers_on_one_device_and_thread_as_on_eight(tmp_path):
    v, _ = three_clouds(sizes=(400, 300, 200))
    ours = labels(v, mixtures.fit_mixture(jax.random.key(3), v, 3, 6, 20))
    flags = "--xla_force_host_platform_device_count=1 --xla_cpu_multi_thread_eigen=false"
    command = [sys.executable, "-c", ONE_THREAD_LABELS, str(tmp_path / "labels.npy")]
    subprocess.run(command, env=os.environ | {"XLA_FLAGS": flags}, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), ours)
    assert list(np.bincount(ours)) == sorted(np.bincount(ours), reverse=True)
