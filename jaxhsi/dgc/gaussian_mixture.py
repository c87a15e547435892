"""Global dictionary of the default method: a Gaussian mixture held by its statistics.

Equal priors and one shared covariance: a large cluster has no advantage over a small one, which
is what breaks the loop in which large clusters feed on small ones.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float, Key

from jaxhsi.linear_algebra import cholesky, inverse

PARALLEL_STARTS = 8  # starts side by side; each holds an array of pixels by clusters
SHRINKAGE = 0.02  # of the mean variance, added to the covariance: it stays invertible


class Mixture(NamedTuple):
    """Sufficient statistics of a mixture with one shared covariance, each a mean over pixels.

    Attributes:
        cluster_share: E[r_k], expected share of each cluster; sums to 1.
        first_moment: E[r_k v].
        second_moment: E[v v'].
    """

    cluster_share: Float[Array, " k"]
    first_moment: Float[Array, "k d"]
    second_moment: Float[Array, "d d"]


class WhitenedMixture(NamedTuple):
    """What classification needs: z = v W, logits -||z - centre||^2 / 2.

    Attributes:
        whitening: W with W W' = inverse of the shared covariance.
        centres: whitened means mu_k W.
        log_det: log determinant of the covariance.
    """

    whitening: Float[Array, "d d"]
    centres: Float[Array, "k d"]
    log_det: Float[Array, ""]


def mixture_statistics(
    v: Float[Array, "n d"], posterior: Float[Array, "n k"], mask: Bool[Array, " n"] | None = None
) -> Mixture:
    """Sufficient statistics of pixels v under given responsibilities, over valid pixels."""
    weight = jnp.ones(v.shape[0], v.dtype) if mask is None else mask.astype(v.dtype)
    total = jnp.maximum(weight.sum(), 1.0)
    r = posterior * weight[:, None]
    return Mixture(r.sum(0) / total, r.T @ v / total, (v * weight[:, None]).T @ v / total)


def whiten_mixture(mixture: Mixture) -> WhitenedMixture:
    """Means and shared covariance from the statistics.

    mu_k = E[r_k v] / E[r_k];  Sigma = E[v v'] - sum_k E[r_k] mu_k mu_k' + 0.02 tr(Sigma) / d I.
    """
    means = mixture.first_moment / (mixture.cluster_share[:, None] + 1e-6)
    within = mixture.second_moment - (means.T * mixture.cluster_share) @ means
    dim = within.shape[0]
    ridge = jnp.maximum(SHRINKAGE * jnp.trace(within) / dim, 1e-6)
    covariance = (within + within.T) / 2 + ridge * jnp.eye(dim)
    whitening = cholesky(inverse(covariance))
    return WhitenedMixture(
        whitening, means @ whitening, -2 * jnp.log(jnp.diagonal(whitening)).sum()
    )


def mixture_logits(
    whitened: Float[Array, "*n d"], centres: Float[Array, "k d"]
) -> Float[Array, "*n k"]:
    """-||z - centre_k||^2 / 2 for whitened embeddings z: log posterior up to a constant."""
    cross = jnp.matmul(whitened, centres.T, precision=lax.Precision.HIGHEST)
    return (
        cross - (whitened * whitened).sum(-1, keepdims=True) / 2 - (centres * centres).sum(-1) / 2
    )


def fit_mixture(
    key: Key[Array, ""],
    v: Float[Array, "n d"],
    num_clusters: int,
    num_starts: int = 4,
    num_iterations: int = 30,
) -> Mixture:
    """Fit the mixture: EM from several K-means side by side, the likeliest result kept.

    Every other K-means runs on whitened pixels. EM does not see the scale of the axes, but
    K-means does: a rare material that differs in a direction of little variance is found from a
    whitened start alone. The score of a result is the mean log-sum-exp of the logits minus half
    the log determinant: the log-likelihood up to constants, since the priors are equal.

    Args:
        key: of the K-means++ draws.
        v: embedded pixels, at least ``num_clusters`` of them.
        num_clusters: number of clusters k.
        num_starts: number of K-means, run in batches of eight.
        num_iterations: Lloyd iterations, and then EM iterations, of each start.

    Raises:
        ValueError: fewer pixels than clusters.
    """
    if v.shape[0] < num_clusters:
        raise ValueError(f"{num_clusters} clusters need as many valid pixels, got {v.shape[0]}")
    fits, scores = _fit_starts(jax.random.split(key, num_starts), v, num_clusters, num_iterations)
    return jax.tree.map(lambda leaf: leaf[scores.argmax()], fits)


@partial(jax.jit, static_argnums=(2, 3))
def _fit_starts(
    keys: Array, v: Array, clusters: int, iterations: int
) -> tuple[Mixture, Float[Array, " starts"]]:
    one = jnp.ones((v.shape[0], 1), v.dtype)
    whitened = (v - v.mean(0)) @ whiten_mixture(mixture_statistics(v, one)).whitening
    spaces = jnp.stack([v, whitened])
    which = jnp.arange(len(keys)) % 2

    def fit(start: tuple[Array, Array]) -> tuple[Mixture, Array]:
        key, space = start
        return _fit(key, v, spaces[space], clusters, iterations)

    return lax.map(fit, (keys, which), batch_size=PARALLEL_STARTS)


def _fit(
    key: Array, v: Array, space: Array, clusters: int, iterations: int
) -> tuple[Mixture, Array]:
    """K-means on ``space``, then EM on ``v``; the mixture and its score."""
    means = kmeans(key, space, clusters, iterations)
    hard = jax.nn.one_hot(mixture_logits(space, means).argmax(-1), clusters)

    def em(_: Any, mixture: Mixture) -> Mixture:
        return mixture_statistics(v, posterior(v, mixture))

    mixture = lax.fori_loop(0, iterations, em, mixture_statistics(v, hard))
    evidence = logsumexp(_log_posterior(v, mixture), axis=-1).mean()
    return mixture, evidence - whiten_mixture(mixture).log_det / 2


def posterior(v: Float[Array, "n d"], mixture: Mixture) -> Float[Array, "n k"]:
    """Probability of each cluster for pixels v."""
    return jax.nn.softmax(_log_posterior(v, mixture))


def _log_posterior(v: Array, mixture: Mixture) -> Array:
    shape = whiten_mixture(mixture)
    return mixture_logits(v @ shape.whitening, shape.centres)


def kmeans(
    key: Key[Array, ""], v: Float[Array, "n d"], num_clusters: int, num_iterations: int
) -> Float[Array, "k d"]:
    """Means by K-means++ (Arthur and Vassilvitskii 2007) and Lloyd; an empty one stays put."""

    def lloyd(_: Any, means: Array) -> Array:
        member = jax.nn.one_hot(mixture_logits(v, means).argmax(-1), num_clusters)
        count = member.sum(0)[:, None]
        return jnp.where(count > 0, member.T @ v / jnp.maximum(count, 1), means)

    return lax.fori_loop(0, num_iterations, lloyd, _spread_out(key, v, num_clusters))


def _spread_out(key: Array, v: Array, clusters: int) -> Array:
    """K-means++: each next mean is a pixel drawn in proportion to its squared distance."""
    places = jax.random.uniform(key, (clusters,))
    first = v[(places[0] * len(v)).astype(int)]
    means = jnp.zeros((clusters, v.shape[1]), v.dtype).at[0].set(first)

    def draw(i: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        means, nearest = carry
        below = jnp.cumsum(nearest)
        chosen = v[jnp.minimum((below <= places[i] * below[-1]).sum(), len(v) - 1)]
        distance = ((v - chosen) ** 2).sum(-1)
        return means.at[i].set(chosen), jnp.minimum(nearest, distance)

    start = (means, ((v - first) ** 2).sum(-1))
    return lax.fori_loop(1, clusters, draw, start)[0]
