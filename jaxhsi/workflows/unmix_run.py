"""New spectra unmixed by a finished run of gmcr: tables, or cubes of any size in bounded memory."""

import logging
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from jaxhsi.config.files import read_config, saved_command, saved_options, write_config
from jaxhsi.config.gmcr import GMCRConfig
from jaxhsi.config.unmix import UnmixConfig
from jaxhsi.data.cache import fingerprint
from jaxhsi.data.cube import Cube
from jaxhsi.data.manifest import check_wavelengths_agree
from jaxhsi.data.spectra_sample import sample_spectra
from jaxhsi.data.statistics import store_fingerprint
from jaxhsi.data.tables.pretreatment import Step, parse_steps, treat_table
from jaxhsi.data.tables.spectra_table import SpectraTable, check_same_axis, turn_like_axis
from jaxhsi.data.tables.table import is_cube_path, open_table
from jaxhsi.data.tiles import count_tiles
from jaxhsi.data.windows import read_window
from jaxhsi.report.csv_files import to_fractions, write_concentrations
from jaxhsi.report.gmcr_sentences import local_mixing_sentence, poor_fit_sentences
from jaxhsi.report.gmcr_tables import unmixing_table
from jaxhsi.report.json_files import write_json
from jaxhsi.storage.file_lock import locked_folder
from jaxhsi.table_sharding import several_devices
from jaxhsi.training.console import PlainConsole
from jaxhsi.training.progress import ProgressBars
from jaxhsi.training.run_folder import (
    CONFIG_FILE,
    SOLUTION_FILE,
    UNMIX_CONFIG_FILE,
    check_result_folder,
    create_run_folder,
)
from jaxhsi.training.stage_times import StageTimes
from jaxhsi.training.state_digest import state_digest
from jaxhsi.training.step_profiler import StepProfiler
from jaxhsi.training.tile_journal import open_journal
from jaxhsi.workflows.abundance_maps import CONCENTRATIONS, Unmixer, unmix_cubes
from jaxhsi.workflows.fit_counts import count_scores, count_spectra
from jaxhsi.workflows.run_cubes import open_cubes_of_run
from jaxhsi.workflows.unit_check import describe_other_units
from jaxhsi.workflows.unmixing_model import UnmixingModel
from jaxhsi.workflows.unmixing_model_file import read_unmixing_model

FRACTIONS = "fractions"
NUM_COMPARED = 256  # pixels of a cube whose size is compared with that of the run


class NewData(NamedTuple):
    """What to unmix: tables by the stems of their files, or cubes."""

    tables: dict[str, SpectraTable]
    cubes: tuple[Cube, ...] = ()


def unmix_new_data(
    config: UnmixConfig, *, overwrite: bool = False, profile: bool = False
) -> dict[str, Any]:
    """Unmix new spectra as a run does, and leave concentrations, pictures and scores in a folder.

    Where the same call for cubes was interrupted, it goes on after the last part that is on disk.

    Args:
        config: the options.
        overwrite: delete the concentrations that are in the folder.
        profile: trace a few tiles or tables into the folder, see `jaxhsi.training.step_profiler`.

    Returns:
        What ``scores.json`` holds, and the folder.

    Raises:
        FileExistsError: the folder holds concentrations already, or other files.
        BlockingIOError: another process writes into the folder.
        FileNotFoundError, ValueError: a run, data or options that cannot be used. Raised before
            anything is unmixed, and before anything is deleted.
    """
    model, folder = load_finished_run(config.run), config.out or config.run / "unmixed"
    with locked_folder(folder):
        return _unmix_into(folder, config, model, overwrite=overwrite, profile=profile)


