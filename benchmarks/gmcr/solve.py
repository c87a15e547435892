"""What jaxhsi itself measures for a row: the default solver, then networks for new spectra.

Data are divided by a power of two, as `jaxhsi.train gmcr` does. Seconds are those of the answer,
compilation included, imports and data not; phases are those of the first linear solution.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from benchmarks.gmcr.cases import Case, mixtures_case
from benchmarks.gmcr.scores import Answer, analyte_scores, library_scores, r2, scores, unit_length
from benchmarks.machine import peak_mib

NEW = 8192
BLOCK = 4096
WIDE = 4.0  # upper end of generalised bilinear strengths, wide enough for those of the mixtures


class Steps:
    """Counts the solver's steps."""

    def __init__(self):
        self.number = 0

    def __call__(self, number: int, info: NamedTuple) -> None:
        """Remember the number."""
        self.number = number


class Found(NamedTuple):
    """The solver's solution, in the units it was given data in, and what it took."""

    solution: NamedTuple
    answer: Answer
    cost: dict
    judgement: dict


def solved(row: dict, case: Case) -> Iterator[dict]:
    """The row of the answer, and where it asks for it that of new spectra."""
    found = solve_case(row, case)
    measured = found.cost | found.judgement | scores(case, found.answer)
    if case.library is not None:
        components = unit_length(found.answer)[0]
        measured |= library_scores(case, components, np.asarray(found.solution.in_library))
    if case.analytes is not None:
        measured |= analyte_scores(case, found.answer.concentrations)
    if case.offset:
        measured |= {"offset": case.offset, "offset_found": float(np.mean(found.answer.offset))}
    yield row | measured
    if row.get("new") and measured["count"]:
        make = row["make"]
        new = mixtures_case(make["options"], make["samples"], row["seed"], NEW)
        yield row | {"method": "jaxhsi, new spectra"} | new_spectra(row["seed"], case, found, new)


def solve_case(row: dict, case: Case) -> Found:
    """Solve as a user would, with the options that the row names."""
    import jax

    from jaxhsi.config.priors import PriorOptions
    from jaxhsi.gmcr.data_scale import data_scale
    from jaxhsi.gmcr.fit import fit_components
    from jaxhsi.gmcr.goodness_of_fit import goodness_of_fit
    from jaxhsi.gmcr.mixing import ForwardModel
    from jaxhsi.gmcr.noise_model import noise_deviation
    from jaxhsi.gmcr.nonlinear import linearised
    from jaxhsi.gmcr.options import SolverOptions
    from jaxhsi.gmcr.whitened_solution import whiten_solution

    spectra = case.data.astype(np.float32)
    unit = data_scale(spectra)
    x, forward, steps = spectra / np.float32(unit), forward_model(row, unit), Steps()
    options = SolverOptions(**{"non_negative": not case.signed} | row.get("solver", {}))
    priors = PriorOptions(**row.get("priors", {}))
    library = None if case.library is None else case.library.astype(np.float32)
    start = time.perf_counter()
    solution = fit_components(
        jax.random.key(row["seed"]),
        x,
        options,
        mixing=forward,
        priors=priors.chosen(),
        library=library,
        num_components=row.get("num_components"),
        num_candidates=row.get("num_candidates"),
        on_epoch=steps,
    )
    solution = jax.block_until_ready(solution)
    cost = {
        "seconds": time.perf_counter() - start,
        "peak_mib": peak_mib(),
        "phases": steps.number // options.steps_per_phase,
        "converged": bool(solution.converged),
    }
    components, codes = (np.asarray(part, float) for part in solution[:2])
    fit = None
    if isinstance(forward, ForwardModel):
        mixed = forward.mix(
            solution.mixing_parameters, solution.concentrations, solution.components
        )
        fit = np.asarray(mixed, float) * unit
    offset = np.asarray(solution.noise_model.offset, float) * unit
    answer = Answer(components, codes * unit, fit, offset, False)
    if priors.closure:  # fractions as they are, components of the data's size
        answer = Answer(components * unit, codes, fit, offset, True)
    judgement = {}
    if len(components):
        told = goodness_of_fit(whiten_solution(solution, linearised(x, solution, forward)), x)
        noise = noise_deviation(solution.noise_level, (x**2).mean(1))
        judgement = {
            "curvature": float(told.nonlinearity_score),
            "misfit": float(told.reduced_chi2),
            "noise": float(np.sqrt(np.mean(np.asarray(noise, float) ** 2))) * unit,
        }
    return Found(solution, answer, cost, judgement)


def forward_model(row: dict, unit: float):
    """The forward model of a row, its parameters in the units of the data."""
    from jaxhsi.gmcr.mixing import FORWARD_MODELS, linear, rescale_model

    name = row.get("mixing", "linear")
    if name == "linear":
        return linear
    model = FORWARD_MODELS[name](WIDE) if name == "generalised_bilinear" else FORWARD_MODELS[name]()
    return rescale_model(model, unit)


def new_spectra(seed: int, case: Case, found: Found, new: Case) -> dict:
    """Scores of the network trained on an answer, speed, and least squares beside."""
    import jax

    from jaxhsi.gmcr.amortised_training import train_amortised, unmix_stream
    from jaxhsi.gmcr.data_scale import data_scale

    unit = np.float32(data_scale(case.data.astype(np.float32)))
    start = time.perf_counter()
    x = case.data.astype(np.float32) / unit
    method, state = train_amortised(jax.random.key(seed), found.solution, x)
    jax.block_until_ready(state)
    seconds = time.perf_counter() - start
    unmix, x = jax.jit(method.predict), new.data.astype(np.float32) / unit
    parts = list(unmix_stream(unmix, state, np.split(x, len(x) // BLOCK)))
    codes = np.concatenate([part.concentrations for part in parts]).astype(float) * float(unit)
    components = found.answer.components
    return (
        {"seconds": seconds, "peak_mib": peak_mib()}
        | {"spectra_per_second": speed(unmix, state, x[:BLOCK])}
        | scores(new, Answer(components, codes))
        | least_squares(components, new)
    )


def speed(unmix, state: NamedTuple, x: np.ndarray, times: int = 31) -> float:
    """Spectra per second, reconstruction included; the median of many calls."""
    import jax

    x, seconds = jax.device_put(x), []
    jax.block_until_ready(unmix(state, x))
    for _ in range(times):
        start = time.perf_counter()
        jax.block_until_ready(unmix(state, x))
        seconds.append(time.perf_counter() - start)
    return len(x) / float(np.median(seconds))


def least_squares(components: np.ndarray, new: Case) -> dict[str, float]:
    """R2 against the noise-free data of plain and of non-negative least squares."""
    some = slice(0, 1024)
    plain = new.data @ np.linalg.pinv(components)
    positive = np.stack([nnls(components.T, x)[0] for x in new.data[some]])
    return {
        "least_squares_r2_noise_free": r2(new.clean, plain @ components),
        "nnls_r2_noise_free": r2(new.clean[some], positive @ components),
    }
