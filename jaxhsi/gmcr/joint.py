"""Upstream's joint training of pool, gates and concentrations ("parity mode").

Every mini-batch is one AdamW step on mean squared error + count, energy and ambiguity penalties;
an epoch ends with an evaluation that sets the weight of the count for the next. All that is random
can be passed in, so that a step can be replayed.

Source: upstream `analyzer.py` (`BaseEBgMCR.fit`) and `mcr.py` (`EBSelectiveMCR`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxhsi.functional import Params
from jaxhsi.gmcr import losses, mixing, schedules, scores
from jaxhsi.gmcr.adamw import AdamWOptions, Moments, adamw, moments
from jaxhsi.gmcr.joint_pool import Langevin, Look, Noise, PoolModel, pool_model
from jaxhsi.gmcr.kernels import ambiguity
from jaxhsi.gmcr.network import concentration_network, gating_network
from jaxhsi.gmcr.pool import PoolOptions, components, random_pool

Pools = tuple[Params, ...]
_BLOCK = 512  # rows of an evaluation at a time


@dataclass(frozen=True)
class JointOptions:
    """What a user may set; upstream's values by default.

    Attributes:
        sizes: of the pools.
        learnable: whether the spectra of each pool are trained; None for all.
        sparse_components: gates of single channels, drawn for each spectrum; arrays of
            (rows, pool, channels, 2) come with them.
        pool: signs and norm of the components.
        hidden_extension: hidden width of the networks, as a multiple; None for one linear layer.
        hidden_layers: of the networks.
        batch: rows of a mini-batch; the last of an epoch may be smaller.
        optimizer: settings of AdamW.
        langevin: noise on the energies in training.
        temperature: of the gates in the first epochs.
        temperature_min: at which it stays.
        temperature_drop: by which it falls at a time.
        temperature_epochs: after how many epochs each; 0 for never.
        temperature_evaluation: of the gates in evaluation.
        threshold: above which a gate is open in evaluation.
        target_ratio: of the count's penalty to the squared error, see `schedules`.
        nmse_margin: nMSE under which the count is penalised.
        energy_weight: of the mean squared energy.
        ambiguity_weight: of the likeness of components in use.
        kernel: of that likeness, see `kernels`.
        kernel_degree: of the polynomial kernel.
        kernel_nu: of the Matern kernel.
        used_threshold: gate above which a component counts as in use for it.
        bfloat16: networks multiply in bfloat16.
    """

    sizes: tuple[int, ...] = (1024,)
    learnable: tuple[bool, ...] | None = None
    sparse_components: bool = False
    pool: PoolOptions = field(default_factory=PoolOptions)
    hidden_extension: int | None = 2
    hidden_layers: int = 2
    batch: int = 64
    optimizer: AdamWOptions = field(default_factory=AdamWOptions)
    langevin: Langevin = field(default_factory=Langevin)
    temperature: float = 1.0
    temperature_min: float = 0.4
    temperature_drop: float = 0.01
    temperature_epochs: int = 100
    temperature_evaluation: float = 0.01
    threshold: float = 0.9999994
    target_ratio: float = 1.0
    nmse_margin: float = 0.005
    energy_weight: float = 1e-10
    ambiguity_weight: float = 1e-10
    kernel: str = "rbf"
    kernel_degree: int = 2
    kernel_nu: float = 1.5
    used_threshold: float = 0.5
    bfloat16: bool = False


class State(NamedTuple):
    """All that a checkpoint needs.

    Attributes:
        step: number of steps taken.
        epoch: number of epochs taken; sets the temperature.
        coefficient: weight of the count's penalty.
        params: of each pool, see `joint_pool.PoolModel`.
        averages: of AdamW.
    """

    step: Int[Array, ""]
    epoch: Int[Array, ""]
    coefficient: Float[Array, ""]
    params: Pools
    averages: Moments


class Terms(NamedTuple):
    """Unweighted loss terms of a mini-batch.

    Attributes:
        reconstruction: mean squared error.
        count: mean over spectra and pools of the sum of gates, over the slots of all pools.
        energy: mean square of the energies, noise included.
        ambiguity: mean kernel between components in use.
    """

    reconstruction: Float[Array, ""]
    count: Float[Array, ""]
    energy: Float[Array, ""]
    ambiguity: Float[Array, ""]


class Info(NamedTuple):
    """Diagnostics of a step: the loss, its terms, and upstream's mean energy (negated, noisy)."""

    loss: Float[Array, ""]
    terms: Terms
    mean_energy: Float[Array, ""]


