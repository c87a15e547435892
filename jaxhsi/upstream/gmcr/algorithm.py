"""Upstream's joint training of pool, gates and concentrations ("parity mode").

Every mini-batch is one AdamW step on mean squared error + count, energy and ambiguity penalties;
an epoch ends with an evaluation that sets the weight of the count for the next. All that is random
can be passed in, so that a step can be replayed.

Source: upstream `analyzer.py` (`BaseEBgMCR.fit`) and `mcr.py` (`EBSelectiveMCR`).
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key

from jaxhsi.base import Algorithm
from jaxhsi.gmcr import mixing
from jaxhsi.table_sharding import split_rows
from jaxhsi.upstream.gmcr import losses, schedules
from jaxhsi.upstream.gmcr.adamw import adamw, zero_moments
from jaxhsi.upstream.gmcr.arguments import check_joint_arguments
from jaxhsi.upstream.gmcr.evaluation import assess, evaluate, scan_blocks, unmix
from jaxhsi.upstream.gmcr.generator import (
    PoolModel,
    PoolNoise,
    PoolOutput,
    draw_noise,
    init_pool,
    pool_outputs,
)
from jaxhsi.upstream.gmcr.kernels import ambiguity_penalty
from jaxhsi.upstream.gmcr.networks import concentration_network, gating_network
from jaxhsi.upstream.gmcr.options import JointOptions
from jaxhsi.upstream.gmcr.pool import components, random_parameters
from jaxhsi.upstream.gmcr.state import (
    EpochInfo,
    Evaluation,
    Info,
    Joint,
    LossTerms,
    PoolParams,
    State,
)


class JointModel(NamedTuple):
    """All that is fixed while a step is compiled.

    Attributes:
        num_bands: c of the spectra.
        options: of the method.
        pools: with their networks.
        libraries: start of each pool, None for a random one.
        mesh: devices that each compute a share of every mini-batch; None for one.
    """

    num_bands: int
    options: JointOptions
    pools: tuple[PoolModel, ...]
    libraries: tuple[Float[Array, "p c"] | None, ...]
    mesh: Mesh | None = None


def joint(
    num_bands: int,
    options: JointOptions = JointOptions(),  # noqa: B008 (frozen)
    libraries: Sequence[Float[Array, "p c"] | None] | None = None,
    aggregate: mixing.MixingFunction = mixing.linear,
    mesh: Mesh | None = None,
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
        mesh: devices that each compute a share of every mini-batch; None for one.

    Raises:
        ValueError: see `arguments.check_joint_arguments`.
    """
    check_joint_arguments(num_bands, options, libraries, aggregate)
    pools = tuple(
        _pool_model(num_bands, pool_size, options, aggregate) for pool_size in options.pool_sizes
    )
    model = JointModel(num_bands, options, pools, tuple(libraries or (None,) * len(pools)), mesh)
    return Joint(
        init=partial(init, model),
        draw=partial(draw_noise, pools),
        loss=partial(loss_fn, model),
        update=partial(update, model),
        step=partial(step, model),
        epoch=partial(epoch, model),
        evaluate=partial(evaluate, options, pools, mesh=mesh),
        assess=partial(assess, options, pools),
        unmix=partial(unmix, options, pools),
        pools=pools,
        options=options,
        mesh=mesh,
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
    for i, (pool_model, library) in enumerate(zip(model.pools, model.libraries, strict=True)):
        pool_key, network_key = jax.random.split(jax.random.fold_in(key, i))
        if library is None:
            library = random_parameters(pool_key, *pool_model.pool_shape, model.options.pool)
        params.append(init_pool(pool_model, network_key, jnp.asarray(library, jnp.float32)))
    # Counters are arrays, so that a step does not compile anew as they grow.
    zero_count = jnp.zeros((), jnp.int32)
    params = tuple(params)
    return State(zero_count, zero_count, jnp.zeros(()), params, zero_moments(params))


def loss_fn(
    model: JointModel,
    params: PoolParams,
    x: Float[Array, "n c"],
    noise: tuple[PoolNoise, ...],
    temperature: Float[Array, ""] | float,
    count_weight: Float[Array, ""] | float,
) -> tuple[Float[Array, ""], Info]:
    """The objective of a mini-batch, see `joint`, and its parts."""
    outputs = pool_outputs(model.pools, params, x, noise, temperature, True)
    loss_terms = _terms(model.options, params, outputs, x)
    total_loss = (
        loss_terms.reconstruction
        + count_weight * loss_terms.count
        + model.options.energy_weight * loss_terms.energy
        + model.options.ambiguity_weight * loss_terms.ambiguity
    )
    return total_loss, Info(total_loss, loss_terms, _mean_energy(outputs))


def update(
    model: JointModel, noise: tuple[PoolNoise, ...], state: State, x: Float[Array, "n c"]
) -> tuple[State, Info]:
    """One AdamW step on a mini-batch with given noise."""
    options = model.options
    # None means all, as upstream trains its pool by default.
    learnable_pools = options.learnable_pools or (True,) * len(model.pools)
    gate_temperature = _temperature(options, state.epoch)
    gradient, info = jax.grad(partial(loss_fn, model), has_aux=True)(
        state.params, x, noise, gate_temperature, state.count_weight
    )
    gradient = _together(gradient)
    # A pool that stays fixed has no gradient, so that neither decay nor moments change it.
    gradient = tuple(
        pool_gradient if is_learnable else pool_gradient | {"pool": None}
        for pool_gradient, is_learnable in zip(gradient, learnable_pools, strict=True)
    )
    step_number = state.step + 1
    params, moments = adamw(options.optimizer, step_number, state.params, gradient, state.moments)
    return state._replace(step=step_number, params=params, moments=moments), info


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
        batch_number, rows = inputs
        batch = split_rows(model.mesh, x[rows])
        return step(model, jax.random.fold_in(noise_key, batch_number), state, batch)

    # Whole permutations: each spectrum is seen once an epoch, as by a PyTorch loader.
    row_order = jax.random.permutation(order_key, len(x))
    state, step_infos = scan_blocks(body, state, (row_order,), options.batch_size)
    evaluation = evaluate(options, model.pools, evaluation_key, state.params, x, mesh=model.mesh)
    # Of the last mini-batch, where upstream's evaluation reads it.
    mean_energy = step_infos.mean_energy[-1]
    gate_temperature = _temperature(options, state.epoch)
    count_weight = _coefficient(options, state.count_weight, evaluation, mean_energy)
    state = state._replace(epoch=state.epoch + 1, count_weight=count_weight)
    mean_info = jax.tree.map(jnp.mean, step_infos)
    return state, EpochInfo(
        evaluation, mean_energy, count_weight, gate_temperature, mean_info.loss, mean_info.terms
    )


def _pool_model(
    num_bands: int, pool_size: int, options: JointOptions, aggregate: mixing.MixingFunction
) -> PoolModel:
    dtype = jnp.bfloat16 if options.bfloat16 else jnp.float32
    layer_options = options.hidden_width_factor, options.hidden_layers, dtype
    return PoolModel(
        gating=gating_network(num_bands, pool_size, *layer_options),
        concentration=concentration_network(num_bands, pool_size, *layer_options),
        pool_shape=(pool_size, num_bands),
        pool_options=options.pool,
        langevin=options.langevin,
        gate_threshold=options.gate_threshold,
        aggregate=aggregate,
        has_channel_gates=options.sparse_components,
    )


def _terms(
    options: JointOptions, params: PoolParams, outputs: list[PoolOutput], x: Array
) -> LossTerms:
    used_mask = jnp.concatenate(
        [(output.gates > options.used_threshold).any(0) for output in outputs]
    )
    # Over all pools: likeness between pools is penalised too.
    pure_spectra = jnp.concatenate([components(p["pool"], options.pool) for p in params])
    kernel_options = {
        "polynomial": {"d": options.kernel_degree},
        "matern": {"nu": options.kernel_nu},
    }.get(options.kernel, {})
    return LossTerms(
        losses.reconstruction_error(x, sum(output.reconstruction for output in outputs)),
        losses.component_share([output.gates for output in outputs]),
        losses.energy_penalty([output.energies for output in outputs]),
        ambiguity_penalty(options.kernel, pure_spectra, used_mask, **kernel_options),
    )


def _together(gradient: PoolParams) -> PoolParams:
    """The same gradient, complete before any of it is used.

    Within a scan XLA copies each matrix that it updates while the backward pass may still read it,
    a quarter of a step's memory traffic. Nothing can be pending once the first layers' gradients,
    the last to be computed, are known: zero times these is added. (A barrier would be dropped.)
    """
    first_biases = [
        p[name]["0"]["bias"][0] for p in gradient for name in ("gating", "concentration")
    ]
    return jax.tree.map(lambda g: g + 0 * sum(first_biases), gradient)


def _mean_energy(outputs: list[PoolOutput]) -> Float[Array, ""]:
    """Over all energies of all pools, with upstream's sign."""
    energies = [output.energies for output in outputs]
    energies += [
        output.channel_energies for output in outputs if output.channel_energies is not None
    ]
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
    options: JointOptions, old_weight: Array, evaluation: Evaluation, mean_energy: Array
) -> Float[Array, ""]:
    """Next weight of the count, the mean energy in place of the number in use as upstream's."""
    return schedules.next_count_weight(
        old_weight,
        evaluation.nmse,
        evaluation.mse,
        mean_energy,
        sum(options.pool_sizes),
        penalty_error_ratio=options.penalty_error_ratio,
        nmse_threshold=options.penalty_nmse,
    )
