"""How each method takes a table apart: components, concentrations, networks for new spectra."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Bool, Float32

from jaxhsi.callbacks import OnProgress, ignore_progress
from jaxhsi.config.gmcr import GMCRConfig
from jaxhsi.gmcr.algorithm import Opinions
from jaxhsi.gmcr.amortised import Info as AmortisedInfo
from jaxhsi.gmcr.amortised import Model
from jaxhsi.gmcr.amortised import Options as AmortisedOptions
from jaxhsi.gmcr.amortised_data import dictionary
from jaxhsi.gmcr.amortised_training import train_amortised, unmix_stream
from jaxhsi.gmcr.component_ranges import ambiguity
from jaxhsi.gmcr.diagnostics import Certainty, certainty
from jaxhsi.gmcr.fit import solve
from jaxhsi.gmcr.goodness_of_fit import Misfit
from jaxhsi.gmcr.mixing import MODELS, Forward, in_units, linear
from jaxhsi.gmcr.noise_covariance import Noise, white_noise
from jaxhsi.gmcr.noise_model import NoiseLaw, noise_scale, residual_law
from jaxhsi.gmcr.nonlinear import judged, straightened
from jaxhsi.gmcr.rotational_ambiguity import Turned
from jaxhsi.gmcr.whitening import in_frame
from jaxhsi.report.csv_files import component_names
from jaxhsi.training.checkpoints import Checkpoints
from jaxhsi.training.metrics_writer import Logbook
from jaxhsi.training.run_folder import SOLVED
from jaxhsi.upstream.gmcr.fit_levels import LevelStates, write_fit_levels
from jaxhsi.upstream.gmcr.training import joint_method, train_joint
from jaxhsi.workflows.gmcr_inputs import Problem
from jaxhsi.workflows.gmcr_scores import Findings
from jaxhsi.workflows.unmixing_model import (
    Explain,
    Solved,
    Unmix,
    blocks,
    explainer,
    mixed_by,
    unmixer,
    write_solved,
)


class Answer(NamedTuple):
    """What a method says.

    Attributes:
        found: components and concentrations.
        law: of the noise, for data divided by ``unit``.
        unit: size that the data were divided by.
        networks: concentrations of new spectra.
        explain: compares spectra and concentrations.
        converged: whether the method ended by itself.
        departures: how noise is not white, for data divided by ``unit``; None where not looked for.
        misfit: residuals against the noise, and a test of the mixing.
        certainty: of the number of components and of each of them.
        opinions: of the restarts that it was chosen from.
        turned: extremes of each component over answers that are as good; None for many.
    """

    found: Findings
    law: NoiseLaw
    unit: float
    networks: Unmix
    explain: Explain
    converged: bool
    departures: Noise | None = None
    misfit: Misfit | None = None
    certainty: Certainty | None = None
    opinions: Opinions | None = None
    turned: Turned | None = None


def gated_answer(
    config: GMCRConfig,
    problem: Problem,
    folder: Path,
    mesh: Mesh,
    on_progress: OnProgress = ignore_progress,
) -> Answer:
    """The default: the gated solver, then networks trained on what it found."""
    key, unit = jax.random.key(config.seed), data_unit(problem.table.spectra)
    spectra = problem.table.spectra / np.float32(unit)
    model = linear if config.mixing == "linear" else MODELS[config.mixing]()
    forward = in_units(model, unit) if isinstance(model, Forward) else model
    with Checkpoints(folder / "checkpoints") as checkpoints:
        taken = (checkpoints.latest() or 0) * config.solver.steps  # they are numbered by phase
        solution = solve(
            key,
            jnp.asarray(spectra),
            config.solver,
            mixing=forward,
            priors=config.priors.chosen(),
            library=problem.library,
            num_components=config.num_components,
            num_candidates=config.num_candidates,
            restarts=config.restarts,
            logbook=_logbook(folder, taken, None),
            checkpoints=checkpoints,
            mesh=mesh,
            on_progress=on_progress,
        )
    components = np.asarray(solution.components)
    _check_any(components, "lower --solver.margin")
    judgement = judged(spectra, solution, forward)
    # Networks learn unit rows and linear mixtures; sizes and what mixing adds come on top.
    sizes = np.linalg.norm(components, axis=1)
    sizes = np.where(sizes > 0, sizes, 1)  # a strong prior can leave nothing of a component
    unit_rows = solution._replace(
        components=components / sizes[:, None],
        concentrations=np.asarray(solution.concentrations) * sizes,
    )
    straight = np.asarray(straightened(spectra, solution, forward))
    framed, seen = in_frame(unit_rows, straight)
    options = replace(config.amortised, non_negative=config.solver.non_negative)
    on_progress("networks", 0, options.steps)

    def trained(taken: int, info: AmortisedInfo) -> None:
        on_progress("networks", taken, options.steps, f"loss {info.loss:.4g}")

    _, state = train_amortised(key, framed, seen, options, trained)
    names = found_names(unit_rows.components, np.asarray(solution.fixed), problem)
    shared = isinstance(model, Forward) and not model.local
    solved = Solved(
        unit_rows.components,
        names,
        unit,
        sizes * np.float32(unit) if config.priors.closure else np.ones_like(sizes),
        solution.departures._replace(spikes=None),
        state.params,
        options,
        config.mixing,
        solution.parameters if shared else (),
        problem.table.axis,
        problem.table.axis_name,
    )
    write_solved(folder / SOLVED, solved)
    law, (components, concentrations) = NoiseLaw(*solution.noise), unit_rows[:2]
    found = _findings(components, concentrations, spectra, law, unit, names)
    if isinstance(model, Forward):
        found = found._replace(mix=mixed_by(model, solution.parameters, components))
    offset = np.asarray(solution.departures.offset, np.float32) * np.float32(unit)
    found = found._replace(offset=offset if offset.any() else None)
    done, departures = bool(solution.converged), solution.departures
    on_progress("confidence", 0)
    sure = certainty(unit_rows, straight, config.solver, seed=config.seed)
    extremes = None
    if config.ranges:
        signs = config.solver.non_negative
        extremes = ambiguity(unit_rows, straight, non_negative=signs, on_progress=on_progress)
    return Answer(
        _sized(found, solved.sizes) if config.priors.closure else found,
        law,
        unit,
        unmixer(solved),
        explainer(solved),
        done,
        departures,
        judgement,
        sure,
        solution.opinions,
        extremes,
    )


def joint_answer(config: GMCRConfig, problem: Problem, folder: Path) -> Answer:
    """Upstream's joint training; its networks are those for new spectra. Data are not scaled.

    The best state of each band of fit goes to ``bands``, as upstream's checkpoint.
    """
    spectra = jnp.asarray(problem.table.spectra)
    method = joint_method(
        spectra.shape[1],
        config.joint,
        library=problem.library,
        num_candidates=config.num_candidates,
    )
    key = jax.random.key(config.seed)
    with Checkpoints(folder / "checkpoints") as checkpoints:
        logbook = _logbook(folder, checkpoints.latest() or 0, config.epochs)
        states = LevelStates(folder / "band_states")
        joined = train_joint(key, method, spectra, config.epochs, logbook, checkpoints, states)
    write_fit_levels(folder / "bands", method.options, joined.bands)
    every = jax.device_get(joined.unmix(joined.params, spectra))
    _check_any(every.components, "take more --epochs: every gate is closed")
    sizes = np.linalg.norm(every.components, axis=1, keepdims=True)  # unit rows, as the solver's
    components, concentrations = every.components / sizes, every.concentrations * sizes.T
    law = residual_law(spectra, jnp.asarray(concentrations), jnp.asarray(components))
    fixed = np.flatnonzero(joined.used) < (0 if problem.library is None else len(problem.library))
    names = found_names(components, fixed, problem)
    found = _findings(components, concentrations, np.asarray(spectra), law, 1.0, names)
    # New spectra are compared with the answer as those of a gated run are.
    book = dictionary(*map(jnp.asarray, (components, concentrations)), law)
    ones, noise = np.ones(len(components), np.float32), white_noise(components.shape[1])
    solved = Solved(components, names, 1.0, ones, noise, Model(book, {}), AmortisedOptions())
    unmix, params = jax.jit(joined.unmix), joined.params

    def networks(new: Float32[np.ndarray, "m c"]) -> Float32[np.ndarray, "m k"]:
        parts = [part.concentrations for part in unmix_stream(unmix, params, blocks(new))]
        return np.concatenate(parts)[: len(new)] * sizes.T

    return Answer(found, law, 1.0, networks, explainer(solved), joined.converged)


def found_names(
    components: Float32[np.ndarray, "k c"], fixed: Bool[np.ndarray, " k"], problem: Problem
) -> tuple[str, ...]:
    """Names from the library for the components that are in it, numbers for the others."""
    names = component_names(len(components))
    if problem.library is None:
        return tuple(names)
    size = np.linalg.norm(problem.library, axis=1)
    entry = (components @ (problem.library / size[:, None]).T).argmax(1)
    known = problem.library_names or [f"library {i + 1}" for i in range(len(size))]
    return tuple(known[entry[i]] if fixed[i] else n for i, n in enumerate(names))


def data_unit(spectra: Float32[np.ndarray, "n c"]) -> float:
    """Root mean square of the data to the next power of two, which changes no digit."""
    size = np.sqrt((spectra.astype(np.float64) ** 2).mean())
    return float(2.0 ** np.round(np.log2(size)))


def _logbook(folder: Path, first_step: int, steps: int | None) -> Logbook:
    return Logbook(folder, first_step, steps, "loss {loss:.4g}, {active} components")


def _check_any(components: np.ndarray, remedy: str) -> None:
    if not len(components):
        raise ValueError(f"no component stands out of the noise; look at the data, or {remedy}")


def _findings(
    components: Float32[np.ndarray, "k c"],
    concentrations: Float32[np.ndarray, "n k"],
    spectra: Float32[np.ndarray, "n c"],
    law: NoiseLaw,
    unit: float,
    names: tuple[str, ...],
) -> Findings:
    noise = np.asarray(noise_scale(law, jnp.asarray((spectra**2).mean(1))))
    return Findings(components, concentrations * np.float32(unit), noise * np.float32(unit), names)


def _sized(found: Findings, sizes: Float32[np.ndarray, " k"]) -> Findings:
    """Components of the sizes that a prior gave them, concentrations without a unit."""
    mix = found.mix
    return found._replace(
        components=found.components * sizes[:, None],
        concentrations=found.concentrations / sizes,
        mix=None if mix is None else lambda c: mix(c * sizes),
    )
