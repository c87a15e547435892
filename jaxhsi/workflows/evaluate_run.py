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

from jaxhsi.cluster_groups import Merge, cluster_name, matched_names, merge_of
from jaxhsi.config.group import GroupConfig
from jaxhsi.config.predict import EvaluateConfig, read_merge, read_names
from jaxhsi.data.cube import Cube, open_cube
from jaxhsi.data.labels.label_map import LabelMap
from jaxhsi.data.tiles import tiles
from jaxhsi.label_counts import Tally, scored, tally
from jaxhsi.report.areas import AREAS
from jaxhsi.report.tables import evaluation_table
from jaxhsi.training.run_folder import GROUPS
from jaxhsi.workflows.dgc_inputs import Truth, open_truth
from jaxhsi.workflows.merge_tree_files import chosen_groups
from jaxhsi.workflows.predict_run import MERGE

WINDOW = 256  # pixels; side of the windows that are counted at once


class Groups(NamedTuple):
    """Where the groups of clusters are from.

    Attributes:
        source: the file.
        merge: still to be applied to the labels; None where that was done.
    """

    source: Path
    merge: Merge | None


class Maps(NamedTuple):
    """The label maps in a folder.

    Attributes:
        cubes: stores of the maps, one band each, under the names of the cubes.
        names: of the labels.
        groups: that the labels are scored as: saved with a run, or applied by predict already;
            None where the labels are clusters.
    """

    cubes: tuple[Cube, ...]
    names: tuple[str, ...]
    groups: Groups | None


def evaluate(config: EvaluateConfig, *, bare: bool = False) -> dict[str, Any]:
    """Score the label maps of a run, or of predictions, and write the scores.

    Args:
        config: the options.
        bare: score the clusters of a run, whatever groups are saved with it.

    Returns:
        What the file of scores holds.

    Raises:
        FileNotFoundError, ValueError: maps, labels or groups that cannot be used.
    """
    maps = open_maps(config.folder, grouped=not bare and config.merge is None)
    truth, classes = maps_truth(config, maps)
    manual = _manual(config, maps, classes)
    counts = {
        cube.name: count_map(cube, true, len(maps.names), len(classes), maps.groups)
        for cube in maps.cubes
        if (true := truth(cube)) is not None
    }
    mappings = {} if manual is None else {"manual": manual}
    total = reduce(add, counts.values())
    scores = scored(total, mappings) | {
        "names": list(maps.names),
        "classes": list(classes),
        "pixels": total.pixels.tolist(),
        "invalid_pixels": total.invalid,
        "labelled_pixels": int(total.confusion.sum()),
        "confusion": total.confusion.tolist(),
        "cubes": {
            name: scored(each, mappings) if each.confusion.any() else None
            for name, each in counts.items()
        },
    }
    path = config.out or config.folder / "evaluation.json"
    path.write_text(json.dumps(scores, indent=1) + "\n")
    console = Console()
    if maps.groups is not None:
        console.print(f"{len(maps.names)} groups of {maps.groups.source}", soft_wrap=True)
    console.print(evaluation_table(scores, classes))
    console.print(f"{len(counts)} of {len(maps.cubes)} map(s) scored; {path}", soft_wrap=True)
    return scores


def open_maps(folder: Path, *, grouped: bool) -> Maps:
    """Open the label maps that a run or a prediction left.

    Args:
        folder: theirs.
        grouped: take the labels of a run as the groups that are saved with it.

    Raises:
        FileNotFoundError: there are none.
        ValueError: a map cannot be opened.
    """
    if (folder / AREAS).is_file():
        found = json.loads((folder / AREAS).read_text())
        names = tuple(found["names"])
        groups = Groups(folder / MERGE, None) if (folder / MERGE).is_file() else None
    elif (folder / "scores.json").is_file():
        found, groups = json.loads((folder / "scores.json").read_text()), None
        names = tuple(map(cluster_name, range(len(found.get("pixels", ())))))
        if grouped and (saved := chosen_groups(folder, len(names))):
            groups, names = Groups(folder / GROUPS, saved[0]), saved[0].names
    else:
        found, names, groups = {}, (), None
    if not found.get("cubes") or not names:
        raise FileNotFoundError(
            f"{folder} holds no label maps (no {AREAS}, and no scores.json of dgc); name a folder "
            "of train dgc or of predict, which has come to its end"
        )
    cubes = tuple(open_cube(folder / "labels" / f"{name}.zarr") for name in found["cubes"])
    return Maps(cubes, names, groups)


def maps_truth(
    config: EvaluateConfig | GroupConfig, maps: Maps, *, drawn: bool = False
) -> tuple[Truth, tuple[str, ...]]:
    """The labels that options name for maps; see `task.open_truth`."""
    return open_truth(
        config.labels,
        maps.cubes,
        key=config.label_key,
        ignore=config.ignore_label,
        names=read_names(config.names) if config.names else None,
        drawn=drawn,
    )


def count_map(
    labels: Cube, truth: LabelMap, clusters: int, classes: int, groups: Groups | None = None
) -> Tally:
    """Count a label map against the truth, window by window; as groups where some are given."""

    def windows():
        for place in tiles(truth.shape, (WINDOW, WINDOW)):
            found = labels.array[place.slices][..., 0].read().result()
            if groups is not None and groups.merge is not None:
                found = groups.merge.apply(found)
            yield tally(found, truth.read(*place.slices), clusters, classes)

    return reduce(add, windows())


def _manual(
    config: EvaluateConfig, maps: Maps, classes: Sequence[str]
) -> Int[np.ndarray, " k"] | None:
    """Class of each label as the user has named them, -1 where no name matches; None if unnamed."""
    if config.merge is None and maps.groups is None:
        return None
    if config.merge is not None and maps.groups is not None:
        raise ValueError(
            f"the maps in {config.folder} are merged already ({MERGE}) and are scored so; drop "
            "--merge, or evaluate maps that were predicted without"
        )
    merge = merge_of({name: [i] for i, name in enumerate(maps.names)}, len(maps.names))
    if config.merge is not None:
        merge = read_merge(config.merge, len(maps.names))
    return _by_name(merge, classes, needed=config.merge is not None)


def _by_name(merge: Merge, classes: Sequence[str], *, needed: bool) -> Int[np.ndarray, " k"] | None:
    found = matched_names(merge.names, classes)
    lonely = [name for name, match in zip(merge.names, found, strict=True) if match < 0]
    missed = [name for i, name in enumerate(classes) if i not in found]
    log = logging.getLogger(__name__)
    if len(lonely) == len(found):
        told = (
            f"no group ({', '.join(lonely)}) has the name of a class ({', '.join(classes)}); name "
            'them alike, or the classes by --names "background=0 tissue=1"'
        )
        if needed:
            raise ValueError(told)
        log.warning("%s; they are scored by the best classes alone", told)
        return None
    if lonely:
        log.warning("groups that no class is named like: %s; they count as no class", _all(lonely))
    if missed:
        log.warning("classes that no group is named like: %s", _all(missed))
    return found[merge.groups]


def _all(names: Sequence[str]) -> str:
    return ", ".join(names)
