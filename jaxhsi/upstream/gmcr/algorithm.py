"""Upstream's joint training of pool, gates and concentrations ("parity mode").

Every mini-batch is one AdamW step on mean squared error + count, energy and ambiguity penalties;
an epoch ends with an evaluation that sets the weight of the count for the next. All that is random
can be passed in, so that a step can be replayed.

Source: upstream `analyzer.py` (`BaseEBgMCR.fit`) and `mcr.py` (`EBSelectiveMCR`).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxhsi.base import Algorithm
from jaxhsi.gmcr import mixing
from jaxhsi.upstream.gmcr import losses, schedules
from jaxhsi.upstream.gmcr.adamw import adamw, zero_moments
from jaxhsi.upstream.gmcr.evaluation import Evaluator, evaluator, looks, scan_blocks
from jaxhsi.upstream.gmcr.generator import PoolModel, PoolNoise, PoolOutput, pool_model
from jaxhsi.upstream.gmcr.kernels import ambiguity_penalty
from jaxhsi.upstream.gmcr.networks import concentration_network, gating_network
from jaxhsi.upstream.gmcr.options import (
    EpochInfo,
    Evaluation,
    Info,
    Joint,
    JointOptions,
    LossTerms,
    PoolParams,
    State,
)
from jaxhsi.upstream.gmcr.pool import components, random_pool


class JointModel(NamedTuple):
    """All that is fixed while a step is compiled.

    Attributes:
        num_bands: c of the spectra.
        options: of the method.
        pools: with their networks.
        libraries: start of each pool, None for a random one.
        evaluator: functions of the evaluation mode.
    """

    num_bands: int
    options: JointOptions
    pools: tuple[PoolModel, ...]
    libraries: tuple[Float[Array, "p c"] | None, ...]
    evaluator: Evaluator


def joint(
    num_bands: int,
    options: JointOptions = JointOptions(),  # noqa: B008 (frozen)
    libraries: Sequence[Float[Array, "p c"] | None] | None = None,
    aggregate: mixing.MixingFunction = mixing.linear,
) -> Joint:
    """Upstream's joint training: the functions of this module with their options bound.

    L = MSE + count_weight * count + w_e * energy + w_a * ambiguity (`options.LossTerms`), the
    count's weight 0 in the first epoch and then from `schedules`.

    Upstream's defects that are kept: the gate enters the reconstruction squared; the mean energy
    stands where the schedule of the weight means the number of components in use; the mean energy
    of an "evaluation" is that of the last training mini-batch. Not kept: an evaluation is done
    once, not twice; the pools may have different sizes (upstream concatenates along the wrong
    axis and fails); a fixed pool stays as it is (upstream wraps it in a Parameter, so that it is
    trained all the same); energies of single channels exist only where they are used.

    Args:
        num_bands: c of the spectra.
        options: of the method.
        libraries: start of each pool, None for a random one.
        aggregate: mixing of concentrations and components.

    Raises:
        ValueError: options that contradict each other, a library of another shape.
    """
    _check(num_bands, options, libraries, aggregate)
    pools = tuple(_model(num_bands, size, options, aggregate) for size in options.pool_sizes)
    draw = partial(draw_noise, pools)
    starts = tuple(libraries or (None,) * len(pools))
    judge = evaluator(options, pools, draw)
    model = JointModel(num_bands, options, pools, starts, judge)
    return Joint(
        init=partial(init, model),
        draw=draw,
        loss=partial(loss_fn, model),
        update=partial(update, model),
        step=partial(step, model),
        epoch=partial(epoch, model),
        evaluate=judge.evaluate,
        assess=judge.assess,
        unmix=judge.unmix,
        pools=pools,
        options=options,
    )


def joint_algorithm(method: Joint) -> Algorithm:
    """The joint training in the form of every method: init, step, and predict for new spectra."""
    return Algorithm(
        init=method.init,
        step=method.step,
        predict=lambda state, x: method.unmix(state.params, x),
    )


def init(model: JointModel, key: Key[Array, ""]) -> State:
    """The first state: pools from their libraries or at random, networks at random."""
    params = []
    for i, pool in enumerate(model.pools):
        pool_key, network_key = jax.random.split(jax.random.fold_in(key, i))
        raw = model.libraries[i]
        if raw is None:
            size = model.options.pool_sizes[i]
            raw = random_pool(pool_key, size, model.num_bands, model.options.pool).raw
        params.append(pool.init(network_key, jnp.asarray(raw, jnp.float32)))
    zero = jnp.zeros((), jnp.int32)
    params = tuple(params)
    return State(zero, zero, jnp.zeros(()), params, zero_moments(params))


def draw_noise(
    pools: tuple[PoolModel, ...], key: Key[Array, ""], rows: int, training: bool = True
) -> tuple[PoolNoise, ...]:
    """Noise of each pool for a batch of so many rows."""
    keys = [jax.random.fold_in(key, i) for i in range(len(pools))]
    return tuple(pool.draw(k, rows, training) for pool, k in zip(pools, keys, strict=True))


def loss_fn(
    model: JointModel,
    params: PoolParams,
    x: Float[Array, "n c"],
    noise: tuple[PoolNoise, ...],
    temperature: Float[Array, ""] | float,
    count_weight: Float[Array, ""] | float,
) -> tuple[Float[Array, ""], Info]:
    """The objective of a mini-batch, see `joint`, and its parts."""
    outputs = looks(model.pools, params, x, noise, temperature, True)
    terms = _terms(model.options, params, outputs, x)
    total = (
        terms.reconstruction
        + count_weight * terms.count
        + model.options.energy_weight * terms.energy
        + model.options.ambiguity_weight * terms.ambiguity
    )
    return total, Info(total, terms, _mean_energy(outputs))


def update(
    model: JointModel, noise: tuple[PoolNoise, ...], state: State, x: Float[Array, "n c"]
) -> tuple[State, Info]:
    """One AdamW step on a mini-batch with given noise."""
    options = model.options
    learnable = options.learnable_pools or (True,) * len(model.pools)
    temperature = _temperature(options, state.epoch)
    gradient, info = jax.grad(partial(loss_fn, model), has_aux=True)(
        state.params, x, noise, temperature, state.count_weight
    )
    gradient = _together(gradient)
    gradient = tuple(
        g if learns else g | {"pool": None} for g, learns in zip(gradient, learnable, strict=True)
    )
    number = state.step + 1
    params, moments = adamw(options.optimizer, number, state.params, gradient, state.moments)
    return state._replace(step=number, params=params, moments=moments), info


def step(
    model: JointModel, key: Key[Array, ""], state: State, x: Float[Array, "n c"]
) -> tuple[State, Info]:
    """One AdamW step on a mini-batch, its noise drawn from the key."""
    return update(model, draw_noise(model.pools, key, len(x)), state, x)


def epoch(
    model: JointModel, key: Key[Array, ""], state: State, x: Float[Array, "n c"]
) -> tuple[State, EpochInfo]:
    """All mini-batches in random order, an evaluation, and the schedules of the next epoch."""
    options = model.options
    order_key, noise_key, evaluation_key = jax.random.split(key, 3)

    def body(state: State, inputs: tuple) -> tuple[State, Info]:
        number, rows = inputs
        return step(model, jax.random.fold_in(noise_key, number), state, x[rows])

    order = jax.random.permutation(order_key, len(x))
    state, infos = scan_blocks(body, state, (order,), options.batch_size)
    evaluation = model.evaluator.evaluate(evaluation_key, state.params, x)
    mean_energy = infos.mean_energy[-1]
    temperature = _temperature(options, state.epoch)
    count_weight = _coefficient(options, state.count_weight, evaluation, mean_energy)
    state = state._replace(epoch=state.epoch + 1, count_weight=count_weight)
    mean = jax.tree.map(jnp.mean, infos)
    return state, EpochInfo(
        evaluation, mean_energy, count_weight, temperature, mean.loss, mean.terms
    )


def _check(bands: int, options: JointOptions, libraries: Any, aggregate: Any) -> None:
    pool_sizes = options.pool_sizes
    for name, values in (("learnable_pools", options.learnable_pools), ("libraries", libraries)):
        if values is not None and len(values) != len(pool_sizes):
            raise ValueError(
                f"there are {len(pool_sizes)} pools by pool_sizes and {len(values)} by {name}; "
                "give one each"
            )
    if options.level_criterion is not None:
        schedules.fit_levels(options.level_criterion, options.first_level, options.level_width)
    if options.sparse_components and aggregate is not mixing.linear:
        raise ValueError("sparse_components mixes linearly; leave aggregate at its default")
    for i, library in enumerate(libraries or ()):
        if library is not None and library.shape != (pool_sizes[i], bands):
            raise ValueError(
                f"library {i} has shape {tuple(library.shape)}; a pool of {pool_sizes[i]} "
                f"components and spectra of {bands} bands need ({pool_sizes[i]}, {bands})"
            )


def _model(bands: int, size: int, options: JointOptions, aggregate: Any) -> PoolModel:
    dtype = jnp.bfloat16 if options.bfloat16 else jnp.float32
    hidden = options.hidden_width_factor, options.hidden_layers, dtype
    return pool_model(
        gating_network(bands, size, *hidden),
        concentration_network(bands, size, *hidden),
        (size, bands),
        options.pool,
        options.langevin,
        options.gate_threshold,
        aggregate,
        elements=options.sparse_components,
    )


def _terms(
    options: JointOptions, params: PoolParams, seen: list[PoolOutput], x: Array
) -> LossTerms:
    used = jnp.concatenate([(look.gates > options.used_threshold).any(0) for look in seen])
    pure = jnp.concatenate([components(p["pool"], options.pool) for p in params])
    more = {"polynomial": {"d": options.kernel_degree}, "matern": {"nu": options.kernel_nu}}
    return LossTerms(
        losses.reconstruction_error(x, sum(look.reconstruction for look in seen)),
        losses.component_share([look.gates for look in seen]),
        losses.energy_penalty([look.energies for look in seen]),
        ambiguity_penalty(options.kernel, pure, used, **more.get(options.kernel, {})),
    )


def _together(gradient: PoolParams) -> PoolParams:
    """The same gradient, complete before any of it is used.

    Within a scan XLA copies each matrix that it updates while the backward pass may still read it,
    a quarter of a step's memory traffic. Nothing can be pending once the first layers' gradients,
    the last to be computed, are known: zero times these is added. (A barrier would be dropped.)
    """
    nets = [p[name]["0"]["bias"][0] for p in gradient for name in ("gating", "concentration")]
    return jax.tree.map(lambda g: g + 0 * sum(nets), gradient)


def _mean_energy(seen: list[PoolOutput]) -> Float[Array, ""]:
    """Over all energies of all pools, with upstream's sign."""
    energies = [look.energies for look in seen]
    energies += [look.channel_energies for look in seen if look.channel_energies is not None]
    return -losses.mean_energy(energies)


def _temperature(options: JointOptions, epoch: Int[Array, ""]) -> Float[Array, ""]:
    return schedules.gate_temperature(
        epoch,
        options.initial_temperature,
        options.min_temperature,
        options.temperature_drop,
        options.temperature_drop_every,
    )


def _coefficient(
    options: JointOptions, old: Array, evaluation: Evaluation, mean_energy: Array
) -> Float[Array, ""]:
    """Next weight of the count, the mean energy in place of the number in use as upstream's."""
    return schedules.next_count_weight(
        old,
        evaluation.nmse,
        evaluation.mse,
        mean_energy,
        sum(options.pool_sizes),
        penalty_error_ratio=options.penalty_error_ratio,
        margin=options.penalty_nmse,
    )
