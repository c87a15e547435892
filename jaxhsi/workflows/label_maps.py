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
from jaxhsi.label_counts import (
    LabelCounts,
    count_active_clusters,
    count_labels,
    score_counts,
    zero_counts,
)
from jaxhsi.report import label_pictures
from jaxhsi.training.tile_labels import Labelled, label_tiles, label_writer
from jaxhsi.workflows.dgc_inputs import DGCInputs


@runtime_checkable
class TileLabeller(Protocol):
    """Labels cubes."""

    def __call__(
        self, state: Any, cube: Cube, colours: label_pictures.FalseColourPicture | None = None
    ) -> Iterator[Labelled]:
        """Tiles of a cube, labelled by a state; a picture may be gathered on the way."""


class LabelledCube(NamedTuple):
    """What is kept of a label map after it was written.

    Attributes:
        label_counts: its counts.
        false_colour: picture of the cube.
        label_preview: the map, thinned as the picture is.
        truth_preview: likewise, or None where it is not known.
    """

    label_counts: LabelCounts
    false_colour: label_pictures.Picture
    label_preview: np.ndarray
    truth_preview: np.ndarray | None


def make_tile_labeller(method: DGC, window_reader: Reader, tile_size: int) -> TileLabeller:
    """Compiled once for all states and cubes.

    Args:
        method: that labels.
        window_reader: how windows are read.
        tile_size: side of the tiles in pixels.
    """
    predict = jax.jit(method.predict)
    cut = {"halo": method.halo, "full_rows": method.full_rows, "tile": tile_size}

    def label(
        state: Any, cube: Cube, colours: label_pictures.FalseColourPicture | None = None
    ) -> Iterator[Labelled]:
        reader = window_reader if colours is None else colours.recording_reader(window_reader)
        return label_tiles(predict, state, cube, read=reader, **cut)

    return label


def label_and_score_cubes(
    config: DGCConfig,
    method: DGC,
    inputs: DGCInputs,
    initial_state: Any,
    trained_state: Any,
    folder: Path,
) -> dict[str, Any]:
    """Label all cubes, write maps and pictures, and score the start beside the trained state."""
    label, clusters, classes = (
        make_tile_labeller(method, inputs.window_reader, config.stream.tile),
        config.num_clusters,
        len(inputs.class_names),
    )
    partial_ = folder / "labels.partial"  # takes the place of earlier maps when all are whole
    shutil.rmtree(partial_, ignore_errors=True)
    note = f"labelled by DGC with {clusters} clusters after {int(trained_state.step)} steps"
    names = tuple(map(str, range(clusters)))
    trained, untrained = {}, []
    for cube in inputs.label_cubes:
        truth = inputs.ground_truth(cube)
        written = write_label_map(
            label, trained_state, cube, partial_, [note], clusters, truth, classes
        )
        trained[cube.name] = written.label_counts
        if truth is not None:
            counts = (
                _counted(part, truth, clusters, classes) for part in label(initial_state, cube)
            )
            untrained.append(reduce(add, counts))
        draw_label_map(folder / "pictures" / f"{cube.name}.png", written, names)
    shutil.rmtree(folder / "labels", ignore_errors=True)
    partial_.rename(folder / "labels")
    return _scores(trained, untrained, inputs.class_names)


def write_label_map(
    tile_labeller: TileLabeller,
    state: Any,
    cube: Cube,
    folder: Path,
    history_notes: Sequence[str],
    num_clusters: int,
    class_map: LabelMap | None = None,
    num_classes: int = 0,
) -> LabelledCube:
    """Label a cube, write its tiles and count them as they come; it is read once.

    Args:
        tile_labeller: gives the tiles.
        state: that labels.
        cube: to label.
        folder: of the label maps, see :func:`jaxhsi.training.tile_labels.label_writer`.
        history_notes: for the history of the maps.
        num_clusters: number of clusters k.
        class_map: codes of the classes, or None.
        num_classes: number of classes c.
    """
    total, colours = zero_counts(num_clusters, num_classes), label_pictures.FalseColourPicture(cube)
    labels, true = (
        label_pictures.SubsampledMap(cube.shape, np.array(-1, np.int32)) for _ in range(2)
    )
    with label_writer(folder, cube, history_notes) as write:
        for part in tile_labeller(state, cube, colours):
            write(part)
            total += _counted(part, class_map, num_clusters, num_classes)
            labels.add(part.slices, part.labels)
            if class_map is not None:
                true.add(part.slices, class_map.read(*part.slices))
    known = None if class_map is None else true.values
    return LabelledCube(total, colours.picture(), labels.values, known)


def _counted(part: Labelled, truth: LabelMap | None, clusters: int, classes: int) -> LabelCounts:
    return count_labels(part.labels, truth and truth.read(*part.slices), clusters, classes)


def _scores(
    trained: dict[str, LabelCounts], untrained: list[LabelCounts], classes: tuple[str, ...]
) -> dict[str, Any]:
    total = reduce(add, trained.values())
    scores = {
        "active_clusters": count_active_clusters(total),
        "pixels": total.cluster_pixels.tolist(),
        "invalid_pixels": total.invalid_pixels,
        "cubes": {name: counts.cluster_pixels.tolist() for name, counts in trained.items()},
    }
    if classes:
        start = score_counts(reduce(add, untrained))
        scores |= score_counts(total) | {"classes": list(classes), "start": start}
        scores["confusion"] = total.confusion_matrix.tolist()
    return scores


def draw_label_map(path: Path, labelled_cube: LabelledCube, cluster_names: Sequence[str]) -> None:
    """A picture of the cube, its labels and, where it is known, the truth, with a legend."""
    pixels, confusion = (
        labelled_cube.label_counts.cluster_pixels,
        labelled_cube.label_counts.confusion_matrix,
    )
    panels = [
        ("false colour", labelled_cube.false_colour),
        ("clusters", label_pictures.colour_label_map(labelled_cube.label_preview, len(pixels))),
    ]
    if labelled_cube.truth_preview is not None:
        coded, shown = labelled_cube.truth_preview, _class_colours(confusion)
        coloured = np.where(coded < 0, -1, shown[coded])
        panels.append(("truth", label_pictures.colour_label_map(coloured, sum(confusion.shape))))
    share = pixels / max(pixels.sum(), 1)
    order = [k for k in np.argsort(-share).tolist() if share[k] > 0]
    path.parent.mkdir(exist_ok=True)
    label_pictures.save_panels(
        path, panels, [(f"{cluster_names[k]}: {share[k]:.1%}", k) for k in order]
    )


def _class_colours(confusion: np.ndarray) -> np.ndarray:
    """Each class in the colour of the cluster matched to it, so that two maps compare by eye."""
    clusters, classes = confusion.shape
    shown = clusters + np.arange(classes)
    for cluster, match in enumerate(metrics.hungarian(confusion)):
        if match >= 0:
            shown[match] = cluster
    return shown
