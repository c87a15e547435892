"""What the neighbourhood of a pixel says of its cluster, the pixel itself left out.

The mixture speaks of one spectrum at a time. Its posterior over the neighbours is turned into a
prior for the pixel between them, and the two are multiplied. The network that does so is trained
by the likelihood of the pixel it does not see: it has nothing to gain from merging clusters, from
smoothing over thin structures, or from trusting neighbours that do not predict.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float, Key

from jaxhsi.dgc.losses import masked_mean
from jaxhsi.functional import Params, functional

FLOOR = 0.02  # under a share, so that its logarithm is bounded
SPEED = 10.0  # of the exponent: it has to go from 0 to about 1 in the steps that the rest needs


class Context(NamedTuple):
    """The prior of a pixel as a pair of pure functions.

    Attributes:
        init: ``init(key) -> params``.
        apply: ``apply(params, posterior (b, h, w, k), valid (b, h, w)) -> log prior (b, h, w, k)``,
            rows normalised; uniform with fresh parameters.
        halo: how far it looks, in pixels.
    """

    init: Callable[[Key[Array, ""]], Params]
    apply: Callable[..., Float[Array, "b h w k"]]
    halo: int


class Neighbourhood(nnx.Module):
    """log pi_i = log softmax(a log(q_i + 0.02) + bias + network_i), over the window around i.

    q_i = sum_j w_(j-i) p_j / sum_j w_(j-i) is the share of each cluster among the valid
    neighbours, with learnt weights w > 0; ``network`` is one convolution between two layers of
    the pixel. The centre of window and convolution is zero. a and the last layer start at zero,
    and so the prior is uniform.
    """

    def __init__(self, clusters: int, radius: int, hidden: int, dtype: Any, rngs: nnx.Rngs):
        side = 2 * radius + 1
        self.clusters, self.dtype = clusters, dtype
        self.seen = jnp.ones((side, side, 1, 1)).at[radius, radius].set(0.0)
        self.near = nnx.Param(jnp.zeros((side, side, 1, 1)))
        self.exponent = nnx.Param(jnp.zeros(()))
        self.enter = nnx.Linear(clusters, hidden, dtype=dtype, rngs=rngs)
        scale = (2 / (hidden * side**2)) ** 0.5
        self.mix = nnx.Param(scale * jax.random.normal(rngs.params(), (side, side, hidden, hidden)))
        self.leave = nnx.Linear(
            hidden, clusters, kernel_init=nnx.initializers.zeros, dtype=dtype, rngs=rngs
        )

    def __call__(
        self, posterior: Float[Array, "b h w k"], valid: Bool[Array, "b h w"]
    ) -> Float[Array, "b h w k"]:
        keep = valid[..., None].astype(posterior.dtype)
        known = posterior * keep
        weights = jax.nn.softplus(self.near[...]) * self.seen
        total = _convolve(keep, weights)
        share = _convolve(known, jnp.tile(weights, self.clusters), groups=self.clusters)
        share = share / jnp.maximum(total, FLOOR)
        hidden = nnx.gelu(self.enter(known)) * keep
        mixed = _convolve(hidden.astype(self.dtype), (self.mix[...] * self.seen).astype(self.dtype))
        logits = SPEED * self.exponent[...] * jnp.log(share + FLOOR)
        logits = logits + self.leave(nnx.gelu(mixed)).astype(logits.dtype)
        # With no neighbour at all there is nothing to be told by.
        return jax.nn.log_softmax(jnp.where(total > 0, logits, 0.0))


def context(
    clusters: int, *, radius: int = 2, hidden: int = 24, dtype: Any = jnp.float32
) -> Context:
    """The default prior; see :class:`Neighbourhood`.

    Args:
        clusters: number of clusters k.
        radius: of the window, in pixels.
        hidden: width of the network.
        dtype: of the products, e.g. ``jnp.bfloat16``; parameters and logits stay float32.
    """
    init, apply = functional(lambda rngs: Neighbourhood(clusters, radius, hidden, dtype, rngs))
    return Context(init, apply, radius)


def surprise(
    log_prior: Float[Array, "*n k"],
    evidence: Float[Array, "*n k"],
    mask: Bool[Array, "*n"] | None = None,
) -> Float[Array, ""]:
    """Mean negative log-likelihood of pixels under the priors of their neighbourhoods, in nats.

    mean_i -log sum_k pi_ik exp(evidence_ik): a pseudo-likelihood (Besag 1975), which is highest
    where the prior is right about the pixels that it does not see.

    Args:
        log_prior: rows normalised.
        evidence: log-likelihood of the pixel under each cluster, up to a constant of the pixel.
        mask: pixels that count.
    """
    return -masked_mean(logsumexp(log_prior + evidence, axis=-1), mask)


def _convolve(x: Array, kernel: Array, groups: int = 1) -> Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )
