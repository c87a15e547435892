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
from jaxtyping import Array, Float, Int, Key

from jaxhsi.dgc.losses import mean_usage
from jaxhsi.dgc.networks import Encoder
from jaxhsi.dgc.state import Batch
from jaxhsi.dgc.views import ViewOptions, augment_view, cut_view_pairs
from jaxhsi.functional_module import Params
from jaxhsi.metrics import ACTIVE_SHARE
from jaxhsi.normalisation import BandStats
from jaxhsi.upstream.dgc.balance import balanced_loss, update_running_usage
from jaxhsi.upstream.dgc.centroids import (
    kmeans_centroids,
    random_centroids,
    revive_centroids,
    unit,
    update_centroids,
)
from jaxhsi.upstream.dgc.loss_terms import (
    ModelOutput,
    ViewPair,
    loss_terms,
    terms_with_weight,
)
from jaxhsi.upstream.dgc.losses import random_balanced_labels, scrambled_pixels
from jaxhsi.upstream.dgc.mean_shift import (
    bandwidth,
    full_mean_shift,
    local_mean_shift,
    log_bandwidth,
    soft_assignment,
)
from jaxhsi.upstream.dgc.options import PrototypeModel, PrototypeOptions
from jaxhsi.upstream.dgc.state import Info, PrototypeAlgorithm, State

INITIALISATION_PIXELS = 4096
"""Spectra that the centroids of a data-driven start are clustered from, at most; set by hand."""


