"""Clustering with a dictionary of prototypes, as upstream trains it and as one may vary it.

A step is upstream's: gradients of the loss, clip, AdamW on encoder, centroids and bandwidth; a
second forward pass with the new parameters; centroids overwritten by a moving average from it.
All that is random is passed in, so that a step can be replayed.

Source: upstream `hsi_clustering.py` (`train_step`), `trainer.py` (`train`) and
`default_argument.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from jaxhsi.dgc import losses
from jaxhsi.dgc.networks import Encoder
from jaxhsi.functional_module import Params
from jaxhsi.metrics import ACTIVE_SHARE
from jaxhsi.upstream.dgc import losses as upstream
from jaxhsi.upstream.dgc.balance import (
    BalanceOptions,
    BalanceWeights,
    balanced_loss,
    build_balance,
    update_running_usage,
)
from jaxhsi.upstream.dgc.centroids import (
    kmeans_centroids,
    random_centroids,
    revive_centroids,
    update_centroids,
)
from jaxhsi.upstream.dgc.loss_terms import (
    LossTerms,
    LossWeights,
    ModelOutput,
    ViewPair,
    loss_terms,
    terms_with_weight,
)
from jaxhsi.upstream.dgc.mean_shift import (
    bandwidth,
    full_mean_shift,
    local_mean_shift,
    log_bandwidth,
    soft_assignment,
)

INITIALISATION_PIXELS = 4096  # spectra that the centroids start from


@dataclass(frozen=True)
class PrototypeOptions:
    """What a user may set; upstream's values by default.

    Attributes:
        mean_shift_iterations: of the mean-shift.
        mean_shift_window: side of its window.
        zero_padding: zero embeddings beyond the edge count as neighbours, as upstream's do.
        all_pairs: mean-shift over all pairs of pixels instead of a window.
        initial_bandwidth: width of the mean-shift kernel at the start.
        learn_bandwidth: whether training changes it.
        assignment_temperature: of the soft assignment.
        centroid_decay: of the moving average of the centroids.
        scrambled_pixels: that average is taken over `upstream.scrambled_pixels`, as upstream's is.
        loss_weights: of the loss terms.
        balance: what the terms weigh as training goes on; by default those weights throughout.
        data_initialisation: the encoder's linear path and the centroids start from spectra of the data
            instead of at random.
        revive_clusters: every ``balance.averaging_batches`` steps, clusters with a running share below
            :data:`ACTIVE_SHARE` are put onto the pixels of the batch that the others explain worst.
    """

    mean_shift_iterations: int = 5
    mean_shift_window: int = 5
    zero_padding: bool = True
    all_pairs: bool = False
    initial_bandwidth: float = 1.0
    learn_bandwidth: bool = True
    assignment_temperature: float = 0.05
    centroid_decay: float = 0.99
    scrambled_pixels: bool = True
    loss_weights: LossWeights = field(default_factory=LossWeights)
    balance: BalanceOptions = field(default_factory=BalanceOptions)
    data_initialisation: bool = False
    revive_clusters: bool = False


class State(NamedTuple):
    """All that a checkpoint needs.

    Attributes:
        step: number of steps taken.
        params: ``{"encoder": ..., "centroids": (k, d), "log_bandwidth": ()}``.
        optimizer_state: state of optax.
        running_usage: running share of the pixels that each cluster holds, see `balance_state.update_running_usage`.
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
        loss: weighted sum of the terms, and the price of the assignment.
        terms: loss terms.
        term_weights: of the terms that have one, in the order of the terms.
        cluster_bonuses: that the balance pays for each cluster, 0 without a constraint.
        batch_usage: share of the pixels of the batch per cluster.
        running_usage: that of about the last ``horizon`` batches.
        active_clusters: clusters with a share of at least :data:`ACTIVE_SHARE`.
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


