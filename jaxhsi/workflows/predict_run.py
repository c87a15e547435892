"""Cubes labelled by a trained run: all of them, a part of them, or parts put together."""

from dataclasses import replace
from typing import Any

from jaxhsi.config.predict import PredictConfig
from jaxhsi.data.open import cube_locations
from jaxhsi.storage.file_lock import locked_folder
from jaxhsi.workflows.command_parts import (
    PARTS_FOLDER,
    DividedCommand,
    check_no_parts,
    part_to_do,
)
from jaxhsi.workflows.predict_maps import write_prediction
from jaxhsi.workflows.predict_parts import merge_predictions, predict_part
from jaxhsi.workflows.prediction import open_prediction


def predict_cubes(
    config: PredictConfig,
    *,
    ignore_groups: bool = False,
    envi: bool = False,
    geotiff: bool = False,
    merge_parts: bool = False,
    overwrite: bool = False,
    profile: bool = False,
) -> dict[str, Any]:
    """Label cubes with the selected state of a run and write everything into a folder.

    Where the same call was interrupted, it goes on after the last tile that is on disk.

    Args:
        config: the options; the results of a part lie in a folder of its own in that of all.
        ignore_groups: label by clusters, whatever groups are saved with the run.
        envi: write ENVI classification files.
        geotiff: write GeoTIFF files of cubes without a coordinate reference system too.
        merge_parts: label nothing; put the results of all parts together.
        overwrite: delete the predictions that are in the folder, or those of the part.
        profile: trace a few tiles into the folder, see `jaxhsi.training.step_profiler`.

    Returns:
        The content of ``areas.json``, and the folder.

    Raises:
        FileExistsError: the folder holds predictions already, or other files.
        BlockingIOError: another process writes into the folder.
        FileNotFoundError, ValueError: a run, cubes or options that cannot be used. Raised before
            anything is labelled, and before anything is deleted.
    """
    part, source = part_to_do(config, merge_parts=merge_parts, overwrite=overwrite)
    folder = config.out or config.run / "predictions"
    prediction = open_prediction(replace(config, part=None), ignore_groups=ignore_groups)
    exports = {"envi": envi, "geotiff": geotiff}
    switches = {"overwrite": overwrite, "profile": profile}
    if part.is_whole and not merge_parts:
        check_no_parts(folder)
        with locked_folder(folder):
            return write_prediction(folder, prediction, exports, **switches)
    divided = DividedCommand(
        command="predict",
        config=prediction.config,
        switches={"ignore_groups": ignore_groups} | exports,
        folder=folder / PARTS_FOLDER,
        locations=cube_locations(config.cubes, size=config.size),
        results_key=prediction.results_key,
    )
    if merge_parts:
        return merge_predictions(folder, prediction, divided)
    return predict_part(folder, prediction, divided, part, source, exports, **switches)
