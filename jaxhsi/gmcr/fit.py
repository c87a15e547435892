"""The gated solver from a table of spectra to a solution.

`fit_components` estimates the noise, whitens the table, runs the solver from several restarts,
selects one of them by a vote, and brings the result back into the units of the table. It reads and
writes nothing: whoever calls it takes part through `FitCallbacks`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key
from threadpoolctl import threadpool_limits

from jaxhsi.callbacks import OnProgress, ignore_progress
from jaxhsi.gmcr.algorithm import converged
from jaxhsi.gmcr.fit_phases import (
    FitCallbacks,
    OnEpoch,
    OnPhase,
    Restore,
    compiled_solver,
    initial_state,
    purest_spectra_state,
    rank_estimate,
    restore_state,
    run_phases,
)
from jaxhsi.gmcr.gates import open_probability
from jaxhsi.gmcr.mixing import ForwardModel, MixingFunction, linear
from jaxhsi.gmcr.noise_model import residual_noise_level
from jaxhsi.gmcr.nonlinear import PriorFactory, fit_nonlinear
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.restarts import (
    RestartFit,
    default_num_restarts,
    restart_agreement,
    select_restart,
)
from jaxhsi.gmcr.solution import RestartVote, Solution
from jaxhsi.gmcr.solver import Solver
from jaxhsi.gmcr.state import State
from jaxhsi.gmcr.whitening import (
    WhitenedData,
    assume_white_noise,
    normalise_rows,
    to_scaled,
    to_white,
    whiten_by_estimated_noise,
)
from jaxhsi.sharding import device_mesh, replicate

_MAX_COUNT_RATIO = 2
"""Times a given number of components, up to which the solver's own components are a useful start.

