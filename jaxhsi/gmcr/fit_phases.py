"""Phases of the gated solver on a whitened table, with callbacks in the place of files."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array

from jaxhsi.callbacks import OnProgress, ignore_progress
from jaxhsi.gmcr.algorithm import converged, step_stride
from jaxhsi.gmcr.initialisation import RankEstimate, estimate_rank
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.solver import Solver, build_solver
from jaxhsi.gmcr.state import Info, State
from jaxhsi.gmcr.whitening import WhitenedData, rewhiten, update_noise, with_whitener

POOL_SIZES = (
    *(8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 320, 384, 512, 640, 768),
    *(1024, 1536, 2048, 3072),
)
"""Slots of a pool. Sizes are few so that another number of components seldom means another
compilation; steps of a third to a half waste at most as much of the work. Set by hand; results do
not depend on free slots but for rounding."""
CANDIDATES_PER_RANK = 1.2
"""Initial spectra for each dimension of the data that stands above the noise.

A redundant pool lets the gates choose; set by hand.
"""
SPARE_SLOTS = 4
"""Free slots, for components that `end_phase` adds; set by hand."""


OnEpoch = Callable[[int, Info], None]
OnPhase = Callable[[int, State], None]
Restore = Callable[[State], State | None]


@dataclass(frozen=True, kw_only=True)
class FitCallbacks:
    """What a fit tells its caller, and what it asks for.

    Attributes:
        on_epoch: ``on_epoch(step, info)`` after every epoch of the first restart.
        on_phase: ``on_phase(phase, state)`` after every phase of the first restart, with all that
            a resumed fit needs.
        restore: ``restore(template) -> State | None``: the state that `on_phase` had last, of the
            structure and shapes of the template; None to begin anew. Resuming is exact: the
            solution is that of a fit that was not interrupted, bit for bit.
        on_progress: called as steps are taken, see `jaxhsi.callbacks.OnProgress`.
    """

    on_epoch: OnEpoch | None = None
    on_phase: OnPhase | None = None
    restore: Restore | None = None
    on_progress: OnProgress = ignore_progress

    def of_restart(self, restart_number: int, num_restarts: int) -> "FitCallbacks":
        """Callbacks of one restart: files belong to the first, and each has a name."""
        stage_name = "components"
        if num_restarts > 1:
            stage_name += f", restart {restart_number + 1} of {num_restarts}"
        named_progress = partial(self.on_progress, stage_name)
        # Later restarts write nothing: a folder holds one history.
        if restart_number == 0:
            return replace(self, on_progress=named_progress)
        return FitCallbacks(on_progress=named_progress)

    def of_refinement(self, refinement: int) -> "FitCallbacks":
        """Callbacks of one of the linear fits of `nonlinear.fit_nonlinear`, counted from 0."""
        named_progress = partial(_report_refinement, self.on_progress, refinement)
        if refinement == 0:
            return replace(self, on_progress=named_progress)
        return FitCallbacks(on_progress=named_progress)


def _report_refinement(
    on_progress: OnProgress, refinement: int, stage: str, *progress: Any
) -> None:
    on_progress(f"round {refinement + 1}: {stage}", *progress)


def _check_finite(step_number: int, info: Info) -> None:
    """Refuse an epoch whose loss is not finite.

    Raises:
        FloatingPointError: names the step and the diagnostics.
    """
    if not np.isfinite(info.loss):
        names = [name for name, value in info._asdict().items() if not np.isfinite(value)]
        raise FloatingPointError(
            f"step {step_number} is not finite ({', '.join(names)}); the phase before it is kept. "
            "Look at the spectra for values far outside of their range"
        )


@cache
def compiled_solver(options: SolverOptions) -> Solver:
    """The solver's functions under jit; one set for each options object, kept for further calls."""
    plain_solver = build_solver(options)
    return Solver(
        jax.jit(plain_solver.init, static_argnums=3),
        jax.jit(plain_solver.step),
        jax.jit(plain_solver.epoch, donate_argnums=1),
        jax.jit(plain_solver.end_phase),
        jax.jit(plain_solver.pure_pixel_restart),
        jax.jit(plain_solver.dense_refit),
        jax.jit(plain_solver.set_num_components),
        jax.jit(plain_solver.identify_library),
        jax.jit(plain_solver.predict),
        jax.jit(plain_solver.describe),
    )


