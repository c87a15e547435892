"""Concentrations, pictures and scores of tables or cubes, written into a folder."""

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jax.sharding import Mesh
from rich.console import Console

from jaxhsi.config.files import saved_options, write_config
from jaxhsi.config.unmix import UnmixConfig
from jaxhsi.data.cache import fingerprint
from jaxhsi.data.statistics import store_fingerprint
from jaxhsi.data.tables.spectra_table import SpectraTable
from jaxhsi.data.tiles import count_tiles
from jaxhsi.data.windows import read_window
from jaxhsi.report.csv_files import to_fractions, write_concentrations
from jaxhsi.report.gmcr_sentences import local_mixing_sentence, poor_fit_sentences
from jaxhsi.report.gmcr_tables import unmixing_table
from jaxhsi.report.json_files import write_json
from jaxhsi.table_sharding import several_devices
from jaxhsi.training.console import PlainConsole
from jaxhsi.training.progress import ProgressBars
from jaxhsi.training.run_folder import (
    SOLUTION_FILE,
    UNMIX_CONFIG_FILE,
    check_result_folder,
    create_run_folder,
)
from jaxhsi.training.stage_times import StageTimes
from jaxhsi.training.state_digest import state_digest
from jaxhsi.training.step_profiler import StepProfiler
from jaxhsi.training.tile_journal import TileJournal, open_journal
from jaxhsi.workflows.abundance_maps import CONCENTRATIONS, Unmixer, unmix_cubes
from jaxhsi.workflows.fit_counts import count_scores, count_spectra
from jaxhsi.workflows.unmix_data import DataLocations, NewData, open_data, unit_warnings
from jaxhsi.workflows.unmixing_model import UnmixingModel

FRACTIONS = "fractions"
"""Folder and stem of the tables of fractions."""

OnComplete = Callable[[Mapping[str, Any], Mapping[str, str]], None]
"""Called with the scores and the warnings of each table or cube, when all files are whole."""


def write_unmixing(
    folder: Path,
    config: UnmixConfig,
    model: UnmixingModel,
    locations: DataLocations,
    *,
    overwrite: bool,
    profile: bool,
    num_data: int | None = None,
    on_complete: OnComplete = lambda scores, warnings: None,
) -> dict[str, Any]:
    """Unmix new spectra into a folder that no other process writes into.

    Args:
        folder: to write into.
        config: the options.
        model: what unmixes.
        locations: of tables or cubes.
        overwrite: delete the concentrations that are in the folder.
        profile: trace a few tiles or tables into the folder.
        num_data: tables or cubes of all parts, where this is one: the names of tables depend on it.
        on_complete: see `OnComplete`.

    Returns:
        What ``scores.json`` holds, and the folder.
    """
    console, times = PlainConsole(), StageTimes()
    print_line = partial(console.print, soft_wrap=True)  # a path is not to be broken
    check_result_folder(folder, UNMIX_CONFIG_FILE, "concentrations", overwrite=overwrite)
    mesh = several_devices(config.devices)
    with times.measure("start"):
        data = open_data(config, model, locations, mesh)
    create_run_folder(folder, overwrite=overwrite, marker_file=UNMIX_CONFIG_FILE)
    key = _results_key(config, data)
    journal = open_journal(folder, UNMIX_CONFIG_FILE, key, print_line)
    write_config(config, folder / UNMIX_CONFIG_FILE)
    for note in _notes(model, data):
        print_line(f"- {note}")
    warnings = unit_warnings(config, model, data)
    for warning in warnings.values():
        logging.getLogger(__name__).warning("WARNING %s", warning)  # on the screen even if quiet

    with StepProfiler(folder if profile else None, "tiles or tables", print_line) as profiler:
        unmixer = _timed_unmixer(config, model, mesh, times, profiler)
        if data.cubes:
            place, fit_rows = _unmix_cubes(folder, data, unmixer, config, journal, profiler)
        else:
            profiler.expect_steps(len(data.tables))
            is_single = (num_data or len(data.tables)) == 1
            place, fit_rows = _unmix_tables(
                folder, data.tables, unmixer, config.fractions, is_single
            )
    scores = write_scores(folder, config, model, locations.are_cubes, fit_rows, warnings)
    on_complete(fit_rows, warnings)
    journal.close()
    times.write(folder)
    print_scores(console, config, fit_rows, place, folder)
    print_line(times.sentence())
    return scores | {"folder": str(folder)}


