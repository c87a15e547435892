"""Parts of new data unmixed, and what puts them together.

A part is an unmixing of its tables or cubes alone, in a folder of its own.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxhsi.config.files import write_config
from jaxhsi.config.parts import Part
from jaxhsi.storage.checksums import move_entries, read_checked_json
from jaxhsi.storage.file_lock import locked_folder
from jaxhsi.training.console import PlainConsole
from jaxhsi.training.run_folder import UNMIX_CONFIG_FILE, check_folder_of_parts
from jaxhsi.workflows.abundance_maps import CONCENTRATIONS, write_concentration_table
from jaxhsi.workflows.command_parts import (
    DividedCommand,
    complete_part,
    content_by_input,
    locked_part,
    log_part,
    read_parts,
    remove_parts,
)
from jaxhsi.workflows.unmix_data import DataLocations
from jaxhsi.workflows.unmix_results import FRACTIONS, print_scores, write_scores, write_unmixing
from jaxhsi.workflows.unmixing_model import UnmixingModel

DATA_FOLDERS = (CONCENTRATIONS, FRACTIONS, "pictures")
"""Folders of results whose files belong to one table or cube each."""
_SUFFIXES = (".csv", ".npy")  # of tables; long ones are arrays


def unmix_part(
    folder: Path,
    model: UnmixingModel,
    divided: DividedCommand,
    are_cubes: bool,
    part: Part,
    source: str,
    *,
    overwrite: bool,
    profile: bool,
) -> dict[str, Any]:
    """Unmix the tables or cubes of a part.

    Args:
        folder: of the results of all parts.
        model: what unmixes.
        divided: the command.
        are_cubes: whether the data are cubes, or tables.
        part: to do.
        source: who says so.
        overwrite: do it even if it is complete.
        profile: trace a few tiles or tables.

    Returns:
        As `unmix_new_data`, of the data of the part; of none where it has none.
    """
    check_folder_of_parts(folder, UNMIX_CONFIG_FILE, "concentrations", divided.folder)
    kind = "cubes" if are_cubes else "tables"
    log_part(divided, part, source, kind)
    paths, part_folder = divided.part_locations(part), divided.part_folder(part)
    if not paths:
        return {kind: {}, "folder": str(part_folder)}
    own_config = replace(divided.config, data=tuple(paths.values()), out=part_folder)

    def complete(scores: Mapping[str, Any], warnings: Mapping[str, str]) -> None:
        complete_part(divided, part, {"scores": scores, "warnings": warnings})

    with locked_part(divided, part, overwrite=overwrite) as is_to_do:
        if is_to_do:
            return write_unmixing(
                part_folder,
                own_config,
                model,
                DataLocations(paths, are_cubes),
                overwrite=overwrite,
                profile=profile,
                num_data=len(divided.locations),
                on_complete=complete,
            )
        scores = read_checked_json(part_folder / "scores.json", divided.remedy(part))
        return scores | {"folder": str(part_folder)}


def merge_unmixing(
    folder: Path, model: UnmixingModel, divided: DividedCommand, are_cubes: bool
) -> dict[str, Any]:
    """Put the results of all parts together; they are those of one run without parts.

    A call that was interrupted can be made again.

    Args:
        folder: of the results.
        model: what unmixed.
        divided: the command.
        are_cubes: whether the data are cubes, or tables.

    Returns:
        As `unmix_new_data`.

    Raises:
        FileNotFoundError, ValueError, FileExistsError: see `command_parts.read_parts`.
    """
    config, names = divided.config, list(divided.locations)
    with locked_folder(folder):
        contents = read_parts(divided)
        fit_rows, warnings = (content_by_input(contents, key) for key in ("scores", "warnings"))
        fit_rows = {name: fit_rows[name] for name in names}
        warnings = {name: warnings[name] for name in names if name in warnings}
        write_config(config, folder / UNMIX_CONFIG_FILE)
        for part in contents:
            for name in DATA_FOLDERS:
                move_entries(divided.part_folder(part) / name, folder / name)
        if are_cubes:
            place = write_concentration_table(folder, names, model.component_names)
        else:
            place = _move_single_table(folder, divided, contents) or f"{CONCENTRATIONS}/"
        scores = write_scores(folder, config, model, are_cubes, fit_rows, warnings)
        remove_parts(divided.folder)
        print_scores(PlainConsole(), config, fit_rows, place, folder)
    return scores | {"folder": str(folder)}


def _move_single_table(
    folder: Path, divided: DividedCommand, contents: Mapping[Part, Any]
) -> str | None:
    """The only table of a command lies in no folder of its own; gives its name, None of several."""
    if len(divided.locations) > 1:
        return None
    [part] = contents
    files = [f"{stem}{suffix}" for stem in (CONCENTRATIONS, FRACTIONS) for suffix in _SUFFIXES]
    move_entries(divided.part_folder(part), folder, files)
    return next(name for name in files if (folder / name).is_file())
