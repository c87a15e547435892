"""Label maps scored against true classes, window by window."""

import json
import logging
from collections.abc import Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int
from rich.console import Console

from jaxhsi.cluster_groups import Grouping, default_cluster_name, make_grouping, match_group_names
from jaxhsi.config.group import GroupConfig
from jaxhsi.config.predict import EvaluateConfig, read_class_names, read_grouping
from jaxhsi.data.cube import Cube, open_cube
from jaxhsi.data.labels.label_map import LabelMap
from jaxhsi.data.tiles import tiles
from jaxhsi.label_counts import LabelCounts, count_labels, score_counts
from jaxhsi.report.areas import AREAS_FILE
from jaxhsi.report.tables import evaluation_table
from jaxhsi.training.run_folder import GROUPS
from jaxhsi.workflows.dgc_inputs import GroundTruth, open_ground_truth
from jaxhsi.workflows.merge_tree_files import choose_grouping
from jaxhsi.workflows.predict_run import GROUPING_FILE

WINDOW_SIZE = 256  # pixels; side of the windows that are counted at once


class SavedGroups(NamedTuple):
    """Where the groups of clusters are from.

    Attributes:
        source_file: the file.
        grouping: still to be applied to the labels; None where that was done.
    """

    source_file: Path
    grouping: Grouping | None


class LabelMaps(NamedTuple):
    """The label maps in a folder.

    Attributes:
        map_cubes: stores of the maps, one band each, under the names of the cubes.
        label_names: of the labels.
        saved_groups: that the labels are scored as: saved with a run, or applied by predict already;
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
        What the file of scores holds.

    Raises:
        FileNotFoundError, ValueError: maps, labels or groups that cannot be used.
    """
    maps = open_label_maps(
        config.folder, use_saved_groups=not ignore_groups and config.groups is None
    )
    truth, classes = open_maps_truth(config, maps)
    manual = _manual(config, maps, classes)
    counts = {
        cube.name: count_label_map(
            cube, true, len(maps.label_names), len(classes), maps.saved_groups
        )
        for cube in maps.map_cubes
        if (true := truth(cube)) is not None
    }
    mappings = {} if manual is None else {"manual": manual}
    total = reduce(add, counts.values())
    scores = score_counts(total, mappings) | {
        "names": list(maps.label_names),
        "classes": list(classes),
        "pixels": total.cluster_pixels.tolist(),
        "invalid_pixels": total.invalid_pixels,
        "labelled_pixels": int(total.confusion_matrix.sum()),
        "confusion": total.confusion_matrix.tolist(),
        "cubes": {
            name: score_counts(each, mappings) if each.confusion_matrix.any() else None
            for name, each in counts.items()
        },
    }
    path = config.out or config.folder / "evaluation.json"
    path.write_text(json.dumps(scores, indent=1) + "\n")
    console = Console()
    if maps.saved_groups is not None:
        console.print(
            f"{len(maps.label_names)} groups of {maps.saved_groups.source_file}", soft_wrap=True
        )
    console.print(evaluation_table(scores, classes))
    console.print(f"{len(counts)} of {len(maps.map_cubes)} map(s) scored; {path}", soft_wrap=True)
    return scores


def open_label_maps(folder: Path, *, use_saved_groups: bool) -> LabelMaps:
    """Open the label maps that a run or a prediction left.

    Args:
        folder: theirs.
        use_saved_groups: take the labels of a run as the groups that are saved with it.

    Raises:
        FileNotFoundError: there are none.
        ValueError: a map cannot be opened.
    """
    if (folder / AREAS_FILE).is_file():
        found = json.loads((folder / AREAS_FILE).read_text())
        names = tuple(found["names"])
        groups = (
            SavedGroups(folder / GROUPING_FILE, None)
            if (folder / GROUPING_FILE).is_file()
            else None
        )
    elif (folder / "scores.json").is_file():
        found, groups = json.loads((folder / "scores.json").read_text()), None
        names = tuple(map(default_cluster_name, range(len(found.get("pixels", ())))))
        if use_saved_groups and (saved := choose_grouping(folder, len(names))):
            groups, names = SavedGroups(folder / GROUPS, saved[0]), saved[0].group_names
    else:
        found, names, groups = {}, (), None
    if not found.get("cubes") or not names:
        raise FileNotFoundError(
            f"{folder} holds no label maps (no {AREAS_FILE}, and no scores.json of dgc); name a folder "
            "of train dgc or of predict, which has come to its end"
        )
    cubes = tuple(open_cube(folder / "labels" / f"{name}.zarr") for name in found["cubes"])
    return LabelMaps(cubes, names, groups)


def open_maps_truth(
    config: EvaluateConfig | GroupConfig, label_maps: LabelMaps, *, shapes_only: bool = False
) -> tuple[GroundTruth, tuple[str, ...]]:
    """The labels that options name for maps; see `task.open_truth`."""
    return open_ground_truth(
        config.labels,
        label_maps.map_cubes,
        array_key=config.label_key,
        ignore_label=config.ignore_label,
        value_names=read_class_names(config.class_names) if config.class_names else None,
        shapes_only=shapes_only,
    )


def count_label_map(
    label_cube: Cube,
    class_map: LabelMap,
    num_clusters: int,
    num_classes: int,
    saved_groups: SavedGroups | None = None,
) -> LabelCounts:
    """Count a label map against the truth, window by window; as groups where some are given."""

    def windows():
        for place in tiles(class_map.shape, (WINDOW_SIZE, WINDOW_SIZE)):
            found = label_cube.array[place.slices][..., 0].read().result()
            if saved_groups is not None and saved_groups.grouping is not None:
                found = saved_groups.grouping.apply(found)
            yield count_labels(found, class_map.read(*place.slices), num_clusters, num_classes)

    return reduce(add, windows())


def _manual(
    config: EvaluateConfig, maps: LabelMaps, classes: Sequence[str]
) -> Int[np.ndarray, " k"] | None:
    """Class of each label as the user has named them, -1 where no name matches; None if unnamed."""
    if config.groups is None and maps.saved_groups is None:
        return None
    if config.groups is not None and maps.saved_groups is not None:
        raise ValueError(
            f"the maps in {config.folder} are merged already ({GROUPING_FILE}) and are scored so; drop "
            "--groups, or evaluate maps that were predicted without"
        )
    merge = make_grouping(
        {name: [i] for i, name in enumerate(maps.label_names)}, len(maps.label_names)
    )
    if config.groups is not None:
        merge = read_grouping(config.groups, len(maps.label_names))
    return _by_name(merge, classes, needed=config.groups is not None)


def _by_name(
    merge: Grouping, classes: Sequence[str], *, needed: bool
) -> Int[np.ndarray, " k"] | None:
    found = match_group_names(merge.group_names, classes)
    lonely = [name for name, match in zip(merge.group_names, found, strict=True) if match < 0]
    missed = [name for i, name in enumerate(classes) if i not in found]
    log = logging.getLogger(__name__)
    if len(lonely) == len(found):
        told = (
            f"no group ({', '.join(lonely)}) has the name of a class ({', '.join(classes)}); name "
            'them alike, or the classes by --class_names "background=0 tissue=1"'
        )
        if needed:
            raise ValueError(told)
        log.warning("%s; they are scored by the best classes alone", told)
        return None
    if lonely:
        log.warning("groups that no class is named like: %s; they count as no class", _all(lonely))
    if missed:
        log.warning("classes that no group is named like: %s", _all(missed))
    return found[merge.group_indices]


def _all(names: Sequence[str]) -> str:
    return ", ".join(names)
