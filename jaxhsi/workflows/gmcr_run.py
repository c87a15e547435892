"""One run of EB-gMCR, from a table of spectra to a folder of components and concentrations."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from jaxhsi.callbacks import OnProgress
from jaxhsi.config.files import check_same_run, whole_config_file, write_run_config
from jaxhsi.config.gmcr import RESUMABLE_CHANGES, GMCRConfig
from jaxhsi.config.report import ReportConfig
from jaxhsi.data.tables.truth import GroundTruth
from jaxhsi.processes import is_first_process
from jaxhsi.report.csv_files import (
    numbered_names,
    to_fractions,
    write_components,
    write_concentration_ranges,
    write_concentrations,
)
from jaxhsi.report.gmcr_sentences import result_sentences
from jaxhsi.report.gmcr_tables import component_table, fit_table
from jaxhsi.report.json_files import write_json
from jaxhsi.report.left_out_values import write_left_out_values
from jaxhsi.sharding import device_mesh
from jaxhsi.storage.file_lock import locked_folder
from jaxhsi.training.console import PlainConsole
from jaxhsi.training.progress import ProgressBars
from jaxhsi.training.run_folder import (
    check_run_folder,
    create_run_folder,
    next_free_folder,
)
from jaxhsi.training.stage_times import ProgressTimes, StageTimes
from jaxhsi.training.step_profiler import StepProfiler
from jaxhsi.training.stop_signals import set_way_on
from jaxhsi.unmixing_result import UnmixingResult
from jaxhsi.workflows.abundance_maps import Unmixer, unmix_cubes
from jaxhsi.workflows.gmcr_inputs import GMCRInputs, open_gmcr_inputs
from jaxhsi.workflows.gmcr_pictures import draw_pictures
from jaxhsi.workflows.gmcr_scores import match_components, result_scores
from jaxhsi.workflows.gmcr_training import (
    check_shared_inputs,
    take_part_in_fit,
    unmix_with_checkpoints,
)
from jaxhsi.workflows.gmcr_upstream_run import run_upstream
from jaxhsi.workflows.run_precision import with_precision
from jaxhsi.workflows.run_report import write_run_report


def run_gmcr(
    config: GMCRConfig, *, resume: bool = False, overwrite: bool = False, profile: bool = False
) -> dict[str, Any]:
    """Read spectra, unmix them, and leave components, scores and pictures in a folder.

    Of several processes of `jax.distributed` all find the components, and the first one does the
    rest.

    Args:
        config: the options.
        resume: go on from the newest checkpoint of the run in the folder.
        overwrite: delete the run in the folder first.
        profile: trace a few epochs into the folder, see `jaxhsi.training.step_profiler`.

    Returns:
        The content of ``scores.json``, and the folder; nothing but in the first process.

    Raises:
        FileExistsError: the folder holds a run already.
        BlockingIOError: another process writes into the folder.
        FileNotFoundError, ValueError: data or options that cannot be used. Raised before anything
            is trained, and before anything is deleted.
    """
    config = with_precision(config)
    if not is_first_process():
        take_part_in_fit(config, open_gmcr_inputs(config))
        return {}
    folder = config.out or next_free_folder(Path("runs"), "gmcr")
    with locked_folder(folder):
        return _run_in_folder(config, folder, resume=resume, overwrite=overwrite, profile=profile)


def _run_in_folder(
    config: GMCRConfig, folder: Path, *, resume: bool, overwrite: bool, profile: bool
) -> dict[str, Any]:
    """The run, in a folder that no other process writes into."""
    console, times = PlainConsole(), StageTimes()
    print_line = partial(console.print, soft_wrap=True)  # a path is not to be broken
    check_run_folder(folder, resume=resume, overwrite=overwrite)
    if resume:
        check_same_run(config, whole_config_file(folder), RESUMABLE_CHANGES)
    with times.measure("read"):
        inputs = open_gmcr_inputs(config)
    table = inputs.table
    # Refuses a number that there is not.
    num_devices = device_mesh(config.devices, of_all_processes=True).size
    check_shared_inputs(config, inputs)
    on_devices = f", on {num_devices} devices" if num_devices > 1 else ""
    console.print(f"{len(table.spectra):,} spectra of {table.spectra.shape[1]} bands{on_devices}")
    _print_list(console, table.notes)
    create_run_folder(folder, overwrite=overwrite)
    set_way_on(f"go on with: jaxhsi train gmcr --out {folder} --resume")
    write_run_config(config, folder)

    profiler = StepProfiler(folder if profile else None, "epochs", print_line)
    if config.method == "upstream":
        result = run_upstream(config, inputs, folder, times, profiler)
    else:
        with profiler, ProgressBars(console) as progress_bars:
            reported = ProgressTimes(
                times, _traced_epochs(config, profiler, progress_bars), "noise"
            )
            result = unmix_with_checkpoints(config, inputs, folder, times, reported)
            reported.close()
        result.save(folder)
    inputs = _with_expected_values(inputs, result)
    table = inputs.table
    scores = result_scores(table, result, inputs.truth, config.devices)
    with times.measure("label"):
        location, cube_scores = _write_results(folder, result, inputs, config)
    if cube_scores:
        scores["cubes"] = cube_scores
    phase_steps = None if config.method == "upstream" else config.solver.steps_per_phase
    run_lengths = inputs.run_lengths if inputs.is_ordered else None
    with times.measure("pictures"):
        draw_pictures(folder, table, result, inputs.truth, phase_steps, run_lengths)
    scores["seconds"] = times.total()
    write_json(folder / "scores.json", scores)
    _print_tables(console, scores, result, inputs.truth)
    sentences = result_sentences(
        scores, result.component_names, config.mixing, config.num_components, config.pretreatment
    )
    _print_list(console, sentences)
    summary = f"{result.num_components} components; concentrations are in {location}"
    print_line(f"{summary}, all in {folder}")
    with times.measure("report"):
        write_run_report(ReportConfig(run=folder))
    times.write(folder)
    print_line(times.sentence())
    refuse_untrusted(result, folder)
    return scores | {"folder": str(folder)}


def refuse_untrusted(result: UnmixingResult, folder: Path) -> None:
    """End a run whose answer simpler methods contradict with an error; its files stay.

    Raises:
        ValueError: the result warns of itself.
    """
    if result.warnings:
        reasons = "; ".join(result.warnings)
        raise ValueError(
            f"{folder}: {reasons}. The answer is refused; its files are kept to be looked at "
            f"({folder}/pictures, left_out_values.csv). Often a part of the axis, an offset or a "
            "baseline is at fault: cut or treat it with --pretreatment, or give --num_components"
        )


def _traced_epochs(
    config: GMCRConfig, profiler: StepProfiler, on_progress: OnProgress
) -> OnProgress:
    """Progress by which epochs of the search for components are traced, and nothing after them."""
    profiler.expect_steps(2 * config.solver.steps_per_phase // config.solver.noise_refit_every)

    def report(stage: str, *progress: Any) -> None:
        if stage.split(": ")[-1].startswith("components"):
            profiler.next_step()  # reported at the beginning and after each epoch, computed by then
        else:
            profiler.stop()
        on_progress(stage, *progress)

    return report


def _with_expected_values(inputs: GMCRInputs, result: UnmixingResult) -> GMCRInputs:
    """The inputs with what the result expects in the place of missing values."""
    table = inputs.table
    if table.missing_mask is None:
        return inputs
    expected = result.reconstruct(result.concentrations)
    spectra = np.where(table.missing_mask, expected, table.spectra).astype(np.float32)
    return replace(inputs, table=table._replace(spectra=spectra))


def _write_results(
    folder: Path, result: UnmixingResult, inputs: GMCRInputs, config: GMCRConfig
) -> tuple[str, dict[str, Any]]:
    """Components and concentrations; says where the latter are, and the scores of cubes."""
    table, names = inputs.table, result.component_names
    write_components(folder / "components.csv", result.components, table, names)
    left_out = result.left_out_mask
    if left_out is not None:
        reconstruction = result.reconstruct(result.concentrations)
        write_left_out_values(folder / "left_out_values.csv", table, left_out, reconstruction)
    if not table.cubes:
        concentrations = result.concentrations
        if result.ranges is not None:
            ranges = np.asarray(result.ranges.concentration_ranges)
            write_concentration_ranges(folder / "concentration_ranges.csv", table, ranges, names)
        if config.fractions:
            write_concentrations(folder / "fractions", table, to_fractions(concentrations), names)
        return write_concentrations(folder / "concentrations", table, concentrations, names), {}
    sizes = np.linalg.norm(result.components, axis=1)
    unmixer = Unmixer(
        *(names, sizes),
        partial(result.transform, devices=config.devices),
        partial(result.evaluate, devices=config.devices),
    )
    history = f"unmixed by EB-gMCR into {result.num_components} components"
    return unmix_cubes(folder, table.cubes, unmixer, [history])


def _print_tables(
    console: Console, scores: dict[str, Any], result: UnmixingResult, truth: GroundTruth | None
) -> None:
    matched_names = None
    component_match = match_components(result.components, truth)
    if truth is not None and component_match is not None:
        true_names = numbered_names(len(truth.components), truth.component_names)
        labels = ["" if i < 0 else true_names[i] for i in component_match.true_index]
        matched_names = list(zip(labels, component_match.cosine.tolist(), strict=True))
    sample_counts = (result.concentrations != 0).sum(0).tolist()
    confidence = scores.get("diagnostics", {}).get("confidence")
    variance_shares = scores["variance_share"]
    console.print(
        component_table(
            result.component_names, variance_shares, sample_counts, matched_names, confidence
        )
    )
    console.print(fit_table(scores, scores["networks"]))


def _print_list(console: Console, sentences: Any) -> None:
    for sentence in sentences:
        console.print(f"- {sentence}", soft_wrap=True)
