"""The dictionary: starts, moving average, revival."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.upstream.dgc import centroids


def blobs(key, k, each, d=6, noise=0.02):
    """Pixels about k orthogonal directions, of varied lengths."""
    k_noise, k_length = jax.random.split(key)
    z = jnp.repeat(jnp.eye(k, d), each, axis=0) + noise * jax.random.normal(k_noise, (k * each, d))
    return z * jax.random.uniform(k_length, (k * each, 1), minval=0.5, maxval=2)


def test_unit_vectors_and_zero():
    np.testing.assert_allclose(centroids.unit(jnp.array([[3.0, 4.0]])), [[0.6, 0.8]])
    assert (centroids.unit(jnp.zeros(3)) == 0).all()
    assert jnp.isfinite(jax.grad(lambda x: centroids.unit(x).sum())(jnp.zeros(3))).all()


def test_random_centroids_are_unit_vectors():
    start = centroids.random_centroids(jax.random.key(0), 5, 7)
    np.testing.assert_allclose(jnp.linalg.norm(start, axis=1), 1, rtol=1e-6)


start_from = jax.jit(centroids.kmeans_centroids, static_argnames="num_clusters")


@given(seed=st.integers(0, 999), k=st.sampled_from([1, 4]))
@settings(max_examples=20, deadline=None)
def test_from_pixels_finds_separate_groups(seed, k):
    found = start_from(jax.random.key(seed), blobs(jax.random.key(seed), k, 10), num_clusters=k)
    # Each of the k directions has its own centroid, whatever the order.
    assert sorted((found @ jnp.eye(k, 6).T).argmax(1).tolist()) == list(range(k))
    np.testing.assert_allclose(jnp.linalg.norm(found, axis=1), 1, rtol=1e-5)


def test_from_pixels_never_uses_masked_pixels():
    z = blobs(jax.random.key(0), 3, 10)
    mask = jnp.arange(30) < 20
    found = start_from(jax.random.key(1), z, num_clusters=4, valid_mask=mask)
    assert (found[:, 2] < 0.2).all()


def test_from_pixels_needs_as_many_pixels_as_clusters():
    with pytest.raises(ValueError, match="3 pixels cannot start 4 clusters"):
        centroids.kmeans_centroids(jax.random.key(0), jnp.ones((3, 2)), 4)


def test_from_identical_pixels_stays_finite():
    found = start_from(jax.random.key(0), jnp.ones((8, 2)), num_clusters=3)
    np.testing.assert_allclose(found, 0.5**0.5, rtol=1e-5)


def test_ema_update_by_hand():
    """Two pixels in cluster 0 of mean (0, 2), none in cluster 1, which is kicked."""
    start = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    z = jnp.array([[[0.0, 3.0]], [[0.0, 1.0]]])
    p = jnp.array([[[1.0, 0.0]], [[1.0, 0.0]]])
    kick = jnp.array([[9.0, 9.0], [1.0, 0.0]])
    moved = centroids.update_centroids(start, z, p, 0.5, kick)
    np.testing.assert_allclose(moved[0], np.array([0.5, 1.0]) / 1.25**0.5, rtol=1e-5)
    np.testing.assert_allclose(moved[1], [0.5**0.5, 0.5**0.5], rtol=1e-6)


def test_ema_update_leaves_masked_pixels_out():
    start, z = jnp.eye(2), jnp.array([[5.0, 5.0], [1.0, 1.0]])
    p, kick = jnp.full((2, 2), 0.5), jnp.zeros((2, 2))
    mask = jnp.array([False, True])
    kept = centroids.update_centroids(start, z[1:], p[1:], 0.9, kick)
    np.testing.assert_allclose(
        centroids.update_centroids(start, z, p, 0.9, kick, mask), kept, rtol=1e-6
    )


def test_upstreams_mass_threshold_overlooks_a_dead_cluster():
    """Its defect: with 4096 pixels a share of one in a million still counts as alive."""
    p = jnp.tile(jnp.array([1 - 1e-6, 1e-6]), (4096, 1))
    z, kick = jnp.tile(jnp.array([1.0, 0.0]), (4096, 1)), jnp.full((2, 2), 9.0)
    moved = centroids.update_centroids(jnp.eye(2), z, p, 0.99, kick)
    assert moved[1, 1] > 0.99


def test_revive_places_dead_clusters_on_what_is_explained_worst():
    z = jnp.concatenate([blobs(jax.random.key(0), 3, 10, noise=0.0)])
    start = jnp.eye(4, 6).at[1].set(jnp.eye(6)[0]).at[3].set(jnp.eye(6)[0])
    usage = jnp.array([0.5, 1e-4, 0.5, 0.0])
    revived, dead = centroids.revive_centroids(start, usage, z)
    assert dead.tolist() == [False, True, False, True]
    np.testing.assert_allclose(revived[1], jnp.eye(6)[1], atol=1e-6)  # living: directions 0, 2
    np.testing.assert_allclose(revived[jnp.array([0, 2])], start[jnp.array([0, 2])])


def test_revive_spreads_several_dead_clusters():
    z = blobs(jax.random.key(0), 4, 5, noise=0.0)
    revived, _ = centroids.revive_centroids(
        jnp.tile(jnp.eye(6)[:1], (4, 1)), jnp.array([1.0, 0, 0, 0]), z
    )
    np.testing.assert_allclose(revived @ revived.T, jnp.eye(4), atol=1e-6)


def test_revive_chooses_no_masked_pixel_and_does_nothing_without_pixels():
    z = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    start, usage = jnp.array([[1.0, 0.0], [1.0, 0.0]]), jnp.array([1.0, 0.0])
    revived, _ = centroids.revive_centroids(
        start, usage, z, valid_mask=jnp.array([True, False, True])
    )
    np.testing.assert_allclose(revived[1], [0.6, 0.8], rtol=1e-6)
    same, _ = centroids.revive_centroids(start, usage, z, valid_mask=jnp.zeros(3, bool))
    assert (same == start).all()