class Evaluation(NamedTuple):
    """How the evaluation mode, with thresholded gates, fits some spectra.

    Attributes:
        nmse: residual over signal, both as sums of squares.
        r2: centred.
        mse: mean over mini-batches of their mean squared errors.
        used: components open for at least one spectrum.
    """

    nmse: Float[Array, ""]
    r2: Float[Array, ""]
    mse: Float[Array, ""]
    used: Int[Array, ""]


class Epoch(NamedTuple):
    """Diagnostics of an epoch.

    Attributes:
        evaluation: after its last step.
        mean_energy: of its *last mini-batch*, in training mode: upstream's evaluation reads it
            from there.
        coefficient: weight of the count in the next epoch.
        temperature: of the gates during the epoch.
        loss: mean over the steps.
        terms: likewise.
    """

    evaluation: Evaluation
    mean_energy: Float[Array, ""]
    coefficient: Float[Array, ""]
    temperature: Float[Array, ""]
    loss: Float[Array, ""]
    terms: Terms


class Unmixed(NamedTuple):
    """Spectra unmixed; the pools one after the other.

    Attributes:
        reconstruction: of the spectra.
        concentrations: gates included.
        components: normalised.
        gates: 0 or 1.
    """

    reconstruction: Float[Array, "n c"]
    concentrations: Float[Array, "n p"]
    components: Float[Array, "p c"]
    gates: Float[Array, "n p"]


class Joint(NamedTuple):
    """The method as pure functions; `init` and `epoch` may be mapped over seeds by ``vmap``.

    Attributes:
        init: ``init(key) -> State``.
        draw: ``draw(key, rows, training=True) -> (Noise, ...)``, one of each pool.
        loss: ``loss(params, x, noise, temperature, coefficient) -> (loss, Info)``.
        step: ``step(noise, state, x (n, c)) -> (State, Info)``: one mini-batch.
        epoch: ``epoch(key, state, x) -> (State, Epoch)``: shuffles, runs all mini-batches in one
            scan, evaluates, moves the schedules; jit it and donate the state.
        evaluate: ``evaluate(key, params, x) -> Evaluation``, in blocks.
        assess: ``assess(noise, params, x) -> Evaluation``, with noise given.
        unmix: ``unmix(params, x, noise=None) -> Unmixed``; upstream draws noise here too, None
            takes the gates' likelier side by the same threshold.
        pools: of which it is made.
    """

    init: Callable[[Key[Array, ""]], State]
    draw: Callable[..., tuple[Noise, ...]]
    loss: Callable[..., tuple[Array, Info]]
    step: Callable[[tuple[Noise, ...], State, Array], tuple[State, Info]]
    epoch: Callable[[Key[Array, ""], State, Array], tuple[State, Epoch]]
    evaluate: Callable[[Key[Array, ""], Pools, Array], Evaluation]
    assess: Callable[[tuple[Noise, ...], Pools, Array], Evaluation]
    unmix: Callable[..., Unmixed]
    pools: tuple[PoolModel, ...]


