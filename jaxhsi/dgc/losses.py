"""Loss terms of Deep Global Clustering: one pure function each, every one returns ().

Every term over pixels takes an optional ``mask``: pixels whose mask is 0 leave both the sum and the
count, and a term over no pixel at all is 0 with zero gradient. A float mask weighs the pixels.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

EPS = 1e-6
"""Added to probabilities before a logarithm, as upstream does."""

Mask = Bool[Array, "*n"] | Float[Array, "*n"] | None


def masked_mean(values: Float[Array, "*n"], mask: Mask = None) -> Float[Array, ""]:
    """Mean of ``values`` over the pixels of ``mask``; 0 where no pixel is left.

    sum_i m_i v_i / sum_i m_i.

    Args:
        values: one number per pixel, (*n).
        mask: weight >= 0 (or true/false) per pixel, (*n); None counts all of them.
    """
    if mask is None:
        return values.mean()
    weight = mask.astype(values.dtype)
    total = weight.sum()
    # where, not a product: what is computed at an invalid pixel may be infinite.
    kept = jnp.where(weight > 0, values, 0) * weight
    return kept.sum() / jnp.where(total > 0, total, 1)


def mean_usage(p: Float[Array, "*n k"], mask: Mask = None) -> Float[Array, " k"]:
    """Share of the pixels that each cluster holds, bar p_k = mean_i p_ik, (k,), sums to 1."""
    flat = p.reshape(-1, p.shape[-1])
    if mask is None:
        return flat.mean(0)
    weight = mask.reshape(-1, 1).astype(p.dtype)
    total = weight.sum()
    kept = jnp.where(weight > 0, flat, 0) * weight
    return kept.sum(0) / jnp.where(total > 0, total, 1)


def cross_entropy(
    target: Float[Array, "*n k"], log_p: Float[Array, "*n k"], mask: Mask = None
) -> Float[Array, ""]:
    """Mean cross-entropy -sum_k t_ik log p_ik of predictions against soft targets, in nats.

    Args:
        target: rows sum to 1, no gradient is stopped here, (*n, k).
        log_p: logarithms of the predicted probabilities, (*n, k).
        mask: pixels that count, (*n).
    """
    return masked_mean(-(target * log_p).sum(-1), mask)
