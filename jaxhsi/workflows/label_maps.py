"""Label maps, pictures and scores of a state, cube by cube."""

import shutil
from collections.abc import Iterator, Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

from jaxhsi import metrics
from jaxhsi.config.dgc import DGCConfig
from jaxhsi.data.cube import Cube
from jaxhsi.data.labels.label_map import LabelMap
from jaxhsi.data.windows import Reader
from jaxhsi.dgc.algorithm import DGC
from jaxhsi.label_counts import Tally, active_clusters, no_pixels, scored, tally
from jaxhsi.report import label_pictures
from jaxhsi.training.tile_labels import Labelled, label_tiles, label_writer
from jaxhsi.workflows.dgc_inputs import Task


@runtime_checkable
class Labeller(Protocol):
    """Labels cubes."""

    def __call__(
        self, state: Any, cube: Cube, colours: label_pictures.FalseColour | None = None
    ) -> Iterator[Labelled]:
        """Tiles of a cube, labelled by a state; a picture may be gathered on the way."""


class Written(NamedTuple):
    """What is kept of a label map after it was written.

    Attributes:
        tally: its counts.
        colours: picture of the cube.
        labels: the map, thinned as the picture is.
        truth: likewise, or None where it is not known.
    """

    tally: Tally
    colours: label_pictures.Picture
    labels: np.ndarray
    truth: np.ndarray | None


def labeller(method: DGC, read: Reader, tile: int) -> Labeller:
    """Compiled once for all states and cubes.

    Args:
        method: that labels.
        read: how windows are read.
        tile: side of the tiles in pixels.
    """
    predict = jax.jit(method.predict)
    cut = {"halo": method.halo, "full_rows": method.full_rows, "tile": tile}

    def label(
        state: Any, cube: Cube, colours: label_pictures.FalseColour | None = None
    ) -> Iterator[Labelled]:
        reader = read if colours is None else colours.watching(read)
        return label_tiles(predict, state, cube, read=reader, **cut)

    return label


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
    note = f"labelled by DGC with {clusters} clusters after {int(state.step)} steps"
    names = tuple(map(str, range(clusters)))
    trained, untrained = {}, []
    for cube in task.label:
        truth = task.truth(cube)
        written = write_map(label, state, cube, partial_, [note], clusters, truth, classes)
        trained[cube.name] = written.tally
        if truth is not None:
            counts = (_counted(part, truth, clusters, classes) for part in label(start, cube))
            untrained.append(reduce(add, counts))
        draw_map(folder / "pictures" / f"{cube.name}.png", written, names)
    shutil.rmtree(folder / "labels", ignore_errors=True)
    partial_.rename(folder / "labels")
    return _scores(trained, untrained, task.classes)


def write_map(
    label: Labeller,
    state: Any,
    cube: Cube,
    folder: Path,
    notes: Sequence[str],
    clusters: int,
    truth: LabelMap | None = None,
    classes: int = 0,
) -> Written:
    """Label a cube, write its tiles and count them as they come; it is read once.

    Args:
        label: gives the tiles.
        state: that labels.
        cube: to label.
        folder: of the label maps, see :func:`jaxhsi.training.tile_labels.label_writer`.
        notes: for the history of the maps.
        clusters: number of clusters k.
        truth: codes of the classes, or None.
        classes: number of classes c.
    """
    total, colours = no_pixels(clusters, classes), label_pictures.FalseColour(cube)
    labels, true = (label_pictures.Thinned(cube.shape, np.array(-1, np.int32)) for _ in range(2))
    with label_writer(folder, cube, notes) as write:
        for part in label(state, cube, colours):
            write(part)
            total += _counted(part, truth, clusters, classes)
            labels.add(part.slices, part.labels)
            if truth is not None:
                true.add(part.slices, truth.read(*part.slices))
    known = None if truth is None else true.values
    return Written(total, colours.picture(), labels.values, known)


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
        scores["confusion"] = total.confusion.tolist()
    return scores


def draw_map(path: Path, written: Written, names: Sequence[str]) -> None:
    """A picture of the cube, its labels and, where it is known, the truth, with a legend."""
    pixels, confusion = written.tally.pixels, written.tally.confusion
    panels = [
        ("false colour", written.colours),
        ("clusters", label_pictures.cluster_map(written.labels, len(pixels))),
    ]
    if written.truth is not None:
        coded, shown = written.truth, _class_colours(confusion)
        coloured = np.where(coded < 0, -1, shown[coded])
        panels.append(("truth", label_pictures.cluster_map(coloured, sum(confusion.shape))))
    share = pixels / max(pixels.sum(), 1)
    order = [k for k in np.argsort(-share).tolist() if share[k] > 0]
    path.parent.mkdir(exist_ok=True)
    label_pictures.save_picture(path, panels, [(f"{names[k]}: {share[k]:.1%}", k) for k in order])


def _class_colours(confusion: np.ndarray) -> np.ndarray:
    """Each class in the colour of the cluster matched to it, so that two maps compare by eye."""
    clusters, classes = confusion.shape
    shown = clusters + np.arange(classes)
    for cluster, match in enumerate(metrics.hungarian(confusion)):
        if match >= 0:
            shown[match] = cluster
    return shown