def joint(
    bands: int,
    options: JointOptions = JointOptions(),
    libraries: Sequence[Float[Array, "p c"] | None] | None = None,
    aggregate: mixing.Aggregate = mixing.linear,
) -> Joint:
    """Upstream's joint training.

    L = MSE + coefficient * count + w_e * energy + w_a * ambiguity (:class:`Terms`), the
    coefficient 0 in the first epoch and then from `schedules`.

    Upstream's defects that are kept: the gate enters the reconstruction squared; the mean energy
    stands where the coefficient's schedule means the number of components in use; the mean energy
    of an "evaluation" is that of the last training mini-batch. Not kept: an evaluation is done
    once, not twice; the pools may have different sizes (upstream concatenates along the wrong
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
    models = tuple(_model(bands, size, options, aggregate) for size in options.sizes)
    learnable = options.learnable or (True,) * len(models)

    def init(key: Key[Array, ""]) -> State:
        params = []
        for i, model in enumerate(models):
            k_pool, k_networks = jax.random.split(jax.random.fold_in(key, i))
            raw = libraries[i] if libraries and libraries[i] is not None else None
            if raw is None:
                raw = random_pool(k_pool, options.sizes[i], bands, options.pool).raw
            params.append(model.init(k_networks, jnp.asarray(raw, jnp.float32)))
        zero = jnp.zeros((), jnp.int32)
        params = tuple(params)
        return State(zero, zero, jnp.zeros(()), params, moments(params))

    def draw(key: Key[Array, ""], rows: int, training: bool = True) -> tuple[Noise, ...]:
        keys = [jax.random.fold_in(key, i) for i in range(len(models))]
        return tuple(m.draw(k, rows, training) for m, k in zip(models, keys, strict=True))

    def looks(params: Pools, x: Array, noise: tuple, temperature: Any, training: bool) -> list:
        each = zip(models, params, noise, strict=True)
        return [m.look(p, x, z, temperature, training) for m, p, z in each]

    def loss(
        params: Pools,
        x: Float[Array, "n c"],
        noise: tuple[Noise, ...],
        temperature: Float[Array, ""] | float,
        coefficient: Float[Array, ""] | float,
    ) -> tuple[Float[Array, ""], Info]:
        seen = looks(params, x, noise, temperature, True)
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
            state.params, x, noise, temperature, state.coefficient
        )
        gradient = _together(gradient)
        gradient = tuple(
            g if learns else g | {"pool": None}
            for g, learns in zip(gradient, learnable, strict=True)
        )
        number = state.step + 1
        params, averages = adamw(options.optimizer, number, state.params, gradient, state.averages)
        return state._replace(step=number, params=params, averages=averages), info

    def sums(params: Pools, x: Array, weights: Array, noise: tuple) -> tuple:
        seen = looks(params, x, noise, options.temperature_evaluation, False)
        fitted = sum(look.reconstruction for look in seen)
        mode = "threshold" if options.sparse_components else "dense"
        opened = jnp.concatenate([look.gates.any(0) for look in seen])
        mse = weights @ ((x - fitted) ** 2).mean(1)
        return scores.fit_sums(x, fitted, mode), mse, opened

    def evaluate(key: Key[Array, ""], params: Pools, x: Float[Array, "n c"]) -> Evaluation:
        rows = options.batch * (1 if options.sparse_components else -(-_BLOCK // options.batch))

        def body(_: None, inputs: tuple) -> tuple[None, tuple]:
            number, x, weights = inputs
            noise = draw(jax.random.fold_in(key, number), len(x), False)
            return None, sums(params, x, weights, noise)

        _, parts = _scan_blocks(body, None, (x, _row_weights(len(x), options.batch)), rows)
        fits, mse, opened = parts
        return _evaluation(jax.tree.map(lambda a: a.sum(0), fits), mse.sum(), opened.any(0))

    def assess(noise: tuple, params: Pools, x: Float[Array, "n c"]) -> Evaluation:
        return _evaluation(*sums(params, x, _row_weights(len(x), options.batch), noise))

    def epoch(key: Key[Array, ""], state: State, x: Float[Array, "n c"]) -> tuple[State, Epoch]:
        k_order, k_noise, k_evaluation = jax.random.split(key, 3)

        def body(state: State, inputs: tuple) -> tuple[State, Info]:
            number, rows = inputs
            return step(draw(jax.random.fold_in(k_noise, number), len(rows)), state, x[rows])

        order = jax.random.permutation(k_order, len(x))
        state, infos = _scan_blocks(body, state, (order,), options.batch)
        evaluation = evaluate(k_evaluation, state.params, x)
        mean_energy = infos.mean_energy[-1]
        temperature = _temperature(options, state.epoch)
        coefficient = _coefficient(options, state.coefficient, evaluation, mean_energy)
        state = state._replace(epoch=state.epoch + 1, coefficient=coefficient)
        mean = jax.tree.map(jnp.mean, infos)
        return state, Epoch(
            evaluation, mean_energy, coefficient, temperature, mean.loss, mean.terms
        )

    def unmix(params: Pools, x: Float[Array, "n c"], noise: tuple | None = None) -> Unmixed:
        if noise is None:
            shapes = jax.eval_shape(lambda: draw(jax.random.key(0), len(x), False))
            noise = jax.tree.map(lambda a: jnp.zeros(a.shape), shapes)
        seen = looks(params, x, noise, options.temperature_evaluation, False)
        return Unmixed(
            sum(look.reconstruction for look in seen),
            jnp.concatenate([look.concentrations * look.gates for look in seen], 1),
            jnp.concatenate([components(p["pool"], options.pool) for p in params]),
            jnp.concatenate([look.gates for look in seen], 1),
        )

    return Joint(init, draw, loss, step, epoch, evaluate, assess, unmix, models)


def _check(bands: int, options: JointOptions, libraries: Any, aggregate: Any) -> None:
    sizes = options.sizes
    for name, values in (("learnable", options.learnable), ("libraries", libraries)):
        if values is not None and len(values) != len(sizes):
            raise ValueError(
                f"there are {len(sizes)} pools by sizes and {len(values)} by {name}; give one each"
            )
    if options.sparse_components and aggregate is not mixing.linear:
        raise ValueError("sparse_components mixes linearly; leave aggregate at its default")
    for i, library in enumerate(libraries or ()):
        if library is not None and library.shape != (sizes[i], bands):
            raise ValueError(
                f"library {i} has shape {tuple(library.shape)}; a pool of {sizes[i]} components "
                f"and spectra of {bands} bands need ({sizes[i]}, {bands})"
            )


def _model(bands: int, size: int, options: JointOptions, aggregate: Any) -> PoolModel:
    dtype = jnp.bfloat16 if options.bfloat16 else jnp.float32
    hidden = options.hidden_extension, options.hidden_layers, dtype
    return pool_model(
        gating_network(bands, size, *hidden),
        concentration_network(bands, size, *hidden),
        (size, bands),
        options.pool,
        options.langevin,
        options.threshold,
        aggregate,
        elements=options.sparse_components,
    )


def _terms(options: JointOptions, params: Pools, seen: list[Look], x: Array) -> Terms:
    used = jnp.concatenate([(look.gates > options.used_threshold).any(0) for look in seen])
    pure = jnp.concatenate([components(p["pool"], options.pool) for p in params])
    more = {"polynomial": {"d": options.kernel_degree}, "matern": {"nu": options.kernel_nu}}
    return Terms(
        losses.reconstruction(x, sum(look.reconstruction for look in seen)),
        losses.mean_count([look.gates for look in seen]),
        losses.energy_penalty([look.energies for look in seen]),
        ambiguity(options.kernel, pure, used, **more.get(options.kernel, {})),
    )


def _together(gradient: Pools) -> Pools:
    """The same gradient, complete before any of it is used.

    Within a scan XLA copies each matrix that it updates while the backward pass may still read it,
    a quarter of a step's memory traffic. Nothing can be pending once the first layers' gradients,
    the last to be computed, are known: zero times these is added. (A barrier would be dropped.)
    """
    nets = [p[name]["0"]["bias"][0] for p in gradient for name in ("gating", "concentration")]
    return jax.tree.map(lambda g: g + 0 * sum(nets), gradient)


def _mean_energy(seen: list[Look]) -> Float[Array, ""]:
    """Over all energies of all pools, with upstream's sign."""
    energies = [look.energies for look in seen]
    energies += [look.element_energies for look in seen if look.element_energies is not None]
    return -losses.mean_energy(energies)


