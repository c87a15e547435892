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
from jaxtyping import Array, Bool, Float, Int, Key

from jaxhsi.dgc import losses, upstream
from jaxhsi.dgc.centroids import ema_update, random_centroids
from jaxhsi.dgc.encoder import Encoder
from jaxhsi.dgc.meanshift import (
    bandwidth,
    full_mean_shift,
    local_mean_shift,
    log_bandwidth,
    soft_assignment,
)
from jaxhsi.dgc.views import matched
from jaxhsi.functional import Params
from jaxhsi.metrics import ACTIVE_SHARE


class Weights(NamedTuple):
    """Weights of the loss terms, upstream's by default; a term with weight 0 is not computed.

    Attributes:
        compactness: of `losses.compactness`, summed over the two views.
        orthogonality: of `losses.orthogonality`.
        usage: of `losses.usage_entropy`; upstream minimises it (> 0), which rewards collapse,
            and < 0 spreads the pixels over the clusters.
        uniform: of `upstream.uniform_assignment`.
        grid_consistency: of `upstream.grid_consistency`.
        overlap_consistency: of `losses.overlap_consistency`, which repairs the one above.
        assignment_entropy: of `losses.assignment_entropy`.
    """

    compactness: float = 1.0
    orthogonality: float = 0.001
    usage: float = 2.0
    uniform: float = 2.0
    grid_consistency: float = 1.0
    overlap_consistency: float = 0.0
    assignment_entropy: float = 0.0


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


class State(NamedTuple):
    """All that a checkpoint needs.

    Attributes:
        step: number of steps taken.
        params: ``{"encoder": ..., "centroids": (k, d), "log_bandwidth": ()}``.
        optimizer: state of optax.
    """

    step: Int[Array, ""]
    params: dict[str, Any]
    optimizer: Any


class Terms(NamedTuple):
    """Unweighted loss terms, means over the two views but for the sum `compactness`; 0 if unused.

    Attributes: as in :class:`Weights`.
    """

    compactness: Float[Array, ""]
    orthogonality: Float[Array, ""]
    usage: Float[Array, ""]
    uniform: Float[Array, ""]
    grid_consistency: Float[Array, ""]
    overlap_consistency: Float[Array, ""]
    assignment_entropy: Float[Array, ""]


class Info(NamedTuple):
    """Diagnostics of one step, from the second forward pass unless said.

    Attributes:
        loss: weighted sum of the terms.
        terms: loss terms.
        usage: share of the pixels of the batch per cluster.
        active: clusters with a share of at least :data:`ACTIVE_SHARE`.
        gradient_norm: of the step's gradient, before clipping.
        bandwidth: of the mean-shift.
    """

    loss: Float[Array, ""]
    terms: Terms
    usage: Float[Array, " k"]
    active: Int[Array, ""]
    gradient_norm: Float[Array, ""]
    bandwidth: Float[Array, ""]


class Pair(NamedTuple):
    """Pairs of crops and all that is drawn for a step.

    Attributes:
        crops: both views of each window.
        labels: random labels for `upstream.uniform_assignment`, from `upstream.balanced_labels`.
        kick: noise for dead centroids, normal of deviation 0.05 upstream.
        valid: pixels that count; None for all.
        views: affine maps of the crops, for the overlap consistency; None if it has no weight.
    """

    crops: Float[Array, "2 b h w c"]
    labels: Int[Array, "2 n"]
    kick: Float[Array, "k d"]
    valid: Bool[Array, "2 b h w"] | None = None
    views: Float[Array, "b 2 2 3"] | None = None


class Look(NamedTuple):
    """What the model sees in some images."""

    z: Float[Array, "*n d"]
    shifted: Float[Array, "*n d"]
    p: Float[Array, "*n k"]