rank_estimate = jax.jit(estimate_rank)
"""`initialisation.estimate_rank` under jit."""


def initial_state(
    solver: Solver, data: WhitenedData, num_components: int | None, num_candidates: int | None
) -> State:
    """A pool of pure spectra, as many as the rank of the table suggests.

    Args:
        solver: compiled.
        data: the table.
        num_components: that the pool must have room for.
        num_candidates: initial spectra; by default `CANDIDATES_PER_RANK` times the rank, and 2.
    """
    table_estimate = rank_estimate(data.x_white)
    # Two more than the ratio gives, since it adds nothing at a small rank.
    wanted_candidates = (
        num_candidates or math.ceil(CANDIDATES_PER_RANK * int(table_estimate.rank)) + 2
    )
    # As many components as spectra or bands would explain any data.
    pool_candidates = max(1, min(wanted_candidates, min(data.x_white.shape) - 1))
    min_slots = max(pool_candidates, num_components or 0) + SPARE_SLOTS
    # A size from the list, so that tables of similar rank share what was compiled.
    num_slots = next((pool_size for pool_size in POOL_SIZES if pool_size >= min_slots), min_slots)
    return purest_spectra_state(solver, data, table_estimate, pool_candidates, num_slots)


def purest_spectra_state(
    solver: Solver, data: WhitenedData, estimate: RankEstimate, num_candidates: int, num_slots: int
) -> State:
    """A pool with so many of the purest spectra of the table."""
    state = solver.init(data.x_white, estimate, num_candidates, num_slots, data.whitener)
    return state._replace(noise_model=jax.tree.map(jnp.array, data.noise_model))


def restore_state(
    state: State, data: WhitenedData, callbacks: FitCallbacks, mesh: Mesh
) -> tuple[State, WhitenedData]:
    """The state to go on from, and the table under its noise; as given if there is none."""
    if callbacks.restore is None:
        return state, data
    # The whitener follows from the noise model and is as large as the square of the bands.
    restored_state = callbacks.restore(with_whitener(state, None))
    if restored_state is None:
        return state, data
    # The saved noise model, not a new estimate: resuming must be exact.
    data = rewhiten(mesh, data, jax.device_get(restored_state.noise_model))
    return with_whitener(restored_state, data.whitener), data


def run_phases(
    solver: Solver,
    key: Array,
    state: State,
    data: WhitenedData,
    options: SolverOptions,
    callbacks: FitCallbacks,
    mesh: Mesh,
) -> tuple[State, WhitenedData]:
    """Phases until one changes nothing, the noise that it leaves included.

    Args:
        solver: compiled; uses up the state.
        key: of the random gates; that of an epoch depends on its first step alone, so that a
            resumed fit draws the same.
        state: at the beginning of a phase.
        data: the table.
        options: of the solver; at most ``options.max_phases`` phases are run.
        callbacks: on epochs, phases and progress; its ``on_progress`` knows the stage.
        mesh: devices.

    Raises:
        FloatingPointError: an epoch was not finite.
    """
    callbacks.on_progress(int(state.step))
    epoch_steps = options.noise_refit_every * step_stride(options, state.gate_logits.shape[-1])
    while not converged(state) and int(state.phase) < options.max_phases:
        for _ in range(options.steps_per_phase // epoch_steps):
            step_number = int(state.step)
            state, info = solver.epoch(jax.random.fold_in(key, step_number), state, data.x_white)
            step_number += epoch_steps
            # One transfer an epoch; single numbers would wait for the device each.
            info = jax.device_get(info)
            _check_finite(step_number, info)
            if callbacks.on_epoch is not None:
                callbacks.on_epoch(step_number, info)
            progress_note = f"loss {info.loss:.4g}, {info.num_active} components"
            callbacks.on_progress(step_number, None, progress_note)
        state = solver.end_phase(state, data.x_white)
        if converged(state):
            # Noise is estimated anew only here: during the phases too many components would fit
            # part of it.
            codes = np.asarray(solver.predict(state, data.x_white), np.float64)
            state, data = update_noise(mesh, data, state, codes)
        if callbacks.on_phase is not None:
            callbacks.on_phase(int(state.phase), with_whitener(state, None))
    return state, data
