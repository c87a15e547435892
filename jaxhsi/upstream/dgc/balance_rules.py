"""Rules that balance the terms of a loss: fixed weights, floors on the usage, learnt weights.

A rule is a `Balance`: functions of this module with their options bound. Floors keep the usage of
the clusters up by dual ascent; uncertainty weighting and FAMO learn the weights of the terms.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxhsi.dgc.losses import EPS

MIN_USAGE = 1e-15
"""Least usage under a logarithm. Chosen by hand, with the largest bonus that follows from it."""
MAX_BONUS = -math.log(MIN_USAGE)
"""In nats: a pixel that gives a cluster 1e-15 is then asked to give it half. A soft assignment of
temperature 0.05 goes as low; a lower bound would leave dead clusters where they are."""

TermWeights = Sequence[float] | Float[Array, " m"]
ClusterUsage = Float[Array, " k"]
LossValues = Float[Array, " m"]


class BalanceWeights(NamedTuple):
    """What a balance says.

    Attributes:
        term_weights: weight of each loss term.
        cluster_bonuses: of each cluster, in nats; None where no constraint is kept.
    """

    term_weights: TermWeights
    cluster_bonuses: ClusterUsage | None = None


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


# Fixed weights ---------------------------------------------------------------------------------


def fixed_weights(term_weights: Sequence[float]) -> Balance:
    """The same weights throughout."""
    return Balance(_no_state, partial(_fixed_weigh, tuple(term_weights)), _unchanged_state)


def _no_state(loss_terms: LossValues, cluster_usage: ClusterUsage) -> tuple:
    return ()


def _fixed_weigh(
    term_weights: tuple[float, ...],
    balance_state: tuple,
    loss_terms: LossValues,
    cluster_usage: ClusterUsage,
) -> BalanceWeights:
    return BalanceWeights(term_weights)


def _unchanged_state(
    balance_state: tuple,
    terms_before: LossValues,
    terms_after: LossValues,
    cluster_usage: ClusterUsage,
) -> tuple:
    return balance_state


# Floors on the usage ---------------------------------------------------------------------------


def share_floor(term_weights: Sequence[float], min_share: float, averaging_batches: int) -> Balance:
    """Fixed weights under the constraints u_k >= m for every cluster, by dual ascent.

    The constraint is log u_k >= log m. With the shortfall v_k = log(m / u_k) of the running usage,
    one dual variable a cluster follows a_k <- clip(a_k + min(v_k, 1) / horizon, 0, highest), and
    the price is clip(a_k + v_k, 0, highest): that of the augmented Lagrangian, whose second part
    damps the oscillation of the first (Stooke, Achiam & Abbeel 2020). The second part alone,
    exp(price_k) = m / u_k, lifts a cluster back to the share m exactly; so the first need not grow
    by more than a nat in a horizon, which would take as long to unwind.

    Args:
        term_weights: of the terms.
        min_share: m, smallest share of all pixels that a cluster may fall to.
        averaging_batches: batches that a price takes to follow.
    """
    return Balance(
        _zero_duals,
        partial(_share_floor_weigh, tuple(term_weights), min_share),
        partial(_share_floor_update, min_share, averaging_batches),
    )


def _zero_duals(loss_terms: LossValues, cluster_usage: ClusterUsage) -> Array:
    return jnp.zeros_like(cluster_usage)


def _share_shortfall(min_share: float, cluster_usage: ClusterUsage) -> Array:
    return jnp.log(min_share / jnp.maximum(cluster_usage, MIN_USAGE))


def _share_floor_weigh(
    term_weights: tuple[float, ...],
    min_share: float,
    dual_variables: Array,
    loss_terms: LossValues,
    cluster_usage: ClusterUsage,
) -> BalanceWeights:
    shortfall = _share_shortfall(min_share, cluster_usage)
    return BalanceWeights(term_weights, _clip_bonus(dual_variables + shortfall))


def _share_floor_update(
    min_share: float,
    averaging_batches: int,
    dual_variables: Array,
    terms_before: LossValues,
    terms_after: LossValues,
    cluster_usage: ClusterUsage,
) -> Array:
    # At most a nat in a horizon: a price that rose faster would outlast the shortage.
    shortfall = jnp.minimum(_share_shortfall(min_share, cluster_usage), 1)
    return _clip_bonus(dual_variables + shortfall / averaging_batches)


def entropy_floor(
    term_weights: Sequence[float], min_entropy: float, averaging_batches: int
) -> Balance:
    """Fixed weights under the one constraint H(u) >= H_min on the running usage, by dual ascent.

    With v = H_min - H(u): mu <- clip(mu + v / horizon, 0, highest). Since dH / du_k is -log u_k
    but for a constant, cluster k has the price clip(mu + v, 0, highest) times -log u_k; at
    mu + v = 1 the paid assignment is that with the usage divided out, as if all clusters were
    equally frequent (Menon et al. 2021).

    Args:
        term_weights: of the terms.
        min_entropy: H_min in nats, e.g. from `floor_entropy`.
        averaging_batches: batches that the multiplier takes to follow.
    """
    return Balance(
        _zero_multiplier,
        partial(_entropy_floor_weigh, tuple(term_weights), min_entropy),
        partial(_entropy_floor_update, min_entropy, averaging_batches),
    )


def floor_entropy(min_share: float, num_clusters: int) -> float:
    """Entropy in nats of a usage where all clusters but one are at the share ``min_share``."""
    max_share = 1 - (num_clusters - 1) * min_share
    return -(num_clusters - 1) * min_share * math.log(min_share) - max_share * math.log(max_share)


def _zero_multiplier(loss_terms: LossValues, cluster_usage: ClusterUsage) -> Array:
    return jnp.zeros(())


def _entropy_shortfall(min_entropy: float, cluster_usage: ClusterUsage) -> Array:
    positive_usage = jnp.maximum(cluster_usage, MIN_USAGE)
    return min_entropy + (positive_usage * jnp.log(positive_usage)).sum()


def _entropy_floor_weigh(
    term_weights: tuple[float, ...],
    min_entropy: float,
    dual_variable: Array,
    loss_terms: LossValues,
    cluster_usage: ClusterUsage,
) -> BalanceWeights:
    # The shortfall itself damps the oscillation of the integrated one.
    multiplier = _clip_bonus(dual_variable + _entropy_shortfall(min_entropy, cluster_usage))
    return BalanceWeights(
        term_weights, _clip_bonus(-multiplier * jnp.log(jnp.maximum(cluster_usage, MIN_USAGE)))
    )


def _entropy_floor_update(
    min_entropy: float,
    averaging_batches: int,
    dual_variable: Array,
    terms_before: LossValues,
    terms_after: LossValues,
    cluster_usage: ClusterUsage,
) -> Array:
    shortfall = _entropy_shortfall(min_entropy, cluster_usage)
    return _clip_bonus(dual_variable + shortfall / averaging_batches)


def _clip_bonus(cluster_bonuses: Array) -> Array:
    return jnp.clip(cluster_bonuses, 0.0, MAX_BONUS)


# Learnt weights --------------------------------------------------------------------------------


def uncertainty_weights(step_size: float) -> Balance:
    """Terms weighted by their own scale, learnt as a log-variance (Kendall, Gal & Cipolla 2018).

    Minimises sum_i (exp(-s_i) L_i + s_i) / 2 over s too, by gradient steps of ``step_size`` from
    s = 0. The optimum is s_i = log L_i, the weight then 1 / (2 L_i): a term that is solved, such as
    the consistency of a collapsed clustering, weighs the more.

    Args:
        step_size: of the steps of s.
    """
    return Balance(_zero_per_term, _uncertainty_weigh, partial(_uncertainty_update, step_size))


def _zero_per_term(loss_terms: LossValues, cluster_usage: ClusterUsage) -> Array:
    return jnp.zeros_like(loss_terms)


def _uncertainty_weigh(
    log_variances: Array, loss_terms: LossValues, cluster_usage: ClusterUsage
) -> BalanceWeights:
    return BalanceWeights(jnp.exp(-log_variances) / 2)


def _uncertainty_update(
    step_size: float,
    log_variances: Array,
    terms_before: LossValues,
    terms_after: LossValues,
    cluster_usage: ClusterUsage,
) -> Array:
    gradient = (1 - jnp.exp(-log_variances) * terms_before) / 2
    # Bounded by the range of a loss: a term at zero would otherwise get an infinite weight.
    return jnp.clip(log_variances - step_size * gradient, math.log(EPS), -math.log(EPS))


def famo_weights(step_size: float, decay: float = 1e-3) -> Balance:
    """Every term made to fall at the same relative speed (Liu, Feng, Stone & Liu, NeurIPS 2023).

    With z = softmax(x) the weights are w_i = c z_i / L_i, c so that they sum to 1; then
    x <- x - rate (J'd + decay x), d_i = log L_i(before) - log L_i(after), J = dz / dx: a term that
    fell more than the others weighs less.

    Args:
        step_size: rate of the steps of x, 0.025 in the paper's code.
        decay: of x, 0.001 in the paper.
    """
    return Balance(_zero_per_term, _famo_weigh, partial(_famo_update, step_size, decay))


def _log_terms(loss_terms: LossValues) -> Array:
    return jnp.log(jnp.maximum(loss_terms, EPS))


def _famo_weigh(
    term_logits: Array, loss_terms: LossValues, cluster_usage: ClusterUsage
) -> BalanceWeights:
    return BalanceWeights(jax.nn.softmax(term_logits - _log_terms(loss_terms)))


def _famo_update(
    step_size: float,
    decay: float,
    term_logits: Array,
    terms_before: LossValues,
    terms_after: LossValues,
    cluster_usage: ClusterUsage,
) -> Array:
    log_decrease = _log_terms(terms_before) - _log_terms(terms_after)
    # The product with the Jacobian, which is never built.
    slope = jax.vjp(jax.nn.softmax, term_logits)[1](log_decrease)[0]
    return term_logits - step_size * (slope + decay * term_logits)
