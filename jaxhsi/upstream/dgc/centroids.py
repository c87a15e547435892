"""The global dictionary of clusters: unit vectors, (k, d); how it starts, follows and recovers."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from jaxhsi.dgc.losses import Mask


def unit(x: Float[Array, "*n d"], eps: float = 1e-12) -> Float[Array, "*n d"]:
    """Unit vectors x / max(||x||, eps) along the last axis; zero stays zero."""
    squared_norm = jnp.square(x).sum(-1, keepdims=True)
    return x / jnp.sqrt(jnp.maximum(squared_norm, eps**2))


def random_centroids(key: Key[Array, ""], num_clusters: int, embed_dim: int) -> Float[Array, "k d"]:
    """Directions drawn uniformly from the sphere in d dimensions, as upstream starts."""
    return unit(jax.random.normal(key, (num_clusters, embed_dim)))


def kmeans_centroids(
    key: Key[Array, ""],
    z: Float[Array, "n d"],
    num_clusters: int,
    num_iterations: int = 10,
    valid_mask: Mask = None,
) -> Float[Array, "k d"]:
    """Start from data: K-means++ (Arthur & Vassilvitskii 2007), then K-means, on the sphere.

    Each further centroid is a pixel drawn with probability proportional to its squared distance
    2 (1 - cos) to the nearest one; then ``num_iterations`` times every centroid becomes the
    direction of the mean of its pixels (Dhillon & Modha 2001). An empty cluster keeps its centroid.

    Args:
        key: for the draws.
        z: embeddings, any length, (n, d).
        num_clusters: number of clusters, at most n.
        num_iterations: Lloyd iterations.
        valid_mask: pixels that count, (n,).

    Raises:
        ValueError: fewer pixels than clusters.
    """
    if num_clusters > len(z):
        raise ValueError(
            f"{len(z)} pixels cannot start {num_clusters} clusters; "
            f"give at least {num_clusters} pixels"
        )
    z = unit(z)
    pixel_weight = jnp.ones(len(z)) if valid_mask is None else valid_mask.astype(z.dtype)
    first_centroid = z[jax.random.categorical(key, jnp.log(pixel_weight))]

    def draw(max_similarity: Array, key: Array) -> tuple[Array, Array]:
        # 1e-12, so that identical pixels can be drawn where nothing else is left.
        draw_weight = pixel_weight * (jnp.maximum(1 - max_similarity, 0) + 1e-12)
        drawn_pixel = z[jax.random.categorical(key, jnp.log(draw_weight))]
        return jnp.maximum(max_similarity, z @ drawn_pixel), drawn_pixel

    keys = jax.random.split(jax.random.fold_in(key, 1), num_clusters - 1)
    _, other_centroids = jax.lax.scan(draw, z @ first_centroid, keys)
    initial_centroids = jnp.concatenate([first_centroid[None], other_centroids])

    def lloyd(_: Any, centroids: Array) -> Array:
        membership = (
            jax.nn.one_hot((z @ centroids.T).argmax(-1), num_clusters) * pixel_weight[:, None]
        )
        cluster_sums = membership.T @ z
        is_empty = jnp.square(cluster_sums).sum(-1, keepdims=True) == 0
        return jnp.where(is_empty, centroids, unit(cluster_sums))

    return jax.lax.fori_loop(0, num_iterations, lloyd, initial_centroids)


def update_centroids(
    centroids: Float[Array, "k d"],
    embeddings: Float[Array, "*n d"],
    probabilities: Float[Array, "*n k"],
    decay: float,
    dead_noise: Float[Array, "k d"],
    valid_mask: Mask = None,
    min_mass: float = 1e-3,
) -> Float[Array, "k d"]:
    """Move each centroid towards the mean of its pixels, as upstream does after every step.

    m_k = sum_i p_ik + 1e-8; c_k <- unit(decay c_k + (1 - decay) sum_i p_ik z_i / (m_k + 1e-6))
    where m_k > min_mass, else c_k <- unit(c_k + noise_k).

    The mass is summed over all pixels, so that a cluster counts as dead only when nothing at all
    is assigned to it: in practice never. `revive_centroids` looks at the share instead.

    Args:
        centroids: (k, d).
        embeddings: embeddings after the mean-shift, not normalised, (*n, d).
        probabilities: soft assignment, (*n, k).
        decay: in [0, 1]; 0.99 upstream.
        dead_noise: noise added to dead centroids; upstream's is normal of deviation 0.05, (k, d).
        valid_mask: pixels that count, (*n).
        min_mass: mass below which a centroid is dead.

    Source: upstream `trainer.py`, `_ema_update_centroids`, whose z however is scrambled, see
    `jaxhsi.upstream.dgc.losses.scrambled_pixels`.
    """
    embeddings = embeddings.reshape(-1, embeddings.shape[-1])
    probabilities = probabilities.reshape(-1, probabilities.shape[-1])
    if valid_mask is not None:
        probabilities = probabilities * valid_mask.reshape(-1, 1).astype(probabilities.dtype)
    # Both small terms are the PyTorch code's, `trainer.py`.
    cluster_mass = (probabilities.sum(0) + 1e-8)[:, None]
    cluster_means = probabilities.T @ embeddings / (cluster_mass + 1e-6)
    moved_centroids = centroids * decay + cluster_means * (1 - decay)
    return unit(jnp.where(cluster_mass > min_mass, moved_centroids, unit(centroids + dead_noise)))


def revive_centroids(
    centroids: Float[Array, "k d"],
    cluster_usage: Float[Array, " k"],
    embeddings: Float[Array, "*n d"],
    min_share: float = 1e-3,
    valid_mask: Mask = None,
) -> tuple[Float[Array, "k d"], Bool[Array, " k"]]:
    """Put dead clusters onto the pixels that the living ones explain worst.

    Cluster k is dead where usage_k < min_share. One after the other, a dead centroid becomes
    the pixel whose largest cosine with the living and the already revived ones is smallest.

    Args:
        centroids: unit vectors, (k, d).
        cluster_usage: global share of each cluster, measured over many patches, not one, (k,).
        embeddings: embeddings of candidate pixels, (*n, d).
        min_share: share below which a cluster is dead.
        valid_mask: pixels that may be chosen, (*n).

    Returns:
        The centroids, and which of them were dead; an optimizer's moments of those are stale.
    """
    embeddings = unit(embeddings.reshape(-1, embeddings.shape[-1]))
    is_dead = cluster_usage < min_share
    # Dead centroids explain nothing: only the living count.
    max_similarity = jnp.where(is_dead, -jnp.inf, embeddings @ centroids.T).max(-1)
    is_excluded = (
        jnp.zeros(len(embeddings), bool) if valid_mask is None else valid_mask.reshape(-1) <= 0
    )

    def place(pixel_similarity: Array, centroid_state: tuple[Array, Array]) -> tuple[Array, Array]:
        centroid, is_gone = centroid_state
        # Explained pixels drop out one by one, so that two dead clusters get two places.
        worst_pixel = embeddings[jnp.where(is_excluded, jnp.inf, pixel_similarity).argmin()]
        new_centroid = jnp.where(is_gone, worst_pixel, centroid)
        return jnp.maximum(pixel_similarity, embeddings @ new_centroid), new_centroid

    revived_centroids = jax.lax.scan(place, max_similarity, (centroids, is_dead))[1]
    # With no candidate at all there is nothing to put a cluster on.
    return jnp.where(is_excluded.all(), centroids, revived_centroids), is_dead
