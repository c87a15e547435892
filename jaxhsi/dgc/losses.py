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


def compactness(
    z: Float[Array, "*n d"],
    p: Float[Array, "*n k"],
    centroids: Float[Array, "k d"],
    mask: Mask = None,
) -> Float[Array, ""]:
    """Expected cosine distance of a pixel to its centroid, in [0, 2].

    mean_i sum_k p_ik max(0, 1 - z_i . c_k), for z and c of unit length.

    Args:
        z: embeddings before the mean-shift, L2-normalised, (*n, d).
        p: soft assignment, rows sum to 1, (*n, k).
        centroids: (k, d).
        mask: pixels that count, (*n).

    Source: upstream `module/clustering.py`, `compute_compactness_loss`.
    """
    distance = jnp.maximum(1.0 - z @ centroids.T, 0.0)
    return masked_mean((p * distance).sum(-1), mask)


def orthogonality(centroids: Float[Array, "k d"]) -> Float[Array, ""]:
    """How far the centroids are from an orthonormal set: ||C C' - I||_F^2, >= 0.

    Source: upstream `module/clustering.py`, `compute_orthogonality_loss` (whose docstring leaves
    the diagonal out; its code and this function do not).
    """
    gram = centroids @ centroids.T
    return jnp.square(gram - jnp.eye(len(centroids), dtype=gram.dtype)).sum()


def usage_entropy(p: Float[Array, "*n k"], mask: Mask = None, eps: float = EPS) -> Float[Array, ""]:
    """Entropy of the mean usage, H = -sum_k u_k log u_k with u = mean_i p_i + eps, in nats.

    log k when all clusters are used equally, about 0 when one holds everything. It is therefore
    to be *maximised* (weight < 0 in a loss that is minimised); upstream minimises it, see
    `jaxhsi.upstream.dgc.losses.minimised_balance`. Measure it over many patches: a patch of one material
    has low entropy and is right.

    Args:
        p: soft assignment, (*n, k).
        mask: pixels that count, (*n).
        eps: keeps the logarithm finite (not renormalised, as upstream).

    Source: upstream `module/clustering.py`, `compute_balance_loss`.
    """
    usage = mean_usage(p, mask) + eps
    return -(usage * jnp.log(usage)).sum()


def assignment_entropy(
    p: Float[Array, "*n k"], mask: Mask = None, eps: float = EPS
) -> Float[Array, ""]:
    """Mean entropy of a pixel's assignment, mean_i -sum_k p_ik log(p_ik + eps), in nats.

    0 for hard labels, log k for undecided ones; minimised, it sharpens the assignment.
    """
    return masked_mean(-(p * jnp.log(p + eps)).sum(-1), mask)


def overlap_consistency(
    p_a: Float[Array, "*n k"], p_b: Float[Array, "*n k"], mask: Mask = None, eps: float = EPS
) -> Float[Array, ""]:
    """Symmetric Kullback-Leibler divergence of two views over the pixels that both of them see.

    mean_i 1/2 (KL(p_i || q_i) + KL(q_i || p_i)) = mean_i 1/2 sum_k (p_ik - q_ik) log(p_ik / q_ik).

    Args:
        p_a: soft assignment in the first view, (*n, k).
        p_b: that of the second view, resampled to the first view's pixel grid, (*n, k).
        mask: pixels whose scene point lies in both views, (*n).
        eps: added to both before the logarithm.

    Source: the repaired form of upstream `module/clustering.py`, `compute_consistency_loss`.
    """
    p, q = p_a + eps, p_b + eps
    divergence = 0.5 * ((p - q) * (jnp.log(p) - jnp.log(q))).sum(-1)
    return masked_mean(divergence, mask)


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
