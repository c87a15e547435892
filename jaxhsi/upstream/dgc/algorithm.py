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
    Weighing,
    balanced,
    build_balance,
    follow_usage,
)
from jaxhsi.upstream.dgc.centroids import ema_update, from_pixels, random_centroids, revive
from jaxhsi.upstream.dgc.loss_terms import (
    Look,
    Pair,
    Terms,
    Weights,
    loss_terms,
    weighted_terms,
)
from jaxhsi.upstream.dgc.mean_shift import (
    bandwidth,
    full_mean_shift,
    local_mean_shift,
    log_bandwidth,
    soft_assignment,
)

START_PIXELS = 4096  # spectra that the centroids start from


@dataclass(frozen=True)
class Options:
    """What a user may set; upstream's values by default.

    Attributes:
        iterations: of the mean-shift.
        kernel: side of its window.
        border: zero embeddings beyond the edge count as neighbours, as upstream's do.
        full: mean-shift over all pairs of pixels instead of a window.
        bandwidth: width of the mean-shift kernel at the start.
        learn_bandwidth: whether training changes it.
        temperature: of the soft assignment.
        decay: of the moving average of the centroids.
        scrambled: that average is taken over `upstream.scrambled_pixels`, as upstream's is.
        weights: of the loss terms.
        balance: what the terms weigh as training goes on; by default those weights throughout.
        data_start: the encoder's linear path and the centroids start from spectra of the data
            instead of at random.
        revive: every ``balance.horizon`` steps, clusters with a running share below
            :data:`ACTIVE_SHARE` are put onto the pixels of the batch that the others explain worst.
    """

    iterations: int = 5
    kernel: int = 5
    border: bool = True
    full: bool = False
    bandwidth: float = 1.0
    learn_bandwidth: bool = True
    temperature: float = 0.05
    decay: float = 0.99
    scrambled: bool = True
    weights: Weights = field(default_factory=Weights)
    balance: BalanceOptions = field(default_factory=BalanceOptions)
    data_start: bool = False
    revive: bool = False


class State(NamedTuple):
    """All that a checkpoint needs.

    Attributes:
        step: number of steps taken.
        params: ``{"encoder": ..., "centroids": (k, d), "log_bandwidth": ()}``.
        optimizer: state of optax.
        usage: running share of the pixels that each cluster holds, see `balance.follow_usage`.
        balance: state of the balance.
    """

    step: Int[Array, ""]
    params: dict[str, Any]
    optimizer: Any
    usage: Float[Array, " k"]
    balance: Any


class Info(NamedTuple):
    """Diagnostics of one step, from the second forward pass unless said.

    Attributes:
        loss: weighted sum of the terms, and the price of the assignment.
        terms: loss terms.
        weights: of the terms that have one, in the order of the terms.
        prices: that the balance pays for each cluster, 0 without a constraint.
        usage: share of the pixels of the batch per cluster.
        running_usage: that of about the last ``horizon`` batches.
        active: clusters with a share of at least :data:`ACTIVE_SHARE`.
        gradient_norm: of the step's gradient, before clipping.
        bandwidth: of the mean-shift.
    """

    loss: Float[Array, ""]
    terms: Terms
    weights: Float[Array, " m"]
    prices: Float[Array, " k"]
    usage: Float[Array, " k"]
    running_usage: Float[Array, " k"]
    active: Int[Array, ""]
    gradient_norm: Float[Array, ""]
    bandwidth: Float[Array, ""]


class PrototypeDGC(NamedTuple):
    """The method as pure functions.

    Attributes:
        init: ``init(key, spectra=None) -> state``; only a data-driven start needs spectra (n, c).
        look: ``look(params, x (b, h, w, c), valid=None) -> Look``: embeddings, shifted
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
    look: Callable[..., Look]
    loss: Callable[..., tuple[Array, tuple[Terms, Look, Weighing]]]
    update: Callable[[State, Pair], tuple[State, Info]]
    predict: Callable[..., tuple[Int[Array, "b h w"], Float[Array, "b h w"]]]
    halo: int
    full_rows: bool


def upstream_optimizer(
    learning_rate: float = 1e-4, weight_decay: float = 0.01, clip: float = 1.0
) -> optax.GradientTransformation:
    """Upstream's: gradient clipped to a global norm, AdamW with decay of *all* parameters."""
    return optax.chain(
        optax.clip_by_global_norm(clip), optax.adamw(learning_rate, weight_decay=weight_decay)
    )