class PrototypeDGC(NamedTuple):
    """The method as pure functions.

    Attributes:
        init: ``init(key) -> state``.
        look: ``look(params, x (b, h, w, c), valid=None) -> Look``: embeddings, shifted
            embeddings, probabilities.
        loss: ``loss(params, pair) -> (total, (terms, look))``.
        update: ``update(state, pair) -> (state, info)``; jit it and donate the state.
        predict: ``predict(state, x, valid=None) -> (labels, confidence)``; label -1 and
            confidence 0 where not valid.
        halo: margin in pixels that a tile needs to be labelled like the whole image.
        full_rows: tiles must span the full width of the cube.
    """

    init: Callable[[Key[Array, ""]], State]
    look: Callable[..., Look]
    loss: Callable[[Params, Pair], tuple[Array, tuple[Terms, Look]]]
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
    """

    def init(key: Key[Array, ""]) -> State:
        k_encoder, k_centroids = jax.random.split(key)
        params = {
            "encoder": encoder.init(k_encoder),
            "centroids": random_centroids(k_centroids, clusters, dim),
            "log_bandwidth": log_bandwidth(options.bandwidth),
        }
        return State(jnp.zeros((), jnp.int32), params, optimizer.init(params))

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

    def loss(params: Params, pair: Pair) -> tuple[Array, tuple[Terms, Look]]:
        if not options.learn_bandwidth:
            params = params | {"log_bandwidth": jax.lax.stop_gradient(params["log_bandwidth"])}
        shape = pair.crops.shape
        valid = None if pair.valid is None else pair.valid.reshape(-1, *shape[2:4])
        both = look(params, pair.crops.reshape(-1, *shape[2:]), valid)
        views = Look(*(a.reshape(*shape[:2], *a.shape[1:]) for a in both))
        terms = _terms(options.weights, params["centroids"], views, pair)
        total = sum(w * term for w, term in zip(options.weights, terms, strict=True) if w)
        return jnp.asarray(total, jnp.float32), (terms, views)

    def update(state: State, pair: Pair) -> tuple[State, Info]:
        gradient, _ = jax.grad(loss, has_aux=True)(state.params, pair)
        updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        if not options.learn_bandwidth:  # weight decay would change it all the same
            params |= {"log_bandwidth": state.params["log_bandwidth"]}
        total, (terms, seen) = loss(params, pair)
        usage = losses.mean_usage(seen.p, pair.valid)
        shifted = upstream.scrambled_pixels(seen.shifted) if options.scrambled else seen.shifted
        centroids = ema_update(
            params["centroids"], shifted, seen.p, options.decay, pair.kick, pair.valid
        )
        info = Info(
            loss=total,
            terms=terms,
            usage=usage,
            active=(usage >= ACTIVE_SHARE).sum(),
            gradient_norm=optax.tree.norm(gradient),
            bandwidth=bandwidth(params["log_bandwidth"]),
        )
        return State(state.step + 1, params | {"centroids": centroids}, optimizer_state), info

    def predict(state: State, x: Array, valid: Array | None = None) -> tuple[Array, Array]:
        p = look(state.params, x, valid).p
        seen = jnp.ones(p.shape[:-1], bool) if valid is None else valid
        return jnp.where(seen, p.argmax(-1), -1).astype(jnp.int32), jnp.where(seen, p.max(-1), 0)

    # The window always holds unmoved embeddings: the iterations do not widen the reach.
    halo = encoder.halo + options.kernel // 2
    return PrototypeDGC(init, look, loss, update, predict, halo, encoder.full_rows)


def _terms(weights: Weights, centroids: Array, views: Look, pair: Pair) -> Terms:
    """The terms that have a weight; each view by itself, then the sum or mean over the two."""
    masks = (None, None) if pair.valid is None else pair.valid
    mean = dict.fromkeys(Terms._fields, jnp.zeros(()))

    def each(term: Callable, *inputs: Any) -> Array:
        return (term(*(a[0] for a in inputs)) + term(*(a[1] for a in inputs))) / 2

    def compactness(z: Array, p: Array, mask: Array | None) -> Array:
        return losses.compactness(z, p, centroids, mask)

    if weights.compactness:
        mean["compactness"] = 2 * each(compactness, views.z, views.p, masks)
    if weights.orthogonality:
        mean["orthogonality"] = losses.orthogonality(centroids)
    if weights.usage:
        mean["usage"] = each(upstream.minimised_balance, views.p, masks)
    if weights.uniform:
        mean["uniform"] = each(upstream.uniform_assignment, views.p, pair.labels, masks)
    if weights.grid_consistency:
        mask = None if pair.valid is None else pair.valid.all(0)
        mean["grid_consistency"] = upstream.grid_consistency(*views.p, mask)
    if weights.overlap_consistency:
        mean["overlap_consistency"] = _overlap(views.p, pair)
    if weights.assignment_entropy:
        mean["assignment_entropy"] = each(losses.assignment_entropy, views.p, masks)
    return Terms(**mean)


def _overlap(p: Float[Array, "2 b h w k"], pair: Pair) -> Float[Array, ""]:
    """Consistency of each view with the other at the same points of the scene."""
    if pair.views is None:
        raise ValueError("the overlap consistency has a weight: give the crops' affine maps, views")
    valid = jnp.ones(p.shape[:-1], bool) if pair.valid is None else pair.valid
    seen, both = jax.vmap(matched, in_axes=(0, 1, 1), out_axes=1)(pair.views, p, valid)
    return losses.overlap_consistency(p, seen, both)
