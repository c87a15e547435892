"""Terms of upstream's objective kept for parity alone. Each docstring names its defect.

Source: https://github.com/b05611038/HSI_global_clustering, `module/clustering.py`.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxhsi.dgc import losses


def random_balanced_labels(key: Key[Array, ""], n: int, k: int) -> Int[Array, " n"]:
    """Labels 0..k-1 of n pixels, n // k of each (the first n % k one more), in random order."""
    # repeat_interleave, then the extras 0, 1, ... at the end: upstream's order before its shuffle.
    base = jnp.repeat(jnp.arange(k, dtype=jnp.int32), n // k)
    labels = jnp.concatenate([base, jnp.arange(n % k, dtype=jnp.int32)])
    return jax.random.permutation(key, labels)


def uniform_assignment(
    p: Float[Array, "*n k"],
    labels: Int[Array, " m"],
    mask: losses.Mask = None,
    eps: float = losses.EPS,
) -> Float[Array, ""]:
    """Cross-entropy against random balanced labels, mean_i -log max(p_i[label_i], eps).

    Defect: the labels know nothing of the image. In expectation this is the cross-entropy of
    every pixel with the uniform distribution, so it rewards undecided pixels and adds noise.

    Args:
        p: soft assignment, (*n, k), m pixels in all.
        labels: from `random_balanced_labels`, one per pixel of the flattened ``p``.
        mask: pixels that count, (*n); upstream has none.
        eps: lower bound of a probability; below it there is no gradient.

    Source: `compute_uniform_assignment_loss`.
    """
    # A one-hot product: its gradient is a product too, where a gather's is a slow scatter on CPU.
    chosen = jax.nn.one_hot(labels, p.shape[-1], dtype=p.dtype).reshape(p.shape)
    return losses.cross_entropy(chosen, jnp.log(jnp.maximum(p, eps)), mask)


def grid_consistency(
    p_a: Float[Array, "*n k"],
    p_b: Float[Array, "*n k"],
    mask: losses.Mask = None,
    eps: float = losses.EPS,
) -> Float[Array, ""]:
    """Symmetric KL divergence of two crops at equal grid positions.

    Defect: the crops have different offsets, rotations and scales, so equal grid positions are
    mostly different points of the scene. `losses.overlap_consistency` compares matched pixels.

    Source: `compute_consistency_loss`.
    """
    return losses.overlap_consistency(p_a, p_b, mask, eps)


def minimised_usage_entropy(p: Float[Array, "*n k"], mask: losses.Mask = None) -> Float[Array, ""]:
    """Entropy of the mean usage, *added* to the loss with a positive weight.

    Defect: minimising this entropy rewards putting every pixel into one cluster, the opposite of
    what its docstring says; it also speaks of one batch, where a single material is legitimate.

    Source: `compute_balance_loss`, weighted +2.0 in `default_argument.py`.
    """
    return losses.usage_entropy(p, mask)


def scrambled_pixels(z: Float[Array, "*b h w d"]) -> Float[Array, "*b h w d"]:
    """Embeddings as upstream hands them to the moving average of the centroids.

    Defect: images (d, h, w) are reshaped to (h * w, d) without moving the channels first. "Pixel"
    i then holds d consecutive pixels of a single channel, and is weighed by the assignment of
    pixel i. So all centroids are pulled towards vectors that say nothing of the clusters, mostly
    towards the one with equal components, and thus towards each other.

    Source: `trainer.py`, `_ema_update_centroids`: ``z1.reshape(N, D)`` of a (b, d, h, w) tensor.
    """
    return jnp.moveaxis(z, -1, -3).reshape(z.shape)
