"""Terms kept for parity: what they compute, and that their stated defects are real."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.upstream.dgc import losses


def test_balanced_labels_hold_every_cluster_equally_often():
    labels = losses.random_balanced_labels(jax.random.key(0), 14, 4)
    assert np.bincount(labels).tolist() == [4, 4, 3, 3]
    other = losses.random_balanced_labels(jax.random.key(1), 14, 4)
    assert not np.array_equal(labels, other)


def test_uniform_assignment_by_hand():
    p = jnp.array([[[0.25, 0.75], [1.0, 0.0]]])
    labels = jnp.array([0, 1])
    expected = -(np.log(0.25) + np.log(1e-6)) / 2
    assert losses.uniform_assignment(p, labels) == pytest.approx(expected, rel=1e-6)
    first = losses.uniform_assignment(p, labels, jnp.array([[True, False]]))
    assert first == pytest.approx(-np.log(0.25))


def test_uniform_assignment_pushes_every_pixel_to_uniform_on_average():
    """Its defect: averaged over the draws the gradient is that of mean_ik -log p_ik / k."""
    p = jnp.array([[0.7, 0.2, 0.1]] * 6)
    keys = jax.random.split(jax.random.key(0), 4000)
    labels = jax.vmap(lambda key: losses.random_balanced_labels(key, 6, 3))(keys)
    gradient = jax.vmap(jax.grad(losses.uniform_assignment), (None, 0))(p, labels).mean(0)
    np.testing.assert_allclose(gradient, -1 / (6 * 3 * p), rtol=0.1)


def test_grid_consistency_punishes_a_correct_shift():
    """Its defect: the same segmentation seen one column further is called inconsistent."""
    p = jax.nn.one_hot(jnp.array([[0, 1, 1, 0]]), 2)
    assert losses.grid_consistency(p, p) == 0
    assert losses.grid_consistency(p, jnp.roll(p, 1, 1)) > 1


def test_minimised_balance_prefers_collapse():
    collapsed = jax.nn.one_hot(jnp.zeros(4, int), 2)
    balanced = jax.nn.one_hot(jnp.array([0, 1, 0, 1]), 2)
    assert losses.minimised_usage_entropy(collapsed) < losses.minimised_usage_entropy(balanced)


def test_scrambled_pixels_is_a_reshape_without_moving_the_channels():
    z = jnp.arange(2 * 2 * 3 * 4.0).reshape(2, 2, 3, 4)
    channels_first = np.moveaxis(np.asarray(z), -1, 1)
    expected = channels_first.reshape(2 * 2 * 3, 4)
    assert np.array_equal(losses.scrambled_pixels(z).reshape(-1, 4), expected)
