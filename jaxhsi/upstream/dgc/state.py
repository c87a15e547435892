"""What a step of upstream's clustering with prototypes changes and reports."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int

from jaxhsi.dgc.state import SegmentationAlgorithm
from jaxhsi.upstream.dgc.loss_terms import LossTerms, ModelOutput, ViewPair


class State(NamedTuple):
    """All that a checkpoint needs.

    Attributes:
        step: number of steps taken.
        params: ``{"encoder": ..., "centroids": (k, d), "log_bandwidth": ()}``.
        optimizer_state: state of optax.
        running_usage: running share of the pixels that each cluster holds, see
            `balance.update_running_usage`.
        balance_state: state of the balance.
    """

    step: Int[Array, ""]
    params: dict[str, Any]
    optimizer_state: Any
    running_usage: Float[Array, " k"]
    balance_state: Any


class Info(NamedTuple):
    """Diagnostics of one step, from the second forward pass unless said.

    Attributes:
        loss: weighted sum of the terms, and the bonus of the assignment.
        terms: loss terms.
        term_weights: of the terms that have one, in the order of the terms.
        cluster_bonuses: of the balance for each cluster, 0 without a constraint.
        batch_usage: share of the pixels of the batch per cluster.
        running_usage: that of about the last ``averaging_batches`` batches.
        active_clusters: clusters with a share of at least :data:`jaxhsi.metrics.ACTIVE_SHARE`.
        gradient_norm: of the step's gradient, before clipping.
        bandwidth: of the mean-shift.
    """

    loss: Float[Array, ""]
    terms: LossTerms
    term_weights: Float[Array, " m"]
    cluster_bonuses: Float[Array, " k"]
    batch_usage: Float[Array, " k"]
    running_usage: Float[Array, " k"]
    active_clusters: Int[Array, ""]
    gradient_norm: Float[Array, ""]
    bandwidth: Float[Array, ""]


@dataclass(frozen=True)
class PrototypeAlgorithm(SegmentationAlgorithm):
    """A `SegmentationAlgorithm` whose step can be replayed with given views and noise.

    Attributes:
        forward: ``forward(params, x (b, h, w, c), valid_mask=None) -> ModelOutput``.
        loss: ``loss(params, view_pair, state=None) -> (total, (terms, output, balance weights))``.
        update: ``update(state, view_pair) -> (state, info)``; jit it and donate the state.
    """

    forward: Callable[..., ModelOutput] | None = None
    loss: Callable[..., tuple[Array, tuple]] | None = None
    update: Callable[[State, ViewPair], tuple[State, Info]] | None = None