class PrototypeDGC(NamedTuple):
    """The method as pure functions.

    Attributes:
        init: ``init(key, spectra=None) -> state``; only a data-driven start needs spectra (n, c).
        look: ``look(params, x (b, h, w, c), valid=None) -> ModelOutput``: embeddings, shifted
            embeddings, probabilities.
        loss: ``loss(params, pair, state=None) -> (total, (terms, look, weighing))``; the state says
            how terms are balanced, by default as at the start.
        update: ``update(state, pair) -> (state, info)``; jit it and donate the state.
        predict: ``predict(state, x, valid=None) -> (labels, confidence)``; label -1 and
            confidence 0 where not valid.
        halo: margin in pixels that a tile needs to be labelled like the whole image.
        full_rows: tiles must span the full width of the cube.
    """

    init: Callable[..., State]
    look: Callable[..., ModelOutput]
    loss: Callable[..., tuple[Array, tuple[LossTerms, ModelOutput, BalanceWeights]]]
    update: Callable[[State, ViewPair], tuple[State, Info]]
    predict: Callable[..., tuple[Int[Array, "b h w"], Float[Array, "b h w"]]]
    halo: int
    full_rows: bool


def upstream_optimizer(
    learning_rate: float = 1e-4, weight_decay: float = 0.01, max_gradient_norm: float = 1.0
) -> optax.GradientTransformation:
    """Upstream's: gradient clipped to a global norm, AdamW with decay of *all* parameters."""
    return optax.chain(
        optax.clip_by_global_norm(max_gradient_norm),
        optax.adamw(learning_rate, weight_decay=weight_decay),
    )


