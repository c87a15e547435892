"""The default solver from a table of spectra to its answer."""

import logging
import math
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key
from threadpoolctl import threadpool_limits

from jaxhsi.callbacks import OnProgress, ignore_progress
from jaxhsi.gmcr.algorithm import State, converged
from jaxhsi.gmcr.gates import open_probability
from jaxhsi.gmcr.initialisation import RankEstimate, estimate_rank
from jaxhsi.gmcr.mixing import ForwardModel, MixingFunction, linear
from jaxhsi.gmcr.noise_model import residual_noise_level
from jaxhsi.gmcr.nonlinear import PriorFactory, fit_nonlinear
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.restarts import default_num_restarts, restart_agreement, select_restart
from jaxhsi.gmcr.solution import RestartVote, Solution
from jaxhsi.gmcr.solver import Solver, solver
from jaxhsi.gmcr.whitening import (
    WhitenedData,
    assume_white_noise,
    rewhiten,
    to_scaled,
    to_white,
    unit_rows,
    update_noise,
    whiten_by_estimated_noise,
    with_whitener,
)
from jaxhsi.sharding import device_mesh, replicate
from jaxhsi.training.checkpoints import Checkpoints
from jaxhsi.training.metrics_writer import MetricsWriter

POOL_SIZES = (
    8,
    16,
    24,
    32,
    48,
    64,
    96,
    128,
    192,
    256,
    320,
    384,
    512,
    640,
    768,
    1024,
    1536,
    2048,
    3072,
)
"""Sizes of pools, so that a new number of components seldom means a new compilation."""
CANDIDATES_PER_RANK, SPARE_SLOTS = 1.2, 4
_MAX_COUNT_RATIO = (
    2  # times a given number of components, from where on those found are of another kind
)
_RESTART_KEY_OFFSET = 1 << 20  # keys of restarts are apart from those of the first one's steps

Spectra = Float[np.ndarray | Array, "n c"]


