"""Clustering with a dictionary of prototypes, as upstream trains it and as one may vary it.

A step is upstream's: the gradient of the loss (`loss_terms`), clip, AdamW on encoder, centroids
and bandwidth; a second forward pass with the new parameters; centroids overwritten by a moving
average from it. `update` takes all that is random, so that a step can be replayed; `step` draws
it.

Source: upstream `hsi_clustering.py` (`train_step`), `trainer.py` (`train`) and
`default_argument.py`.
"""

from functools import partial

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key

from jaxhsi.dgc.losses import mean_usage
from jaxhsi.dgc.networks import Encoder
from jaxhsi.dgc.options import ViewOptions
from jaxhsi.dgc.state import Batch
from jaxhsi.functional_module import Params
from jaxhsi.metrics import ACTIVE_SHARE
from jaxhsi.sharding import BATCH_AXIS, VIEW_AXIS, flatten_views
from jaxhsi.upstream.dgc.balance import balanced_loss, update_running_usage
from jaxhsi.upstream.dgc.centroids import revive_centroids, unit, update_centroids
from jaxhsi.upstream.dgc.initialisation import init
from jaxhsi.upstream.dgc.loss_terms import ModelOutput, ViewPair, loss_terms, terms_with_weight
from jaxhsi.upstream.dgc.losses import scrambled_pixels
from jaxhsi.upstream.dgc.mean_shift import (
    bandwidth,
    full_mean_shift,
    local_mean_shift,
    soft_assignment,
)
from jaxhsi.upstream.dgc.model import PrototypeModel
from jaxhsi.upstream.dgc.options import PrototypeOptions
from jaxhsi.upstream.dgc.state import Info, PrototypeAlgorithm, State
from jaxhsi.upstream.dgc.view_pairs import draw_pair


def prototype_dgc(
    encoder: Encoder,
    num_clusters: int,
    embed_dim: int,
    optimizer: optax.GradientTransformation,
    options: PrototypeOptions,
    view_options: ViewOptions = ViewOptions(),  # noqa: B008 (frozen)
    mesh: Mesh | None = None,
) -> PrototypeAlgorithm:
    """Upstream's method: the functions of this module with their options bound.

    Cubes are given with bands of mean 0 and deviation 1. Args: see :class:`PrototypeModel`.
    """
    model = PrototypeModel(
        encoder=encoder,
        optimizer=optimizer,
        num_clusters=num_clusters,
        embed_dim=embed_dim,
        options=options,
        view_options=view_options,
        mesh=mesh,
    )
    return PrototypeAlgorithm(
        init=partial(init, model),
        step=partial(step, model),
        predict=partial(predict, model),
        # The window always holds unmoved embeddings: the iterations do not widen the reach.
        halo=encoder.halo + options.mean_shift_window // 2,
        full_rows=encoder.full_rows,
        embed=partial(embed_pixels, model),
        forward=partial(forward, model),
        loss=partial(loss_fn, model),
        update=partial(update, model),
    )


def upstream_optimizer(
    learning_rate: float = 1e-4, weight_decay: float = 0.01, max_gradient_norm: float = 1.0
) -> optax.GradientTransformation:
    """Upstream's: gradient clipped to a global norm, AdamW with decay of *all* parameters."""
    return optax.chain(
        optax.clip_by_global_norm(max_gradient_norm),
        optax.adamw(learning_rate, weight_decay=weight_decay),
    )


def forward(
    model: PrototypeModel,
    params: Params,
    x: Float[Array, "b h w c"],
    valid_mask: Array | None = None,
) -> ModelOutput:
    """Embeddings, embeddings after the mean-shift, and soft assignments of some images."""
    options = model.options
    embeddings = model.encoder.apply(params["encoder"], x)
    kernel_width = bandwidth(params["log_bandwidth"])
    if options.all_pairs:
        shifted_embeddings = full_mean_shift(
            embeddings, kernel_width, options.mean_shift_iterations
        )
    else:
        shifted_embeddings = local_mean_shift(
            embeddings,
            kernel_width,
            options.mean_shift_iterations,
            options.mean_shift_window,
            valid_mask,
            options.zero_padding,
        )
    probabilities = soft_assignment(
        shifted_embeddings, params["centroids"], options.assignment_temperature
    )
    return ModelOutput(embeddings, shifted_embeddings, probabilities)


def loss_fn(
    model: PrototypeModel, params: Params, view_pair: ViewPair, state: State | None = None
) -> tuple[Float[Array, ""], tuple]:
    """The balanced sum of the loss terms over both views.

    Args:
        model: encoder, optimizer and options.
        params: as in `State`.
        view_pair: views, random labels and masks.
        state: says how terms are balanced; by default as at the start.

    Returns:
        The loss, and (terms, output of both views, weights of the balance).
    """
    # No gradient, and no decay either: see `update`.
    if not model.options.learn_bandwidth:
        params = params | {"log_bandwidth": jax.lax.stop_gradient(params["log_bandwidth"])}
    crops_shape = view_pair.crops.shape
    # Views and windows are one batch for the encoder, and are parted again after it.
    flat_views = flatten_views(
        model.mesh, (view_pair.crops, view_pair.valid), (VIEW_AXIS, BATCH_AXIS)
    )
    flat_output = forward(model, params, *flat_views)
    model_output = ModelOutput(*(a.reshape(*crops_shape[:2], *a.shape[1:]) for a in flat_output))
    loss_weights = model.options.loss_weights
    terms = loss_terms(loss_weights, params["centroids"], model_output, view_pair)
    weighted_terms = terms_with_weight(loss_weights, terms, model.num_clusters)
    if state is None:
        balance_state, running_usage = model.initial_balance, model.even_usage
    else:
        balance_state, running_usage = state.balance_state, state.running_usage
    balance_weights = model.balance.weights(balance_state, jnp.array(weighted_terms), running_usage)
    total_loss = balanced_loss(
        balance_weights, weighted_terms, model_output.probabilities, view_pair.valid
    )
    return total_loss, (terms, model_output, balance_weights)


