"""Label maps, pictures and scores of a state, cube by cube."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxhsi import metrics
from jaxhsi.config.dgc import DGCConfig
from jaxhsi.data.label_map import LabelMap
from jaxhsi.data.store import Cube
from jaxhsi.data.windows import Reader
from jaxhsi.dgc.algorithm import DGC
from jaxhsi.report import maps
from jaxhsi.runtime.labelling import Labelled, label_tiles, label_writer
from jaxhsi.tally import Tally, active_clusters, no_pixels, scored, tally
from jaxhsi.task import Task

Labeller = Callable[[Any, Cube], Iterator[Labelled]]
"""Tiles of a cube, labelled by a state."""


class Written(NamedTuple):
    """What is kept of a label map after it was written.

    Attributes:
        tally: its counts.
        labels: the map, thinned for a picture.
        truth: likewise, or None where it is not known.
    """

    tally: Tally
    labels: maps.Thinned
    truth: maps.Thinned | None


def labeller(method: DGC, read: Reader, tile: int) -> Labeller:
    """Compiled once for all states and cubes.

    Args:
        method: that labels.
        read: how windows are read.
        tile: side of the tiles in pixels.
    """
    predict = jax.jit(method.predict)
    cut = {"halo": method.halo, "full_rows": method.full_rows, "tile": tile}
    return partial(label_tiles, predict, read=read, **cut)


def label_cubes(
    config: DGCConfig, method: DGC, task: Task, start: Any, state: Any, folder: Path
) -> dict[str, Any]:
    """Label all cubes, write maps and pictures, and score the start beside the trained state."""
    label, clusters, classes = (
        labeller(method, task.read, config.stream.tile),
        config.num_clusters,
        len(task.classes),
    )
    partial_ = folder / "labels.partial"  # takes the place of earlier maps when all are whole
    shutil.rmtree(partial_, ignore_errors=True)
    note = f"labelled by DGC with {clusters} clusters after {config.steps} steps"
    names = tuple(map(str, range(clusters)))
    trained, untrained = {}, []
    for cube in task.label:
        truth = task.truth(cube)
        written = write_map(label(state, cube), cube, partial_, [note], clusters, truth, classes)
        trained[cube.name] = written.tally
        if truth is not None:
            counts = (_counted(part, truth, clusters, classes) for part in label(start, cube))
            untrained.append(reduce(add, counts))
        draw_map(folder / "pictures" / f"{cube.name}.png", cube, written, names)
    shutil.rmtree(folder / "labels", ignore_errors=True)
    partial_.rename(folder / "labels")
    return _scores(trained, untrained, task.classes)


def write_map(
    parts: Iterable[Labelled],
    cube: Cube,
    folder: Path,
    notes: Sequence[str],
    clusters: int,
    truth: LabelMap | None = None,
    classes: int = 0,
) -> Written:
    """Write the tiles of a cube and count them as they come.

    Args:
        parts: all tiles.
        cube: whose they are.
        folder: of the label maps, see :func:`jaxhsi.runtime.labelling.label_writer`.
        notes: for the history of the maps.
        clusters: number of clusters k.
        truth: codes of the classes, or None.
        classes: number of classes c.
    """
    total, labels = no_pixels(clusters, classes), maps.Thinned(cube.shape)
    true = None if truth is None else maps.Thinned(cube.shape)
    with label_writer(folder, cube, notes) as write:
        for part in parts:
            write(part)
            total += _counted(part, truth, clusters, classes)
            labels.add(part.slices, part.labels)
            if truth is not None and true is not None:
                true.add(part.slices, truth.read(*part.slices))
    return Written(total, labels, true)


def _counted(part: Labelled, truth: LabelMap | None, clusters: int, classes: int) -> Tally:
    return tally(part.labels, truth and truth.read(*part.slices), clusters, classes)


def _scores(
    trained: dict[str, Tally], untrained: list[Tally], classes: tuple[str, ...]
) -> dict[str, Any]:
    total = reduce(add, trained.values())
    scores = {
        "active_clusters": active_clusters(total),
        "pixels": total.pixels.tolist(),
        "invalid_pixels": total.invalid,
        "cubes": {name: counts.pixels.tolist() for name, counts in trained.items()},
    }
    if classes:
        start = scored(reduce(add, untrained))
        scores |= scored(total) | {"classes": list(classes), "start": start}
    return scores


def draw_map(path: Path, cube: Cube, written: Written, names: Sequence[str]) -> None:
    """A picture of the cube, its labels and, where it is known, the truth, with a legend."""
    pixels, confusion = written.tally.pixels, written.tally.confusion
    panels = [
        ("false colour", maps.false_colour(cube)),
        ("clusters", maps.cluster_map(written.labels.values, len(pixels))),
    ]
    if written.truth is not None:
        coded, shown = written.truth.values, _class_colours(confusion)
        coloured = np.where(coded < 0, -1, shown[coded])
        panels.append(("truth", maps.cluster_map(coloured, sum(confusion.shape))))
    share = pixels / max(pixels.sum(), 1)
    order = [k for k in np.argsort(-share).tolist() if share[k] > 0]
    path.parent.mkdir(exist_ok=True)
    maps.save_picture(path, panels, [(f"{names[k]}: {share[k]:.1%}", k) for k in order])


def _class_colours(confusion: np.ndarray) -> np.ndarray:
    """Each class in the colour of the cluster matched to it, so that two maps compare by eye."""
    clusters, classes = confusion.shape
    shown = clusters + np.arange(classes)
    for cluster, match in enumerate(metrics.hungarian(confusion)):
        if match >= 0:
            shown[match] = cluster
    return shown
