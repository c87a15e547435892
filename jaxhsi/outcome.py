"""Label maps, pictures and scores of a trained state, cube by cube."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxhsi import metrics
from jaxhsi.config.dgc import DGCConfig
from jaxhsi.data.store import Cube
from jaxhsi.dgc.algorithm import DGC
from jaxhsi.report import maps
from jaxhsi.runtime.labelling import Labelled, label_tiles, label_writer
from jaxhsi.task import Task


@dataclass(frozen=True)
class Tally:
    """Counts over the labels of some pixels; they add up.

    Attributes:
        pixels: in each cluster, (k,).
        invalid: in none.
        confusion: clusters against classes, (k, c).
    """

    pixels: np.ndarray
    invalid: int
    confusion: np.ndarray

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.pixels + other.pixels,
            self.invalid + other.invalid,
            self.confusion + other.confusion,
        )


def _tally(part: Labelled, truth: np.ndarray | None, clusters: int, classes: int) -> Tally:
    kept = part.labels[part.labels >= 0]
    confusion = np.zeros((clusters, classes), np.int64)
    if truth is not None:
        confusion = metrics.confusion(part.labels, truth[part.slices], clusters, classes)
    return Tally(np.bincount(kept, minlength=clusters), part.labels.size - kept.size, confusion)


def label_cubes(
    config: DGCConfig, method: DGC, task: Task, start: Any, state: Any, folder: Path
) -> dict[str, Any]:
    """Label all cubes, write maps and pictures, and score the start beside the trained state."""
    predict, clusters, classes = jax.jit(method.predict), config.num_clusters, len(task.classes)
    written = folder / "labels.partial"  # takes the place of earlier maps when all are whole
    shutil.rmtree(written, ignore_errors=True)
    trained, untrained = {}, []

    def count(state: Any, cube: Cube, write: Callable[[Labelled], None]) -> Tally:
        total = Tally(np.zeros(clusters, np.int64), 0, np.zeros((clusters, classes), np.int64))
        for part in label_tiles(
            predict,
            state,
            cube,
            halo=method.halo,
            full_rows=method.full_rows,
            tile=config.stream.tile,
            read=task.read,
        ):
            write(part)
            total += _tally(part, truth, clusters, classes)
        return total

    for cube in task.label:
        truth = task.truth(cube)
        note = f"labelled by DGC with {clusters} clusters after {config.steps} steps"
        with label_writer(written, cube, note) as write:
            trained[cube.name] = count(state, cube, write)
        if truth is not None:
            untrained.append(count(start, cube, lambda _: None))
        _picture(
            folder, written / f"{cube.name}.npy", cube, truth, trained[cube.name], task.classes
        )
    shutil.rmtree(folder / "labels", ignore_errors=True)
    written.rename(folder / "labels")
    return _scores(trained, untrained, task.classes)


def _scores(
    trained: dict[str, Tally], untrained: list[Tally], classes: tuple[str, ...]
) -> dict[str, Any]:
    total = reduce(add, trained.values())
    active = total.pixels > metrics.ACTIVE_SHARE * total.pixels.sum()
    scores = {
        "active_clusters": int(active.sum()),
        "pixels": total.pixels.tolist(),
        "invalid_pixels": total.invalid,
        "cubes": {name: tally.pixels.tolist() for name, tally in trained.items()},
    }
    if classes:
        start = metrics.scores(reduce(add, untrained).confusion)
        scores |= metrics.scores(total.confusion)
        scores |= {"classes": list(classes), "start": start}
    return scores


def _class_colours(confusion: np.ndarray) -> np.ndarray:
    """Each class in the colour of the cluster matched to it, so that two maps compare by eye."""
    clusters, classes = confusion.shape
    shown = clusters + np.arange(classes)
    for cluster, match in enumerate(metrics.hungarian(confusion)):
        if match >= 0:
            shown[match] = cluster
    return shown


def _picture(
    folder: Path,
    labelled: Path,
    cube: Cube,
    truth: np.ndarray | None,
    tally: Tally,
    classes: tuple[str, ...],
) -> None:
    step = maps.thinning(cube.shape)
    labels = np.load(labelled, mmap_mode="r")[::step, ::step]
    clusters = len(tally.pixels)
    panels = [
        ("false colour", maps.false_colour(cube)),
        ("clusters", maps.cluster_map(labels, clusters)),
    ]
    if truth is not None:
        coded, shown = truth[::step, ::step], _class_colours(tally.confusion)
        coloured = np.where(coded < 0, -1, shown[coded])
        panels.append(("truth", maps.cluster_map(coloured, clusters + len(classes))))
    share = tally.pixels / max(tally.pixels.sum(), 1)
    legend = [(f"{k}: {share[k]:.1%}", k) for k in np.argsort(-share).tolist() if share[k] > 0]
    path = folder / "pictures" / f"{cube.name}.png"
    path.parent.mkdir(exist_ok=True)
    maps.save_picture(path, panels, legend)
