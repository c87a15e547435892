"""New spectra unmixed by a finished run of gmcr: all, a part of them, or parts put together."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxhsi.config.files import read_config, saved_command
from jaxhsi.config.gmcr import GMCRConfig
from jaxhsi.config.unmix import UnmixConfig
from jaxhsi.storage.file_lock import locked_folder
from jaxhsi.training.run_folder import CONFIG_FILE, SOLUTION_FILE
from jaxhsi.workflows.command_parts import (
    PARTS_FOLDER,
    DividedCommand,
    check_no_parts,
    part_to_do,
)
from jaxhsi.workflows.unmix_data import locate_data
from jaxhsi.workflows.unmix_parts import merge_unmixing, unmix_part
from jaxhsi.workflows.unmix_results import solution_digest, write_unmixing
from jaxhsi.workflows.unmixing_model import UnmixingModel
from jaxhsi.workflows.unmixing_model_file import read_unmixing_model


def unmix_new_data(
    config: UnmixConfig,
    *,
    merge_parts: bool = False,
    overwrite: bool = False,
    profile: bool = False,
) -> dict[str, Any]:
    """Unmix new spectra as a run does, and leave concentrations, pictures and scores in a folder.

    Where the same call for cubes was interrupted, it goes on after the last tile that is on disk.

    Args:
        config: the options; the results of a part lie in a folder of its own in that of all.
        merge_parts: unmix nothing; put the results of all parts together.
        overwrite: delete the concentrations that are in the folder, or those of the part.
        profile: trace a few tiles or tables into the folder, see `jaxhsi.training.step_profiler`.

    Returns:
        What ``scores.json`` holds, and the folder.

    Raises:
        FileExistsError: the folder holds concentrations already, or other files.
        BlockingIOError: another process writes into the folder.
        FileNotFoundError, ValueError: a run, data or options that cannot be used. Raised before
            anything is unmixed, and before anything is deleted.
    """
    part, source = part_to_do(config, merge_parts=merge_parts, overwrite=overwrite)
    model, folder = load_finished_run(config.run), config.out or config.run / "unmixed"
    config = replace(config, part=None)
    locations = locate_data(config)
    switches = {"overwrite": overwrite, "profile": profile}
    if part.is_whole and not merge_parts:
        check_no_parts(folder)
        with locked_folder(folder):
            return write_unmixing(folder, config, model, locations, **switches)
    divided = DividedCommand(
        command="unmix",
        config=config,
        switches={},
        folder=folder / PARTS_FOLDER,
        locations=locations.paths,
        results_key=solution_digest(config),
    )
    if merge_parts:
        return merge_unmixing(folder, model, divided, locations.are_cubes)
    return unmix_part(folder, model, divided, locations.are_cubes, part, source, **switches)


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