def prototype_dgc(
    encoder: Encoder,
    clusters: int,
    dim: int,
    optimizer: optax.GradientTransformation,
    options: Options,
) -> PrototypeDGC:
    """Upstream's method with :class:`Options` of default; see the module's docstring.

    Args:
        encoder: ``apply(params, x) -> z`` of unit length, e.g. `upstream_encoder`.
        clusters: number of clusters k.
        dim: d of the encoder's embedding.
        optimizer: for all parameters, e.g. `upstream_optimizer`.
        options: of the method.

    Raises:
        ValueError: a data-driven start of an encoder that has none, or a floor that so many
            clusters cannot keep.
    """
    if options.data_start and encoder.start is None:
        raise ValueError("this encoder has no data-driven start; set data_start to false")
    balance = build_balance(options.balance, [abs(w) for w in options.weights if w], clusters)
    even = jnp.full(clusters, 1 / clusters, jnp.float32)
    unbalanced = balance.init(jnp.zeros(sum(w != 0 for w in options.weights)), even)

    def init(key: Key[Array, ""], spectra: Float[Array, "n c"] | None = None) -> State:
        k_encoder, k_centroids = jax.random.split(key)
        params = {
            "encoder": encoder.init(k_encoder),
            "centroids": random_centroids(k_centroids, clusters, dim),
            "log_bandwidth": log_bandwidth(options.bandwidth),
        }
        if options.data_start:
            params |= _from_data(encoder, params["encoder"], k_centroids, spectra, clusters)
        start = jax.tree.map(jnp.copy, (even, unbalanced))  # donated buffers may not be shared
        return State(jnp.zeros((), jnp.int32), params, optimizer.init(params), *start)

    def look(params: Params, x: Array, valid: Array | None = None) -> Look:
        z = encoder.apply(params["encoder"], x)
        width = bandwidth(params["log_bandwidth"])
        if options.full:
            shifted = full_mean_shift(z, width, options.iterations)
        else:
            shifted = local_mean_shift(
                z, width, options.iterations, options.kernel, valid, options.border
            )
        return Look(z, shifted, soft_assignment(shifted, params["centroids"], options.temperature))

    def loss(params: Params, pair: Pair, state: State | None = None) -> tuple[Array, tuple]:
        if not options.learn_bandwidth:
            params = params | {"log_bandwidth": jax.lax.stop_gradient(params["log_bandwidth"])}
        shape = pair.crops.shape
        valid = None if pair.valid is None else pair.valid.reshape(-1, *shape[2:4])
        both = look(params, pair.crops.reshape(-1, *shape[2:]), valid)
        views = Look(*(a.reshape(*shape[:2], *a.shape[1:]) for a in both))
        terms = loss_terms(options.weights, params["centroids"], views, pair)
        kept = weighted_terms(options.weights, terms, clusters)
        held, usage = (unbalanced, even) if state is None else (state.balance, state.usage)
        weighing = balance.weigh(held, jnp.array(kept), usage)
        return balanced(weighing, kept, views.p, pair.valid), (terms, views, weighing)

    def update(state: State, pair: Pair) -> tuple[State, Info]:
        gradient, (before, *_) = jax.grad(loss, has_aux=True)(state.params, pair, state)
        updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        if not options.learn_bandwidth:  # weight decay would change it all the same
            params |= {"log_bandwidth": state.params["log_bandwidth"]}
        total, (terms, seen, weighing) = loss(params, pair, state)
        batch_usage = losses.mean_usage(seen.p, pair.valid)
        usage = follow_usage(state.usage, seen.p, state.step, options.balance.horizon, pair.valid)
        kept = (jnp.array(weighted_terms(options.weights, t, clusters)) for t in (before, terms))
        shifted = upstream.scrambled_pixels(seen.shifted) if options.scrambled else seen.shifted
        centroids = ema_update(
            params["centroids"], shifted, seen.p, options.decay, pair.kick, pair.valid
        )
        info = Info(
            loss=total,
            terms=terms,
            weights=jnp.array(weighing.terms),
            prices=jnp.zeros(clusters) if weighing.prices is None else weighing.prices,
            usage=batch_usage,
            running_usage=usage,
            active=(batch_usage >= ACTIVE_SHARE).sum(),
            gradient_norm=optax.tree.norm(gradient),
            bandwidth=bandwidth(params["log_bandwidth"]),
        )
        held = balance.update(state.balance, *kept, usage)
        params |= {"centroids": centroids}
        state = State(state.step + 1, params, optimizer_state, usage, held)
        return (_revived(state, seen, pair) if options.revive else state), info

    def _revived(state: State, seen: Look, pair: Pair) -> State:
        """Dead clusters on badly explained pixels, without the moments of the old ones."""
        due = state.step % options.balance.horizon == 0
        usage = jnp.where(due, state.usage, 1.0)
        centroids, dead = revive(state.params["centroids"], usage, seen.z, ACTIVE_SHARE, pair.valid)
        fresh = jax.tree.map(lambda _: jnp.array(False), state.params) | {
            "centroids": dead[:, None]
        }
        moments = optax.tree.map_params(
            optimizer, lambda m, new: jnp.where(new, 0, m), state.optimizer, fresh
        )
        return state._replace(
            params=state.params | {"centroids": centroids},
            optimizer=moments,
            # Twice the bound: it is dead again if nothing has joined it at the next look.
            usage=jnp.where(dead, 2 * ACTIVE_SHARE, state.usage),
        )

    def predict(state: State, x: Array, valid: Array | None = None) -> tuple[Array, Array]:
        p = look(state.params, x, valid).p
        seen = jnp.ones(p.shape[:-1], bool) if valid is None else valid
        return jnp.where(seen, p.argmax(-1), -1).astype(jnp.int32), jnp.where(seen, p.max(-1), 0)

    # The window always holds unmoved embeddings: the iterations do not widen the reach.
    halo = encoder.halo + options.kernel // 2
    return PrototypeDGC(init, look, loss, update, predict, halo, encoder.full_rows)


def _from_data(
    encoder: Encoder, params: Params, key: Key[Array, ""], spectra: Array | None, clusters: int
) -> Params:
    """Encoder and centroids that start from spectra, each an image of one pixel."""
    if spectra is None:
        raise ValueError("a data-driven start was asked for: give spectra of the data")
    params = encoder.start(params, spectra)
    z = jax.jit(encoder.apply)(params, spectra[:START_PIXELS, None, None])[:, 0, 0]
    return {"encoder": params, "centroids": from_pixels(key, z, clusters)}