def fit_components(
    key: Key[Array, ""],
    spectra: Spectra,
    options: SolverOptions = SolverOptions(),  # noqa: B008 -- frozen
    *,
    mixing: ForwardModel | MixingFunction = linear,
    priors: Sequence[PriorFactory] = (),
    library: Float[np.ndarray | Array, "l m"] | None = None,
    num_components: int | None = None,
    num_candidates: int | None = None,
    restarts: int | None = None,
    logbook: MetricsWriter | None = None,
    checkpoints: Checkpoints | None = None,
    mesh: Mesh | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Solution:
    """Components, concentrations and their number.

    Under a mixing that is not linear, or priors, the answer is refined, see `alternate`: of the
    linear solutions that this takes, the first is what logbook and checkpoints hold. Departures of
    the noise from white are looked for under linear mixing only: another mixing looks like them,
    and so noise is taken as white beside it.

    Args:
        key: of the gates' draws.
        spectra: finite, none all zero.
        options: of the solver.
        mixing: how components mix, see `gmcr.mixing`; any function of concentrations (n, p) and
            components (p, c) that returns spectra will do.
        priors: what else is known, see `gmcr.priors`, or functions that make it of the linear
            solution.
        library: known spectra; the answer holds those that are present, and what is not in it.
        num_components: how many there are, where that is known or wanted: their number is found
            first; where it is another, components are left out or added, or as many pure spectra
            refined, whichever describes the data more shortly. Noise is what is left in the end.
        num_candidates: spectra to begin with; 1.2 times the rank and 2 if not given.
        restarts: answers to choose from by a vote, which differ in the gates' draws;
            five for small tables if not given, one for those that take long, see
            `opinions.affordable`. Under another mixing each round takes one.
        logbook: for diagnostics of the first.
        checkpoints: where phases of the first are saved; goes on from the newest.
        mesh: devices to spread the spectra over; one by default.
        on_progress: called as steps are taken, see `progress.OnProgress`.

    Raises:
        ValueError: fewer than three spectra or two bands, values that are not finite, rows of
            zeros, a library of other bands, more components or candidates than spectra or bands
            allow, a number of components beside a library, fewer than one restart.
    """
    x = np.asarray(spectra, np.float32)
    _check_arguments(x, library, num_components, num_candidates)
    if restarts is not None and restarts < 1:
        raise ValueError(f"{restarts} restarts give no answer; at least 1 is needed")
    mesh = device_mesh(1, 1) if mesh is None else mesh

    begin = whiten_by_estimated_noise if mixing is linear else assume_white_noise
    restarts = restarts if mixing is linear else 1
    rounds = mixing is not linear or bool(priors)

    def unmix(data: Array | np.ndarray, turn: int) -> Solution:
        kept = (logbook, checkpoints) if turn == 0 else (None, None)
        ground = begin(mesh, np.asarray(data))
        numbers = num_components, num_candidates, restarts
        named = partial(_report_refinement, on_progress, turn) if rounds else on_progress
        return _fit_linear(key, ground, options, library, *numbers, *kept, mesh, named)

    if not rounds:
        return unmix(x, 0)
    return fit_nonlinear(unmix, jnp.asarray(x), mixing, priors, options)


def _fit_linear(
    key: Array,
    ground: WhitenedData,
    options: SolverOptions,
    library: Any,
    num_components: int | None,
    num_candidates: int | None,
    restarts: int | None,
    logbook: MetricsWriter | None,
    checkpoints: Checkpoints | None,
    mesh: Mesh,
    on_progress: OnProgress,
) -> Solution:
    run = _compiled_solver(options)
    on_progress("start", 0)
    # On CPU, XLA calls LAPACK from threads of its own; more of BLAS's beside them wait for each
    # other, ten times as long as the work takes.
    with threadpool_limits(1, user_api="blas"):
        begun = replicate(mesh, _initial_state(run, ground, num_components, num_candidates))
        restarts = restarts or default_num_restarts(len(ground.x_white), len(begun.gate_logits))
        first = _restore(jax.tree.map(jnp.copy, begun), ground, checkpoints, mesh)
        named = [partial(on_progress, _restart_stage(turn, restarts)) for turn in range(restarts)]
        found = [_run_phases(run, key, *first, options, logbook, checkpoints, mesh, named[0])]
        for turn in range(1, restarts):
            state = jax.tree.map(jnp.copy, begun)  # steps use it up
            anew = jax.random.fold_in(key, _RESTART_KEY_OFFSET + turn)
            found.append(
                _run_phases(run, anew, state, ground, options, None, None, mesh, named[turn])
            )
        if not ground.noise_is_fixed:
            on_progress("comparison of restarts", 0)
            found = [(run.pure_pixel_restart(state, its.x_white), its) for state, its in found]
        best, counts, lengths = select_restart(run.describe, found)
        if num_components is not None and num_components in counts:
            best = int(np.argmin(np.where(counts == num_components, lengths, np.inf)))
        state, ground = found[best]
        if num_components is not None:
            on_progress(f"{num_components} components", 0)
            state = _with_given_number(run, state, ground, num_components)
        if library is not None:
            on_progress("library", 0)
            known = to_white(jnp.asarray(library, jnp.float32), ground.whitener)
            state = run.identify_library(state, ground.x_white, known)
        others = found[:best] + found[best + 1 :]
        shared = restart_agreement(run.describe, (state, ground), others, options)
        answer = _as_solution(
            run, state, ground, RestartVote(counts, lengths - lengths[best], shared)
        )
    number = len(answer.components)
    if num_components is not None and number < num_components:
        logging.getLogger(__name__).warning(
            "%d components in the place of %d: no spectrum would use more", number, num_components
        )
    return answer


def _with_given_number(run: Solver, state: State, ground: WhitenedData, number: int) -> State:
    """The state with a given number of components: from its own, or from as many pure spectra.

    Where the data hold far more components than are asked for, as images do, the weakest of them
    are not what is to be left out.
    """
    count = int(state.pool.active.sum())
    if count == number:
        return state
    tried = [state] if count <= _MAX_COUNT_RATIO * number else []
    made = [
        run.set_num_components(start, ground.x_white, number)
        for start in (
            *tried,
            _purest_spectra_state(
                run, ground, _survey(ground.x_white), number, len(state.gate_logits)
            ),
        )
    ]

    def length(each: State) -> float:
        return float(
            run.describe(state._replace(pool=each.pool), ground.x_white).description_length
        )

    best = min(made, key=length) if len(made) > 1 else made[0]
    return state._replace(
        pool=best.pool, noise_level=best.noise_level, gate_logits=best.gate_logits
    )


def _restore(
    state: State, ground: WhitenedData, checkpoints: Checkpoints | None, mesh: Mesh
) -> tuple[State, WhitenedData]:
    """State and ground of the newest checkpoint, if there is one."""
    if checkpoints is None or checkpoints.latest_step() is None:
        return state, ground
    bare = checkpoints.restore(with_whitener(state, None))
    ground = rewhiten(mesh, ground, jax.device_get(bare.noise_model))
    return with_whitener(bare, ground.whitener), ground


@cache
def _compiled_solver(options: SolverOptions) -> Solver:
    """The solver's functions under jit, kept for further calls."""
    made = solver(options)
    return Solver(
        jax.jit(made.init, static_argnums=3),
        jax.jit(made.step),
        jax.jit(made.epoch, donate_argnums=1),
        jax.jit(made.end_phase),
        jax.jit(made.pure_pixel_restart),
        jax.jit(made.set_num_components),
        jax.jit(made.identify_library),
        jax.jit(made.predict),
        jax.jit(made.describe),
    )


_survey = jax.jit(estimate_rank)


def _initial_state(
    run: Solver, ground: WhitenedData, given: int | None, candidates: int | None
) -> State:
    found = _survey(ground.x_white)
    wanted = candidates or math.ceil(CANDIDATES_PER_RANK * int(found.rank)) + 2
    tried = max(1, min(wanted, min(ground.x_white.shape) - 1))
    least = max(tried, given or 0) + SPARE_SLOTS
    slots = next((size for size in POOL_SIZES if size >= least), least)
    return _purest_spectra_state(run, ground, found, tried, slots)


def _purest_spectra_state(
    run: Solver, ground: WhitenedData, found: RankEstimate, tried: int, slots: int
) -> State:
    """A pool of the purest spectra of the data."""
    begun = run.init(ground.x_white, found, tried, slots, ground.whitener)
    return begun._replace(noise_model=jax.tree.map(jnp.array, ground.noise_model))


def _run_phases(
    run: Solver,
    key: Array,
    state: State,
    ground: WhitenedData,
    options: SolverOptions,
    logbook: MetricsWriter | None,
    checkpoints: Checkpoints | None,
    mesh: Mesh,
    on_progress: OnProgress,
) -> tuple[State, WhitenedData]:
    """Phases until one changes nothing, the noise that it leaves included."""
    on_progress(int(state.step))
    with nullcontext() if logbook is None else logbook.open(show_bar=False):
        while not converged(state) and int(state.phase) < options.max_phases:
            for _ in range(options.steps_per_phase // options.noise_refit_every):
                number = int(state.step)
                state, info = run.epoch(jax.random.fold_in(key, number), state, ground.x_white)
                number += options.noise_refit_every
                info = jax.device_get(info)
                if logbook is not None:
                    logbook.write(number, info._asdict())
                note = f"loss {info.loss:.4g}, {info.num_active} components"
                on_progress(number, None, note)
            state = run.end_phase(state, ground.x_white)
            if converged(state):
                codes = np.asarray(run.predict(state, ground.x_white), np.float64)
                state, ground = update_noise(mesh, ground, state, codes)
            if checkpoints is not None:
                checkpoints.save(int(state.phase), with_whitener(state, None))
    return state, ground


def _restart_stage(turn: int, restarts: int) -> str:
    return "components" if restarts == 1 else f"components, restart {turn + 1} of {restarts}"


def _report_refinement(on_progress: OnProgress, turn: int, stage: str, *progress: Any) -> None:
    on_progress(f"round {turn + 1}: {stage}", *progress)


def _as_solution(
    run: Solver, state: State, ground: WhitenedData, opinions: RestartVote
) -> Solution:
    codes = np.asarray(run.predict(state, ground.x_white))
    pool, chance = jax.device_get((state.pool, open_probability(state.gate_logits)))
    components, law = pool.components, state.noise_level
    if ground.whitener is not None:
        components, sizes = unit_rows(to_scaled(components, pool.whitener))
        codes = codes * sizes
        data = jnp.asarray(ground.filled_scaled - ground.noise_model.offset, jnp.float32)
        law = residual_noise_level(data, jnp.asarray(codes), jnp.asarray(components))
    kept = np.flatnonzero(pool.active & (codes != 0).any(0))
    kept = kept[np.argsort(-(codes[:, kept] ** 2).sum(0), kind="stable")]
    done = bool(converged(state))
    if not done:
        logging.getLogger(__name__).warning(
            "the answer, %d components, still changed after %d phases; take it as uncertain",
            len(kept),
            int(state.phase),
        )
    return Solution(
        components[kept],
        codes[:, kept],
        jax.device_get(law),
        chance[kept],
        pool.fixed[kept],
        done,
        ground.noise_model._replace(spike_mask=ground.spike_mask),
        restart_vote=opinions._replace(agreement=opinions.agreement[kept]),
    )


def _check_arguments(
    x: np.ndarray, library: Any, components: int | None, candidates: int | None
) -> None:
    count, bands = x.shape
    if count < 3 or bands < 2:
        raise ValueError(
            f"{count} spectra of {bands} bands cannot be unmixed; at least 3 spectra and 2 bands "
            "are needed, and more spectra than there are components"
        )
    if not np.isfinite(x).all():
        raise ValueError(f"{np.sum(~np.isfinite(x))} values are not finite; remove their spectra")
    empty = np.flatnonzero(~(x != 0).any(1))
    if len(empty):
        raise ValueError(f"{len(empty)} spectra are all zero, e.g. row {empty[0]}; remove them")
    if library is not None and library.shape[1] != bands:
        raise ValueError(
            f"the library has {library.shape[1]} bands and the spectra {bands}; "
            "resample one of them"
        )
    for name, number in (("components", components), ("candidates", candidates)):
        if number is not None and not 1 <= number < min(count, bands):
            raise ValueError(
                f"{number} {name} cannot be told apart by {count} spectra of {bands} bands; "
                f"give 1 to {min(count, bands) - 1}"
            )
    if components is None:
        return
    if library is not None:
        raise ValueError(
            "a library says how many of its spectra are present; leave num_components out beside it"
        )
    if candidates is not None and candidates < components:
        raise ValueError(f"{candidates} candidates are fewer than {components} components")
