"""Upstream's joint training of pool, gates and concentrations ("parity mode").

Every mini-batch is one AdamW step on mean squared error + count, energy and ambiguity penalties;
an epoch ends with an evaluation that sets the weight of the count for the next. All that is random
can be passed in, so that a step can be replayed.

Source: upstream `analyzer.py` (`BaseEBgMCR.fit`) and `mcr.py` (`EBSelectiveMCR`).
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxhsi.gmcr import mixing
from jaxhsi.upstream.gmcr import losses, schedules
from jaxhsi.upstream.gmcr.adamw import adamw, zero_moments
from jaxhsi.upstream.gmcr.evaluation import evaluator, looks, scan_blocks
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


def joint(
    bands: int,
    options: JointOptions = JointOptions(),  # noqa: B008 (frozen)
    libraries: Sequence[Float[Array, "p c"] | None] | None = None,
    aggregate: mixing.MixingFunction = mixing.linear,
) -> Joint:
    """Upstream's joint training.

    L = MSE + coefficient * count + w_e * energy + w_a * ambiguity (`options.Terms`), the
    coefficient 0 in the first epoch and then from `schedules`.

    Upstream's defects that are kept: the gate enters the reconstruction squared; the mean energy
    stands where the coefficient's schedule means the number of components in use; the mean energy
    of an "evaluation" is that of the last training mini-batch. Not kept: an evaluation is done
    once, not twice; the pools may have different pool_sizes (upstream concatenates along the wrong
    axis and fails); a fixed pool stays as it is (upstream wraps it in a Parameter, so that it is
    trained all the same); energies of single channels exist only where they are used.

    Args:
        bands: c of the spectra.
        options: of the method.
        libraries: start of each pool, None for a random one.
        aggregate: mixing of concentrations and components.

    Raises:
        ValueError: options that contradict each other, a library of another shape.
    """
    _check(bands, options, libraries, aggregate)
    models = tuple(_model(bands, size, options, aggregate) for size in options.pool_sizes)
    learnable_pools = options.learnable_pools or (True,) * len(models)

    def init(key: Key[Array, ""]) -> State:
        params = []
        for i, model in enumerate(models):
            k_pool, k_networks = jax.random.split(jax.random.fold_in(key, i))
            raw = libraries[i] if libraries and libraries[i] is not None else None
            if raw is None:
                raw = random_pool(k_pool, options.pool_sizes[i], bands, options.pool).raw
            params.append(model.init(k_networks, jnp.asarray(raw, jnp.float32)))
        zero = jnp.zeros((), jnp.int32)
        params = tuple(params)
        return State(zero, zero, jnp.zeros(()), params, zero_moments(params))

    def draw(key: Key[Array, ""], rows: int, training: bool = True) -> tuple[PoolNoise, ...]:
        keys = [jax.random.fold_in(key, i) for i in range(len(models))]
        return tuple(m.draw(k, rows, training) for m, k in zip(models, keys, strict=True))

    judge = evaluator(options, models, draw)

    def loss(
        params: PoolParams,
        x: Float[Array, "n c"],
        noise: tuple[PoolNoise, ...],
        temperature: Float[Array, ""] | float,
        coefficient: Float[Array, ""] | float,
    ) -> tuple[Float[Array, ""], Info]:
        seen = looks(models, params, x, noise, temperature, True)
        terms = _terms(options, params, seen, x)
        total = (
            terms.reconstruction
            + coefficient * terms.count
            + options.energy_weight * terms.energy
            + options.ambiguity_weight * terms.ambiguity
        )
        return total, Info(total, terms, _mean_energy(seen))

    def step(noise: tuple, state: State, x: Float[Array, "n c"]) -> tuple[State, Info]:
        temperature = _temperature(options, state.epoch)
        gradient, info = jax.grad(loss, has_aux=True)(
            state.params, x, noise, temperature, state.count_weight
        )
        gradient = _together(gradient)
        gradient = tuple(
            g if learns else g | {"pool": None}
            for g, learns in zip(gradient, learnable_pools, strict=True)
        )
        number = state.step + 1
        params, moments = adamw(options.optimizer, number, state.params, gradient, state.moments)
        return state._replace(step=number, params=params, moments=moments), info

    def epoch(key: Key[Array, ""], state: State, x: Float[Array, "n c"]) -> tuple[State, EpochInfo]:
        k_order, k_noise, k_evaluation = jax.random.split(key, 3)

        def body(state: State, inputs: tuple) -> tuple[State, Info]:
            number, rows = inputs
            return step(draw(jax.random.fold_in(k_noise, number), len(rows)), state, x[rows])

        order = jax.random.permutation(k_order, len(x))
        state, infos = scan_blocks(body, state, (order,), options.batch_size)
        evaluation = judge.evaluate(k_evaluation, state.params, x)
        mean_energy = infos.mean_energy[-1]
        temperature = _temperature(options, state.epoch)
        coefficient = _coefficient(options, state.count_weight, evaluation, mean_energy)
        state = state._replace(epoch=state.epoch + 1, count_weight=coefficient)
        mean = jax.tree.map(jnp.mean, infos)
        return state, EpochInfo(
            evaluation, mean_energy, coefficient, temperature, mean.loss, mean.terms
        )

    return Joint(init, draw, loss, step, epoch, *judge, models, options)


def _check(bands: int, options: JointOptions, libraries: Any, aggregate: Any) -> None:
    pool_sizes = options.pool_sizes
    for name, values in (("learnable_pools", options.learnable_pools), ("libraries", libraries)):
        if values is not None and len(values) != len(pool_sizes):
            raise ValueError(
                f"there are {len(pool_sizes)} pools by pool_sizes and {len(values)} by {name}; give one each"
            )
    if options.level_criterion is not None:
        schedules.fit_levels(options.level_criterion, options.first_level, options.level_width)
    if options.sparse_components and aggregate is not mixing.linear:
        raise ValueError("sparse_components mixes linearly; leave aggregate at its default")
    for i, library in enumerate(libraries or ()):
        if library is not None and library.shape != (pool_sizes[i], bands):
            raise ValueError(
                f"library {i} has shape {tuple(library.shape)}; a pool of {pool_sizes[i]} components "
                f"and spectra of {bands} bands need ({pool_sizes[i]}, {bands})"
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
