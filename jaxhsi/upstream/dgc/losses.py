"""Terms of upstream's objective, and what repairs some of them. Docstrings name the defects.

Every term over pixels takes an optional ``valid_mask`` as those of `jaxhsi.dgc.losses` do.

Source: https://github.com/b05611038/HSI_global_clustering, `module/clustering.py`.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxhsi.dgc.losses import EPS, Mask, cross_entropy, masked_mean, mean_usage


def random_balanced_labels(
    key: Key[Array, ""], num_pixels: int, num_clusters: int
) -> Int[Array, " n"]:
    """Labels 0..k-1 of n pixels, n // k of each (the first n % k one more), in random order."""
    # repeat_interleave, then the extras 0, 1, ... at the end: upstream's order before its shuffle.
    balanced_labels = jnp.repeat(
        jnp.arange(num_clusters, dtype=jnp.int32), num_pixels // num_clusters
    )
    labels = jnp.concatenate(
        [balanced_labels, jnp.arange(num_pixels % num_clusters, dtype=jnp.int32)]
    )
    return jax.random.permutation(key, labels)


def uniform_assignment(
    p: Float[Array, "*n k"],
    random_labels: Int[Array, " m"],
    valid_mask: Mask = None,
    eps: float = EPS,
) -> Float[Array, ""]:
    """Cross-entropy against random balanced labels, mean_i -log max(p_i[label_i], eps).

    Defect: the labels know nothing of the image. In expectation this is the cross-entropy of
    every pixel with the uniform distribution, so it rewards undecided pixels and adds noise.

    Args:
        p: soft assignment, (*n, k), m pixels in all.
        random_labels: from `random_balanced_labels`, one per pixel of the flattened ``p``.
        valid_mask: pixels that count, (*n); upstream has none.
        eps: lower bound of a probability; below it there is no gradient.

    Source: `compute_uniform_assignment_loss`.
    """
    # A one-hot product: its gradient is a product too, where a gather's is a slow scatter on CPU.
    label_targets = jax.nn.one_hot(random_labels, p.shape[-1], dtype=p.dtype).reshape(p.shape)
    return cross_entropy(label_targets, jnp.log(jnp.maximum(p, eps)), valid_mask)


def grid_consistency(
    p_a: Float[Array, "*n k"],
    p_b: Float[Array, "*n k"],
    valid_mask: Mask = None,
    eps: float = EPS,
) -> Float[Array, ""]:
    """Symmetric KL divergence of two crops at equal grid positions.

    Defect: the crops have different offsets, rotations and scales, so equal grid positions are
    mostly different points of the scene. `overlap_consistency` compares matched pixels.

    Source: `compute_consistency_loss`.
    """
    return overlap_consistency(p_a, p_b, valid_mask, eps)


def minimised_usage_entropy(p: Float[Array, "*n k"], valid_mask: Mask = None) -> Float[Array, ""]:
    """Entropy of the mean usage, *added* to the loss with a positive weight.

    Defect: minimising this entropy rewards putting every pixel into one cluster, the opposite of
    what its docstring says; it also speaks of one batch, where a single material is legitimate.

    Source: `compute_balance_loss`, weighted +2.0 in `default_argument.py`.
    """
    return usage_entropy(p, valid_mask)


def scrambled_pixels(z: Float[Array, "*b h w d"]) -> Float[Array, "*b h w d"]:
    """Embeddings as upstream hands them to the moving average of the centroids.

    Defect: images (d, h, w) are reshaped to (h * w, d) without moving the channels first. "Pixel"
    i then holds d consecutive pixels of a single channel, and is weighed by the assignment of
    pixel i. So all centroids are pulled towards vectors that say nothing of the clusters, mostly
    towards the one with equal components, and thus towards each other.

    Source: `trainer.py`, `_ema_update_centroids`: ``z1.reshape(N, D)`` of a (b, d, h, w) tensor.
    """
    return jnp.moveaxis(z, -1, -3).reshape(z.shape)


