"""One run of EB-gMCR, from a table of spectra to a folder of components and concentrations."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from jaxhsi.config.files import check_same_run, write_config
from jaxhsi.config.gmcr import FREE_TO_CHANGE, GMCRConfig
from jaxhsi.data.tables.truth import Truth
from jaxhsi.gmcr.nonlinear import suspicion
from jaxhsi.report.component_count import certainty_scores, certainty_sentence, plot_count
from jaxhsi.report.component_ranges import range_scores, range_sentences
from jaxhsi.report.csv_files import component_names, write_components, write_samples
from jaxhsi.report.noise import noise_scores, noise_sentences
from jaxhsi.report.tables import component_table, fit_table
from jaxhsi.sharding import device_mesh
from jaxhsi.training.progress import ProgressBars
from jaxhsi.training.run_folder import CONFIG, check_folder, claim_folder, fresh_folder
from jaxhsi.workflows.abundance_maps import Tool, unmix_cubes
from jaxhsi.workflows.gmcr_inputs import Problem, open_problem
from jaxhsi.workflows.gmcr_methods import Answer, gated_answer, joint_answer
from jaxhsi.workflows.gmcr_scores import Findings, draw, fit_scores, match, score


def unmix_table(
    config: GMCRConfig, *, resume: bool = False, overwrite: bool = False
) -> dict[str, Any]:
    """Find the components of mixed spectra and leave them, scored and drawn, in a folder.

    Returns:
        What ``scores.json`` holds.

    Raises:
        FileExistsError: the folder holds a run already.
        FileNotFoundError, ValueError: data or options that cannot be used. Raised before anything
            is trained, and before anything is deleted.
    """
    console, began = Console(), time.perf_counter()
    folder = config.out or fresh_folder(Path("runs"), "gmcr")
    check_folder(folder, resume=resume, overwrite=overwrite)
    if resume:
        check_same_run(config, folder / CONFIG, FREE_TO_CHANGE)
    problem = open_problem(config)
    table = problem.table
    mesh = device_mesh(config.devices, len(table.spectra))
    console.print(f"{len(table.spectra):,} spectra of {table.spectra.shape[1]} bands")
    for note in table.notes:
        console.print(f"- {note}", soft_wrap=True)
    claim_folder(folder, overwrite=overwrite)
    write_config(config, folder / CONFIG)

    if config.method == "upstream":
        answer = joint_answer(config, problem, folder)
    else:
        with ProgressBars(console) as bars:
            answer = gated_answer(config, problem, folder, mesh, bars)
    scores = _scores(answer, problem)
    doubt = None if answer.misfit is None else suspicion(answer.misfit, config.mixing)
    if doubt is not None:
        console.print(f"- {doubt}", soft_wrap=True)
    where, cubes = _write(folder, answer, problem)
    if cubes:
        scores["cubes"] = cubes
    ranges = None if answer.turned is None else answer.turned.spectrum
    draw(folder, table, answer.found, problem.truth, ranges)
    count = len(answer.found.components)
    if answer.certainty is not None:
        true = None if problem.truth is None else len(problem.truth.components)
        plot_count(folder / "pictures" / "count.png", answer.certainty, count, true)
    scores["seconds"] = time.perf_counter() - began
    (folder / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")
    _show(console, scores, answer.found, problem.truth)
    for sentence in [] if answer.departures is None else noise_sentences(scores["noise"]):
        console.print(f"- {sentence}", soft_wrap=True)
    told = [] if ranges is None else range_sentences(scores["range"], answer.found.names)
    for sentence in told:
        console.print(f"- {sentence}", soft_wrap=True)
    if "certainty" in scores:
        asked = count == config.num_components
        sentence = certainty_sentence(scores["certainty"], count, asked=asked)
        console.print(f"- {sentence}", soft_wrap=True)
    ended = f"{count} components; concentrations are in {where}, all in {folder}"
    console.print(ended, soft_wrap=True)  # a path broken over two lines cannot be copied
    return scores


def _scores(answer: Answer, problem: Problem) -> dict[str, Any]:
    """Of the answer, and of the networks on the same spectra."""
    table, truth = problem.table, problem.truth
    scores = score(table, answer.found, truth)
    reconstruction = answer.found.reconstruct(answer.networks(table.spectra))
    scores["converged"] = answer.converged
    spectra = answer.found.without_offset(table.spectra)
    scores["amortised"] = fit_scores(spectra, reconstruction, truth)
    level, exponent = (float(part) for part in answer.law)
    noise = {"level": level, "exponent": exponent, "unit": answer.unit}
    if answer.departures is not None:
        size = np.sqrt(np.mean(table.spectra.astype(np.float64) ** 2, axis=1))
        share = float(np.median(answer.found.noise / size))
        noise |= noise_scores(answer.departures, share, answer.unit)
    scores |= {"noise": noise}
    if answer.certainty is not None:
        scores["certainty"] = certainty_scores(answer.certainty, answer.opinions)
    if answer.turned is not None:
        scores["range"] = range_scores(answer.turned)
    if answer.misfit is None:
        return scores
    misfit = {name: np.asarray(part).tolist() for name, part in answer.misfit._asdict().items()}
    return scores | {"misfit": misfit}


def _write(folder: Path, answer: Answer, problem: Problem) -> tuple[str, dict[str, Any]]:
    """Components and concentrations; says where the latter are, and the scores of cubes."""
    table, found = problem.table, answer.found
    write_components(folder / "components.csv", found.components, table, found.names)
    if not table.cubes:
        stem = folder / "concentrations"
        return write_samples(stem, table, found.concentrations, found.names), {}
    sizes = np.linalg.norm(found.components, axis=1)
    tool = Tool(found.names, sizes, answer.networks, answer.explain)
    note = f"unmixed by EB-gMCR into {len(sizes)} components"
    return unmix_cubes(folder, table.cubes, tool, [note])


def _show(console: Console, scores: dict[str, Any], found: Findings, truth: Truth | None) -> None:
    paired, cosines = match(found.components, truth), None
    if truth is not None and paired is not None:
        labels = component_names(len(truth.components), truth.names)
        shown = ["" if i < 0 else labels[i] for i in paired.index]
        cosines = list(zip(shown, paired.cosine.tolist(), strict=True))
    samples = (found.concentrations != 0).sum(0).tolist()
    sure = scores.get("certainty", {}).get("confidence")
    console.print(component_table(found.names, scores["variance_share"], samples, cosines, sure))
    console.print(fit_table(scores, scores["amortised"]))
