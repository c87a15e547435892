"""The gated solver from a table of spectra to a solution.

`fit_components` estimates the noise, whitens the table, runs the solver from several restarts,
selects one of them by a vote, and brings the result back into the units of the table. It reads and
writes nothing: whoever calls it takes part through `FitCallbacks`.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Key
from threadpoolctl import threadpool_limits

from jaxhsi.callbacks import OnProgress, ignore_progress
from jaxhsi.gmcr.component_constraints import (
    ComponentConstraints,
    apply_constraints,
    check_constraints,
    constraint_prior,
)
from jaxhsi.gmcr.component_count import bound_by_order, fit_given_number
from jaxhsi.gmcr.concentration_priors import dense_concentrations
from jaxhsi.gmcr.fit_arguments import Library, Spectra, check_arguments
from jaxhsi.gmcr.fit_phases import (
    FitCallbacks,
    OnEpoch,
    OnPhase,
    Restore,
    initial_state,
)
from jaxhsi.gmcr.mixing import ForwardModel, MixingFunction, linear
from jaxhsi.gmcr.nonlinear import PriorFactory, fit_nonlinear
from jaxhsi.gmcr.odd_spectra import size_ratios
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.restart_fits import compare_starts, fit_restarts, restart_meshes
from jaxhsi.gmcr.restarts import (
    default_num_restarts,
    have_vote,
    length_tolerance,
    restart_agreement,
    select_restart,
)
from jaxhsi.gmcr.run_noise import run_noise_ratios, with_noise_ratios
from jaxhsi.gmcr.sample_runs import check_run_lengths
from jaxhsi.gmcr.sharded_solver import move_fit, sharded_solver
from jaxhsi.gmcr.solution import RestartVote, Solution
from jaxhsi.gmcr.state_solution import state_solution
from jaxhsi.gmcr.tolerated_count import Faithfulness, limit_to_tolerance
from jaxhsi.gmcr.whitening import (
    WhitenedData,
    assume_white_noise,
    to_white,
    whiten_by_estimated_noise,
)
from jaxhsi.sharding import device_mesh


class _Request(NamedTuple):
    """What one linear fit is asked for; see `fit_components`."""

    options: SolverOptions
    library: Library | None
    num_components: int | None
    num_candidates: int | None
    restarts: int | None
    run_lengths: tuple[int, ...] | None
    faithfulness: Faithfulness


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
    ordered: bool = False,
    run_lengths: tuple[int, ...] | None = None,
    constraints: ComponentConstraints | None = None,
    tolerance: float | None = None,
    replicates: Sequence[str] | None = None,
    missing_mask: Bool[np.ndarray, "n c"] | None = None,
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
        ordered: neighbouring samples are alike, as along an elution: what is not smooth along them
            is no component, and the last refinement of concentrations is dense, see
            `gmcr.dense_refinement`.
        run_lengths: samples of each run of the table, which have noise levels of their own; one run
            if None.
        constraints: on single components, see `gmcr.component_constraints`.
        tolerance: relative misfit below which structure is not counted as a component; by default
            that of replicates beyond the noise, or none. Not where a number is given.
        replicates: names of the samples; spectra of one name are repeated measurements.
        missing_mask: values that were not measured; finite numbers stand there, see
            `weighted_projection.first_fill`.
        on_epoch: called after every epoch of the first restart, see `fit_phases.FitCallbacks`.
        on_phase: called with a state to save after every phase of the first restart.
        restore: returns the state that was saved last, or None; resuming is exact.
        on_progress: called as steps are taken, see `jaxhsi.callbacks.OnProgress`.
        mesh: devices to spread the spectra over; one by default.

    Returns:
        The solution. ``converged`` is false if phases or refinements ended before they settled.

    Raises:
        ValueError: see `fit_arguments.check_arguments`.
    """
    callbacks = FitCallbacks(
        on_epoch=on_epoch, on_phase=on_phase, restore=restore, on_progress=on_progress
    )
    spectra_float32 = np.asarray(spectra, np.float32)
    check_arguments(spectra_float32, library, num_components, num_candidates, restarts)
    mesh = device_mesh(1) if mesh is None else mesh
    run_lengths = check_run_lengths(run_lengths or (len(spectra_float32),), len(spectra_float32))
    if constraints is not None:
        check_constraints(constraints, *spectra_float32.shape, num_components)
        priors = (*priors, partial(constraint_prior, constraints, run_lengths if ordered else None))
    if ordered:
        priors = (dense_concentrations(), *priors)
    is_refined = mixing is not linear or bool(priors)
    whiten_table = partial(assume_white_noise, mesh, missing_mask=missing_mask)
    if mixing is linear:
        whiten_table = partial(
            *(whiten_by_estimated_noise, mesh),
            mask_spikes=options.mask_spikes,
            missing_mask=missing_mask,
        )
    num_restarts = restarts if mixing is linear else 1
    order = run_lengths if ordered else None
    faithfulness = Faithfulness(tolerance, replicates)
    request = _Request(
        options, library, num_components, num_candidates, num_restarts, order, faithfulness
    )
    # An odd spectrum would set the law of the noise alone.
    own_ratios = size_ratios(spectra_float32) if mixing is linear else np.ones((1, 1), np.float32)
    noise_ratios = own_ratios * run_noise_ratios(spectra_float32 / own_ratios, run_lengths)

    def fit_linear(data: Array | np.ndarray, refinement: int) -> Solution:
        own = callbacks.of_refinement(refinement) if is_refined else callbacks
        whitened = whiten_table(np.asarray(data) / noise_ratios)
        solution = with_noise_ratios(_fit_linear(key, whitened, request, own, mesh), noise_ratios)
        if (noise_ratios != own_ratios).any() and solution.noise_model.offset.any():
            # What all spectra share would be another offset in each run: all are taken alike.
            whitened = whiten_table(np.asarray(data) / own_ratios)
            solution = with_noise_ratios(_fit_linear(key, whitened, request, own, mesh), own_ratios)
        if constraints is None or not len(solution.components):
            return solution
        return apply_constraints(
            solution, np.asarray(data) - solution.noise_model.offset, constraints
        )

    if not is_refined:
        return fit_linear(spectra_float32, 0)
    x = jnp.asarray(spectra_float32)
    return fit_nonlinear(fit_linear, x, mixing, priors, options, order, mesh)


