"""The loop of upstream's joint training, and what its last state says of the spectra."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from jaxhsi.gmcr.mixing import UnmixedSpectra
from jaxhsi.training.checkpoints import Checkpoints
from jaxhsi.training.metrics_writer import MetricsWriter
from jaxhsi.upstream.gmcr import schedules
from jaxhsi.upstream.gmcr.algorithm import joint
from jaxhsi.upstream.gmcr.fit_levels import Band, LevelStates
from jaxhsi.upstream.gmcr.options import EpochInfo, Joint, JointOptions, State


class JointResult(NamedTuple):
    """What a joint training leads to.

    Attributes:
        used: slots of the pools that are open for at least one spectrum.
        unmix: ``unmix(params, x) -> Unmixed`` with these slots alone, jitted.
        params: of `unmix`.
        converged: whether upstream's rule ended it.
        bands: the best states by bands of fit, those that were reached.
    """

    used: Bool[np.ndarray, " p"]
    unmix: Callable[..., UnmixedSpectra]
    params: tuple
    converged: bool
    bands: tuple[Band, ...]


class TrainingProgress(NamedTuple):
    """What a checkpoint holds.

    Attributes:
        state: of the training.
        convergence: what upstream's rule goes by.
        records: scores of the best state of each band.
        taken: epochs that these states are from, -1 for none.
        converged: upstream's rule ended the training.
    """

    state: State
    convergence: schedules.Convergence
    records: schedules.LevelRecords
    taken: Int[Array, " m"]
    converged: Bool[Array, ""]


def joint_method(
    bands: int,
    options: JointOptions,
    *,
    library: Float[np.ndarray, "l c"] | None = None,
    num_candidates: int | None = None,
) -> Joint:
    """The method; a library is a pool of its own, which stays fixed, before the others.

    Args:
        bands: of the spectra.
        options: of the method.
        library: known spectra.
        num_candidates: size of one pool instead of ``options.pool_sizes``.
    """
    if num_candidates is not None:
        options = replace(options, pool_sizes=(num_candidates,), learnable_pools=None)
    if library is None:
        return joint(bands, options)
    learnable_pools = options.learnable_pools or (True,) * len(options.pool_sizes)
    free = (None,) * len(options.pool_sizes)
    pool_sizes = (len(library), *options.pool_sizes)
    options = replace(options, pool_sizes=pool_sizes, learnable_pools=(False, *learnable_pools))
    return joint(bands, options, (jnp.asarray(library, jnp.float32), *free))


def train_joint(
    key: Key[Array, ""],
    method: Joint,
    spectra: Float[Array, "n c"],
    epochs: int,
    logbook: MetricsWriter,
    checkpoints: Checkpoints,
    states: LevelStates,
    *,
    save_every: int = 50,
) -> JointResult:
    """Train until upstream's rule ends it, or so many epochs; go on from the newest checkpoint.

    Args:
        key: of all that is drawn.
        method: from `joint_method`.
        spectra: to take apart.
        epochs: at most.
        logbook: for diagnostics of each epoch.
        checkpoints: of `TrainingProgress`.
        states: keeps the best params of each band of fit.
        save_every: epochs between checkpoints.

    Raises:
        FloatingPointError: the loss stopped being finite; names the epoch.

    Source: upstream `analyzer.py` (`BaseEBgMCR.fit`).
    """
    start, advance = _compiled(method)
    progress = start(key)
    if checkpoints.latest_step() is not None:
        progress = checkpoints.restore(progress)
        states.load(np.asarray(progress.taken), progress.state.params)
    number = int(progress.state.epoch)
    with logbook.open():
        while number < epochs and not progress.converged:
            number += 1
            progress, info = advance(jax.random.fold_in(key, number), progress, spectra)
            info, taken, done = jax.device_get((info, progress.taken, progress.converged))
            _check_finite(number, info)
            for band in np.flatnonzero(taken == number):
                states.keep(int(band), progress.state.params)
            logbook.write(number, _values(info))
            logbook.advance_bar(number)
            if number % save_every == 0 or number == epochs or done:
                states.write(taken)
                checkpoints.save(number, progress)
                states.prune(taken)
    return _result(method, progress, states, spectra)


def _edges(options: JointOptions) -> tuple[schedules.FitLevel, ...]:
    if options.level_criterion is None:
        return ()
    return schedules.fit_levels(options.level_criterion, options.first_level, options.level_width)


@lru_cache(maxsize=1)
def _compiled(method: Joint) -> tuple[Callable, Callable]:
    """Start and epoch under jit, kept for another run."""
    return jax.jit(_start(method)), jax.jit(_advance(method), donate_argnums=1)


def _start(method: Joint) -> Callable[[Array], TrainingProgress]:
    size = max(len(_edges(method.options)), 1)  # Orbax stores no empty arrays

    def start(key: Key[Array, ""]) -> TrainingProgress:
        return TrainingProgress(
            method.init(key),
            schedules.initial_convergence(),
            schedules.empty_records(size),
            jnp.full(size, -1, jnp.int32),
            jnp.zeros((), bool),
        )

    return start


def _advance(method: Joint) -> Callable[..., tuple[TrainingProgress, EpochInfo]]:
    """An epoch, and what upstream keeps in mind of it."""
    options, edges = method.options, _edges(method.options)
    criterion = options.level_criterion or "R2"

    def advance(
        key: Array, progress: TrainingProgress, x: Array
    ) -> tuple[TrainingProgress, EpochInfo]:
        state, info = method.epoch(key, progress.state, x)
        fit = info.evaluation
        convergence, converged = schedules.update_convergence(
            progress.convergence,
            fit.nmse,
            info.mean_energy,
            options.convergence_nmse,
            options.convergence_energy_ratio,
        )
        band = schedules.level_index(fit.r2 if criterion == "R2" else fit.nmse, edges, criterion)
        new = schedules.LevelRecords(fit.nmse, fit.r2, info.mean_energy, fit.num_open)
        records, replaced = schedules.update_records(progress.records, new, band, criterion)
        taken = jnp.where(replaced, state.epoch, progress.taken)
        return TrainingProgress(state, convergence, records, taken, converged), info

    return advance


def _check_finite(number: int, info: EpochInfo) -> None:
    if not np.isfinite(info.loss):
        raise FloatingPointError(
            f"the loss is {info.loss} in epoch {number}; lower --joint.optimizer.learning_rate, "
            "or look at the data for values far outside of their range"
        )


def _values(info: EpochInfo) -> dict:
    """Diagnostics by name, flat; the number of components as the solver calls it."""
    values = info._asdict()
    evaluation = values.pop("evaluation")
    return values | evaluation._asdict() | {"num_active": evaluation.num_open}


def _result(
    method: Joint, progress: TrainingProgress, states: LevelStates, spectra: Float[Array, "n c"]
) -> JointResult:
    params = progress.state.params
    used = np.asarray(jax.jit(method.unmix)(params, spectra).gates > 0).any(0)
    [slots] = np.nonzero(used)

    @jax.jit
    def unmix(params: tuple, x: Float[Array, "m c"]) -> UnmixedSpectra:
        every = method.unmix(params, x)
        return UnmixedSpectra(
            every.reconstruction,
            every.concentrations[:, slots],
            every.components[slots],
            every.gates[:, slots],
        )

    kept = _bands(method.options, progress, states)
    return JointResult(
        used, unmix, jax.tree.map(jnp.asarray, params), bool(progress.converged), kept
    )


def _bands(
    options: JointOptions, progress: TrainingProgress, states: LevelStates
) -> tuple[Band, ...]:
    taken, records = jax.device_get((progress.taken, progress.records))
    return tuple(
        Band(
            schedules.level_name(edge),
            *(field[i].item() for field in records),
            states.get(i),
        )
        for i, edge in enumerate(_edges(options))
        if taken[i] >= 0
    )