def _unmix_into(
    folder: Path, config: UnmixConfig, model: UnmixingModel, *, overwrite: bool, profile: bool
) -> dict[str, Any]:
    """`unmix_new_data`, in a folder that no other process writes into."""
    console, times = PlainConsole(), StageTimes()
    print_line = partial(console.print, soft_wrap=True)  # a path is not to be broken
    check_result_folder(folder, UNMIX_CONFIG_FILE, "concentrations", overwrite=overwrite)
    mesh = several_devices(config.devices)
    with times.measure("start"):
        data = _with_expected_values(_open_data(config, model), model, config.refine_steps, mesh)
    create_run_folder(folder, overwrite=overwrite, marker_file=UNMIX_CONFIG_FILE)
    key = _results_key(config, data)
    journal = open_journal(folder, UNMIX_CONFIG_FILE, key, print_line)
    write_config(config, folder / UNMIX_CONFIG_FILE)
    for note in _notes(model, data):
        print_line(f"- {note}")
    warnings = _unit_warnings(config, model, data)
    for warning in warnings:
        logging.getLogger(__name__).warning("WARNING %s", warning)  # on the screen even if quiet

    names = list(model.component_names)
    scores: dict[str, Any] = {"components": names, "refine_steps": config.refine_steps}
    with StepProfiler(folder if profile else None, "tiles or tables", print_line) as profiler:
        unmixer = _timed_unmixer(config, model, mesh, times, profiler)
        if data.cubes:
            history = f"unmixed by EB-gMCR into {len(names)} components"
            history += f", {config.refine_steps} steps"
            tile_shape = (config.tile, config.tile)
            tile_counts = [count_tiles(cube.shape[:2], tile_shape) for cube in data.cubes]
            profiler.expect_steps(sum(tile_counts))
            with ProgressBars(console) as progress_bars:
                location, fit_rows = unmix_cubes(
                    folder, data.cubes, unmixer, [history], config.tile, progress_bars, journal
                )
            scores["cubes"] = fit_rows
        else:
            profiler.expect_steps(len(data.tables))
            location, fit_rows = _unmix_tables(folder, data.tables, unmixer, config.fractions)
            scores["tables"] = fit_rows
    scores["warnings"] = warnings
    write_json(folder / "scores.json", scores)
    journal.close()
    times.write(folder)
    console.print(unmixing_table(fit_rows))
    for sentence in poor_fit_sentences(fit_rows, config.refine_steps):
        print_line(f"- {sentence}")
    print_line(f"concentrations are in {location}, all in {folder}")
    print_line(times.sentence())
    return scores | {"folder": str(folder)}


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


def load_finished_run(folder: Path) -> UnmixingModel:
    """What a finished run of gmcr left.

    Raises:
        FileNotFoundError: there is no run.
        ValueError: one of another command or method, not finished, or of an earlier version.
    """
    config_path = folder / CONFIG_FILE
    if not config_path.is_file() and (folder / SOLUTION_FILE).is_file():
        return read_unmixing_model(folder / SOLUTION_FILE)  # written by UnmixingResult.save
    if not config_path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no run (no {CONFIG_FILE}); name the folder of a run"
        )
    if saved_command(config_path) != "gmcr":
        raise ValueError(
            f"{folder} holds a run of another command; spectra are unmixed by runs of train gmcr"
        )
    if read_config(GMCRConfig, config_path).method == "upstream":
        raise ValueError(
            f"{folder} holds a run of --method upstream, whose networks go with its own table; new "
            "spectra are unmixed by runs of --method gated, the default"
        )
    if not (folder / SOLUTION_FILE).is_file():
        raise ValueError(
            f"{folder} has no {SOLUTION_FILE}: the run is not finished, or was made by an earlier "
            f"version. jaxhsi train gmcr --out {folder} --resume writes it"
        )
    return read_unmixing_model(folder / SOLUTION_FILE)


def _results_key(config: UnmixConfig, data: NewData) -> str:
    """Name of all that concentrations depend on: an interrupted call goes on where it is the same.

    Tables are always unmixed anew, which takes seconds.
    """
    ignored = ("out", "devices")
    options = {name: value for name, value in saved_options(config).items() if name not in ignored}
    solution = (config.run / SOLUTION_FILE).read_bytes()
    return fingerprint(
        (
            options,
            state_digest(np.frombuffer(solution, np.uint8)),
            *map(store_fingerprint, data.cubes),
        )
    )


# Data ---------------------------------------------------------------------------------------------


def _open_data(config: UnmixConfig, model: UnmixingModel) -> NewData:
    path_is_cube = {
        path: is_cube_path(path, key=config.key, size=config.size) for path in config.data
    }
    if all(path_is_cube.values()):
        if config.fractions:
            raise ValueError(f"--fractions belongs to tables; {config.data[0]} is a cube")
        return NewData({}, _open_cubes(config, model))
    if any(path_is_cube.values()):
        example_paths = {kind: path for path, kind in path_is_cube.items()}
        raise ValueError(
            f"{example_paths[False]} is a table and {example_paths[True]} a cube; "
            "unmix one kind a time"
        )
    tables = {}
    for path in config.data:
        if (file_stem := Path(path).stem) in tables:
            raise ValueError(
                f"two tables have the stem {file_stem}, which results are named by: {path}"
            )
        tables[file_stem] = _open_table(config, path, model)
    return NewData(tables)


