"""`jaxhsi.unmix`: a table of spectra to components, their number and concentrations, in one call.

``jaxhsi train gmcr`` reads files, calls `unmix` and writes files: both give the same
numbers, bit for bit.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Float32

from jaxhsi.callbacks import OnProgress, ignore_progress
from jaxhsi.data.data_arrays import is_labelled_array
from jaxhsi.data.tables.image_spectra import given_spectra
from jaxhsi.gmcr.amortised import AmortisedParams
from jaxhsi.gmcr.component_constraints import ComponentConstraints
from jaxhsi.gmcr.data_scale import spectrum_noise
from jaxhsi.gmcr.diagnostics import assess_confidence
from jaxhsi.gmcr.fit import fit_components
from jaxhsi.gmcr.fit_comparison import compare_fit
from jaxhsi.gmcr.fit_phases import OnEpoch, OnPhase, Restore
from jaxhsi.gmcr.goodness_of_fit import goodness_of_fit
from jaxhsi.gmcr.noise_model import SignalDependentNoise
from jaxhsi.gmcr.nonlinear import PriorFactory, linearised
from jaxhsi.gmcr.options import AmortisedOptions as NetworkOptions
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.rotational_ambiguity import rotational_ambiguity
from jaxhsi.gmcr.solution import Solution
from jaxhsi.gmcr.whitened_solution import replace_values, whiten_solution
from jaxhsi.precision import Precision, default_precision, with_float32_products
from jaxhsi.sharding import device_mesh
from jaxhsi.unmixing_result import UnmixingResult
from jaxhsi.unmixing_units import (
    ScaledData,
    in_reported_units,
    leave_out_far_values,
    library_component_names,
    refuse_dominant_values,
    reported_norms,
    scale_constraints,
    scale_data,
    separate_missing,
    tell_odd_sizes,
    unit_components,
)
from jaxhsi.workflows.network_training import train_networks
from jaxhsi.workflows.unmixing_model import UnmixingModel


@with_float32_products
def unmix(
    spectra: Any,
    *,
    num_components: int | None = None,
    num_candidates: int | None = None,
    num_pixels: int = 4096,
    restarts: int | None = None,
    tolerance: float | None = None,
    replicates: Sequence[str] | None = None,
    missing: str | None = None,
    library: Float[np.ndarray | Array, "l c"] | None = None,
    library_names: Sequence[str] | None = None,
    mixing: str = "linear",
    priors: Sequence[PriorFactory] = (),
    ordered: bool = False,
    runs: Sequence[int] | None = None,
    known: Float[np.ndarray | Array, "m c"] | None = None,
    known_names: Sequence[str] | None = None,
    absent: Bool[np.ndarray | Array, "n m"] | None = None,
    known_concentrations: Float[np.ndarray | Array, "n m"] | None = None,
    options: SolverOptions = SolverOptions(),  # noqa: B008 -- frozen
    network_options: NetworkOptions = NetworkOptions(),  # noqa: B008 -- frozen
    ranges: bool = True,
    seed: int = 0,
    devices: int | None = None,
    precision: Precision | None = None,
    of_all_processes: bool = False,
    axis: Float[np.ndarray, " c"] | None = None,
    axis_name: str = "",
    on_progress: OnProgress = ignore_progress,
    on_epoch: OnEpoch | None = None,
    on_phase: OnPhase | None = None,
    on_solution: Callable[[], None] | None = None,
    restore: Restore | None = None,
) -> UnmixingResult:
    """Find the components of mixed spectra, their number, and how much of each is in every one.

    Minimises the description length of X = C S + offset + noise, see `jaxhsi.gmcr.algorithm`, then
    trains networks that unmix new spectra of the same kind. Spectra are divided by a power of two
    near their root mean square first, which changes no digit; results are in the units of the
    spectra.

    Args:
        spectra: (n, c), one a row; finite unless ``missing`` says otherwise, no row all zero. An
            array, or a pandas or polars frame or xarray array, whose labels give the axis; columns
            that are no bands are left out, which is logged. Of an image, an xarray array of three
            dimensions, spectra are drawn; `UnmixingResult.to_xarray` then unmixes all its pixels.
        num_components: number of components where it is known or wanted; found from the data if
            None. Not together with a library.
        num_candidates: components to start from; chosen from the rank of the data if None.
        num_pixels: spectra drawn from an image to find the components.
        restarts: runs to choose from by a vote; five for small tables, one for those that take
            long, if None.
        tolerance: relative misfit (0.01 is 1 % of the data) below which structure is not counted
            as a component; if None, that of replicates beyond the noise, else the noise alone.
        replicates: names of the samples; spectra of one name are repeated measurements.
        missing: "mask" where NaN marks values that were not measured: they take no part in the fit.
        library: known spectra to look for, of the same bands.
        library_names: theirs; "library 1", ... if None.
        mixing: "linear", or a name in `jaxhsi.gmcr.mixing.FORWARD_MODELS`.
        priors: what else is known of components and concentrations, see `jaxhsi.gmcr.priors`;
            what must hold exactly comes last.
        ordered: samples have an order, as along an elution, a reaction or a titration: what is not
            smooth along it is no component, and concentrations are not sparse.
        runs: samples of each run, where the table holds several below each other that share their
            spectra; each has a noise level of its own.
        known: spectra of components that are present, of the same bands; the rest is found. They
            are the first components of the result.
        known_names: theirs, and of further columns of the next two; numbers if None.
        absent: true where a sample lacks a component; column j is about component j of the result.
        known_concentrations: likewise, NaN where they are not known; their components have the size
            that goes with them.
        options: of the solver.
        network_options: of the networks; non-negativity is that of the solver, and the type of
            products is ``precision``.
        ranges: compute the range of each component over results that fit equally well, of up to
            24 components; the time grows with their number.
        seed: of everything drawn at random.
        devices: number of devices to compute on; all if None.
        precision: of the products of the networks with spectra; bfloat16 on accelerators and
            float32 on CPUs if None. The solver is float32.
        of_all_processes: find the components with all processes of `jax.distributed`, which all
            call this alike; the rest is computed by each for itself.
        axis: wavelength or other number of each band; kept in the result.
        axis_name: its name and unit.
        on_progress: called as steps are taken, see `jaxhsi.callbacks`.
        on_epoch: called with step and diagnostics after every epoch of the first restart.
        on_phase: called with a state to save after every phase of the first restart.
        on_solution: called when the components are found, before networks are trained.
        restore: returns the state that was saved last, or None; resuming is exact.

    Returns:
        Components, concentrations, noise, confidence, and `transform` for new spectra.

    Raises:
        ValueError: spectra or options that cannot be used, or no component stands out of the
            noise.

    Examples:
        >>> import numpy as np
        >>> unmix(np.ones((2, 5)))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: 2 spectra of 5 bands cannot be unmixed; ...

    Source: EB-gMCR, arXiv 2507.23600; differences from it in `jaxhsi.gmcr.algorithm`.
    """
    source_array = spectra if is_labelled_array(spectra) else None
    spectra, axis, axis_name, pixel_names = given_spectra(
        spectra, axis, axis_name, num_pixels, seed
    )
    names = pixel_names if replicates is None else replicates
    spectra, missing_mask = separate_missing(spectra, missing)
    is_linear = mixing == "linear"
    if is_linear and options.mask_spikes:
        spectra, missing_mask = leave_out_far_values(spectra, missing_mask, names, axis)
    refuse_dominant_values(spectra, names, axis)
    data = scale_data(spectra, mixing, options)
    if is_linear:
        tell_odd_sizes(data.spectra_scaled, names)
    constraints = scale_constraints(known, absent, known_concentrations, data.data_unit)
    request = _Request(
        mixing=mixing,
        priors=priors,
        library=library,
        library_names=library_names,
        constraints=constraints,
        constraint_names=known_names,
        options=options,
        network_options=replace(
            network_options,
            non_negative=options.non_negative,
            product_dtype=precision or default_precision(),
        ),
        ranges=ranges,
        seed=seed,
        axis=axis,
        axis_name=axis_name,
        on_progress=on_progress,
        mesh=device_mesh(devices),
    )
    key = jax.random.key(seed)
    solution = fit_components(
        key,
        jnp.asarray(data.spectra_scaled),
        options,
        mixing=data.scaled_forward,
        priors=priors,
        library=None if library is None else np.asarray(library, np.float32),
        num_components=num_components,
        num_candidates=num_candidates,
        restarts=restarts,
        ordered=ordered,
        run_lengths=None if runs is None else tuple(runs),
        constraints=constraints,
        tolerance=tolerance,
        replicates=replicates,
        missing_mask=missing_mask,
        mesh=device_mesh(devices, of_all_processes=of_all_processes),
        on_progress=on_progress,
        on_epoch=on_epoch,
        on_phase=on_phase,
        restore=restore,
    )
    if not len(solution.components):
        raise ValueError(
            "no component stands out of the noise; look at the data, or lower the solver's "
            "evidence factor"
        )
    if on_solution is not None:
        on_solution()
    result = _as_result(key, request, data, solution, missing_mask)
    return replace(result, source_array=source_array)


class _Request(NamedTuple):
    """What `unmix` is asked for beside the fit, see there."""

    mixing: str
    priors: Sequence[PriorFactory]
    library: Float[np.ndarray | Array, "l c"] | None
    library_names: Sequence[str] | None
    constraints: ComponentConstraints | None
    constraint_names: Sequence[str] | None
    options: SolverOptions
    network_options: NetworkOptions
    ranges: bool
    seed: int
    axis: Float[np.ndarray, " c"] | None
    axis_name: str
    on_progress: OnProgress
    mesh: Mesh


def _as_result(
    key: Array,
    request: _Request,
    data: ScaledData,
    solution: Solution,
    missing_mask: Bool[np.ndarray, "n c"] | None,
) -> UnmixingResult:
    """Networks, confidence and ranges of a solution, all in the units of the spectra."""
    unit_solution, component_norms = unit_components(solution)
    linear_spectra = np.asarray(linearised(data.spectra_scaled, solution, data.scaled_forward))
    linear_spectra = replace_values(solution, linear_spectra, missing_mask)
    whitened = whiten_solution(solution, linear_spectra)
    networks, network_options, uses_networks = train_networks(
        key,
        unit_solution,
        linear_spectra,
        whitened,
        request.network_options,
        request.on_progress,
        request.mesh,
    )
    model = _unmixing_model(request, data, solution, unit_solution, component_norms, networks)
    model = replace(model, network_options=network_options, uses_networks=uses_networks)
    request.on_progress("confidence", 0)
    # The whitener of the solution itself: components of unit length must not change the noise.
    unit_whitened = whiten_solution(unit_solution, linear_spectra, whitener_of=whitened)
    diagnostics = assess_confidence(
        unit_whitened, request.options, seed=request.seed, mesh=request.mesh
    )
    boundaries = None
    if request.ranges:
        boundaries = rotational_ambiguity(
            unit_whitened,
            non_negative=request.options.non_negative,
            on_progress=request.on_progress,
        )
        if boundaries is not None:
            ranges = boundaries.concentration_ranges * np.float32(data.data_unit)
            boundaries = boundaries._replace(concentration_ranges=ranges / model.component_norms)
    components, concentrations = in_reported_units(model, np.asarray(unit_solution.concentrations))
    noise_level = SignalDependentNoise(*solution.noise_level)
    is_told_more = request.mixing != "linear" or bool(request.priors)
    is_told_more |= not request.options.non_negative or request.constraints is not None
    result = UnmixingResult(
        model=model,
        components=components,
        concentrations=concentrations,
        noise_deviation=spectrum_noise(
            data.spectra_scaled, noise_level, data.data_unit, solution.noise_ratios
        ),
        noise_level=noise_level,
        noise_model=solution.noise_model,
        converged=bool(solution.converged),
        mixing_parameters=solution.mixing_parameters,
        goodness_of_fit=goodness_of_fit(whitened, data.spectra_scaled),
        diagnostics=diagnostics,
        restarts=solution.restart_vote,
        ranges=boundaries,
        misfit_curve=solution.misfit_curve,
        tolerance=float(solution.tolerance),
        fit_comparison=compare_fit(unit_whitened, is_told_more=is_told_more),
    )
    for warning in result.warnings:
        logging.getLogger(__name__).warning(warning)
    return result


def _unmixing_model(
    request: _Request,
    data: ScaledData,
    solution: Solution,
    unit_solution: Solution,
    component_norms: Float32[np.ndarray, " k"],
    networks: AmortisedParams,
) -> UnmixingModel:
    """What unmixes new spectra: components, noise without the spikes of this table, networks."""
    unit_rows = np.asarray(unit_solution.components)
    component_names = library_component_names(
        unit_rows, np.asarray(solution.in_library), request.library, request.library_names
    )
    constraint_names = tuple(request.constraint_names or ())
    return UnmixingModel(
        components=unit_rows,
        component_names=(*constraint_names, *component_names[len(constraint_names) :]),
        data_unit=data.data_unit,
        component_norms=reported_norms(
            component_norms, data.data_unit, request.priors, request.constraints
        ),
        noise_model=solution.noise_model._replace(spike_mask=None),
        networks=networks,
        network_options=request.network_options,
        mixing=request.mixing,
        mixing_parameters=solution.mixing_parameters if data.has_shared_mixing else (),
        axis=request.axis,
        axis_name=request.axis_name,
    )
