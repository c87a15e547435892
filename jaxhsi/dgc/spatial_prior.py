"""What the neighbours of a pixel say of its cluster, the pixel itself left out.

The mixture speaks of one spectrum at a time. The shares of the clusters among the neighbours make
a prior for the pixel between them, and the two are multiplied. How far neighbours are to be
trusted, and which of them, is learnt by the likelihood of the pixel that they do not see: there
is nothing to gain from merging clusters, and no weight to be set.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float

from jaxhsi.dgc.losses import masked_mean

SHARE_FLOOR = 0.02
"""Added to the share of a cluster among the neighbours, so that its logarithm is bounded: a cluster
that no neighbour has stays possible. Chosen by hand; not tuned."""
EXPONENT_SCALE = 10.0
"""Of the exponent, which goes from 0 to about 1 where other parameters move by 0.1: one learning
rate then serves both. Chosen by hand; not tuned."""


class NeighbourPrior(NamedTuple):
    """Parameters of the prior.

    Attributes:
        neighbour_weights: softplus of them are the weights of the neighbours; the middle one is not
            used.
        exponent: a tenth of the trust in them.
    """

    neighbour_weights: Float[Array, "side side"]
    exponent: Float[Array, ""]


class ResidualStatistics(NamedTuple):
    """How the residuals of neighbouring pixels go together; each a mean over pairs.

    Attributes:
        mean_product: of the residuals of two neighbours in one cluster.
        mean_square: of their own squares.
    """

    mean_product: Float[Array, ""]
    mean_square: Float[Array, ""]


def init_neighbour_prior(radius: int) -> NeighbourPrior:
    """Parameters whose prior is uniform; neighbours up to ``radius`` pixels away are looked at."""
    window_side = 2 * radius + 1
    return NeighbourPrior(jnp.zeros((window_side, window_side)), jnp.zeros(()))


def neighbour_logits(
    neighbour_prior: NeighbourPrior,
    posterior: Float[Array, "b h w k"],
    valid_mask: Bool[Array, "b h w"],
) -> Float[Array, "b h w k"]:
    """Uniform, or what the neighbours say: log pi_i = log softmax_k(a log(q_ik + 0.02)).

    q_i = sum_j w_(j-i) p_j / sum_j w_(j-i).

    j runs over the valid pixels of the window around i, without i. Where there is none, and
    with fresh parameters, pi is uniform.

    Args:
        neighbour_prior: parameters; a = 10 exponent, w = softplus(neighbour_weights).
        posterior: p, of the mixture for each pixel by itself.
        valid_mask: pixels that count as neighbours.
    """
    window_side, num_clusters = len(neighbour_prior.neighbour_weights), posterior.shape[-1]
    # A radius of 0 leaves the prior out; there is nothing to divide by.
    if window_side == 1:
        return jnp.full_like(posterior, -jnp.log(num_clusters))
    weights = jax.nn.softplus(neighbour_prior.neighbour_weights)
    # Weights of valid pixels are summed beside the shares, to divide by.
    valid_weight = valid_mask[..., None].astype(posterior.dtype)
    neighbour_sums = _weighted_sum(
        jnp.concatenate([posterior * valid_weight, valid_weight], -1), weights
    )
    total_weight = neighbour_sums[..., -1:]
    neighbour_shares = neighbour_sums[..., :-1] / jnp.maximum(total_weight, 1e-6)
    logits = EXPONENT_SCALE * neighbour_prior.exponent * jnp.log(neighbour_shares + SHARE_FLOOR)
    # No valid neighbour at all says nothing: uniform, not a share of zero each.
    return jax.nn.log_softmax(jnp.where(total_weight > 0, logits, 0.0))


def negative_pseudo_likelihood(
    log_prior: Float[Array, "*n k"],
    mixture_logits: Float[Array, "*n k"],
    valid_mask: Bool[Array, "*n"] | None = None,
) -> Float[Array, ""]:
    """Mean negative log-likelihood of pixels under the priors of their neighbourhoods, in nats.

    mean_i -log sum_k pi_ik exp(evidence_ik), least where the prior is right about pixels that it
    does not see.

    Args:
        log_prior: rows normalised.
        mixture_logits: log-likelihood of the pixel under each cluster, up to a constant of the
            pixel.
        valid_mask: pixels that count.

    Source: the pseudo-likelihood of Besag 1975, "Statistical Analysis of Non-Lattice Data".
    """
    return -masked_mean(logsumexp(log_prior + mixture_logits, axis=-1), valid_mask)


def init_residual_statistics() -> ResidualStatistics:
    """Nothing known yet."""
    return ResidualStatistics(jnp.zeros(()), jnp.zeros(()))


def residual_statistics(
    z: Float[Array, "b h w d"],
    posterior: Float[Array, "b h w k"],
    centres: Float[Array, "k d"],
    valid_mask: Bool[Array, "b h w"],
) -> ResidualStatistics:
    """Means over pairs of pixels one right or below the other, weighed by sum_k p_ik p_jk."""
    pixel_residual = z - posterior @ centres
    # Pairs count as far as both pixels are in one cluster: between clusters residuals differ
    # anyway.
    valid_posterior = valid_mask[..., None] * posterior

    def pair_sums(one: tuple, other: tuple) -> tuple[Array, Array, Array]:
        pair_weight = (one[1] * other[1]).sum(-1)
        product = (one[0] * other[0]).sum(-1)
        square = (one[0] ** 2 + other[0] ** 2).sum(-1) / 2
        return (pair_weight * product).sum(), (pair_weight * square).sum(), pair_weight.sum()

    across_sums = pair_sums(
        (pixel_residual[:, :, 1:], valid_posterior[:, :, 1:]),
        (pixel_residual[:, :, :-1], valid_posterior[:, :, :-1]),
    )
    down_sums = pair_sums(
        (pixel_residual[:, 1:], valid_posterior[:, 1:]),
        (pixel_residual[:, :-1], valid_posterior[:, :-1]),
    )
    product, square, total_weight = (a + b for a, b in zip(across_sums, down_sums, strict=True))
    total_weight = jnp.maximum(total_weight, 1e-6)
    return ResidualStatistics(product / total_weight, square / total_weight)


def effective_sample_ratio(statistics: ResidualStatistics) -> Float[Array, ""]:
    """What a neighbour adds to what the pixel itself says: ((1 - r) / (1 + r))^2, 0..1.

    r is the correlation of the residuals of neighbours. Where their noise is their own, r is 0
    and each is a witness by itself; where the residuals are texture, shading or mixed materials
    that neighbours share, they repeat what the pixel says: n of them then tell as much as so
    many times n independent ones, as in a field that is a first-order autoregression along
    rows and along columns. 0 before anything is known.

    Source: the effective sample size of Bayley & Hammersley 1946, for both axes of an image.
    """
    # A negative correlation counts as none: a neighbour is never worth more than a pixel of its
    # own.
    residual_correlation = jnp.clip(
        statistics.mean_product / jnp.maximum(statistics.mean_square, 1e-12), 0.0, 1.0
    )
    # Before the first batch nothing is known, and neighbours must not be trusted.
    return jnp.where(
        statistics.mean_square > 0,
        ((1 - residual_correlation) / (1 + residual_correlation)) ** 2,
        0.0,
    )


def _weighted_sum(
    x: Float[Array, "b h w c"], weights: Float[Array, "side side"]
) -> Float[Array, "b h w c"]:
    """Sum over the window around each pixel; zero beyond the edge.

    As shifted images, rows and columns last, which compilers make one loop of; a depthwise
    convolution takes five times as long on CPUs.
    """
    height, width = x.shape[1:3]
    side, radius = len(weights), len(weights) // 2
    margins = (radius, radius)
    padded = jnp.pad(x.transpose(0, 3, 1, 2), ((0, 0), (0, 0), margins, margins))
    shifted = (
        weights[row, column] * padded[:, :, row : row + height, column : column + width]
        for row in range(side)
        for column in range(side)
        if (row, column) != (radius, radius)  # a pixel is no neighbour of itself
    )
    return sum(shifted).transpose(0, 2, 3, 1)
