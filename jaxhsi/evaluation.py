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

from jaxhsi.config.predict import EvaluateConfig, read_merge, read_names
from jaxhsi.data.label_map import LabelMap
from jaxhsi.data.store import Cube, open_cube
from jaxhsi.data.tiles import tiles
from jaxhsi.merging import Merge, cluster_name, matched_names, merge_of
from jaxhsi.prediction import MERGE
from jaxhsi.report.areas import AREAS
from jaxhsi.report.tables import evaluation_table
from jaxhsi.tally import Tally, scored, tally
from jaxhsi.task import open_truth

WINDOW = 256  # pixels; side of the windows that are counted at once


class Maps(NamedTuple):
    """The label maps in a folder.

    Attributes:
        cubes: stores of the maps, one band each, under the names of the cubes.
        names: of the labels.
        merged: whether the labels are groups of clusters already.
    """

    cubes: tuple[Cube, ...]
    names: tuple[str, ...]
    merged: bool


def evaluate(config: EvaluateConfig) -> dict[str, Any]:
    """Score the label maps of a run, or of predictions, and write the scores.

    Returns:
        What the file of scores holds.

    Raises:
        FileNotFoundError, ValueError: maps, labels or groups that cannot be used.
    """
    maps = open_maps(config.folder)
    truth, classes = open_truth(
        config.labels,
        maps.cubes,
        key=config.label_key,
        ignore=config.ignore_label,
        names=read_names(config.names) if config.names else None,
    )
    manual = _manual(config, maps, classes)
    counts = {
        cube.name: _count(cube, true, len(maps.names), len(classes))
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
    console.print(evaluation_table(scores, classes))
    console.print(f"{len(counts)} of {len(maps.cubes)} map(s) scored; {path}", soft_wrap=True)
    return scores


def open_maps(folder: Path) -> Maps:
    """Open the label maps that a run or a prediction left.

    Raises:
        FileNotFoundError: there are none.
        ValueError: a map cannot be opened.
    """
    if (folder / AREAS).is_file():
        found = json.loads((folder / AREAS).read_text())
        names, merged = tuple(found["names"]), (folder / MERGE).is_file()
    elif (folder / "scores.json").is_file():
        found, merged = json.loads((folder / "scores.json").read_text()), False
        names = tuple(map(cluster_name, range(len(found.get("pixels", ())))))
    else:
        found, names, merged = {}, (), False
    if not found.get("cubes") or not names:
        raise FileNotFoundError(
            f"{folder} holds no label maps (no {AREAS}, and no scores.json of dgc); name a folder "
            "of train dgc or of predict, which has come to its end"
        )
    cubes = tuple(open_cube(folder / "labels" / f"{name}.zarr") for name in found["cubes"])
    return Maps(cubes, names, merged)


def _count(labels: Cube, truth: LabelMap, clusters: int, classes: int) -> Tally:
    def windows():
        for place in tiles(truth.shape, (WINDOW, WINDOW)):
            found = labels.array[place.slices][..., 0].read().result()
            yield tally(found, truth.read(*place.slices), clusters, classes)

    return reduce(add, windows())


def _manual(
    config: EvaluateConfig, maps: Maps, classes: Sequence[str]
) -> Int[np.ndarray, " k"] | None:
    """Class of each label as the user has named them, -1 where no name matches; None if unnamed."""
    if config.merge is None and not maps.merged:
        return None
    if config.merge is not None and maps.merged:
        raise ValueError(
            f"the maps in {config.folder} are merged already ({MERGE}) and are scored so; drop "
            "--merge, or evaluate maps that were predicted without"
        )
    merge = merge_of({name: [i] for i, name in enumerate(maps.names)}, len(maps.names))
    if config.merge is not None:
        merge = read_merge(config.merge, len(maps.names))
    return _by_name(merge, classes)


def _by_name(merge: Merge, classes: Sequence[str]) -> Int[np.ndarray, " k"]:
    found = matched_names(merge.names, classes)
    lonely = [name for name, match in zip(merge.names, found, strict=True) if match < 0]
    missed = [name for i, name in enumerate(classes) if i not in found]
    if len(lonely) == len(found):
        raise ValueError(
            f"no group ({', '.join(lonely)}) has the name of a class ({', '.join(classes)}); name "
            'them alike, or the classes by --names "background=0 tissue=1"'
        )
    log = logging.getLogger(__name__)
    if lonely:
        log.warning("groups that no class is named like: %s; they count as no class", _all(lonely))
    if missed:
        log.warning("classes that no group is named like: %s", _all(missed))
    return found[merge.groups]


def _all(names: Sequence[str]) -> str:
    return ", ".join(names)
