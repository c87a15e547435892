"""Label maps that a run or a prediction wrote, and their true classes."""

from collections.abc import Iterator, Mapping
from functools import reduce
from operator import add
from pathlib import Path
from typing import NamedTuple

from jaxhsi.cluster_groups import (
    Grouping,
    default_cluster_name,
)
from jaxhsi.config.group import GroupConfig
from jaxhsi.config.grouping_files import read_class_names
from jaxhsi.config.predict import EvaluateConfig
from jaxhsi.data.cube import Cube, open_cube
from jaxhsi.data.labels.label_map import LabelMap
from jaxhsi.data.tiles import split_into_tiles
from jaxhsi.label_counts import LabelCounts, count_labels
from jaxhsi.report.areas import AREAS_FILE
from jaxhsi.training.run_files import read_run_json
from jaxhsi.training.run_folder import GROUPS_FILE
from jaxhsi.workflows.command_parts import PARTS_FOLDER
from jaxhsi.workflows.dgc_inputs import GroundTruth, open_ground_truth
from jaxhsi.workflows.merge_tree_files import choose_grouping
from jaxhsi.workflows.predict_maps import GROUPING_FILE

WINDOW_SIZE = 256
"""Side in pixels of the windows that are counted at once: that of the blocks of a label store."""


class SavedGroups(NamedTuple):
    """Where the groups of clusters come from.

    Attributes:
        source_file: file of the groups.
        grouping: to be applied to the labels; None where the labels are groups already.
    """

    source_file: Path
    grouping: Grouping | None


class LabelMaps(NamedTuple):
    """The label maps in a folder.

    Attributes:
        map_cubes: stores of the maps, one band each, under the names of the cubes.
        label_names: names of the labels.
        saved_groups: groups that the labels are scored as, saved with a run or applied by predict;
            None where the labels are clusters.
        record_file: that lists the maps.
    """

    map_cubes: tuple[Cube, ...]
    label_names: tuple[str, ...]
    saved_groups: SavedGroups | None
    record_file: Path


def open_label_maps(folder: Path, *, use_saved_groups: bool) -> LabelMaps:
    """Open the label maps that a run or a prediction wrote.

    Args:
        folder: of the run or the prediction.
        use_saved_groups: take the labels of a run as the groups that are saved with it.

    Raises:
        FileNotFoundError: there are no label maps.
        ValueError: a map cannot be opened.
    """
    record_file = folder / AREAS_FILE
    if record_file.is_file():
        record = read_run_json(record_file)
        label_names = tuple(record["names"])
        grouping_file = folder / GROUPING_FILE
        saved_groups = SavedGroups(grouping_file, None) if grouping_file.is_file() else None
    elif (record_file := folder / "scores.json").is_file():
        record = read_run_json(record_file)
        saved_groups = None
        num_clusters = len(record.get("pixels", ()))
        label_names = tuple(map(default_cluster_name, range(num_clusters)))
        if use_saved_groups and (chosen := choose_grouping(folder, num_clusters)):
            saved_groups = SavedGroups(folder / GROUPS_FILE, chosen[0])
            label_names = chosen[0].group_names
    else:
        record, label_names, saved_groups = {}, (), None
    if not record.get("cubes") or not label_names:
        if (folder / PARTS_FOLDER).is_dir():
            raise FileNotFoundError(
                f"{folder} holds parts of a prediction that are not put together; give the "
                "command of the prediction again with --merge_parts in the place of --part"
            )
        raise FileNotFoundError(
            f"{folder} holds no label maps (no {AREAS_FILE}, and no scores.json of dgc); name a "
            "folder of train dgc or of predict, which has come to its end"
        )
    map_cubes = tuple(open_cube(folder / "labels" / f"{name}.zarr") for name in record["cubes"])
    return LabelMaps(map_cubes, label_names, saved_groups, record_file)


def open_maps_truth(
    config: EvaluateConfig | GroupConfig,
    label_maps: LabelMaps,
    label_files: Mapping[str, Path] | None = None,
) -> tuple[GroundTruth, tuple[str, ...]]:
    """The true classes that options name for maps; see `dgc_inputs.open_ground_truth`."""
    return open_ground_truth(
        config.labels,
        label_maps.map_cubes,
        array_key=config.label_key,
        ignore_label=config.ignore_label,
        value_names=read_class_names(config.class_names) if config.class_names else None,
        unlabelled_outside=config.unlabelled_outside,
        label_files=label_files,
    )


def count_label_map(
    label_cube: Cube,
    class_map: LabelMap,
    num_clusters: int,
    num_classes: int,
    saved_groups: SavedGroups | None = None,
) -> LabelCounts:
    """Count a label map against the true classes, window by window.

    Args:
        label_cube: store of the label map, one band.
        class_map: codes of the true classes.
        num_clusters: number of clusters, or of groups where some are given.
        num_classes: number of classes.
        saved_groups: groups to apply to the labels.
    """
    grouping = None if saved_groups is None else saved_groups.grouping

    def window_counts() -> Iterator[LabelCounts]:
        for tile in split_into_tiles(class_map.shape, (WINDOW_SIZE, WINDOW_SIZE)):
            labels = label_cube.array[tile.slices][..., 0].read().result()
            if grouping is not None:
                labels = grouping.apply(labels)
            true_classes = class_map.read_labels(*tile.slices)
            yield count_labels(labels, true_classes, num_clusters, num_classes)

    return reduce(add, window_counts())
