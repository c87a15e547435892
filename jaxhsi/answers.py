"""How each method takes a table apart: components, concentrations, networks for new spectra."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Bool, Float32

from jaxhsi.config.gmcr import GMCRConfig
from jaxhsi.findings import Findings
from jaxhsi.gmcr.algorithm import Opinions
from jaxhsi.gmcr.ambiguity import Turned
from jaxhsi.gmcr.colour import Noise
from jaxhsi.gmcr.misfit import Misfit
from jaxhsi.gmcr.mixing import MODELS, Forward, in_units, linear
from jaxhsi.gmcr.noise import NoiseLaw, noise_scale, residual_law
from jaxhsi.problem import Problem
from jaxhsi.report.results import Unmix, component_names
from jaxhsi.runtime.alternate import judged, straightened
from jaxhsi.runtime.ambiguity import ambiguity
from jaxhsi.runtime.bands import BandStates, write_bands
from jaxhsi.runtime.certainty import Certainty, certainty
from jaxhsi.runtime.checkpoint import Checkpoints
from jaxhsi.runtime.ground import in_frame
from jaxhsi.runtime.joint import fit_joint, joint_method
from jaxhsi.runtime.logbook import Logbook
from jaxhsi.runtime.solve import solve
from jaxhsi.runtime.unmix import train_amortised, unmix_stream

BLOCK = 4096  # spectra that the networks take at a time
_STRAIGHTENED = 8  # times that spectra are straightened before networks see them
Mix = Callable[[Float32[np.ndarray, "n k"]], Float32[np.ndarray, "n c"]]


class Answer(NamedTuple):
    """What a method says.

    Attributes:
        found: components and concentrations.
        law: of the noise, for data divided by ``unit``.
        unit: size that the data were divided by.
        networks: concentrations of new spectra.
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
    converged: bool
    departures: Noise | None = None
    misfit: Misfit | None = None
    certainty: Certainty | None = None
    opinions: Opinions | None = None
    turned: Turned | None = None


def gated_answer(config: GMCRConfig, problem: Problem, folder: Path, mesh: Mesh) -> Answer:
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
            num_candidates=config.num_candidates,
            restarts=config.restarts,
            logbook=_logbook(folder, taken, None),
            checkpoints=checkpoints,
            mesh=mesh,
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
    options = replace(config.amortised, non_negative=config.solver.non_negative)
    framed, seen, prepare = in_frame(unit_rows, straight)
    method, state = train_amortised(key, framed, seen, options)
    with Checkpoints(folder / "networks", keep=1) as networks:
        networks.save(options.steps, state.params)
    unmix = _in_blocks(jax.jit(method.unmix), state.params, unit, prepare)
    law, (components, concentrations) = NoiseLaw(*solution.noise), unit_rows[:2]
    names = found_names(components, np.asarray(solution.fixed), problem)
    found = _findings(components, concentrations, spectra, law, unit, names)
    if isinstance(model, Forward):
        found = found._replace(mix=_mixer(model, solution.parameters, components))
        unmix = unmix if model.local else _straightening(unmix, found)
    offset = np.asarray(solution.departures.offset, np.float32) * np.float32(unit)
    found = found._replace(offset=offset if offset.any() else None)
    if config.priors.closure:
        found, unmix = _sized(found, unmix, sizes * np.float32(unit))
    done, departures = bool(solution.converged), solution.departures
    sure = certainty(unit_rows, straight, config.solver, seed=config.seed)
    extremes = ambiguity(unit_rows, straight, non_negative=config.solver.non_negative)
    said = (judgement, sure, solution.opinions, extremes)
    return Answer(found, law, unit, unmix, done, departures, *said)


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
        states = BandStates(folder / "band_states")
        joined = fit_joint(key, method, spectra, config.epochs, logbook, checkpoints, states)
    write_bands(folder / "bands", method.options, joined.bands)
    every = jax.device_get(joined.unmix(joined.params, spectra))
    _check_any(every.components, "take more --epochs: every gate is closed")
    sizes = np.linalg.norm(every.components, axis=1, keepdims=True)  # unit rows, as the solver's
    components, concentrations = every.components / sizes, every.concentrations * sizes.T
    law = residual_law(spectra, jnp.asarray(concentrations), jnp.asarray(components))
    fixed = np.flatnonzero(joined.used) < (0 if problem.library is None else len(problem.library))
    names = found_names(components, fixed, problem)
    found = _findings(components, concentrations, np.asarray(spectra), law, 1.0, names)
    unmix = _in_blocks(joined.unmix, joined.params, 1.0, lambda x: x)
    return Answer(found, law, 1.0, lambda new: unmix(new) * sizes.T, joined.converged)


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


def _mixer(model: Forward, parameters: Any, components: Float32[np.ndarray, "k c"]) -> Mix:
    """Spectra of given concentrations, in the units of the file."""
    spectra = jax.jit(model.spectra)
    return lambda c: np.asarray(spectra(parameters, jnp.asarray(c), jnp.asarray(components)))


def _straightening(unmix: Unmix, found: Findings) -> Unmix:
    """Networks that were trained on linear mixtures, for spectra that are none.

    What mixing adds is taken off and the rest unmixed anew, until little changes.
    """

    def concentrations(new: Float32[np.ndarray, "m c"]) -> Float32[np.ndarray, "m k"]:
        codes = unmix(new)
        for _ in range(_STRAIGHTENED):
            codes = unmix(new - (found.reconstruct(codes) - codes @ found.components))
        return codes

    return concentrations


def _sized(
    found: Findings, unmix: Unmix, sizes: Float32[np.ndarray, " k"]
) -> tuple[Findings, Unmix]:
    """Components of the sizes that a prior gave them, concentrations without a unit."""
    mix = found.mix
    sized = found._replace(
        components=found.components * sizes[:, None],
        concentrations=found.concentrations / sizes,
        mix=None if mix is None else lambda c: mix(c * sizes),
    )
    return sized, lambda new: unmix(new) / sizes


def _in_blocks(
    unmix: Callable[..., Any], params: Any, unit: float, prepare: Callable[..., Any]
) -> Unmix:
    """Concentrations of any number of spectra, block by block, each prepared first."""

    def concentrations(new: Float32[np.ndarray, "m c"]) -> Float32[np.ndarray, "m k"]:
        starts = range(0, len(new), BLOCK)
        blocks = (prepare(_padded(new[i : i + BLOCK]) / np.float32(unit)) for i in starts)
        parts = [part.concentrations for part in unmix_stream(unmix, params, blocks)]
        return np.concatenate(parts)[: len(new)] * np.float32(unit)

    return concentrations


def _padded(block: Float32[np.ndarray, "m c"]) -> Float32[np.ndarray, "l c"]:
    """Zero rows up to the next power of two: few lengths, so that few are compiled."""
    length = 1 << (len(block) - 1).bit_length()
    return np.pad(block, ((0, length - len(block)), (0, 0)))
