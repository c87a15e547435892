"""New spectra unmixed by a finished run of gmcr: tables, or cubes of any size in bounded memory."""

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rich.console import Console

from jaxhsi.config.files import write_config
from jaxhsi.config.unmix import UnmixConfig
from jaxhsi.data.cube import Cube
from jaxhsi.data.manifest import check_wavelengths
from jaxhsi.data.open import open_sources
from jaxhsi.data.tables.table import Table, check_axis, is_cube, open_table
from jaxhsi.report.csv_files import write_samples
from jaxhsi.report.tables import quantity_table
from jaxhsi.training.run_folder import CONFIG, SOLVED, UNMIXED, check_results, claim_folder
from jaxhsi.workflows.abundance_maps import FOLDER, Tool, counted, scores_of, unmix_cubes
from jaxhsi.workflows.unmixing_model import Solved, explainer, mixer, read_solved, unmixer

_MANY = 0.01  # share of spectra that are not explained which a user is told of


class Data(NamedTuple):
    """What to unmix: tables by the stems of their files, or cubes."""

    tables: dict[str, Table]
    cubes: tuple[Cube, ...] = ()


def quantify(config: UnmixConfig, *, overwrite: bool = False) -> dict[str, Any]:
    """Unmix new spectra as a run does, and leave concentrations, pictures and scores in a folder.

    Args:
        config: the options.
        overwrite: delete the concentrations that are in the folder.

    Returns:
        What ``scores.json`` holds.

    Raises:
        FileExistsError: the folder holds concentrations already, or other files.
        FileNotFoundError, ValueError: a run, data or options that cannot be used. Raised before
            anything is unmixed, and before anything is deleted.
    """
    console, solved = Console(), open_run(config.run)
    folder = config.out or config.run / "unmixed"
    check_results(folder, UNMIXED, "concentrations", overwrite=overwrite)
    data = _open_data(config, solved)
    claim_folder(folder, overwrite=overwrite, mark=UNMIXED)
    write_config(config, folder / UNMIXED)
    for note in _notes(solved, data):
        console.print(f"- {note}", soft_wrap=True)

    tool = Tool(solved.names, solved.sizes, unmixer(solved, config.refine), explainer(solved))
    scores: dict[str, Any] = {"components": list(solved.names), "refine": config.refine}
    if data.cubes:
        done = f"unmixed by EB-gMCR into {len(solved.names)} components, {config.refine} steps"
        where, found = unmix_cubes(folder, data.cubes, tool, [done], config.tile)
        scores["cubes"] = found
    else:
        where, found = _unmix_tables(folder, data.tables, tool)
        scores["tables"] = found
    (folder / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")
    console.print(quantity_table(found))
    for name, row in found.items():
        if row["beyond_noise"] > _MANY:
            console.print(f"- {_doubt(name, row['beyond_noise'], config.refine)}", soft_wrap=True)
    console.print(f"concentrations are in {where}, all in {folder}", soft_wrap=True)
    return scores


def open_run(folder: Path) -> Solved:
    """What a finished run of gmcr left.

    Raises:
        FileNotFoundError: there is no run.
        ValueError: one of another command or method, not finished, or of an earlier version.
    """
    saved = folder / CONFIG
    if not saved.is_file():
        raise FileNotFoundError(f"{folder} holds no run (no {CONFIG}); name the folder of a run")
    options = yaml.safe_load(saved.read_text())
    if not isinstance(options, dict) or "solver" not in options:
        raise ValueError(
            f"{folder} holds a run of another command; spectra are unmixed by runs of train gmcr"
        )
    if options.get("method") == "upstream":
        raise ValueError(
            f"{folder} holds a run of --method upstream, whose networks go with its own table; new "
            "spectra are unmixed by runs of --method gated, the default"
        )
    if not (folder / SOLVED).is_file():
        raise ValueError(
            f"{folder} has no {SOLVED}: the run is not finished, or was made by an earlier "
            f"version. python -m jaxhsi.train gmcr --out {folder} --resume writes it"
        )
    return read_solved(folder / SOLVED)


# Data ---------------------------------------------------------------------------------------------


def _open_data(config: UnmixConfig, solved: Solved) -> Data:
    kinds = {path: is_cube(path, key=config.key, size=config.size) for path in config.data}
    if all(kinds.values()):
        return Data({}, _open_cubes(config, solved))
    if any(kinds.values()):
        first = {kind: path for path, kind in kinds.items()}
        raise ValueError(
            f"{first[False]} is a table and {first[True]} a cube; unmix one kind a time"
        )
    tables = {}
    for path in config.data:
        if (stem := Path(path).stem) in tables:
            raise ValueError(f"two tables have the stem {stem}, which results are named by: {path}")
        tables[stem] = _open_table(config, path, solved)
    return Data(tables)


def _open_table(config: UnmixConfig, path: str, solved: Solved) -> Table:
    table = open_table(path, spectra=config.spectra, key=config.key, least=1)
    name = _name(config)
    if table.spectra.shape[1] != solved.components.shape[1]:
        raise ValueError(
            f"{path}: its spectra have {table.spectra.shape[1]} bands, those of {name} "
            f"{solved.components.shape[1]}; give spectra of the same bands (are they in --spectra "
            "columns?)"
        )
    check_axis(name, solved.axis, table, config.tolerance)
    return table


def _open_cubes(config: UnmixConfig, solved: Solved) -> tuple[Cube, ...]:
    name, bands = _name(config), solved.components.shape[1]
    cubes = open_sources(
        config.data,
        **{"key": config.key, "layout": config.layout, "size": config.size},
        tolerance=config.tolerance,
        bands={name: bands},
    )
    waves = {cube.url: cube.wavelengths for cube in cubes}
    if solved.axis is None or _in_nm(solved.axis_name):
        check_wavelengths({name: solved.axis} | waves, config.tolerance)
    else:
        logging.getLogger(__name__).warning(
            "the axis of %s is %s; wavelengths of cubes are not compared with it",
            *(name, solved.axis_name or "without a name"),
        )
    return cubes


def _name(config: UnmixConfig) -> str:
    return f"the run {config.run}"


def _in_nm(axis_name: str) -> bool:
    return "wavelength" in axis_name.lower() or axis_name.lower() in ("wl", "lambda")


# Results ------------------------------------------------------------------------------------------


def _unmix_tables(
    folder: Path, tables: dict[str, Table], tool: Tool
) -> tuple[str, dict[str, dict[str, Any]]]:
    """``concentrations.csv`` of one table, ``concentrations/<stem>.csv`` of several."""
    scores, written = {}, []
    single = len(tables) == 1
    if not single:
        (folder / FOLDER).mkdir()
    for name, table in tables.items():
        began = time.perf_counter()
        concentrations = tool.unmix(table.spectra)
        explained = tool.explain(table.spectra, concentrations)
        seconds = time.perf_counter() - began
        scores[name] = scores_of(counted(explained, concentrations, tool.sizes), seconds, "spectra")
        stem = folder / FOLDER if single else folder / FOLDER / name
        written.append(write_samples(stem, table, concentrations, tool.names))
    return written[0] if single else f"{FOLDER}/", scores


def _notes(solved: Solved, data: Data) -> Sequence[str]:
    notes = [note for table in data.tables.values() for note in table.notes]
    if solved.mixing != "linear" and mixer(solved) is None:
        notes.append(
            f"{solved.mixing} mixing is of every spectrum's own, which networks do not know: new "
            "spectra are unmixed as linear mixtures"
        )
    return notes


def _doubt(name: str, share: float, refine: int) -> str:
    remedy = "train on data that hold them" if refine else "--refine 10 may help, or train on them"
    return (
        f"{name}: {share:.1%} of the spectra hold more than the components and noise explain (more "
        f"than twice the noise's variance is left); {remedy}"
    )