def prototype_dgc(
    encoder: Encoder,
    num_clusters: int,
    embed_dim: int,
    optimizer: optax.GradientTransformation,
    options: PrototypeOptions,
    view_options: ViewOptions = ViewOptions(),  # noqa: B008 (frozen)
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


def init(
    model: PrototypeModel, key: Key[Array, ""], spectra: Float[Array, "n c"] | None = None
) -> State:
    """The first state: random, as upstream's, or from spectra of the data.

    Args:
        model: encoder, optimizer and options.
        key: for all that is drawn.
        spectra: of the data, with standardised bands; only a data-driven start needs them.

    Raises:
        ValueError: a data-driven start without spectra.
    """
    encoder_key, centroid_key = jax.random.split(key)
    params = {
        "encoder": model.encoder.init(encoder_key),
        "centroids": random_centroids(centroid_key, model.num_clusters, model.embed_dim),
        "log_bandwidth": log_bandwidth(model.options.initial_bandwidth),
    }
    if model.options.data_initialisation:
        params |= _params_from_data(model, params["encoder"], centroid_key, spectra)
    # Copies: buffers that are donated may not be shared.
    start = jax.tree.map(jnp.copy, (model.even_usage, _initial_balance(model)))
    return State(jnp.zeros((), jnp.int32), params, model.optimizer.init(params), *start)


def forward(
    model: PrototypeModel,
    params: Params,
    x: Float[Array, "b h w c"],
    valid: Array | None = None,
) -> ModelOutput:
    """Embeddings, embeddings after the mean-shift, and soft assignments of some images."""
    options = model.options
    embeddings = model.encoder.apply(params["encoder"], x)
    width = bandwidth(params["log_bandwidth"])
    if options.all_pairs:
        shifted = full_mean_shift(embeddings, width, options.mean_shift_iterations)
    else:
        shifted = local_mean_shift(
            embeddings,
            width,
            options.mean_shift_iterations,
            options.mean_shift_window,
            valid,
            options.zero_padding,
        )
    probabilities = soft_assignment(shifted, params["centroids"], options.assignment_temperature)
    return ModelOutput(embeddings, shifted, probabilities)


def loss_fn(
    model: PrototypeModel, params: Params, pair: ViewPair, state: State | None = None
) -> tuple[Float[Array, ""], tuple]:
    """The balanced sum of the loss terms over both views.

    Args:
        model: encoder, optimizer and options.
        params: as in `State`.
        pair: views, random labels and masks.
        state: says how terms are balanced; by default as at the start.

    Returns:
        The loss, and (terms, output of both views, weights of the balance).
    """
    if not model.options.learn_bandwidth:
        params = params | {"log_bandwidth": jax.lax.stop_gradient(params["log_bandwidth"])}
    shape = pair.crops.shape
    valid = None if pair.valid is None else pair.valid.reshape(-1, *shape[2:4])
    flat_output = forward(model, params, pair.crops.reshape(-1, *shape[2:]), valid)
    output = ModelOutput(*(a.reshape(*shape[:2], *a.shape[1:]) for a in flat_output))
    weights = model.options.loss_weights
    terms = loss_terms(weights, params["centroids"], output, pair)
    weighted = terms_with_weight(weights, terms, model.num_clusters)
    if state is None:
        balance_state, usage = _initial_balance(model), model.even_usage
    else:
        balance_state, usage = state.balance_state, state.running_usage
    balance_weights = model.balance.weights(balance_state, jnp.array(weighted), usage)
    total = balanced_loss(balance_weights, weighted, output.probabilities, pair.valid)
    return total, (terms, output, balance_weights)


def update(model: PrototypeModel, state: State, pair: ViewPair) -> tuple[State, Info]:
    """One step with given views and noise: optimizer, second forward pass, moving average."""
    options = model.options
    gradient, (terms_before, *_) = jax.grad(partial(loss_fn, model), has_aux=True)(
        state.params, pair, state
    )
    updates, optimizer_state = model.optimizer.update(gradient, state.optimizer_state, state.params)
    params = optax.apply_updates(state.params, updates)
    if not options.learn_bandwidth:  # weight decay would change it all the same
        params |= {"log_bandwidth": state.params["log_bandwidth"]}
    total, (terms, output, balance_weights) = loss_fn(model, params, pair, state)
    probabilities, bonuses = output.probabilities, balance_weights.cluster_bonuses
    batch_usage = mean_usage(probabilities, pair.valid)
    usage = update_running_usage(
        state.running_usage,
        probabilities,
        state.step,
        options.balance.averaging_batches,
        pair.valid,
    )
    shifted = output.shifted_embeddings
    centroids = update_centroids(
        params["centroids"],
        scrambled_pixels(shifted) if options.scrambled_pixels else shifted,
        probabilities,
        options.centroid_decay,
        pair.centroid_noise,
        pair.valid,
    )
    info = Info(
        loss=total,
        terms=terms,
        term_weights=jnp.array(balance_weights.term_weights),
        cluster_bonuses=jnp.zeros(model.num_clusters) if bonuses is None else bonuses,
        batch_usage=batch_usage,
        running_usage=usage,
        active_clusters=(batch_usage >= ACTIVE_SHARE).sum(),
        gradient_norm=optax.tree.norm(gradient),
        bandwidth=bandwidth(params["log_bandwidth"]),
    )
    before_after = (
        jnp.array(terms_with_weight(options.loss_weights, t, model.num_clusters))
        for t in (terms_before, terms)
    )
    balance_state = model.balance.update(state.balance_state, *before_after, usage)
    params |= {"centroids": centroids}
    state = State(state.step + 1, params, optimizer_state, usage, balance_state)
    return (
        (_with_revived_clusters(model, state, output, pair), info)
        if (options.revive_clusters)
        else (state, info)
    )


def step(
    model: PrototypeModel, key: Key[Array, ""], state: State, batch: Batch
) -> tuple[State, Info]:
    """One step on windows of cubes whose bands have mean 0 and deviation 1."""
    return update(model, state, draw_pair(model, key, batch))


def draw_pair(model: PrototypeModel, key: Key[Array, ""], batch: Batch) -> ViewPair:
    """Views of each window, random labels and the noise of dead centroids."""
    view_key, label_key, noise_key = jax.random.split(key, 3)
    keys = jax.random.split(view_key, (batch.window.shape[0], 3))
    pairs = cut_view_pairs(keys[:, 0], batch.window, batch.valid, model.view_options)
    augment_both = jax.vmap(augment_view, in_axes=(0, 0, None, None))
    augment_all = jax.vmap(augment_both, in_axes=(0, 0, None, None))
    stats = _standard_stats(batch.window.shape[-1])
    augmented = augment_all(keys[:, 1:], pairs.crops, stats, model.view_options)
    crops = jnp.where(pairs.valid[..., None], augmented, 0)
    num_pixels = pairs.valid[:, 0].size
    labels = [
        random_balanced_labels(k, num_pixels, model.num_clusters)
        for k in jax.random.split(label_key)
    ]
    shape = (model.num_clusters, model.embed_dim)
    return ViewPair(
        crops=jnp.moveaxis(crops, 1, 0),
        random_labels=jnp.stack(labels),
        centroid_noise=model.noise_deviation * jax.random.normal(noise_key, shape),
        valid=jnp.moveaxis(pairs.valid, 1, 0),
        affine_maps=pairs.maps,
    )


def predict(
    model: PrototypeModel, state: State, x: Float[Array, "b h w c"], valid: Array | None = None
) -> tuple[Int[Array, "b h w"], Float[Array, "b h w"]]:
    """Labels and the probability of each; -1 and 0 where not valid."""
    probabilities = forward(model, state.params, x, valid).probabilities
    labelled = jnp.ones(probabilities.shape[:-1], bool) if valid is None else valid
    labels = jnp.where(labelled, probabilities.argmax(-1), -1).astype(jnp.int32)
    return labels, jnp.where(labelled, probabilities.max(-1), 0)


def embed_pixels(
    model: PrototypeModel, state: State, x: Float[Array, "b h w c"], valid: Array
) -> tuple[Float[Array, "b h w d"], Float[Array, "k d"]]:
    """What the soft assignment compares: directions after the mean-shift, and centroids."""
    shifted = forward(model, state.params, x, valid).shifted_embeddings
    return unit(shifted), state.params["centroids"]


def _initial_balance(model: PrototypeModel) -> Array | tuple:
    num_terms = sum(w != 0 for w in model.options.loss_weights)
    return model.balance.init(jnp.zeros(num_terms), model.even_usage)


def _params_from_data(
    model: PrototypeModel, params: Params, key: Key[Array, ""], spectra: Array | None
) -> Params:
    """Encoder and centroids that start from spectra, each an image of one pixel."""
    if spectra is None:
        raise ValueError("a data-driven start was asked for: give spectra of the data")
    params = model.encoder.fit_linear_path(params, spectra)
    pixels = spectra[:INITIALISATION_PIXELS, None, None]
    embeddings = jax.jit(model.encoder.apply)(params, pixels)[:, 0, 0]
    return {"encoder": params, "centroids": kmeans_centroids(key, embeddings, model.num_clusters)}


def _with_revived_clusters(
    model: PrototypeModel, state: State, output: ModelOutput, pair: ViewPair
) -> State:
    """Dead clusters moved onto badly explained pixels, without the moments of the old ones."""
    due = state.step % model.options.balance.averaging_batches == 0
    usage = jnp.where(due, state.running_usage, 1.0)
    centroids, dead = revive_centroids(
        state.params["centroids"], usage, output.embeddings, ACTIVE_SHARE, pair.valid
    )
    reset = jax.tree.map(lambda _: jnp.array(False), state.params) | {"centroids": dead[:, None]}
    moments = optax.tree.map_params(
        model.optimizer,
        lambda moment, is_new: jnp.where(is_new, 0, moment),
        state.optimizer_state,
        reset,
    )
    return state._replace(
        params=state.params | {"centroids": centroids},
        optimizer_state=moments,
        # Twice the bound: it is dead again if no pixel has joined it when it is next due.
        running_usage=jnp.where(dead, 2 * ACTIVE_SHARE, state.running_usage),
    )


def _standard_stats(num_bands: int) -> BandStats:
    """Statistics of standardised bands."""
    one = jnp.ones(())
    return BandStats(jnp.zeros(num_bands), jnp.ones(num_bands), one, one)
