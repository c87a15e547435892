"""Balancing, between the terms of a loss and its gradient: weights of terms, prices of clusters.

A balance looks at the terms and at the running usage of the clusters over many batches, and says
what each term weighs and what a pixel is paid for joining each cluster. The loss is then

    sum_i w_i L_i - mean_j log sum_k p_jk exp(price_k),

with no gradient through weights and prices. Constraints are on the *global* usage: a batch that
shows one material alone is right to use one cluster, and only clusters that nothing belongs to
over many batches get a price.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxhsi.dgc.losses import EPS, Mask, masked_mean, mean_usage

MIN_USAGE = 1e-15
MAX_BONUS = -math.log(MIN_USAGE)
"""In nats: a pixel that gives a cluster 1e-15 is then asked to give it half. A soft assignment of
temperature 0.05 goes as low; a lower bound would leave dead clusters where they are."""

TermWeights = Sequence[float] | Float[Array, " m"]


class BalanceWeights(NamedTuple):
    """What a balance says.

    Attributes:
        term_weights: weight of each loss term.
        cluster_bonuses: of each cluster, in nats; None where no constraint is kept.
    """

    term_weights: TermWeights
    cluster_bonuses: Float[Array, " k"] | None = None


class Balance(NamedTuple):
    """Pure functions of the terms of a loss, (m,), and the running usage of the clusters, (k,).

    Attributes:
        init: ``init(terms, usage) -> state``, from their shapes alone.
        weights: ``weights(state, terms, usage) -> BalanceWeights``.
        update: ``update(state, before, after, usage) -> state`` from the terms of the same batch
            before and after a step, and the running usage after it.
    """

    init: Callable[[Array, Array], Any]
    weights: Callable[[Any, Array, Array], BalanceWeights]
    update: Callable[[Any, Array, Array, Array], Any]


@dataclass(frozen=True)
class BalanceOptions:
    """How the terms of the loss are balanced.

    Attributes:
        kind: `fixed`, `share_floor`, `entropy_floor`, `uncertainty` or `famo`.
        min_share: smallest share of all pixels that a cluster may fall to; the entropy floor is
            what the entropy would be with all clusters but one at that share.
        averaging_batches: batches that the usage is averaged over, and that a price or weight
            takes to
            follow.
    """

    kind: Literal["fixed", "share_floor", "entropy_floor", "uncertainty", "famo"] = "fixed"
    min_share: float = 0.01
    averaging_batches: int = 50

    def __post_init__(self):
        """Refuse numbers without meaning."""
        if not 0 < self.min_share < 1:
            raise ValueError(
                f"--prototype.balance.min_share {self.min_share} is no share of the pixels; give "
                "a number above 0 and below 1 / num_clusters"
            )
        if self.averaging_batches < 1:
            raise ValueError(
                f"--prototype.balance.averaging_batches {self.averaging_batches} is no "
                "number of batches; give 1 or more"
            )


def build_balance(options: BalanceOptions, weights: Sequence[float], num_clusters: int) -> Balance:
    """The balance that options describe.

    Args:
        options: of it.
        weights: of the terms; uncertainty weighting and FAMO find their own.
        num_clusters: number of clusters k.

    Raises:
        ValueError: clusters cannot all have the least share.
    """
    if options.kind.endswith("floor") and num_clusters * options.min_share > 1:
        raise ValueError(
            f"{num_clusters} clusters cannot hold {options.min_share} of the pixels each; lower "
            f"--prototype.balance.min_share to at most {1 / num_clusters:.3g}"
        )
    if options.kind == "share_floor":
        return share_floor(weights, options.min_share, options.averaging_batches)
    if options.kind == "entropy_floor":
        least = floor_entropy(options.min_share, num_clusters)
        return entropy_floor(weights, least, options.averaging_batches)
    if options.kind == "uncertainty":
        return uncertainty_weights(1 / options.averaging_batches)
    if options.kind == "famo":
        return famo_weights(1 / options.averaging_batches)
    return fixed_weights(weights)


# What a method does with it --------------------------------------------------------------------


def balanced_loss(
    balance_weights: BalanceWeights,
    terms: Sequence[Array],
    probabilities: Float[Array, "*n k"],
    mask: Mask = None,
) -> Float[Array, ""]:
    """The loss: terms by their weights, and the price of the batch's assignment.

    Args:
        balance_weights: from a balance; no gradient goes through it.
        terms: of the loss, as many as there are weights.
        probabilities: soft assignment of the batch, (*n, k).
        mask: pixels that count, (*n).
    """
    balance_weights = jax.lax.stop_gradient(balance_weights)
    total = jnp.asarray(
        sum(w * t for w, t in zip(balance_weights.term_weights, terms, strict=True)), jnp.float32
    )
    return (
        total
        if balance_weights.cluster_bonuses is None
        else total + assignment_bonus_loss(probabilities, balance_weights.cluster_bonuses, mask)
    )


def assignment_bonus_loss(
    probabilities: Float[Array, "*n k"], cluster_bonuses: Float[Array, " k"], mask: Mask = None
) -> Float[Array, ""]:
    """Minus what pixels are paid for their clusters, -mean_i log sum_k p_ik exp(price_k) <= 0.

    Small prices make it -sum_k u_k price_k, u the usage of the batch: the Lagrangian of a
    constraint on usage. Its gradient by the logits of p is p - q with q_ik proportional to
    p_ik exp(price_k), a cross-entropy against the paid assignment. So it stays below 1 however
    high a price has risen, and does not vanish where p_ik is tiny, as that of the product would.

    Args:
        probabilities: soft assignment, (*n, k).
        cluster_bonuses: of the clusters, at least 0, in nats, (k,).
        mask: pixels that count, (*n).
    """
    return masked_mean(-jnp.log(probabilities @ jnp.exp(cluster_bonuses)), mask)


def update_running_usage(
    usage: Float[Array, " k"],
    probabilities: Float[Array, "*n k"],
    step: Int[Array, ""],
    averaging_batches: int,
    mask: Bool[Array, "*n"] | None = None,
) -> Float[Array, " k"]:
    """Running mean of the usage: of all batches at first, then of the last ``averaging_batches``.

    u <- u + r (mean_i p_i - u), r = max(1 / horizon, 1 / (step + 1)); a batch without any pixel
    leaves it as it is.
    """
    rate = jnp.maximum(1 / averaging_batches, 1 / (step + 1.0))
    if mask is not None:
        rate = jnp.where(mask.any(), rate, 0.0)
    return usage + rate * (mean_usage(probabilities, mask) - usage)


# Balances --------------------------------------------------------------------------------------


def fixed_weights(weights: Sequence[float]) -> Balance:
    """The same weights throughout."""
    return Balance(
        lambda terms, usage: (),
        lambda state, terms, usage: BalanceWeights(tuple(weights)),
        lambda state, before, after, usage: state,
    )


def share_floor(weights: Sequence[float], min_share: float, averaging_batches: int) -> Balance:
    """Fixed weights under the constraints u_k >= m for every cluster, by dual ascent.

    The constraint is log u_k >= log m. With the shortfall v_k = log(m / u_k) of the running usage,
    one dual variable a cluster follows a_k <- clip(a_k + min(v_k, 1) / horizon, 0, highest), and
    the price is clip(a_k + v_k, 0, highest): that of the augmented Lagrangian, whose second part
    damps the oscillation of the first (Stooke, Achiam & Abbeel 2020). The second part alone,
    exp(price_k) = m / u_k, lifts a cluster back to the share m exactly; so the first need not grow
    by more than a nat in a horizon, which would take as long to unwind.

    Args:
        weights: of the terms.
        min_share: m, smallest share of all pixels that a cluster may fall to.
        averaging_batches: batches that a price takes to follow.
    """

    def shortfall(usage: Array) -> Array:
        return jnp.log(min_share / jnp.maximum(usage, MIN_USAGE))

    def weigh(duals: Array, terms: Array, usage: Array) -> BalanceWeights:
        return BalanceWeights(tuple(weights), _within(duals + shortfall(usage)))

    def update(duals: Array, before: Array, after: Array, usage: Array) -> Array:
        return _within(duals + jnp.minimum(shortfall(usage), 1) / averaging_batches)

    return Balance(lambda terms, usage: jnp.zeros_like(usage), weigh, update)


def entropy_floor(weights: Sequence[float], min_entropy: float, averaging_batches: int) -> Balance:
    """Fixed weights under the one constraint H(u) >= H_min on the running usage, by dual ascent.

    With v = H_min - H(u): mu <- clip(mu + v / horizon, 0, highest). Since dH / du_k is -log u_k
    but for a constant, cluster k has the price clip(mu + v, 0, highest) times -log u_k; at
    mu + v = 1 the paid assignment is that with the usage divided out, as if all clusters were
    equally frequent (Menon et al. 2021).

    Args:
        weights: of the terms.
        min_entropy: H_min in nats, e.g. from `floor_entropy`.
        averaging_batches: batches that the multiplier takes to follow.
    """

    def shortfall(usage: Array) -> Array:
        usage = jnp.maximum(usage, MIN_USAGE)
        return min_entropy + (usage * jnp.log(usage)).sum()

    def weigh(dual: Array, terms: Array, usage: Array) -> BalanceWeights:
        multiplier = _within(dual + shortfall(usage))
        return BalanceWeights(
            tuple(weights), _within(-multiplier * jnp.log(jnp.maximum(usage, MIN_USAGE)))
        )

    def update(dual: Array, before: Array, after: Array, usage: Array) -> Array:
        return _within(dual + shortfall(usage) / averaging_batches)

    return Balance(lambda terms, usage: jnp.zeros(()), weigh, update)


def floor_entropy(min_share: float, num_clusters: int) -> float:
    """Entropy in nats of a usage where all clusters but one are at the share ``min_share``."""
    most = 1 - (num_clusters - 1) * min_share
    return -(num_clusters - 1) * min_share * math.log(min_share) - most * math.log(most)


def uncertainty_weights(rate: float) -> Balance:
    """Terms weighted by their own scale, learnt as a log-variance (Kendall, Gal & Cipolla 2018).

    Minimises sum_i (exp(-s_i) L_i + s_i) / 2 over s too, by gradient steps of ``rate`` from s = 0.
    The optimum is s_i = log L_i, the weight then 1 / (2 L_i): a term that is solved, such as the
    consistency of a collapsed clustering, weighs the more.

    Args:
        rate: of the steps of s.
    """

    def weigh(s: Array, terms: Array, usage: Array) -> BalanceWeights:
        return BalanceWeights(jnp.exp(-s) / 2)

    def update(s: Array, before: Array, after: Array, usage: Array) -> Array:
        return jnp.clip(s - rate * (1 - jnp.exp(-s) * before) / 2, math.log(EPS), -math.log(EPS))

    return Balance(lambda terms, usage: jnp.zeros_like(terms), weigh, update)


def famo_weights(rate: float, decay: float = 1e-3) -> Balance:
    """Every term made to fall at the same relative speed (Liu, Feng, Stone & Liu, NeurIPS 2023).

    With z = softmax(x) the weights are w_i = c z_i / L_i, c so that they sum to 1; then
    x <- x - rate (J'd + decay x), d_i = log L_i(before) - log L_i(after), J = dz / dx: a term that
    fell more than the others weighs less.

    Args:
        rate: of the steps of x, 0.025 in the paper's code.
        decay: of x, 0.001 in the paper.
    """

    def log(terms: Array) -> Array:
        return jnp.log(jnp.maximum(terms, EPS))

    def weigh(x: Array, terms: Array, usage: Array) -> BalanceWeights:
        return BalanceWeights(jax.nn.softmax(x - log(terms)))

    def update(x: Array, before: Array, after: Array, usage: Array) -> Array:
        slope = jax.vjp(jax.nn.softmax, x)[1](log(before) - log(after))[0]
        return x - rate * (slope + decay * x)

    return Balance(lambda terms, usage: jnp.zeros_like(terms), weigh, update)


def _within(x: Array) -> Array:
    return jnp.clip(x, 0.0, MAX_BONUS)
