"""`jaxhsi.unmix`: a table of spectra to components, their number and concentrations, in one call.

``python -m jaxhsi.train gmcr`` reads files, calls `unmix` and writes files: both give the same
numbers, bit for bit.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32

from jaxhsi.callbacks import OnProgress, ignore_progress
from jaxhsi.data.tables.negative_values import describe_negative_values
from jaxhsi.gmcr.amortised import AmortisedParams
from jaxhsi.gmcr.amortised import Info as NetworkInfo
from jaxhsi.gmcr.amortised_training import train_amortised
from jaxhsi.gmcr.data_scale import data_scale, spectrum_noise
from jaxhsi.gmcr.diagnostics import assess_confidence
from jaxhsi.gmcr.fit import fit_components
from jaxhsi.gmcr.fit_phases import OnEpoch, OnPhase, Restore
from jaxhsi.gmcr.goodness_of_fit import goodness_of_fit
from jaxhsi.gmcr.mixing import FORWARD_MODELS, ForwardModel, linear, rescale_model
from jaxhsi.gmcr.noise_model import SignalDependentNoise
from jaxhsi.gmcr.nonlinear import PriorFactory, linearised
from jaxhsi.gmcr.options import AmortisedOptions as NetworkOptions
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.priors import Prior
from jaxhsi.gmcr.rotational_ambiguity import rotational_ambiguity
from jaxhsi.gmcr.solution import Solution
from jaxhsi.gmcr.whitened_solution import WhitenedSolution, whiten_solution
from jaxhsi.sharding import device_mesh
from jaxhsi.unmixing_result import UnmixingResult
from jaxhsi.workflows.unmixing_model import UnmixingModel


def unmix(
    spectra: Float[np.ndarray | Array, "..."],
    *,
    num_components: int | None = None,
    num_candidates: int | None = None,
    restarts: int | None = None,
    library: Float[np.ndarray | Array, "l c"] | None = None,
    library_names: Sequence[str] | None = None,
    mixing: str = "linear",
    priors: Sequence[PriorFactory] = (),
    options: SolverOptions = SolverOptions(),  # noqa: B008 -- frozen
    network_options: NetworkOptions = NetworkOptions(),  # noqa: B008 -- frozen
    ranges: bool = True,
    seed: int = 0,
    devices: int | None = None,
    axis: Float[np.ndarray, " c"] | None = None,
    axis_name: str = "",
    on_progress: OnProgress = ignore_progress,
    on_epoch: OnEpoch | None = None,
    on_phase: OnPhase | None = None,
    restore: Restore | None = None,
) -> UnmixingResult:
    """Find the components of mixed spectra, their number, and how much of each is in every one.

    Minimises the description length of X = C S + offset + noise, see `jaxhsi.gmcr.algorithm`, then
    trains networks that unmix new spectra of the same kind. Spectra are divided by a power of two
    near their root mean square first, which changes no digit; results are in the units of the
    spectra.

    Args:
        spectra: (n, c), one a row; finite, no row all zero.
        num_components: number of components where it is known or wanted; found from the data if
            None. Not together with a library.
        num_candidates: components to start from; chosen from the rank of the data if None.
        restarts: runs to choose from by a vote; five for small tables, one for those that take
            long, if None.
        library: known spectra to look for, of the same bands.
        library_names: theirs; "library 1", ... if None.
        mixing: "linear", or a name in `jaxhsi.gmcr.mixing.FORWARD_MODELS`.
        priors: what else is known of components and concentrations, see `jaxhsi.gmcr.priors`;
            what must hold exactly comes last.
        options: of the solver.
        network_options: of the networks; non-negativity is that of the solver.
        ranges: compute the range of each component over results that fit equally well, of up to
            24 components; the time grows with their number.
        seed: of everything drawn at random.
        devices: number of devices to spread the spectra over; all that divide them if None.
        axis: wavelength or other number of each band; kept in the result.
        axis_name: its name and unit.
        on_progress: called as steps are taken, see `jaxhsi.callbacks`.
        on_epoch: called with step and diagnostics after every epoch of the first restart.
        on_phase: called with a state to save after every phase of the first restart.
        restore: returns the state that was saved last, or None; resuming is exact.

    Returns:
        Components, concentrations, noise, confidence, and `transform` for new spectra.

    Raises:
        ValueError: spectra or options that cannot be used, or no component stands out of the
            noise.
        FloatingPointError: training of the networks diverged.

    Examples:
        >>> import numpy as np
        >>> unmix(np.ones((2, 5)))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: 2 spectra of 5 bands cannot be unmixed; ...

    Source: EB-gMCR, arXiv 2507.23600; differences from it in `jaxhsi.gmcr.algorithm`.
    """
    data = _scale_data(spectra, mixing, options)
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
        mesh=device_mesh(devices, len(data.spectra_scaled)),
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
    normalised, norms = _unit_components(solution)
    linearised_spectra = np.asarray(linearised(data.spectra_scaled, solution, data.scaled_forward))
    whitened = whiten_solution(solution, linearised_spectra)
    network_options = replace(network_options, non_negative=options.non_negative)
    networks = _train_networks(
        key, normalised, linearised_spectra, whitened, network_options, on_progress
    )
    model = UnmixingModel(
        components=np.asarray(normalised.components),
        component_names=library_component_names(
            np.asarray(normalised.components),
            np.asarray(solution.in_library),
            library,
            library_names,
        ),
        data_unit=data.data_unit,
        component_norms=_reported_norms(norms, data.data_unit, priors),
        noise_model=solution.noise_model._replace(spike_mask=None),
        networks=networks,
        network_options=network_options,
        mixing=mixing,
        mixing_parameters=solution.mixing_parameters if data.has_shared_mixing else (),
        axis=axis,
        axis_name=axis_name,
    )
    on_progress("confidence", 0)
    whitened_units = whiten_solution(normalised, linearised_spectra, whitener_of=whitened)
    diagnostics = assess_confidence(whitened_units, options, seed=seed)
    boundaries = None
    if ranges:
        boundaries = rotational_ambiguity(
            whitened_units, non_negative=options.non_negative, on_progress=on_progress
        )
    components, concentrations = _in_reported_units(model, np.asarray(normalised.concentrations))
    noise_level = SignalDependentNoise(*solution.noise_level)
    return UnmixingResult(
        model=model,
        components=components,
        concentrations=concentrations,
        noise_deviation=spectrum_noise(data.spectra_scaled, noise_level, data.data_unit),
        noise_level=noise_level,
        noise_model=solution.noise_model,
        converged=bool(solution.converged),
        mixing_parameters=solution.mixing_parameters,
        goodness_of_fit=goodness_of_fit(whitened),
        diagnostics=diagnostics,
        restarts=solution.restart_vote,
        ranges=boundaries,
    )


class ScaledData(NamedTuple):
    """Spectra divided by a number near their size, and the mixing model for them.

    Attributes:
        spectra_scaled: what the solver sees.
        data_unit: that the spectra were divided by.
        scaled_forward: mixing of scaled concentrations to scaled spectra.
        has_shared_mixing: the mixing is not linear, and its parameters are the same for all
            spectra, new ones included.
    """

    spectra_scaled: Float32[np.ndarray, "n c"]
    data_unit: float
    scaled_forward: Any
    has_shared_mixing: bool


def _scale_data(
    spectra: Float[np.ndarray | Array, "..."], mixing: str, options: SolverOptions
) -> ScaledData:
    table = _checked_spectra(spectra, mixing, options)
    unit = data_scale(table)
    forward = linear if mixing == "linear" else FORWARD_MODELS[mixing]()
    if not isinstance(forward, ForwardModel):
        return ScaledData(table / np.float32(unit), unit, forward, False)
    return ScaledData(
        table / np.float32(unit), unit, rescale_model(forward, unit), not forward.per_spectrum
    )


def library_component_names(
    components: Float32[np.ndarray, "k c"],
    from_library: Bool[np.ndarray, " k"],
    library: Float[np.ndarray | Array, "l c"] | None,
    library_names: Sequence[str] | None = None,
) -> tuple[str, ...]:
    """Names from the library for the components that are in it, numbers for the others.

    >>> eye = np.eye(3, dtype=np.float32)
    >>> library_component_names(eye, np.array([True, False, True]), eye[::-1], ["a", "b", "c"])
    ('c', 'component 2', 'a')
    """
    numbered = tuple(f"component {i + 1}" for i in range(len(components)))
    if library is None:
        return numbered
    library = np.asarray(library, np.float32)
    norms = np.linalg.norm(library, axis=1)
    entries = (components @ (library / norms[:, None]).T).argmax(1)
    names = (
        list(library_names) if library_names else [f"library {i + 1}" for i in range(len(library))]
    )
    return tuple(
        names[entries[i]] if from_library[i] else number for i, number in enumerate(numbered)
    )


def _checked_spectra(
    spectra: Float[np.ndarray | Array, "..."], mixing: str, options: SolverOptions
) -> Float32[np.ndarray, "n c"]:
    table = np.asarray(spectra, np.float32)
    if table.ndim != 2:
        raise ValueError(f"spectra have the shape {table.shape}; give a table (spectra, bands)")
    if mixing != "linear" and mixing not in FORWARD_MODELS:
        raise ValueError(f"mixing {mixing!r} is unknown; give linear, {', '.join(FORWARD_MODELS)}")
    if options.non_negative and np.isfinite(table).all():
        describe_negative_values(table, "spectra", "options.non_negative=False")
    return table


def _unit_components(solution: Solution) -> tuple[Solution, Float32[np.ndarray, " k"]]:
    """The solution with components of unit length, and the lengths that they had.

    Networks learn unit rows; a strong prior can leave a component of length zero, which stays.
    """
    components = np.asarray(solution.components)
    norms = np.linalg.norm(components, axis=1)
    norms = np.where(norms > 0, norms, 1)
    normalised = solution._replace(
        components=components / norms[:, None],
        concentrations=np.asarray(solution.concentrations) * norms,
    )
    return normalised, norms


def _train_networks(
    key: Array,
    solution: Solution,
    linearised: Float32[np.ndarray, "n c"],
    whitener_of: WhitenedSolution,
    options: NetworkOptions,
    on_progress: OnProgress,
) -> AmortisedParams:
    """Networks that unmix whitened spectra; they know linear mixtures of unit rows alone."""
    # Spikes stay: those of new spectra, for which the networks are, are not known.
    white = whiten_solution(solution, linearised, fill_spikes=False, whitener_of=whitener_of)
    on_progress("networks", 0, options.training_steps)

    def report(step: int, info: NetworkInfo) -> None:
        on_progress("networks", step, options.training_steps, f"loss {info.loss:.4g}")

    _, state = train_amortised(key, white.solution_white, white.x_white, options, report)
    return state.params


def _reported_norms(
    norms: Float32[np.ndarray, " k"], data_unit: float, priors: Sequence[PriorFactory]
) -> Float32[np.ndarray, " k"]:
    """Norms of the reported components: 1, or their own where a prior fixes the concentrations."""
    fixes_scale = any(
        isinstance(prior, Prior) and prior.concentration_sum is not None for prior in priors
    )
    return norms * np.float32(data_unit) if fixes_scale else np.ones_like(norms)


def _in_reported_units(
    model: UnmixingModel, concentrations_scaled: Float32[np.ndarray, "n k"]
) -> tuple[Float32[np.ndarray, "k c"], Float32[np.ndarray, "n k"]]:
    """Components and concentrations in the units of the data, with the norms that are reported."""
    concentrations = concentrations_scaled * np.float32(model.data_unit)
    norms = model.component_norms
    return model.components * norms[:, None], concentrations / norms