def prototype_dgc(
    encoder: Encoder,
    num_clusters: int,
    embed_dim: int,
    optimizer: optax.GradientTransformation,
    options: PrototypeOptions,
) -> PrototypeDGC:
    """Upstream's method with :class:`PrototypeOptions` of default; see the module's docstring.

    Args:
        encoder: ``apply(params, x) -> z`` of unit length, e.g. `upstream_encoder`.
        num_clusters: number of clusters k.
        embed_dim: d of the encoder's embedding.
        optimizer: for all parameters, e.g. `upstream_optimizer`.
        options: of the method.

    Raises:
        ValueError: a data-driven start of an encoder that has none, or a floor that so many
            clusters cannot keep.
    """
    if options.data_initialisation and encoder.start is None:
        raise ValueError("this encoder has no data-driven start; set data_start to false")
    balance = build_balance(
        options.balance, [abs(w) for w in options.loss_weights if w], num_clusters
    )
    even = jnp.full(num_clusters, 1 / num_clusters, jnp.float32)
    unbalanced = balance.init(jnp.zeros(sum(w != 0 for w in options.loss_weights)), even)

    def init(key: Key[Array, ""], spectra: Float[Array, "n c"] | None = None) -> State:
        k_encoder, k_centroids = jax.random.split(key)
        params = {
            "encoder": encoder.init(k_encoder),
            "centroids": random_centroids(k_centroids, num_clusters, embed_dim),
            "log_bandwidth": log_bandwidth(options.initial_bandwidth),
        }
        if options.data_initialisation:
            params |= _from_data(encoder, params["encoder"], k_centroids, spectra, num_clusters)
        start = jax.tree.map(jnp.copy, (even, unbalanced))  # donated buffers may not be shared
        return State(jnp.zeros((), jnp.int32), params, optimizer.init(params), *start)

    def look(params: Params, x: Array, valid: Array | None = None) -> ModelOutput:
        z = encoder.apply(params["encoder"], x)
        width = bandwidth(params["log_bandwidth"])
        if options.all_pairs:
            shifted = full_mean_shift(z, width, options.mean_shift_iterations)
        else:
            shifted = local_mean_shift(
                z,
                width,
                options.mean_shift_iterations,
                options.mean_shift_window,
                valid,
                options.zero_padding,
            )
        return ModelOutput(
            z,
            shifted,
            soft_assignment(shifted, params["centroids"], options.assignment_temperature),
        )

    def loss(params: Params, pair: ViewPair, state: State | None = None) -> tuple[Array, tuple]:
        if not options.learn_bandwidth:
            params = params | {"log_bandwidth": jax.lax.stop_gradient(params["log_bandwidth"])}
        shape = pair.crops.shape
        valid = None if pair.valid is None else pair.valid.reshape(-1, *shape[2:4])
        both = look(params, pair.crops.reshape(-1, *shape[2:]), valid)
        views = ModelOutput(*(a.reshape(*shape[:2], *a.shape[1:]) for a in both))
        terms = loss_terms(options.loss_weights, params["centroids"], views, pair)
        kept = terms_with_weight(options.loss_weights, terms, num_clusters)
        held, usage = (
            (unbalanced, even) if state is None else (state.balance_state, state.running_usage)
        )
        weighing = balance.weights(held, jnp.array(kept), usage)
        return balanced_loss(weighing, kept, views.p, pair.valid), (terms, views, weighing)

    def update(state: State, pair: ViewPair) -> tuple[State, Info]:
        gradient, (before, *_) = jax.grad(loss, has_aux=True)(state.params, pair, state)
        updates, optimizer_state = optimizer.update(gradient, state.optimizer_state, state.params)
        params = optax.apply_updates(state.params, updates)
        if not options.learn_bandwidth:  # weight decay would change it all the same
            params |= {"log_bandwidth": state.params["log_bandwidth"]}
        total, (terms, seen, weighing) = loss(params, pair, state)
        batch_usage = losses.mean_usage(seen.p, pair.valid)
        usage = update_running_usage(
            state.running_usage, seen.p, state.step, options.balance.averaging_batches, pair.valid
        )
        kept = (
            jnp.array(terms_with_weight(options.loss_weights, t, num_clusters))
            for t in (before, terms)
        )
        shifted = (
            upstream.scrambled_pixels(seen.shifted) if options.scrambled_pixels else seen.shifted
        )
        centroids = update_centroids(
            params["centroids"], shifted, seen.p, options.centroid_decay, pair.kick, pair.valid
        )
        info = Info(
            loss=total,
            terms=terms,
            term_weights=jnp.array(weighing.term_weights),
            cluster_bonuses=jnp.zeros(num_clusters)
            if weighing.cluster_bonuses is None
            else weighing.cluster_bonuses,
            batch_usage=batch_usage,
            running_usage=usage,
            active_clusters=(batch_usage >= ACTIVE_SHARE).sum(),
            gradient_norm=optax.tree.norm(gradient),
            bandwidth=bandwidth(params["log_bandwidth"]),
        )
        held = balance.update(state.balance_state, *kept, usage)
        params |= {"centroids": centroids}
        state = State(state.step + 1, params, optimizer_state, usage, held)
        return (_revived(state, seen, pair) if options.revive_clusters else state), info

    def _revived(state: State, seen: ModelOutput, pair: ViewPair) -> State:
        """Dead clusters on badly explained pixels, without the moments of the old ones."""
        due = state.step % options.balance.averaging_batches == 0
        usage = jnp.where(due, state.running_usage, 1.0)
        centroids, dead = revive_centroids(
            state.params["centroids"], usage, seen.z, ACTIVE_SHARE, pair.valid
        )
        fresh = jax.tree.map(lambda _: jnp.array(False), state.params) | {
            "centroids": dead[:, None]
        }
        moments = optax.tree.map_params(
            optimizer, lambda m, new: jnp.where(new, 0, m), state.optimizer_state, fresh
        )
        return state._replace(
            params=state.params | {"centroids": centroids},
            optimizer_state=moments,
            # Twice the bound: it is dead again if nothing has joined it at the next look.
            running_usage=jnp.where(dead, 2 * ACTIVE_SHARE, state.running_usage),
        )

    def predict(state: State, x: Array, valid: Array | None = None) -> tuple[Array, Array]:
        p = look(state.params, x, valid).p
        seen = jnp.ones(p.shape[:-1], bool) if valid is None else valid
        return jnp.where(seen, p.argmax(-1), -1).astype(jnp.int32), jnp.where(seen, p.max(-1), 0)

    # The window always holds unmoved embeddings: the iterations do not widen the reach.
    halo = encoder.halo + options.mean_shift_window // 2
    return PrototypeDGC(init, look, loss, update, predict, halo, encoder.full_rows)


def _from_data(
    encoder: Encoder, params: Params, key: Key[Array, ""], spectra: Array | None, clusters: int
) -> Params:
    """Encoder and centroids that start from spectra, each an image of one pixel."""
    if spectra is None:
        raise ValueError("a data-driven start was asked for: give spectra of the data")
    params = encoder.start(params, spectra)
    z = jax.jit(encoder.apply)(params, spectra[:INITIALISATION_PIXELS, None, None])[:, 0, 0]
    return {"encoder": params, "centroids": kmeans_centroids(key, z, clusters)}
