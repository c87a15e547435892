"""Predictions of parts of the cubes, and what puts them together.

A part is a prediction of its cubes alone, in a folder of its own. Beside it lie the moments of each
cube's spectra, because their sum depends, in its last digits, on the order of the cubes.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from jaxhsi.config.parts import Part
from jaxhsi.data.manifest import check_wavelengths_agree
from jaxhsi.label_spectra import LabelSpectra, empty_label_spectra
from jaxhsi.report.areas import AREAS_FILE
from jaxhsi.report.label_spectra_files import SPECTRA_ARRAYS, read_label_spectra
from jaxhsi.storage.checked_arrays import read_checked_npz, write_checked_npz
from jaxhsi.storage.checksums import move_entries, read_checked_json
from jaxhsi.storage.file_lock import locked_folder
from jaxhsi.training.console import PlainConsole
from jaxhsi.training.run_folder import PREDICT_CONFIG_FILE, check_folder_of_parts
from jaxhsi.workflows.command_parts import (
    DividedCommand,
    complete_part,
    content_by_input,
    locked_part,
    log_part,
    read_parts,
    remove_parts,
)
from jaxhsi.workflows.predict_maps import write_options, write_prediction
from jaxhsi.workflows.predict_summary import CubeSummary, print_summary, write_summary
from jaxhsi.workflows.prediction import Prediction

MOMENTS_FOLDER = "moments"
"""Folder in that of a part: counts, means and squared deviations of the labels of each cube."""
_MOMENTS = ("pixel_counts", "means", "squared_deviations")

CUBE_FOLDERS = ("labels", "pictures", "previews")
"""Folders of a prediction whose files belong to one cube each."""


def predict_part(
    folder: Path,
    prediction: Prediction,
    divided: DividedCommand,
    part: Part,
    source: str,
    exports: Mapping[str, bool],
    *,
    overwrite: bool,
    profile: bool,
) -> dict[str, Any]:
    """Label the cubes of a part.

    Args:
        folder: of the results of all parts.
        prediction: what labels.
        divided: the command.
        part: to do.
        source: who says so.
        exports: files for other programs.
        overwrite: do it even if it is complete.
        profile: trace a few tiles.

    Returns:
        As `predict_cubes`, of the cubes of the part; of none where it has none.
    """
    check_folder_of_parts(folder, PREDICT_CONFIG_FILE, "predictions", divided.folder)
    log_part(divided, part, source)
    locations, part_folder = divided.part_locations(part), divided.part_folder(part)
    if not locations:
        return {"cubes": {}, "folder": str(part_folder)}
    own_config = replace(prediction.config, cubes=tuple(locations.values()), out=part_folder)

    def write_moments(name: str, label_spectra: LabelSpectra) -> None:
        moments = {each: getattr(label_spectra, each) for each in _MOMENTS}
        write_checked_npz(part_folder / MOMENTS_FOLDER / f"{name}.npz", moments, compressed=True)

    def complete(cubes: Mapping[str, CubeSummary]) -> None:
        content = {"cubes": {name: cube.to_json() for name, cube in cubes.items()}}
        complete_part(divided, part, content)

    with locked_part(divided, part, overwrite=overwrite) as is_to_do:
        if is_to_do:
            return write_prediction(
                part_folder,
                replace(prediction, config=own_config),
                exports,
                overwrite=overwrite,
                profile=profile,
                num_cubes=len(divided.locations),
                on_cube=write_moments,
                on_complete=complete,
            )
        record = read_checked_json(part_folder / AREAS_FILE, divided.remedy(part))
        return record | {"folder": str(part_folder)}


def merge_predictions(
    folder: Path, prediction: Prediction, divided: DividedCommand
) -> dict[str, Any]:
    """Put the predictions of all parts together; the result is that of one run without parts.

    A call that was interrupted can be made again.

    Args:
        folder: of the results.
        prediction: what labelled.
        divided: the command.

    Returns:
        As `predict_cubes`.

    Raises:
        FileNotFoundError, ValueError, FileExistsError: see `command_parts.read_parts`; or cubes of
            different wavelengths.
    """
    with locked_folder(folder):
        contents = read_parts(divided)
        records = content_by_input(contents, "cubes")
        cubes = {name: CubeSummary.from_json(records[name]) for name in divided.locations}
        wavelengths = {divided.locations[name]: cube.wavelengths for name, cube in cubes.items()}
        check_wavelengths_agree(wavelengths, prediction.config.tolerance)
        write_options(folder, prediction)
        label_spectra = _merged_spectra(divided, contents, cubes, prediction.num_labels)
        for part in contents:
            for name in CUBE_FOLDERS:
                move_entries(divided.part_folder(part) / name, folder / name)
        area_record = write_summary(folder, prediction, cubes, label_spectra)
        remove_parts(divided.folder)
        print_summary(PlainConsole(), area_record, folder, prediction.kind)
    return area_record | {"folder": str(folder)}


def _merged_spectra(
    divided: DividedCommand,
    contents: Mapping[Part, Mapping[str, Any]],
    cubes: Mapping[str, CubeSummary],
    num_labels: int,
) -> LabelSpectra:
    """Spectra of the labels over all cubes, added in the order of a run without parts."""
    no_spectra = empty_label_spectra(num_labels, next(iter(cubes.values())).shape[2])
    part_of_cube = {name: part for part, content in contents.items() for name in content["cubes"]}

    def moments(name: str) -> LabelSpectra:
        part = part_of_cube[name]
        path = divided.part_folder(part) / MOMENTS_FOLDER / f"{name}.npz"
        return replace(no_spectra, **read_checked_npz(path, divided.remedy(part)))

    samples = (
        read_label_spectra(divided.part_folder(part) / SPECTRA_ARRAYS)[0] for part in contents
    )
    total = reduce(add, map(moments, cubes), no_spectra)
    return total.with_sample_of(reduce(add, samples, no_spectra))
