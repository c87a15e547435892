"""What the neighbours of a pixel say of its cluster, the pixel itself left out.

The mixture speaks of one spectrum at a time. The shares of the clusters among the neighbours make
a prior for the pixel between them, and the two are multiplied. How far neighbours are to be
trusted, and which of them, is learnt by the likelihood of the pixel that they do not see: there
is nothing to gain from merging clusters, and no weight to be set.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float

from jaxhsi.dgc.losses import masked_mean

SHARE_FLOOR = 0.02  # under a share, so that its logarithm is bounded
EXPONENT_SCALE = (
    10.0  # of the exponent: it goes from 0 to about 1, where other parameters move by 0.1
)


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
    side = 2 * radius + 1
    return NeighbourPrior(jnp.zeros((side, side)), jnp.zeros(()))


def neighbour_logits(
    neighbour_prior: NeighbourPrior, posterior: Float[Array, "b h w k"], valid: Bool[Array, "b h w"]
) -> Float[Array, "b h w k"]:
    """Uniform, or what the neighbours say: log pi_i = log softmax_k(a log(q_ik + 0.02)).

    q_i = sum_j w_(j-i) p_j / sum_j w_(j-i).

    j runs over the valid pixels of the window around i, without i. Where there is none, and
    with fresh parameters, pi is uniform.

    Args:
        neighbour_prior: parameters; a = 10 exponent, w = softplus(neighbour_weights).
        posterior: p, of the mixture for each pixel by itself.
        valid: pixels that count as neighbours.
    """
    side, clusters = len(neighbour_prior.neighbour_weights), posterior.shape[-1]
    if side == 1:
        return jnp.full_like(posterior, -jnp.log(clusters))
    weights = jax.nn.softplus(neighbour_prior.neighbour_weights).at[side // 2, side // 2].set(0.0)
    keep = valid[..., None].astype(posterior.dtype)
    seen = _weighted_sum(jnp.concatenate([posterior * keep, keep], -1), weights)
    total = seen[..., -1:]
    share = seen[..., :-1] / jnp.maximum(total, 1e-6)
    logits = EXPONENT_SCALE * neighbour_prior.exponent * jnp.log(share + SHARE_FLOOR)
    return jax.nn.log_softmax(jnp.where(total > 0, logits, 0.0))


def negative_pseudo_likelihood(
    log_prior: Float[Array, "*n k"],
    mixture_logits: Float[Array, "*n k"],
    mask: Bool[Array, "*n"] | None = None,
) -> Float[Array, ""]:
    """Mean negative log-likelihood of pixels under the priors of their neighbourhoods, in nats.

    mean_i -log sum_k pi_ik exp(evidence_ik), least where the prior is right about pixels that it
    does not see.

    Args:
        log_prior: rows normalised.
        mixture_logits: log-likelihood of the pixel under each cluster, up to a constant of the
            pixel.
        mask: pixels that count.

    Source: the pseudo-likelihood of Besag 1975, "Statistical Analysis of Non-Lattice Data".
    """
    return -masked_mean(logsumexp(log_prior + mixture_logits, axis=-1), mask)


def init_residual_statistics() -> ResidualStatistics:
    """Nothing known yet."""
    return ResidualStatistics(jnp.zeros(()), jnp.zeros(()))


def residual_statistics(
    z: Float[Array, "b h w d"],
    posterior: Float[Array, "b h w k"],
    centres: Float[Array, "k d"],
    valid: Bool[Array, "b h w"],
) -> ResidualStatistics:
    """Means over pairs of pixels one right or below the other, weighed by sum_k p_ik p_jk."""
    rest = z - posterior @ centres
    keep = valid[..., None] * posterior

    def pairs(one: tuple, other: tuple) -> tuple[Array, Array, Array]:
        weight = (one[1] * other[1]).sum(-1)
        product = (one[0] * other[0]).sum(-1)
        square = (one[0] ** 2 + other[0] ** 2).sum(-1) / 2
        return (weight * product).sum(), (weight * square).sum(), weight.sum()

    across = pairs((rest[:, :, 1:], keep[:, :, 1:]), (rest[:, :, :-1], keep[:, :, :-1]))
    down = pairs((rest[:, 1:], keep[:, 1:]), (rest[:, :-1], keep[:, :-1]))
    product, square, total = (a + b for a, b in zip(across, down, strict=True))
    total = jnp.maximum(total, 1e-6)
    return ResidualStatistics(product / total, square / total)


def effective_sample_ratio(statistics: ResidualStatistics) -> Float[Array, ""]:
    """What a neighbour adds to what the pixel itself says: ((1 - r) / (1 + r))^2, 0..1.

    r is the correlation of the residuals of neighbours. Where their noise is their own, r is 0
    and each is a witness by itself; where the residuals are texture, shading or mixed materials
    that neighbours share, they repeat what the pixel says: n of them then tell as much as so
    many times n independent ones, as in a field that is a first-order autoregression along
    rows and along columns. 0 before anything is known.

    Source: the effective sample size of Bayley & Hammersley 1946, for both axes of an image.
    """
    r = jnp.clip(statistics.mean_product / jnp.maximum(statistics.mean_square, 1e-12), 0.0, 1.0)
    return jnp.where(statistics.mean_square > 0, ((1 - r) / (1 + r)) ** 2, 0.0)


def _weighted_sum(x: Float[Array, "b h w c"], weights: Float[Array, "side side"]) -> Any:
    """Sum over the window around each pixel; zero beyond the edge."""
    channels = x.shape[-1]
    kernel = jnp.broadcast_to(weights[..., None, None], (*weights.shape, 1, channels))
    return lax.conv_general_dilated(
        x,
        kernel.astype(x.dtype),
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=channels,
        precision=lax.Precision.HIGHEST,
    )
