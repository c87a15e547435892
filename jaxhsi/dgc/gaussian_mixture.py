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
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Key

from jaxhsi.linear_algebra import cholesky, inverse
from jaxhsi.sharding import map_rows, replicate

PARALLEL_STARTS = 8
"""Starts side by side on a device; each holds an array of pixels by clusters. Set by hand to bound
the memory; the result does not depend on it."""
SAME_SCORE = 1e-4
"""Difference of two starts in nats a pixel that counts as none: they came to the same optimum, and
rounding, which differs with the number of threads and devices, must not choose. Set by hand."""
SAME_SHARE = 1e-3
"""Relative difference of two clusters' shares that counts as none. Set by hand, far above the
rounding of sums over pixels in float32."""
SHRINKAGE = 0.02
"""Share of the mean variance that is added to the covariance, which stays invertible; the value of
the first trials of the mixture, not tuned since."""


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
    v: Float[Array, "n d"],
    posterior: Float[Array, "n k"],
    valid_mask: Bool[Array, " n"] | None = None,
) -> Mixture:
    """Sufficient statistics of pixels v under given responsibilities, over valid pixels."""
    pixel_weight = (
        jnp.ones(v.shape[0], v.dtype) if valid_mask is None else valid_mask.astype(v.dtype)
    )
    # At least one pixel, so that a batch without any gives zeros and no NaN.
    total_weight = jnp.maximum(pixel_weight.sum(), 1.0)
    responsibilities = posterior * pixel_weight[:, None]
    return Mixture(
        responsibilities.sum(0) / total_weight,
        responsibilities.T @ v / total_weight,
        (v * pixel_weight[:, None]).T @ v / total_weight,
    )


def whiten_mixture(mixture: Mixture) -> WhitenedMixture:
    """Means and shared covariance from the statistics.

    mu_k = E[r_k v] / E[r_k];  Sigma = E[v v'] - sum_k E[r_k] mu_k mu_k' + 0.02 tr(Sigma) / d I.
    """
    # The small term is for clusters that no pixel belongs to.
    cluster_means = mixture.first_moment / (mixture.cluster_share[:, None] + 1e-6)
    within_covariance = (
        mixture.second_moment - (cluster_means.T * mixture.cluster_share) @ cluster_means
    )
    num_dimensions = within_covariance.shape[0]
    ridge_variance = jnp.maximum(SHRINKAGE * jnp.trace(within_covariance) / num_dimensions, 1e-6)
    # Symmetric again: rounding of the product would spoil the Cholesky factor.
    covariance = (within_covariance + within_covariance.T) / 2 + ridge_variance * jnp.eye(
        num_dimensions
    )
    # Of the inverse: then whitening is one product and log_det needs its diagonal alone.
    whitening = cholesky(inverse(covariance))
    return WhitenedMixture(
        whitening, cluster_means @ whitening, -2 * jnp.log(jnp.diagonal(whitening)).sum()
    )


def mixture_logits(
    whitened: Float[Array, "*n d"], centres: Float[Array, "k d"]
) -> Float[Array, "*n k"]:
    """-||z - centre_k||^2 / 2 for whitened embeddings z: log posterior up to a constant."""
    # The square is expanded so that no array of pixels by clusters by dimensions is made. At the
    # highest precision: differences of large numbers lose the digits of TF32.
    cross_products = jnp.matmul(whitened, centres.T, precision=lax.Precision.HIGHEST)
    return (
        cross_products
        - (whitened * whitened).sum(-1, keepdims=True) / 2
        - (centres * centres).sum(-1) / 2
    )


def fit_mixture(
    key: Key[Array, ""],
    v: Float[Array, "n d"],
    num_clusters: int,
    num_starts: int = 4,
    num_iterations: int = 30,
    *,
    mesh: Mesh | None = None,
) -> Mixture:
    """Fit the mixture: EM from several K-means side by side, the likeliest result kept.

    Of starts that are equally likely up to rounding it is the first; its clusters are numbered by
    :func:`number_clusters`.

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
        mesh: devices that the starts are spread over; None for the one that the pixels are on.

    Raises:
        ValueError: fewer pixels than clusters.
    """
    if v.shape[0] < num_clusters:
        raise ValueError(f"{num_clusters} clusters need as many valid pixels, got {v.shape[0]}")
    keys = jax.random.split(key, num_starts)
    if mesh is not None:
        keys, v = replicate(mesh, (keys, v))
    fitted_mixtures, fit_scores = _fit_starts(keys, v, num_clusters, num_iterations, mesh)
    chosen = (fit_scores >= fit_scores.max() - SAME_SCORE).argmax()
    # Here and never again: training moves clusters and does not exchange them.
    return number_clusters(jax.tree.map(lambda leaf: leaf[chosen], fitted_mixtures))


