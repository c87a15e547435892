"""Loss terms of Deep Global Clustering: one pure function each, every one returns ().

Every term over pixels takes an optional ``valid_mask``: pixels whose mask is 0 leave both the sum
and the count, and a term over no pixel at all is 0 with zero gradient. A float mask weighs the
pixels.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

EPS = 1e-6
"""Added to probabilities before a logarithm: value of the PyTorch code, `module/clustering.py`."""

Mask = Bool[Array, "*n"] | Float[Array, "*n"] | None


def masked_mean(pixel_values: Float[Array, "*n"], valid_mask: Mask = None) -> Float[Array, ""]:
    """Mean of ``pixel_values`` over the pixels of ``valid_mask``; 0 where no pixel is left.

    sum_i m_i v_i / sum_i m_i.

    Args:
        pixel_values: one number per pixel, (*n).
        valid_mask: weight >= 0 (or true/false) per pixel, (*n); None counts all of them.
    """
    if valid_mask is None:
        return pixel_values.mean()
    pixel_weight = valid_mask.astype(pixel_values.dtype)
    total_weight = pixel_weight.sum()
    # where, not a product: what is computed at an invalid pixel may be infinite.
    masked_values = jnp.where(pixel_weight > 0, pixel_values, 0) * pixel_weight
    return masked_values.sum() / jnp.where(total_weight > 0, total_weight, 1)


def mean_usage(probabilities: Float[Array, "*n k"], valid_mask: Mask = None) -> Float[Array, " k"]:
    """Share of the pixels that each cluster holds, bar p_k = mean_i p_ik, (k,), sums to 1."""
    flat = probabilities.reshape(-1, probabilities.shape[-1])
    if valid_mask is None:
        return flat.mean(0)
    pixel_weight = valid_mask.reshape(-1, 1).astype(probabilities.dtype)
    total_weight = pixel_weight.sum()
    masked_rows = jnp.where(pixel_weight > 0, flat, 0) * pixel_weight
    return masked_rows.sum(0) / jnp.where(total_weight > 0, total_weight, 1)


def cross_entropy(
    target: Float[Array, "*n k"], log_p: Float[Array, "*n k"], valid_mask: Mask = None
) -> Float[Array, ""]:
    """Mean cross-entropy -sum_k t_ik log p_ik of predictions against soft targets, in nats.

    Args:
        target: rows sum to 1, no gradient is stopped here, (*n, k).
        log_p: logarithms of the predicted probabilities, (*n, k).
        valid_mask: pixels that count, (*n).
    """
    return masked_mean(-(target * log_p).sum(-1), valid_mask)