Set by hand: images hold tens of weak components (shading, mixed pixels); dropping the weakest of
them one by one does not lead to the few that were asked for. See `_with_given_number`.
"""
_RESTART_KEY_OFFSET = 1 << 20
"""Added to the number of a restart before it is folded into the key, beyond any number of steps."""

Spectra = Float[np.ndarray | Array, "n c"]
Library = Float[np.ndarray | Array, "l m"]


class _Request(NamedTuple):
    """What one linear fit is asked for; see `fit_components`."""

    options: SolverOptions
    library: Library | None
    num_components: int | None
    num_candidates: int | None
    restarts: int | None


def fit_components(
    key: Key[Array, ""],
    spectra: Spectra,
    options: SolverOptions = SolverOptions(),  # noqa: B008 -- frozen
    *,
    mixing: ForwardModel | MixingFunction = linear,
    priors: Sequence[PriorFactory] = (),
    library: Library | None = None,
    num_components: int | None = None,
    num_candidates: int | None = None,
    restarts: int | None = None,
    on_epoch: OnEpoch | None = None,
    on_phase: OnPhase | None = None,
    restore: Restore | None = None,
    on_progress: OnProgress = ignore_progress,
    mesh: Mesh | None = None,
) -> Solution:
    """Components, concentrations and their number.

    X = f(C, S) + noise, with the smallest number of rows of S that explains X down to the noise.
    Another mixing than linear, or priors, are fitted by `fit_nonlinear` around linear fits. Noise
    is taken as white under another mixing, whose residual looks like coloured noise.

    Args:
        key: of the random gates.
        spectra: finite, no row all zero; in units in which their root mean square is about 1.
        options: of the solver.
        mixing: a model of `gmcr.mixing`, or a function of concentrations (n, p) and components
            (p, c) that returns spectra.
        priors: see `gmcr.priors`; or functions that make a prior from the linear solution.
        library: known spectra; the solution holds those that are present, fixed, and components
            that are not in it.
        num_components: the number, where it is known or wanted. The solver's own number is found
            first. The solution has fewer where no spectrum would use more.
        num_candidates: initial spectra of the pool; by default 1.2 times the rank, and 2.
        restarts: fits with other random gates to select from; by default up to five, see
            `restarts.default_num_restarts`. Always one under another mixing.
        on_epoch: called after every epoch of the first restart, see `fit_phases.FitCallbacks`.
        on_phase: called with a state to save after every phase of the first restart.
        restore: returns the state that was saved last, or None; resuming is exact.
        on_progress: called as steps are taken, see `jaxhsi.callbacks.OnProgress`.
        mesh: devices to spread the spectra over; one by default.

    Returns:
        The solution. ``converged`` is false if phases or refinements ended before they settled.

    Raises:
        ValueError: see `check_arguments`.
    """
    callbacks = FitCallbacks(
        on_epoch=on_epoch, on_phase=on_phase, restore=restore, on_progress=on_progress
    )
    x = np.asarray(spectra, np.float32)
    check_arguments(x, library, num_components, num_candidates, restarts)
    mesh = device_mesh(1, 1) if mesh is None else mesh
    is_refined = mixing is not linear or bool(priors)
    whiten = whiten_by_estimated_noise if mixing is linear else assume_white_noise
    num_restarts = restarts if mixing is linear else 1
    request = _Request(options, library, num_components, num_candidates, num_restarts)

    def fit_linear(data: Array | np.ndarray, refinement: int) -> Solution:
        own = callbacks.of_refinement(refinement) if is_refined else callbacks
        return _fit_linear(key, whiten(mesh, np.asarray(data)), request, own, mesh)

    if not is_refined:
        return fit_linear(x, 0)
    return fit_nonlinear(fit_linear, jnp.asarray(x), mixing, priors, options)


def _fit_linear(
    key: Array, data: WhitenedData, request: _Request, callbacks: FitCallbacks, mesh: Mesh
) -> Solution:
    """A solution by linear mixing: restarts, selection, given number, library."""
    run, options = compiled_solver(request.options), request.options
    callbacks.on_progress("start", 0)
    # On CPU, XLA calls LAPACK from threads of its own; with the threads of BLAS beside them they
    # wait for each other, ten times as long as the work takes.
    with threadpool_limits(1, user_api="blas"):
        fits = _restart_fits(key, data, request, callbacks, mesh)
        if not data.noise_is_fixed:
            callbacks.on_progress("comparison of restarts", 0)
            fits = [(run.pure_pixel_restart(state, own.x_white), own) for state, own in fits]
        best, counts, lengths = select_restart(run.describe, fits)
        number = request.num_components
        if number is not None and number in counts:
            best = int(np.argmin(np.where(counts == number, lengths, np.inf)))
        state, data = fits[best]
        if number is not None:
            callbacks.on_progress(f"{number} components", 0)
            state = _with_given_number(run, state, data, number)
        if request.library is not None:
            callbacks.on_progress("library", 0)
            known = to_white(jnp.asarray(request.library, jnp.float32), data.whitener)
            state = run.identify_library(state, data.x_white, known)
        others = fits[:best] + fits[best + 1 :]
        agreement = restart_agreement(run.describe, (state, data), others, options)
        votes = RestartVote(counts, lengths - lengths[best], agreement)
        return _as_solution(run, state, data, votes)


def _restart_fits(
    key: Array, data: WhitenedData, request: _Request, callbacks: FitCallbacks, mesh: Mesh
) -> list[RestartFit]:
    """State and data of every restart after its phases; the first may resume a checkpoint."""
    run = compiled_solver(request.options)
    begin = initial_state(run, data, request.num_components, request.num_candidates)
    begin = replicate(mesh, begin)
    restarts = request.restarts or default_num_restarts(len(data.x_white), len(begin.gate_logits))
    # Steps donate their state: every restart starts from a copy.
    state, own = restore_state(jax.tree.map(jnp.copy, begin), data, callbacks, mesh)
    first = callbacks.of_restart(0, restarts)
    fits = [run_phases(run, key, state, own, request.options, first, mesh)]
    for i in range(1, restarts):
        state = jax.tree.map(jnp.copy, begin)
        own_key = jax.random.fold_in(key, _RESTART_KEY_OFFSET + i)
        named = callbacks.of_restart(i, restarts)
        fits.append(run_phases(run, own_key, state, data, request.options, named, mesh))
    return fits


def _with_given_number(run: Solver, state: State, data: WhitenedData, number: int) -> State:
    """The state with a given number of components, by the shorter description of two.

    One begins at the state's own components, the other at as many pure spectra. The second is the
    only one where the data hold far more components than are asked for, as images do.
    """
    count = int(state.pool.active.sum())
    if count == number:
        return state
    starts = [state] if count <= _MAX_COUNT_RATIO * number else []
    slots = len(state.gate_logits)
    starts += [purest_spectra_state(run, data, rank_estimate(data.x_white), number, slots)]
    fitted = [run.set_num_components(start, data.x_white, number) for start in starts]

    def description_length(each: State) -> float:
        return float(run.describe(state._replace(pool=each.pool), data.x_white).description_length)

    best = min(fitted, key=description_length) if len(fitted) > 1 else fitted[0]
    return state._replace(
        pool=best.pool, noise_level=best.noise_level, gate_logits=best.gate_logits
    )


def _as_solution(run: Solver, state: State, data: WhitenedData, votes: RestartVote) -> Solution:
    """The solution of a state, in scaled coordinates, strongest component first."""
    codes = np.asarray(run.predict(state, data.x_white))
    pool, gates = jax.device_get((state.pool, open_probability(state.gate_logits)))
    components, law = pool.components, state.noise_level
    if data.whitener is not None:
        components, sizes = normalise_rows(to_scaled(components, pool.whitener))
        codes = codes * sizes
        x_scaled = jnp.asarray(data.filled_scaled - data.noise_model.offset, jnp.float32)
        law = residual_noise_level(x_scaled, jnp.asarray(codes), jnp.asarray(components))
    used = np.flatnonzero(pool.active & (codes != 0).any(0))
    used = used[np.argsort(-(codes[:, used] ** 2).sum(0), kind="stable")]
    return Solution(
        components[used],
        codes[:, used],
        jax.device_get(law),
        gates[used],
        pool.fixed[used],
        bool(converged(state)),
        data.noise_model._replace(spike_mask=data.spike_mask),
        restart_vote=votes._replace(agreement=votes.agreement[used]),
    )


def check_arguments(
    x: Spectra,
    library: Library | None = None,
    num_components: int | None = None,
    num_candidates: int | None = None,
    restarts: int | None = None,
) -> None:
    """Refuse a table or numbers that cannot be fitted; see `fit_components` for the arguments.

    Raises:
        ValueError: fewer than three spectra or two bands, values that are not finite, rows of
            zeros, a library of other bands, more components or candidates than spectra or bands
            allow, fewer candidates than components, a number of components beside a library,
            fewer than one restart.
    """
    _check_table(np.asarray(x))
    count, bands = x.shape
    if library is not None and library.shape[1] != bands:
        raise ValueError(
            f"the library has {library.shape[1]} bands and the spectra {bands}; "
            "resample one of them"
        )
    if restarts is not None and restarts < 1:
        raise ValueError(f"{restarts} restarts give no answer; at least 1 is needed")
    for name, number in (("components", num_components), ("candidates", num_candidates)):
        if number is not None and not 1 <= number < min(count, bands):
            raise ValueError(
                f"{number} {name} cannot be told apart by {count} spectra of {bands} bands; "
                f"give 1 to {min(count, bands) - 1}"
            )
    if num_components is None:
        return
    if library is not None:
        raise ValueError(
            "a library says how many of its spectra are present; leave num_components out beside it"
        )
    if num_candidates is not None and num_candidates < num_components:
        raise ValueError(f"{num_candidates} candidates are fewer than {num_components} components")


def _check_table(x: np.ndarray) -> None:
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