def _unmix_cubes(
    folder: Path,
    data: NewData,
    unmixer: Unmixer,
    config: UnmixConfig,
    journal: TileJournal,
    profiler: StepProfiler,
) -> tuple[str, dict[str, dict[str, Any]]]:
    """Stores of the concentrations of cubes, with their history and progress bars."""
    count = len(unmixer.component_names)
    history = f"unmixed by EB-gMCR into {count} components, {config.refine_steps} steps"
    tile_shape = (config.tile, config.tile)
    profiler.expect_steps(sum(count_tiles(cube.shape[:2], tile_shape) for cube in data.cubes))
    with ProgressBars(PlainConsole()) as progress_bars:
        return unmix_cubes(
            folder, data.cubes, unmixer, [history], config.tile, progress_bars, journal
        )


def _timed_unmixer(
    config: UnmixConfig,
    model: UnmixingModel,
    mesh: Mesh | None,
    times: StageTimes,
    profiler: StepProfiler,
) -> Unmixer:
    """What unmixes tables and tiles of cubes, each of which is a step of the profile."""

    def transform(spectra: np.ndarray) -> np.ndarray:
        profiler.next_step()
        with times.measure("unmix"):
            return model.transform(spectra, config.refine_steps, mesh)

    return Unmixer(
        model.component_names,
        model.component_norms,
        transform,
        times.timed("evaluate", partial(model.evaluate, mesh=mesh)),
        times.timed("read", read_window),
    )


def write_scores(
    folder: Path,
    config: UnmixConfig,
    model: UnmixingModel,
    are_cubes: bool,
    fit_rows: Mapping[str, Any],
    warnings: Mapping[str, str],
) -> dict[str, Any]:
    """Write ``scores.json``; a folder that holds it is complete.

    Args:
        folder: of the concentrations.
        config: the options.
        model: what unmixed.
        are_cubes: whether cubes were unmixed, or tables.
        fit_rows: scores of each.
        warnings: of each that has one.

    Returns:
        What the file holds.
    """
    scores = {
        "components": list(model.component_names),
        "refine_steps": config.refine_steps,
        "cubes" if are_cubes else "tables": dict(fit_rows),
        "warnings": list(warnings.values()),
    }
    write_json(folder / "scores.json", scores)
    return scores


def print_scores(
    console: Console, config: UnmixConfig, fit_rows: Mapping[str, Any], place: str, folder: Path
) -> None:
    """Print the scores and where the concentrations are.

    Args:
        console: to print on.
        config: the options.
        fit_rows: scores of each table or cube.
        place: of the concentrations, in words.
        folder: of all results.
    """
    console.print(unmixing_table(fit_rows))
    for sentence in poor_fit_sentences(fit_rows, config.refine_steps):
        console.print(f"- {sentence}", soft_wrap=True)
    console.print(f"concentrations are in {place}, all in {folder}", soft_wrap=True)


def _results_key(config: UnmixConfig, data: NewData) -> str:
    """Name of all that concentrations depend on: an interrupted call goes on where it is the same.

    Tables are always unmixed anew, which takes seconds.
    """
    ignored = ("out", "devices")
    options = {name: value for name, value in saved_options(config).items() if name not in ignored}
    return fingerprint((options, solution_digest(config), *map(store_fingerprint, data.cubes)))


def solution_digest(config: UnmixConfig) -> str:
    """Name of the state of the run.

    Args:
        config: options that name the run.
    """
    solution = (config.run / SOLUTION_FILE).read_bytes()
    return state_digest(np.frombuffer(solution, np.uint8))


def _unmix_tables(
    folder: Path,
    tables: dict[str, SpectraTable],
    unmixer: Unmixer,
    with_fractions: bool,
    is_single: bool,
) -> tuple[str, dict[str, dict[str, Any]]]:
    """``concentrations.csv`` of one table, ``concentrations/<stem>.csv`` of several."""
    scores, written_files = {}, []
    if not is_single:
        (folder / CONCENTRATIONS).mkdir(exist_ok=True)
        if with_fractions:
            (folder / FRACTIONS).mkdir(exist_ok=True)
    for name, table in tables.items():
        start_time = time.perf_counter()
        concentrations = unmixer.transform(table.spectra)
        evaluation = unmixer.evaluate(table.spectra, concentrations)
        seconds = time.perf_counter() - start_time
        counts = count_spectra(evaluation, concentrations, unmixer.component_sizes)
        scores[name] = count_scores(counts, seconds, "spectra")
        contents = {CONCENTRATIONS: concentrations}
        if with_fractions:
            contents[FRACTIONS] = to_fractions(concentrations)
        for kind, columns in contents.items():
            path_stem = folder / kind if is_single else folder / kind / name
            written = write_concentrations(path_stem, table, columns, unmixer.component_names)
            written_files.append(written)
    return written_files[0] if is_single else f"{CONCENTRATIONS}/", scores


def _notes(model: UnmixingModel, data: NewData) -> list[str]:
    notes = [note for table in data.tables.values() for note in table.notes]
    if model.mixing != "linear" and model.shared_mixing is None:
        notes.append(local_mixing_sentence(model.mixing))
    return notes