def _temperature(options: JointOptions, epoch: Int[Array, ""]) -> Float[Array, ""]:
    return schedules.temperature(
        epoch,
        options.temperature,
        options.temperature_min,
        options.temperature_drop,
        options.temperature_epochs,
    )


def _coefficient(
    options: JointOptions, old: Array, evaluation: Evaluation, mean_energy: Array
) -> Float[Array, ""]:
    """Next weight of the count, the mean energy in place of the number in use as upstream's."""
    return schedules.minimum_component_coefficient(
        old,
        evaluation.nmse,
        evaluation.mse,
        mean_energy,
        sum(options.sizes),
        target_ratio=options.target_ratio,
        margin=options.nmse_margin,
    )


def _evaluation(fit: scores.FitSums, mse: Array, opened: Array) -> Evaluation:
    return Evaluation(scores.nmse(fit), scores.r2(fit), mse, opened.sum())


def _row_weights(n: int, batch: int) -> Float[Array, " n"]:
    """Weights that make the mean over mini-batches of the means over their rows."""
    sizes = jnp.minimum(batch, n - jnp.arange(0, n, batch))
    return jnp.repeat(1 / (sizes * len(sizes)), batch, total_repeat_length=len(sizes) * batch)[:n]


def _scan_blocks(body: Callable, carry: Any, arrays: tuple, rows: int) -> tuple[Any, Any]:
    """Scan ``body(carry, (number, *block))`` over whole blocks of rows, then take the rest."""
    n = len(arrays[0])
    whole, outs = n // rows, []
    if whole:
        blocks = [a[: whole * rows].reshape(whole, rows, *a.shape[1:]) for a in arrays]
        carry, out = jax.lax.scan(body, carry, (jnp.arange(whole), *blocks))
        outs.append(out)
    if n % rows:
        carry, out = body(carry, (jnp.asarray(whole), *(a[whole * rows :] for a in arrays)))
        outs.append(jax.tree.map(lambda a: a[None], out))
    return carry, jax.tree.map(lambda *a: jnp.concatenate(a), *outs)
