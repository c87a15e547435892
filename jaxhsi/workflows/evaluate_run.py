"""Label maps scored against true classes, window by window."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from jaxhsi.cluster_groups import (
    Grouping,
    default_cluster_name,
    make_grouping,
    match_group_names,
)
from jaxhsi.config.group import GroupConfig
from jaxhsi.config.grouping_files import read_class_names, read_grouping
from jaxhsi.config.predict import EvaluateConfig
from jaxhsi.data.cube import Cube, open_cube
from jaxhsi.data.labels.label_map import LabelMap
from jaxhsi.data.tiles import split_into_tiles
from jaxhsi.label_counts import LabelCounts, count_labels, score_counts
from jaxhsi.report import dgc_sentences as sentences
from jaxhsi.report.areas import AREAS_FILE
from jaxhsi.report.dgc_tables import MATCHING_NOTE, evaluation_table
from jaxhsi.report.json_files import write_json
from jaxhsi.storage.file_lock import locked_output
from jaxhsi.training.console import PlainConsole
from jaxhsi.training.progress import ProgressBars
from jaxhsi.training.run_files import read_run_json
from jaxhsi.training.run_folder import GROUPS_FILE
from jaxhsi.workflows.dgc_inputs import GroundTruth, open_ground_truth
from jaxhsi.workflows.merge_tree_files import choose_grouping
from jaxhsi.workflows.predict_run import GROUPING_FILE

WINDOW_SIZE = 256
"""Side in pixels of the windows that are counted at once: that of the blocks of a label store."""

_log = logging.getLogger(__name__)


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
    """

    map_cubes: tuple[Cube, ...]
    label_names: tuple[str, ...]
    saved_groups: SavedGroups | None


def evaluate_label_maps(config: EvaluateConfig, *, ignore_groups: bool = False) -> dict[str, Any]:
    """Score the label maps of a run, or of predictions, and write the scores.

    Args:
        config: the options.
        ignore_groups: score the clusters of a run, whatever groups are saved with it.

    Returns:
        The content of the file of scores.

    Raises:
        FileNotFoundError, ValueError: maps, labels or groups that cannot be used.
        BlockingIOError: another process writes the same file.
    """
    use_saved_groups = not ignore_groups and config.groups is None
    label_maps = open_label_maps(config.folder, use_saved_groups=use_saved_groups)
    path = config.out or config.folder / "evaluation.json"
    with locked_output(path.with_name(f".{path.name}.lock"), path):
        return _score_and_write(config, label_maps, path)


def _score_and_write(config: EvaluateConfig, label_maps: LabelMaps, path: Path) -> dict[str, Any]:
    """`evaluate_label_maps`, into a file that no other process writes."""
    ground_truth, class_names = open_maps_truth(config, label_maps)
    manual_classes = _manual_classes(config, label_maps, class_names)
    num_labels, num_classes = len(label_maps.label_names), len(class_names)
    cube_counts, console = {}, PlainConsole()
    with ProgressBars(console) as progress_bars:
        for number, cube in enumerate(label_maps.map_cubes, 1):
            if (class_map := ground_truth(cube)) is not None:
                cube_counts[cube.name] = count_label_map(
                    cube, class_map, num_labels, num_classes, label_maps.saved_groups
                )
            progress_bars("scoring maps", number, len(label_maps.map_cubes))
    class_mappings = {} if manual_classes is None else {"manual": manual_classes}
    scores = _score_maps(cube_counts, class_mappings)
    scores |= {"names": list(label_maps.label_names), "classes": list(class_names)}
    write_json(path, scores)
    if label_maps.saved_groups is not None:
        source = label_maps.saved_groups.source_file
        console.print(sentences.describe_groups(num_labels, source), soft_wrap=True)
    console.print(evaluation_table(scores, class_names, list(cube_counts)))
    if num_labels > num_classes:
        console.print(MATCHING_NOTE)
    num_maps = len(label_maps.map_cubes)
    scored_line = sentences.describe_scored_maps(len(cube_counts), num_maps, path)
    console.print(scored_line, soft_wrap=True)
    return scores