def update(model: PrototypeModel, state: State, view_pair: ViewPair) -> tuple[State, Info]:
    """One step with given views and noise: optimizer, second forward pass, moving average."""
    options = model.options
    gradient, (terms_before, *_) = jax.grad(partial(loss_fn, model), has_aux=True)(
        state.params, view_pair, state
    )
    updates, optimizer_state = model.optimizer.update(gradient, state.optimizer_state, state.params)
    params = optax.apply_updates(state.params, updates)
    if not options.learn_bandwidth:  # weight decay would change it all the same
        params |= {"log_bandwidth": state.params["log_bandwidth"]}
    # Upstream computes centroids and report from a second forward pass, after the optimizer's step.
    total_loss, (terms, model_output, balance_weights) = loss_fn(model, params, view_pair, state)
    probabilities, cluster_bonuses = model_output.probabilities, balance_weights.cluster_bonuses
    batch_usage = mean_usage(probabilities, view_pair.valid)
    running_usage = update_running_usage(
        state.running_usage,
        probabilities,
        state.step,
        options.balance.averaging_batches,
        view_pair.valid,
    )
    shifted_embeddings = model_output.shifted_embeddings
    centroids = update_centroids(
        params["centroids"],
        scrambled_pixels(shifted_embeddings) if options.scrambled_pixels else shifted_embeddings,
        probabilities,
        options.centroid_decay,
        view_pair.centroid_noise,
        view_pair.valid,
    )
    info = Info(
        loss=total_loss,
        terms=terms,
        term_weights=jnp.array(balance_weights.term_weights),
        cluster_bonuses=jnp.zeros(model.num_clusters)
        if cluster_bonuses is None
        else cluster_bonuses,
        batch_usage=batch_usage,
        running_usage=running_usage,
        active_clusters=(batch_usage >= ACTIVE_SHARE).sum(),
        gradient_norm=optax.tree.norm(gradient),
        bandwidth=bandwidth(params["log_bandwidth"]),
    )
    before_after = (
        jnp.array(terms_with_weight(options.loss_weights, loss_values, model.num_clusters))
        for loss_values in (terms_before, terms)
    )
    balance_state = model.balance.update(state.balance_state, *before_after, running_usage)
    params |= {"centroids": centroids}
    state = State(state.step + 1, params, optimizer_state, running_usage, balance_state)
    if options.revive_clusters:
        state = _with_revived_clusters(model, state, model_output, view_pair)
    return state, info


def step(
    model: PrototypeModel, key: Key[Array, ""], state: State, batch: Batch
) -> tuple[State, Info]:
    """One step on windows of cubes whose bands have mean 0 and deviation 1."""
    return update(model, state, draw_pair(model, key, batch))


def predict(
    model: PrototypeModel, state: State, x: Float[Array, "b h w c"], valid_mask: Array | None = None
) -> tuple[Int[Array, "b h w"], Float[Array, "b h w"]]:
    """Labels and the probability of each; -1 and 0 where not valid."""
    probabilities = forward(model, state.params, x, valid_mask).probabilities
    label_mask = jnp.ones(probabilities.shape[:-1], bool) if valid_mask is None else valid_mask
    labels = jnp.where(label_mask, probabilities.argmax(-1), -1).astype(jnp.int32)
    return labels, jnp.where(label_mask, probabilities.max(-1), 0)


def embed_pixels(
    model: PrototypeModel, state: State, x: Float[Array, "b h w c"], valid_mask: Array
) -> tuple[Float[Array, "b h w d"], Float[Array, "k d"]]:
    """What the soft assignment compares: directions after the mean-shift, and centroids."""
    shifted_embeddings = forward(model, state.params, x, valid_mask).shifted_embeddings
    return unit(shifted_embeddings), state.params["centroids"]


def _with_revived_clusters(
    model: PrototypeModel, state: State, model_output: ModelOutput, view_pair: ViewPair
) -> State:
    """Dead clusters moved onto badly explained pixels, without the moments of the old ones."""
    # Usage needs a whole horizon to tell a dead cluster from one that is absent.
    is_due = state.step % model.options.balance.averaging_batches == 0
    # A usage of 1 is never dead: one traced path for both cases.
    checked_usage = jnp.where(is_due, state.running_usage, 1.0)
    centroids, is_dead = revive_centroids(
        state.params["centroids"],
        checked_usage,
        model_output.embeddings,
        ACTIVE_SHARE,
        view_pair.valid,
    )
    # Moments of a dead centroid would push the new one from its place.
    reset_mask = jax.tree.map(lambda _: jnp.array(False), state.params) | {
        "centroids": is_dead[:, None]
    }
    optimizer_state = optax.tree.map_params(
        model.optimizer,
        lambda moment, is_new: jnp.where(is_new, 0, moment),
        state.optimizer_state,
        reset_mask,
    )
    return state._replace(
        params=state.params | {"centroids": centroids},
        optimizer_state=optimizer_state,
        # Twice the bound: it is dead again if no pixel has joined it when it is next due.
        running_usage=jnp.where(is_dead, 2 * ACTIVE_SHARE, state.running_usage),
    )