def _fit_linear(
    key: Array, data: WhitenedData, request: _Request, callbacks: FitCallbacks, mesh: Mesh
) -> Solution:
    """A solution by linear mixing: restarts, selection, given number, library."""
    options = request.options
    solver = sharded_solver(options, mesh)
    callbacks.on_progress("start", 0)
    # On CPU, XLA calls LAPACK from threads of its own; with the threads of BLAS beside them they
    # wait for each other, ten times as long as the work takes.
    with threadpool_limits(1, user_api="blas"):
        first_state = initial_state(solver, data, request.num_components, request.num_candidates)
        num_restarts = request.restarts or default_num_restarts(
            len(data.x_white), len(first_state.gate_logits)
        )
        meshes = restart_meshes(mesh, num_restarts)
        restart_fits = fit_restarts(key, first_state, data, options, callbacks, meshes)
        if not data.noise_is_fixed:
            callbacks.on_progress("comparison of restarts", 0)
            restart_fits = compare_starts(
                restart_fits, options, meshes, is_count_free=request.num_components is None
            )
        if meshes[0] != mesh:
            restart_fits = [move_fit(mesh, *restart_fit) for restart_fit in restart_fits]
        best_index, component_counts, description_lengths = select_restart(
            solver.describe, restart_fits
        )
        wanted_count = request.num_components
        if wanted_count is not None and wanted_count in component_counts:
            best_index = int(
                np.argmin(np.where(component_counts == wanted_count, description_lengths, np.inf))
            )
        state, data = restart_fits[best_index]
        if wanted_count is None and request.library is None and request.run_lengths is not None:
            state = bound_by_order(solver, state, data, request.run_lengths)
        if wanted_count is not None:
            callbacks.on_progress(f"{wanted_count} components", 0)
            given = fit_given_number(solver, state, data, wanted_count)
            if given is not state and not data.noise_is_fixed:
                given = solver.pure_pixel_restart(given, data.x_white)
            state = given
        faithfulness = request.faithfulness
        if wanted_count is not None:
            faithfulness = Faithfulness(tolerance=0.0)
        state, curve, tolerance = limit_to_tolerance(solver, state, data, faithfulness)
        if request.library is not None:
            callbacks.on_progress("library", 0)
            library_white = to_white(jnp.asarray(request.library, jnp.float32), data.whitener)
            state = solver.identify_library(state, data.x_white, library_white)
        has_vote = have_vote(description_lengths, length_tolerance(data.x_white.shape[1]))
        other_fits = [fit for i, fit in enumerate(restart_fits) if i != best_index and has_vote[i]]
        agreement = restart_agreement(solver.describe, (state, data), other_fits, options)
        restart_vote = RestartVote(
            component_counts, description_lengths - description_lengths[best_index], agreement
        )
        solution = state_solution(solver, state, data, restart_vote)
        return solution._replace(misfit_curve=curve, tolerance=tolerance)
