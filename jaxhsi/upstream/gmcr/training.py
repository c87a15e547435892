"""The loop of upstream's joint training, and what its last state says of the spectra."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int, Key

from jaxhsi.gmcr.mixing import UnmixedSpectra
from jaxhsi.sharding import replicate
from jaxhsi.storage.checksums import DamagedFileError
from jaxhsi.table_sharding import compile_by_rows
from jaxhsi.training.checkpoints import Checkpoints
from jaxhsi.training.metrics_writer import MetricsWriter
from jaxhsi.training.step_profiler import StepProfiler
from jaxhsi.training.stop_signals import deferred_stop
from jaxhsi.upstream.gmcr import schedules
from jaxhsi.upstream.gmcr.algorithm import joint
from jaxhsi.upstream.gmcr.fit_levels import Band, LevelStates
from jaxhsi.upstream.gmcr.options import JointOptions
from jaxhsi.upstream.gmcr.pool import library_parameters
from jaxhsi.upstream.gmcr.state import EpochInfo, Joint, State


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
    mesh: Mesh | None = None,
) -> Joint:
    """The method; a library is a pool of its own, which stays fixed, before the others.

    Args:
        bands: of the spectra.
        options: of the method.
        library: known spectra.
        num_candidates: size of one pool instead of ``options.pool_sizes``.
        mesh: devices that each compute a share of every mini-batch; None for one.

    Raises:
        ValueError: see `pool.library_parameters`.
    """
    if num_candidates is not None:
        options = replace(options, pool_sizes=(num_candidates,), learnable_pools=None)
    if library is None:
        return joint(bands, options, mesh=mesh)
    learnable_pools = options.learnable_pools or (True,) * len(options.pool_sizes)
    # The library comes first and stays fixed; the other pools start at random.
    free_starts = (None,) * len(options.pool_sizes)
    pool_sizes = (len(library), *options.pool_sizes)
    options = replace(options, pool_sizes=pool_sizes, learnable_pools=(False, *learnable_pools))
    starts = (library_parameters(library, options.pool), *free_starts)
    return joint(bands, options, starts, mesh=mesh)


def train_joint(
    key: Key[Array, ""],
    method: Joint,
    spectra: Float[Array, "n c"],
    epochs: int,
    open_logbook: Callable[[int], MetricsWriter],
    checkpoints: Checkpoints,
    states: LevelStates,
    *,
    save_every: int = 50,
    profiler: StepProfiler | None = None,
) -> JointResult:
    """Train until upstream's rule ends it, or so many epochs; go on from the newest checkpoint.

    Args:
        key: of all that is drawn.
        method: from `joint_method`.
        spectra: to take apart.
        epochs: at most.
        open_logbook: gives the output of diagnostics, from the last epoch that was done already.
        checkpoints: of `TrainingProgress`.
        states: keeps the best params of each band of fit.
        save_every: epochs between checkpoints.
        profiler: traces a few of the epochs.

    Raises:
        FloatingPointError: the loss stopped being finite; names the epoch.
        StopRequest: a signal came; the last epoch is saved.

    Source: upstream `analyzer.py` (`BaseEBgMCR.fit`).
    """
    # Compiled once a method, so that resuming in the same process is quick.
    start, advance = _compiled(method)
    progress = start(key)
    if method.mesh is not None:
        spectra = replicate(method.mesh, spectra)
    progress = _newest_progress(checkpoints, states, progress)
    epoch_number = int(progress.state.epoch)
    profiler = profiler or StepProfiler(None)
    profiler.expect_steps(epochs - epoch_number, epoch_number + 1)
    with deferred_stop() as deferral, profiler, open_logbook(epoch_number).open() as logbook:
        while epoch_number < epochs and not progress.converged:
            epoch_number += 1
            profiler.next_step(progress)
            # The key of an epoch depends on its number alone, so that resuming draws the same.
            progress, info = advance(jax.random.fold_in(key, epoch_number), progress, spectra)
            info, taken, is_done = jax.device_get((info, progress.taken, progress.converged))
            _check_finite(epoch_number, info)
            # Copied at once: the next epoch overwrites the parameters.
            for level_number in np.flatnonzero(taken == epoch_number):
                states.keep(int(level_number), progress.state.params)
            logbook.write(epoch_number, _values(info))
            logbook.advance_bar(epoch_number)
            is_stopped = deferral.is_requested
            is_saved = epoch_number % save_every == 0 or epoch_number == epochs
            if is_saved or is_done or is_stopped:
                # States before the checkpoint that counts on them; the old ones after it.
                states.write(taken)
                checkpoints.save(epoch_number, progress)
                states.prune(taken)
            if is_stopped:
                deferral.saved = f"epoch {epoch_number} is saved"
                break
    return _result(method, progress, states, spectra)


def _newest_progress(
    checkpoints: Checkpoints, states: LevelStates, start: TrainingProgress
) -> TrainingProgress:
    """The newest checkpoint whose copies of the best states are whole; else the start.

    Both the state and the copies: a resumed run ends the same.
    """
    while checkpoints.latest_step() is not None:
        progress = checkpoints.restore(start)
        try:
            states.load(np.asarray(progress.taken), progress.state.params)
            return progress
        except DamagedFileError as error:
            checkpoints.delete_newest(error)
    return start


def _level_edges(options: JointOptions) -> tuple[schedules.FitLevel, ...]:
    if options.level_criterion is None:
        return ()
    return schedules.fit_levels(options.level_criterion, options.first_level, options.level_width)


@lru_cache(maxsize=1)
def _compiled(method: Joint) -> tuple[Callable, Callable]:
    """Start and epoch under jit, so that another run of the method compiles nothing."""
    start, advance = partial(_start, method), partial(_advance, method)
    mesh = method.mesh
    return compile_by_rows(mesh, start), compile_by_rows(mesh, advance, donate_argnums=1)


def _start(method: Joint, key: Key[Array, ""]) -> TrainingProgress:
    num_levels = max(len(_level_edges(method.options)), 1)  # Orbax stores no empty arrays
    return TrainingProgress(
        method.init(key),
        schedules.initial_convergence(),
        schedules.empty_records(num_levels),
        jnp.full(num_levels, -1, jnp.int32),
        jnp.zeros((), bool),
    )


def _advance(
    method: Joint, key: Key[Array, ""], progress: TrainingProgress, spectra: Float[Array, "n c"]
) -> tuple[TrainingProgress, EpochInfo]:
    """An epoch, and what upstream keeps in mind of it."""
    # Edges are static; the band that a score is in is found on the device.
    options, level_edges = method.options, _level_edges(method.options)
    criterion = options.level_criterion or "R2"
    state, info = method.epoch(key, progress.state, spectra)
    evaluation = info.evaluation
    convergence, converged = schedules.update_convergence(
        progress.convergence,
        evaluation.nmse,
        info.mean_energy,
        options.convergence_nmse,
        options.convergence_energy_ratio,
    )
    fit_score = evaluation.r2 if criterion == "R2" else evaluation.nmse
    level_number = schedules.level_index(fit_score, level_edges, criterion)
    new_record = schedules.LevelRecords(
        evaluation.nmse, evaluation.r2, info.mean_energy, evaluation.num_open
    )
    records, replaced = schedules.update_records(
        progress.records, new_record, level_number, criterion
    )
    taken = jnp.where(replaced, state.epoch, progress.taken)
    return TrainingProgress(state, convergence, records, taken, converged), info


def _check_finite(epoch_number: int, info: EpochInfo) -> None:
    if not np.isfinite(info.loss):
        raise FloatingPointError(
            f"the loss is {info.loss} in epoch {epoch_number}; lower "
            "optimizer.learning_rate, or look at the data for values far outside of their "
            "range"
        )


def _values(info: EpochInfo) -> dict:
    """Diagnostics by name, flat; the number of components as the solver calls it."""
    info_values = info._asdict()
    evaluation = info_values.pop("evaluation")
    return info_values | evaluation._asdict() | {"num_active": evaluation.num_open}


def _result(
    method: Joint, progress: TrainingProgress, states: LevelStates, spectra: Float[Array, "n c"]
) -> JointResult:
    params = progress.state.params
    # By the data: a gate may be open for no spectrum at all.
    unmix_all_slots = compile_by_rows(method.mesh, method.unmix, 1)
    used_mask = np.asarray(unmix_all_slots(params, spectra).gates > 0).any(0)
    [used_slots] = np.nonzero(used_mask)

    def unmix(params: tuple, x: Float[Array, "m c"]) -> UnmixedSpectra:
        all_slots = method.unmix(params, x)
        return UnmixedSpectra(
            all_slots.reconstruction,
            all_slots.concentrations[:, used_slots],
            all_slots.components[used_slots],
            all_slots.gates[:, used_slots],
        )

    fit_levels = _bands(method.options, progress, states)
    return JointResult(
        used_mask,
        compile_by_rows(method.mesh, unmix, 1),
        jax.tree.map(jnp.asarray, params),
        bool(progress.converged),
        fit_levels,
    )


def _bands(
    options: JointOptions, progress: TrainingProgress, states: LevelStates
) -> tuple[Band, ...]:
    taken, records = jax.device_get((progress.taken, progress.records))
    return tuple(
        Band(
            schedules.level_name(level_edge),
            *(field[level_number].item() for field in records),
            states.get(level_number),
        )
        for level_number, level_edge in enumerate(_level_edges(options))
        if taken[level_number] >= 0
    )