def _open_table(config: UnmixConfig, path: str, model: UnmixingModel) -> SpectraTable:
    table = open_table(path, config.table_options(), min_spectra=1)
    table = treat_table(table, run_pretreatment(config.run))
    run_name = _run_name(config)
    if table.spectra.shape[1] != model.components.shape[1]:
        raise ValueError(
            f"{path}: its spectra have {table.spectra.shape[1]} bands, those of {run_name} "
            f"{model.components.shape[1]}; give spectra of the same bands (are they in --spectra "
            "columns?)"
        )
    table = turn_like_axis(table, model.axis)
    check_same_axis(run_name, model.axis, table, config.tolerance)
    return table


def run_pretreatment(folder: Path) -> tuple[Step, ...]:
    """The steps that the spectra of a run went through; none of a model saved from Python."""
    config_path = folder / CONFIG_FILE
    if not config_path.is_file():
        return ()
    return parse_steps(read_config(GMCRConfig, config_path).pretreatment)


def _open_cubes(config: UnmixConfig, model: UnmixingModel) -> tuple[Cube, ...]:
    if run_pretreatment(config.run):
        raise ValueError(
            f"the spectra of {_run_name(config)} were pre-treated, which belongs to tables; "
            f"{config.data[0]} is a cube"
        )
    run_name, num_bands = _run_name(config), model.components.shape[1]
    has_wavelengths = model.axis is not None and _is_wavelength(model.axis_name)
    cubes = open_cubes_of_run(
        config.data,
        model.axis if has_wavelengths else None,
        **{"key": config.key, "layout": config.layout, "size": config.size},
        **{"raw": config.raw, "no_data": config.no_data},
        tolerance=config.tolerance,
        expected_band_counts={run_name: num_bands},
    )
    cube_wavelengths = {cube.url: cube.wavelengths for cube in cubes}
    if model.axis is None or has_wavelengths:
        check_wavelengths_agree({run_name: model.axis} | cube_wavelengths, config.tolerance)
    else:
        logging.getLogger(__name__).warning(
            "the axis of %s is %s; wavelengths of cubes are not compared with it",
            *(run_name, model.axis_name or "without a name"),
        )
    return cubes


def _unit_warnings(config: UnmixConfig, model: UnmixingModel, data: NewData) -> list[str]:
    """What is said of spectra of another size than the run's; of cubes a few are looked at."""
    spectra = {table.source_name: table.spectra for table in data.tables.values()}
    for cube in data.cubes:
        spectra[cube.url] = sample_spectra((cube,), NUM_COMPARED, 0, max_tiles=4).spectra
    warnings = [
        describe_other_units(values, model.data_unit, name, _run_name(config))
        for name, values in spectra.items()
    ]
    return [warning for warning in warnings if warning is not None]


def _run_name(config: UnmixConfig) -> str:
    return f"the run {config.run}"


def _is_wavelength(axis_name: str) -> bool:
    return "wavelength" in axis_name.lower() or axis_name.lower() in ("wl", "lambda")


# Results ------------------------------------------------------------------------------------------


def _unmix_tables(
    folder: Path, tables: dict[str, SpectraTable], unmixer: Unmixer, with_fractions: bool
) -> tuple[str, dict[str, dict[str, Any]]]:
    """``concentrations.csv`` of one table, ``concentrations/<stem>.csv`` of several."""
    scores, written_files = {}, []
    is_single = len(tables) == 1
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


def _with_expected_values(
    data: NewData, model: UnmixingModel, refine_steps: int, mesh: Mesh | None
) -> NewData:
    """The data with what the model expects in the place of values that are to be masked."""
    tables = {
        name: table
        if table.missing_mask is None
        else table._replace(
            spectra=model.fill_missing(table.spectra, table.missing_mask, refine_steps, mesh)
        )
        for name, table in data.tables.items()
    }
    return data._replace(tables=tables)


def _notes(model: UnmixingModel, data: NewData) -> list[str]:
    notes = [note for table in data.tables.values() for note in table.notes]
    if model.mixing != "linear" and model.shared_mixing is None:
        notes.append(local_mixing_sentence(model.mixing))
    return notes