def number_clusters(mixture: Mixture) -> Mixture:
    """The same mixture with its clusters numbered by falling share.

    The order in which a fit comes upon the clusters changes with the number of threads and devices,
    which round differently. Clusters whose shares are alike up to 0.1 % are numbered along the
    first axis of the embedding.

    Args:
        mixture: with clusters in any order.

    >>> share = jnp.array([0.25, 0.5, 0.25 + 1e-6])
    >>> mixture = Mixture(share, share[:, None] * jnp.array([[1.0], [2.0], [3.0]]), jnp.eye(1))
    >>> numbered = number_clusters(mixture)
    >>> (numbered.first_moment / numbered.cluster_share[:, None]).ravel().tolist()
    [2.0, 1.0, 3.0]
    """
    order = jnp.argsort(-mixture.cluster_share)
    share, position = mixture.cluster_share[order], mixture.first_moment[order, 0]
    is_less = share[:-1] - share[1:] > SAME_SHARE * share[:-1]
    rank = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(is_less.astype(jnp.int32))])
    order = order[jnp.lexsort((position / jnp.maximum(share, 1e-12), rank))]
    return mixture._replace(
        cluster_share=mixture.cluster_share[order], first_moment=mixture.first_moment[order]
    )


@partial(jax.jit, static_argnums=(2, 3, 4))
def _fit_starts(
    keys: Array, v: Array, num_clusters: int, num_iterations: int, mesh: Mesh | None
) -> tuple[Mixture, Float[Array, " starts"]]:
    # The mixture of one cluster whitens by the covariance of all pixels.
    one_cluster = jnp.ones((v.shape[0], 1), v.dtype)
    whitened_pixels = (v - v.mean(0)) @ whiten_mixture(mixture_statistics(v, one_cluster)).whitening
    start_spaces = jnp.stack([v, whitened_pixels])
    # In turn, so that both spaces get as many starts.
    space_index = jnp.arange(len(keys)) % 2

    def fit(fit_start: tuple[Array, Array], v: Array, start_spaces: Array) -> tuple[Mixture, Array]:
        key, space_number = fit_start
        return _fit(key, v, start_spaces[space_number], num_clusters, num_iterations)

    return map_rows(mesh, fit, (keys, space_index), v, start_spaces, batch_size=PARALLEL_STARTS)


def _fit(
    key: Array, v: Array, start_space: Array, num_clusters: int, num_iterations: int
) -> tuple[Mixture, Array]:
    """K-means on ``start_space``, then EM on ``v``; the mixture and its score."""
    kmeans_centres = kmeans(key, start_space, num_clusters, num_iterations)
    # EM begins at hard labels: K-means has no responsibilities.
    hard_labels = jax.nn.one_hot(
        mixture_logits(start_space, kmeans_centres).argmax(-1), num_clusters
    )

    def em(_: Any, mixture: Mixture) -> Mixture:
        return mixture_statistics(v, posterior(v, mixture))

    mixture = lax.fori_loop(0, num_iterations, em, mixture_statistics(v, hard_labels))
    # Likelihoods of starts can be compared, since all have equal priors.
    mean_evidence = logsumexp(_log_posterior(v, mixture), axis=-1).mean()
    return mixture, mean_evidence - whiten_mixture(mixture).log_det / 2


def posterior(v: Float[Array, "n d"], mixture: Mixture) -> Float[Array, "n k"]:
    """Probability of each cluster for pixels v."""
    return jax.nn.softmax(_log_posterior(v, mixture))


def _log_posterior(v: Array, mixture: Mixture) -> Array:
    whitened_mixture = whiten_mixture(mixture)
    return mixture_logits(v @ whitened_mixture.whitening, whitened_mixture.centres)


def kmeans(
    key: Key[Array, ""], v: Float[Array, "n d"], num_clusters: int, num_iterations: int
) -> Float[Array, "k d"]:
    """Means by K-means++ (Arthur and Vassilvitskii 2007) and Lloyd; an empty one stays put."""

    def lloyd(_: Any, cluster_means: Array) -> Array:
        membership = jax.nn.one_hot(mixture_logits(v, cluster_means).argmax(-1), num_clusters)
        cluster_pixels = membership.sum(0)[:, None]
        return jnp.where(
            cluster_pixels > 0, membership.T @ v / jnp.maximum(cluster_pixels, 1), cluster_means
        )

    return lax.fori_loop(0, num_iterations, lloyd, _spread_out(key, v, num_clusters))


def _spread_out(key: Array, v: Array, num_clusters: int) -> Array:
    """K-means++: each next mean is a pixel drawn in proportion to its squared distance."""
    # All draws at once, before the loop: none depends on the means found so far.
    random_places = jax.random.uniform(key, (num_clusters,))
    first_pixel = v[(random_places[0] * len(v)).astype(int)]
    cluster_means = jnp.zeros((num_clusters, v.shape[1]), v.dtype).at[0].set(first_pixel)

    def draw(i: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        cluster_means, nearest_distance = carry
        # By the inverse of the cumulative distribution, without normalising it.
        cumulative_distance = jnp.cumsum(nearest_distance)
        drawn_pixel = v[
            jnp.minimum(
                (cumulative_distance <= random_places[i] * cumulative_distance[-1]).sum(),
                len(v) - 1,
            )
        ]
        distance = ((v - drawn_pixel) ** 2).sum(-1)
        return cluster_means.at[i].set(drawn_pixel), jnp.minimum(nearest_distance, distance)

    start_carry = (cluster_means, ((v - first_pixel) ** 2).sum(-1))
    return lax.fori_loop(1, num_clusters, draw, start_carry)[0]
