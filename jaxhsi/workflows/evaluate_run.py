"""Label maps scored against true classes, window by window."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from jaxhsi.cluster_groups import (
    Grouping,
    make_grouping,
    match_group_names,
)
from jaxhsi.config.grouping_files import read_grouping
from jaxhsi.config.parts import Part
from jaxhsi.config.predict import EvaluateConfig
from jaxhsi.data.cache import fingerprint
from jaxhsi.label_counts import LabelCounts, score_counts
from jaxhsi.report import dgc_sentences as sentences
from jaxhsi.report.dgc_tables import MATCHING_NOTE, evaluation_table
from jaxhsi.report.json_files import write_json
from jaxhsi.storage.checksums import file_digest
from jaxhsi.storage.file_lock import locked_output
from jaxhsi.training.console import PlainConsole
from jaxhsi.training.progress import ProgressBars
from jaxhsi.workflows.command_parts import (
    PARTS_FOLDER,
    DividedCommand,
    complete_part,
    content_by_input,
    locked_part,
    log_part,
    part_to_do,
    read_parts,
    remove_parts,
)
from jaxhsi.workflows.dgc_inputs import GroundTruth
from jaxhsi.workflows.evaluate_maps import (
    LabelMaps,
    count_label_map,
    open_label_maps,
    open_maps_truth,
)
from jaxhsi.workflows.predict_maps import GROUPING_FILE

_log = logging.getLogger(__name__)


class MapsTruth(NamedTuple):
    """The true classes of maps.

    Attributes:
        ground_truth: codes of the true classes of a map.
        class_names: name of each code.
        manual_classes: class of each label as the user has named it, -1 for none; None if unnamed.
    """

    ground_truth: GroundTruth
    class_names: tuple[str, ...]
    manual_classes: Int[np.ndarray, " k"] | None


def evaluate_label_maps(
    config: EvaluateConfig, *, ignore_groups: bool = False, merge_parts: bool = False
) -> dict[str, Any]:
    """Score the label maps of a run, or of predictions, and write the scores.

    Args:
        config: the options; a part counts its maps and leaves the counts beside the file of scores.
        ignore_groups: score the clusters of a run, whatever groups are saved with it.
        merge_parts: count nothing; score what all parts have counted.

    Returns:
        The content of the file of scores, or the counts of a part.

    Raises:
        FileNotFoundError, ValueError: maps, labels or groups that cannot be used.
        BlockingIOError: another process writes the same file.
    """
    part, source = part_to_do(config, merge_parts=merge_parts)
    config = replace(config, part=None)
    use_saved_groups = not ignore_groups and config.groups is None
    label_maps = open_label_maps(config.folder, use_saved_groups=use_saved_groups)
    path = config.out or config.folder / "evaluation.json"
    truth = _open_truth(config, label_maps)
    if part.is_whole and not merge_parts:
        with locked_output(path.with_name(f".{path.name}.lock"), path):
            return _write_scores(path, label_maps, truth, _count_maps(label_maps, truth))
    divided = DividedCommand(
        command="evaluate",
        config=config,
        switches={"ignore_groups": ignore_groups},
        folder=path.with_name(f".{path.name}.{PARTS_FOLDER}"),
        locations={cube.name: cube.url for cube in label_maps.map_cubes},
        results_key=_results_key(label_maps, truth),
    )
    if merge_parts:
        with locked_output(path.with_name(f".{path.name}.lock"), path):
            counts = content_by_input(read_parts(divided), "counts")
            names = [name for name in divided.locations if name in counts]
            cube_counts = {name: LabelCounts.from_json(counts[name]) for name in names}
            scores = _write_scores(path, label_maps, truth, cube_counts)
            remove_parts(divided.folder)
            return scores
    return _count_part(divided, part, source, label_maps, truth)


def _count_part(
    divided: DividedCommand, part: Part, source: str, label_maps: LabelMaps, truth: MapsTruth
) -> dict[str, Any]:
    """Count the maps of a part; those that are counted already are kept."""
    log_part(divided, part, source, "maps")
    names = divided.part_locations(part)
    if not names:
        return {"counts": {}}
    map_cubes = tuple(cube for cube in label_maps.map_cubes if cube.name in names)
    with locked_part(divided, part, overwrite=True):
        cube_counts = _count_maps(label_maps._replace(map_cubes=map_cubes), truth)
        content = {"counts": {name: each.to_json() for name, each in cube_counts.items()}}
        complete_part(divided, part, content)
    return content


def _results_key(label_maps: LabelMaps, truth: MapsTruth) -> str:
    """Name of the maps, their groups and the classes."""
    groups = label_maps.saved_groups
    grouping = None if groups is None or groups.grouping is None else groups.grouping
    members = None if grouping is None else grouping.members_by_name()
    names = label_maps.label_names, truth.class_names
    return fingerprint((file_digest(label_maps.record_file), names, members))


def _open_truth(config: EvaluateConfig, label_maps: LabelMaps) -> MapsTruth:
    ground_truth, class_names = open_maps_truth(config, label_maps)
    return MapsTruth(ground_truth, class_names, _manual_classes(config, label_maps, class_names))


def _count_maps(label_maps: LabelMaps, truth: MapsTruth) -> dict[str, LabelCounts]:
    """Counts of each map that has true classes."""
    num_labels, num_classes = len(label_maps.label_names), len(truth.class_names)
    cube_counts = {}
    with ProgressBars(PlainConsole()) as progress_bars:
        for number, cube in enumerate(label_maps.map_cubes, 1):
            if (class_map := truth.ground_truth(cube)) is not None:
                cube_counts[cube.name] = count_label_map(
                    cube, class_map, num_labels, num_classes, label_maps.saved_groups
                )
            progress_bars("scoring maps", number, len(label_maps.map_cubes))
    return cube_counts


def _write_scores(
    path: Path, label_maps: LabelMaps, truth: MapsTruth, cube_counts: dict[str, LabelCounts]
) -> dict[str, Any]:
    """Write and print the scores of all maps that were counted."""
    class_names, num_labels = truth.class_names, len(label_maps.label_names)
    manual_classes, console = truth.manual_classes, PlainConsole()
    class_mappings = {} if manual_classes is None else {"manual": manual_classes}
    scores = _score_maps(cube_counts, class_mappings)
    scores |= {"names": list(label_maps.label_names), "classes": list(class_names)}
    write_json(path, scores)
    if label_maps.saved_groups is not None:
        source = label_maps.saved_groups.source_file
        console.print(sentences.describe_groups(num_labels, source), soft_wrap=True)
    console.print(evaluation_table(scores, class_names, list(cube_counts)))
    if num_labels > len(class_names):
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
