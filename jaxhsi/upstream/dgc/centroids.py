"""The global dictionary of clusters: unit vectors, (k, d); how it starts, follows and recovers."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from jaxhsi.dgc.losses import Mask


def unit(x: Float[Array, "*n d"], eps: float = 1e-12) -> Float[Array, "*n d"]:
    """Unit vectors x / max(||x||, eps) along the last axis; zero stays zero."""
    squared = jnp.square(x).sum(-1, keepdims=True)
    return x / jnp.sqrt(jnp.maximum(squared, eps**2))


def random_centroids(key: Key[Array, ""], k: int, d: int) -> Float[Array, "k d"]:
    """Directions drawn uniformly from the sphere in d dimensions, as upstream starts."""
    return unit(jax.random.normal(key, (k, d)))


def kmeans_centroids(
    key: Key[Array, ""], z: Float[Array, "n d"], k: int, rounds: int = 10, mask: Mask = None
) -> Float[Array, "k d"]:
    """Start from data: K-means++ (Arthur & Vassilvitskii 2007), then K-means, on the sphere.

    Each further centroid is a pixel drawn with probability proportional to its squared distance
    2 (1 - cos) to the nearest one; then ``rounds`` times every centroid becomes the direction of
    the mean of its pixels (Dhillon & Modha 2001). An empty cluster keeps its centroid.

    Args:
        key: for the draws.
        z: embeddings, any length, (n, d).
        k: number of clusters, at most n.
        rounds: Lloyd iterations.
        mask: pixels that count, (n,).

    Raises:
        ValueError: fewer pixels than clusters.
    """
    if k > len(z):
        raise ValueError(f"{len(z)} pixels cannot start {k} clusters; give at least {k} pixels")
    z = unit(z)
    weight = jnp.ones(len(z)) if mask is None else mask.astype(z.dtype)
    first = z[jax.random.categorical(key, jnp.log(weight))]

    def draw(nearest: Array, key: Array) -> tuple[Array, Array]:
        # 1e-12: identical pixels can still be drawn, where nothing else is left.
        chance = weight * (jnp.maximum(1 - nearest, 0) + 1e-12)
        chosen = z[jax.random.categorical(key, jnp.log(chance))]
        return jnp.maximum(nearest, z @ chosen), chosen

    keys = jax.random.split(jax.random.fold_in(key, 1), k - 1)
    _, others = jax.lax.scan(draw, z @ first, keys)
    start = jnp.concatenate([first[None], others])

    def lloyd(_: Any, centroids: Array) -> Array:
        member = jax.nn.one_hot((z @ centroids.T).argmax(-1), k) * weight[:, None]
        mean = member.T @ z
        empty = jnp.square(mean).sum(-1, keepdims=True) == 0
        return jnp.where(empty, centroids, unit(mean))

    return jax.lax.fori_loop(0, rounds, lloyd, start)


def update_centroids(
    centroids: Float[Array, "k d"],
    z: Float[Array, "*n d"],
    p: Float[Array, "*n k"],
    decay: float,
    kick: Float[Array, "k d"],
    mask: Mask = None,
    min_mass: float = 1e-3,
) -> Float[Array, "k d"]:
    """Move each centroid towards the mean of its pixels, as upstream does after every step.

    m_k = sum_i p_ik + 1e-8; c_k <- unit(decay c_k + (1 - decay) sum_i p_ik z_i / (m_k + 1e-6))
    where m_k > min_mass, else c_k <- unit(c_k + kick_k).

    The mass is summed over all pixels, so that a cluster counts as dead only when nothing at all
    is assigned to it: in practice never. `revive_centroids` looks at the share instead.

    Args:
        centroids: (k, d).
        z: embeddings after the mean-shift, not normalised, (*n, d).
        p: soft assignment, (*n, k).
        decay: in [0, 1]; 0.99 upstream.
        kick: noise added to dead centroids; upstream's is normal of deviation 0.05, (k, d).
        mask: pixels that count, (*n).
        min_mass: mass below which a centroid is dead.

    Source: upstream `trainer.py`, `_ema_update_centroids`, whose z however is scrambled, see
    `jaxhsi.upstream.dgc.losses.scrambled_pixels`.
    """
    z, p = z.reshape(-1, z.shape[-1]), p.reshape(-1, p.shape[-1])
    if mask is not None:
        p = p * mask.reshape(-1, 1).astype(p.dtype)
    mass = (p.sum(0) + 1e-8)[:, None]
    mean = p.T @ z / (mass + 1e-6)
    moved = centroids * decay + mean * (1 - decay)
    return unit(jnp.where(mass > min_mass, moved, unit(centroids + kick)))


def revive_centroids(
    centroids: Float[Array, "k d"],
    usage: Float[Array, " k"],
    z: Float[Array, "*n d"],
    min_share: float = 1e-3,
    mask: Mask = None,
) -> tuple[Float[Array, "k d"], Bool[Array, " k"]]:
    """Put dead clusters onto the pixels that the living ones explain worst.

    Cluster k is dead where usage_k < min_share. One after the other, a dead centroid becomes
    the pixel whose largest cosine with the living and the already revived ones is smallest.

    Args:
        centroids: unit vectors, (k, d).
        usage: global share of each cluster, measured over many patches, not one, (k,).
        z: embeddings of candidate pixels, (*n, d).
        min_share: share below which a cluster is dead.
        mask: pixels that may be chosen, (*n).

    Returns:
        The centroids, and which of them were dead; an optimizer's moments of those are stale.
    """
    z = unit(z.reshape(-1, z.shape[-1]))
    dead = usage < min_share
    similarity = jnp.where(dead, -jnp.inf, z @ centroids.T).max(-1)
    forbidden = jnp.zeros(len(z), bool) if mask is None else mask.reshape(-1) <= 0

    def place(nearest: Array, old: tuple[Array, Array]) -> tuple[Array, Array]:
        centroid, gone = old
        worst = z[jnp.where(forbidden, jnp.inf, nearest).argmin()]
        new = jnp.where(gone, worst, centroid)
        return jnp.maximum(nearest, z @ new), new

    revived = jax.lax.scan(place, similarity, (centroids, dead))[1]
    # With no candidate at all there is nothing to put a cluster on.
    return jnp.where(forbidden.all(), centroids, revived), dead