def compactness(
    z: Float[Array, "*n d"],
    p: Float[Array, "*n k"],
    centroids: Float[Array, "k d"],
    valid_mask: Mask = None,
) -> Float[Array, ""]:
    """Expected cosine distance of a pixel to its centroid, in [0, 2].

    mean_i sum_k p_ik max(0, 1 - z_i . c_k), for z and c of unit length.

    Args:
        z: embeddings before the mean-shift, L2-normalised, (*n, d).
        p: soft assignment, rows sum to 1, (*n, k).
        centroids: (k, d).
        valid_mask: pixels that count, (*n).

    Source: `compute_compactness_loss`.
    """
    # Rounding may leave a cosine above 1; a distance is not negative.
    cosine_distance = jnp.maximum(1.0 - z @ centroids.T, 0.0)
    return masked_mean((p * cosine_distance).sum(-1), valid_mask)


def orthogonality(centroids: Float[Array, "k d"]) -> Float[Array, ""]:
    """How far the centroids are from an orthonormal set: ||C C' - I||_F^2, >= 0.

    Source: `compute_orthogonality_loss` (whose docstring leaves
    the diagonal out; its code and this function do not).
    """
    # The diagonal counts too: centroids of unit length have 1 there.
    gram = centroids @ centroids.T
    return jnp.square(gram - jnp.eye(len(centroids), dtype=gram.dtype)).sum()


def usage_entropy(
    p: Float[Array, "*n k"], valid_mask: Mask = None, eps: float = EPS
) -> Float[Array, ""]:
    """Entropy of the mean usage, H = -sum_k u_k log u_k with u = mean_i p_i + eps, in nats.

    log k when all clusters are used equally, about 0 when one holds everything. It is therefore
    to be *maximised* (weight < 0 in a loss that is minimised); upstream minimises it, see
    `minimised_usage_entropy`. Measure it over many patches: a patch of one material
    has low entropy and is right.

    Args:
        p: soft assignment, (*n, k).
        valid_mask: pixels that count, (*n).
        eps: keeps the logarithm finite (not renormalised, as upstream).

    Source: `compute_balance_loss`.
    """
    # Not renormalised after eps, as upstream.
    usage = mean_usage(p, valid_mask) + eps
    return -(usage * jnp.log(usage)).sum()


def assignment_entropy(
    p: Float[Array, "*n k"], valid_mask: Mask = None, eps: float = EPS
) -> Float[Array, ""]:
    """Mean entropy of a pixel's assignment, mean_i -sum_k p_ik log(p_ik + eps), in nats.

    0 for hard labels, log k for undecided ones; minimised, it sharpens the assignment.
    """
    return masked_mean(-(p * jnp.log(p + eps)).sum(-1), valid_mask)


def overlap_consistency(
    p_a: Float[Array, "*n k"], p_b: Float[Array, "*n k"], valid_mask: Mask = None, eps: float = EPS
) -> Float[Array, ""]:
    """Symmetric Kullback-Leibler divergence of two views over the pixels that both of them see.

    mean_i 1/2 (KL(p_i || q_i) + KL(q_i || p_i)) = mean_i 1/2 sum_k (p_ik - q_ik) log(p_ik / q_ik).

    Args:
        p_a: soft assignment in the first view, (*n, k).
        p_b: that of the second view, resampled to the first view's pixel grid, (*n, k).
        valid_mask: pixels whose scene point lies in both views, (*n).
        eps: added to both before the logarithm.

    Source: the repaired form of `compute_consistency_loss`.
    """
    p, q = p_a + eps, p_b + eps
    # Both directions in one product: (p - q) log(p / q).
    divergence = 0.5 * ((p - q) * (jnp.log(p) - jnp.log(q))).sum(-1)
    return masked_mean(divergence, valid_mask)
