"""Balancing, between the terms of a loss and its gradient: weights of terms, prices of clusters.

A balance looks at the terms and at the running usage of the clusters over many batches, and says
what each term weighs and what a pixel is paid for joining each cluster. The loss is then

    sum_i w_i L_i - mean_j log sum_k p_jk exp(price_k),

with no gradient through weights and prices. Constraints are on the *global* usage: a batch that
shows one material alone is right to use one cluster, and only clusters that nothing belongs to
over many batches get a price. The rules themselves are in `balance_rules`.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxhsi.dgc.losses import Mask, masked_mean, mean_usage
from jaxhsi.upstream.dgc.balance_rules import (
    Balance,
    BalanceWeights,
    entropy_floor,
    famo_weights,
    fixed_weights,
    floor_entropy,
    share_floor,
    uncertainty_weights,
)
from jaxhsi.upstream.dgc.options import BalanceOptions


def build_balance(
    options: BalanceOptions, term_weights: Sequence[float], num_clusters: int
) -> Balance:
    """The balance that options describe.

    Args:
        options: of it.
        term_weights: of the terms; uncertainty weighting and FAMO find their own.
        num_clusters: number of clusters k.

    Raises:
        ValueError: clusters cannot all have the least share.
    """
    # Shares add up to 1, so that the floors of all clusters must fit in.
    if options.kind.endswith("floor") and num_clusters * options.min_share > 1:
        raise ValueError(
            f"{num_clusters} clusters cannot hold {options.min_share} of the pixels each; lower "
            f"balance.min_share to at most {1 / num_clusters:.3g}"
        )
    if options.kind == "share_floor":
        return share_floor(term_weights, options.min_share, options.averaging_batches)
    if options.kind == "entropy_floor":
        min_entropy = floor_entropy(options.min_share, num_clusters)
        return entropy_floor(term_weights, min_entropy, options.averaging_batches)
    if options.kind == "uncertainty":
        return uncertainty_weights(1 / options.averaging_batches)
    if options.kind == "famo":
        return famo_weights(1 / options.averaging_batches)
    return fixed_weights(term_weights)


# What a method does with it --------------------------------------------------------------------


def balanced_loss(
    balance_weights: BalanceWeights,
    loss_terms: Sequence[Array],
    probabilities: Float[Array, "*n k"],
    valid_mask: Mask = None,
) -> Float[Array, ""]:
    """The loss: terms by their weights, and the price of the batch's assignment.

    Args:
        balance_weights: from a balance; no gradient goes through it.
        loss_terms: of the loss, as many as there are weights.
        probabilities: soft assignment of the batch, (*n, k).
        valid_mask: pixels that count, (*n).
    """
    # Otherwise the loss could be lowered by changing its weights.
    balance_weights = jax.lax.stop_gradient(balance_weights)
    weighted_sum = jnp.asarray(
        sum(w * t for w, t in zip(balance_weights.term_weights, loss_terms, strict=True)),
        jnp.float32,
    )
    return (
        weighted_sum
        if balance_weights.cluster_bonuses is None
        else weighted_sum
        + assignment_bonus_loss(probabilities, balance_weights.cluster_bonuses, valid_mask)
    )


def assignment_bonus_loss(
    probabilities: Float[Array, "*n k"],
    cluster_bonuses: Float[Array, " k"],
    valid_mask: Mask = None,
) -> Float[Array, ""]:
    """Minus what pixels are paid for their clusters, -mean_i log sum_k p_ik exp(price_k) <= 0.

    Small prices make it -sum_k u_k price_k, u the usage of the batch: the Lagrangian of a
    constraint on usage. Its gradient by the logits of p is p - q with q_ik proportional to
    p_ik exp(price_k), a cross-entropy against the paid assignment. So it stays below 1 however
    high a price has risen, and does not vanish where p_ik is tiny, as that of the product would.

    Args:
        probabilities: soft assignment, (*n, k).
        cluster_bonuses: of the clusters, at least 0, in nats, (k,).
        valid_mask: pixels that count, (*n).
    """
    return masked_mean(-jnp.log(probabilities @ jnp.exp(cluster_bonuses)), valid_mask)


def update_running_usage(
    cluster_usage: Float[Array, " k"],
    probabilities: Float[Array, "*n k"],
    step: Int[Array, ""],
    averaging_batches: int,
    valid_mask: Bool[Array, "*n"] | None = None,
) -> Float[Array, " k"]:
    """Running mean of the usage: of all batches at first, then of the last ``averaging_batches``.

    u <- u + r (mean_i p_i - u), r = max(1 / horizon, 1 / (step + 1)); a batch without any pixel
    leaves it as it is.
    """
    # A plain mean at first: the start of the average would otherwise last for a horizon.
    averaging_rate = jnp.maximum(1 / averaging_batches, 1 / (step + 1.0))
    if valid_mask is not None:
        averaging_rate = jnp.where(valid_mask.any(), averaging_rate, 0.0)
    return cluster_usage + averaging_rate * (mean_usage(probabilities, valid_mask) - cluster_usage)