def _score_maps(
    cube_counts: dict[str, LabelCounts], class_mappings: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Scores over all maps and of each map."""
    total_counts = reduce(add, cube_counts.values())
    return score_counts(total_counts, class_mappings) | {
        "pixels": total_counts.cluster_pixels.tolist(),
        "invalid_pixels": total_counts.invalid_pixels,
        "labelled_pixels": int(total_counts.confusion_matrix.sum()),
        "confusion": total_counts.confusion_matrix.tolist(),
        "cubes": {
            name: score_counts(each, class_mappings) if each.confusion_matrix.any() else None
            for name, each in cube_counts.items()
        },
    }


def open_label_maps(folder: Path, *, use_saved_groups: bool) -> LabelMaps:
    """Open the label maps that a run or a prediction wrote.

    Args:
        folder: of the run or the prediction.
        use_saved_groups: take the labels of a run as the groups that are saved with it.

    Raises:
        FileNotFoundError: there are no label maps.
        ValueError: a map cannot be opened.
    """
    if (folder / AREAS_FILE).is_file():
        record = read_run_json(folder / AREAS_FILE)
        label_names = tuple(record["names"])
        grouping_file = folder / GROUPING_FILE
        saved_groups = SavedGroups(grouping_file, None) if grouping_file.is_file() else None
    elif (folder / "scores.json").is_file():
        record = read_run_json(folder / "scores.json")
        saved_groups = None
        num_clusters = len(record.get("pixels", ()))
        label_names = tuple(map(default_cluster_name, range(num_clusters)))
        if use_saved_groups and (chosen := choose_grouping(folder, num_clusters)):
            saved_groups = SavedGroups(folder / GROUPS_FILE, chosen[0])
            label_names = chosen[0].group_names
    else:
        record, label_names, saved_groups = {}, (), None
    if not record.get("cubes") or not label_names:
        raise FileNotFoundError(
            f"{folder} holds no label maps (no {AREAS_FILE}, and no scores.json of dgc); name a "
            "folder of train dgc or of predict, which has come to its end"
        )
    map_cubes = tuple(open_cube(folder / "labels" / f"{name}.zarr") for name in record["cubes"])
    return LabelMaps(map_cubes, label_names, saved_groups)


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


# Classes of groups by name ------------------------------------------------------------------------


def _manual_classes(
    config: EvaluateConfig, label_maps: LabelMaps, class_names: Sequence[str]
) -> Int[np.ndarray, " k"] | None:
    """Class of each label as the user has named it, -1 where no name matches; None if unnamed."""
    label_names = label_maps.label_names
    if config.groups is None and label_maps.saved_groups is None:
        return None
    if config.groups is not None and label_maps.saved_groups is not None:
        raise ValueError(
            f"the maps in {config.folder} are merged already ({GROUPING_FILE}) and are scored so; "
            "drop --groups, or evaluate maps that were predicted without"
        )
    grouping = make_grouping({name: [i] for i, name in enumerate(label_names)}, len(label_names))
    if config.groups is not None:
        grouping = read_grouping(config.groups, len(label_names))
    return _classes_by_name(grouping, class_names, required=config.groups is not None)


def _classes_by_name(
    grouping: Grouping, class_names: Sequence[str], *, required: bool
) -> Int[np.ndarray, " k"] | None:
    """Class of each cluster through the name of its group; None if no name matches."""
    class_of_group = match_group_names(grouping.group_names, class_names)
    pairs = zip(grouping.group_names, class_of_group, strict=True)
    unmatched_groups = [name for name, index in pairs if index < 0]
    unmatched_classes = [name for i, name in enumerate(class_names) if i not in class_of_group]
    if len(unmatched_groups) == len(class_of_group):
        message = sentences.describe_unnamed_groups(unmatched_groups, class_names)
        if required:
            raise ValueError(message)
        _log.warning("%s; they are scored by the best classes alone", message)
        return None
    if unmatched_groups:
        listed = ", ".join(unmatched_groups)
        _log.warning("groups that no class is named like: %s; they count as no class", listed)
    if unmatched_classes:
        listed = ", ".join(unmatched_classes)
        _log.warning("classes that no group is named like: %s", listed)
    return class_of_group[grouping.group_indices]
