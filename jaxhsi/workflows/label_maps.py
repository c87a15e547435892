"""Label maps, pictures and scores of a state, cube by cube."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
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
from jaxhsi.data.windows import WindowReader
from jaxhsi.dgc.state import SegmentationAlgorithm
from jaxhsi.label_counts import (
    LabelCounts,
    count_active_clusters,
    count_labels,
    pixel_shares,
    score_counts,
    zero_counts,
)
from jaxhsi.report import label_pictures
from jaxhsi.training.tile_labels import LabelledTile, label_tiles, label_writer
from jaxhsi.workflows.dgc_inputs import DGCInputs


@runtime_checkable
class TileLabeller(Protocol):
    """Labels the tiles of a cube."""

    def __call__(
        self,
        state: Any,
        cube: Cube,
        false_colour: label_pictures.FalseColourPicture | None = None,
    ) -> Iterator[LabelledTile]:
        """Labelled tiles of a cube; a picture of the cube may be gathered from the same reads."""


class LabelledCube(NamedTuple):
    """What is left of a label map in memory after it was written.

    Attributes:
        label_counts: its counts.
        false_colour: picture of the cube.
        label_preview: the map, subsampled as the picture is.
        truth_preview: the true classes, subsampled likewise; None where they are not known.
    """

    label_counts: LabelCounts
    false_colour: label_pictures.Picture
    label_preview: np.ndarray
    truth_preview: np.ndarray | None


def make_tile_labeller(
    method: SegmentationAlgorithm, window_reader: WindowReader, tile_size: int
) -> TileLabeller:
    """A labeller that compiles ``predict`` once for all states and cubes.

    Args:
        method: algorithm that labels.
        window_reader: how windows of a cube are read.
        tile_size: side of the tiles in pixels.
    """
    predict = jax.jit(method.predict)

    def label(
        state: Any, cube: Cube, false_colour: label_pictures.FalseColourPicture | None = None
    ) -> Iterator[LabelledTile]:
        reader = window_reader
        if false_colour is not None:
            reader = false_colour.recording_reader(window_reader)
        return label_tiles(
            predict,
            state,
            cube,
            halo=method.halo,
            full_rows=method.full_rows,
            tile_size=tile_size,
            read=reader,
        )

    return label


def label_and_score_cubes(
    config: DGCConfig,
    method: SegmentationAlgorithm,
    inputs: DGCInputs,
    initial_state: Any,
    trained_state: Any,
    folder: Path,
) -> dict[str, Any]:
    """Label all cubes, write maps and pictures, and score the start beside the trained state.

    Args:
        config: the options.
        method: algorithm that labels.
        inputs: cubes to label and their true classes.
        initial_state: closed-form start.
        trained_state: state that labels.
        folder: of the run.

    Returns:
        See :func:`summarise_counts`.
    """
    tile_labeller = make_tile_labeller(method, inputs.window_reader, config.stream.tile_size)
    num_clusters, num_classes = config.num_clusters, len(inputs.class_names)
    # Earlier maps are replaced only once all new ones are complete.
    partial_folder = folder / "labels.partial"
    shutil.rmtree(partial_folder, ignore_errors=True)
    notes = [history_note(num_clusters, int(trained_state.step))]
    cluster_names = tuple(map(str, range(num_clusters)))
    trained_counts, initial_counts = {}, []
    for cube in inputs.label_cubes:
        class_map = inputs.ground_truth(cube)
        labelled_cube = write_label_map(
            tile_labeller,
            trained_state,
            cube,
            partial_folder,
            notes,
            num_clusters,
            class_map,
            num_classes,
        )
        trained_counts[cube.name] = labelled_cube.label_counts
        if class_map is not None:
            tile_counts = (
                _count_tile(tile, class_map, num_clusters, num_classes)
                for tile in tile_labeller(initial_state, cube)
            )
            initial_counts.append(reduce(add, tile_counts))
        draw_label_map(folder / "pictures" / f"{cube.name}.png", labelled_cube, cluster_names)
    shutil.rmtree(folder / "labels", ignore_errors=True)
    partial_folder.rename(folder / "labels")
    return summarise_counts(trained_counts, initial_counts, inputs.class_names)


def history_note(num_labels: int, num_steps: int) -> str:
    """Entry in the history of a label map.

    >>> history_note(16, 300)
    'labelled by DGC with 16 clusters after 300 steps'
    """
    return f"labelled by DGC with {num_labels} clusters after {num_steps} steps"


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
    """Label a cube, write its tiles and count them as they come; the cube is read once.

    Args:
        tile_labeller: gives the labelled tiles.
        state: that labels.
        cube: to label.
        folder: of the label maps, see :func:`jaxhsi.training.tile_labels.label_writer`.
        history_notes: entries in the history of the map.
        num_clusters: number of clusters k.
        class_map: codes of the true classes, or None.
        num_classes: number of classes c.
    """
    label_counts = zero_counts(num_clusters, num_classes)
    false_colour = label_pictures.FalseColourPicture(cube)
    label_preview, truth_preview = (
        label_pictures.SubsampledMap(cube.shape, np.array(-1, np.int32)) for _ in range(2)
    )
    with label_writer(folder, cube, history_notes) as write:
        for tile in tile_labeller(state, cube, false_colour):
            write(tile)
            label_counts += _count_tile(tile, class_map, num_clusters, num_classes)
            label_preview.add(tile.slices, tile.labels)
            if class_map is not None:
                truth_preview.add(tile.slices, class_map.read_labels(*tile.slices))
    return LabelledCube(
        label_counts=label_counts,
        false_colour=false_colour.picture(),
        label_preview=label_preview.values,
        truth_preview=None if class_map is None else truth_preview.values,
    )


def _count_tile(
    tile: LabelledTile, class_map: LabelMap | None, num_clusters: int, num_classes: int
) -> LabelCounts:
    true_classes = None if class_map is None else class_map.read_labels(*tile.slices)
    return count_labels(tile.labels, true_classes, num_clusters, num_classes)


def summarise_counts(
    trained_counts: Mapping[str, LabelCounts],
    initial_counts: Sequence[LabelCounts] = (),
    class_names: Sequence[str] = (),
) -> dict[str, Any]:
    """Counts of the labels, and scores against the true classes where they are known.

    Args:
        trained_counts: counts of each cube, by its name.
        initial_counts: counts of the closed-form start, of the cubes with true classes.
        class_names: names of the classes; empty where no true classes are known.

    Returns:
        ``active_clusters``, ``pixels`` of each cluster, ``invalid_pixels``, and ``cubes``, the
        pixels of each cluster by cube. With true classes all of
        :func:`jaxhsi.label_counts.score_counts`, ``classes``, ``confusion``, and ``start``, the
        scores of the closed-form start.
    """
    total_counts = reduce(add, trained_counts.values())
    scores = {
        "active_clusters": count_active_clusters(total_counts),
        "pixels": total_counts.cluster_pixels.tolist(),
        "invalid_pixels": total_counts.invalid_pixels,
        "cubes": {name: each.cluster_pixels.tolist() for name, each in trained_counts.items()},
    }
    if class_names:
        initial_scores = score_counts(reduce(add, initial_counts))
        scores |= score_counts(total_counts)
        scores |= {"classes": list(class_names), "start": initial_scores}
        scores["confusion"] = total_counts.confusion_matrix.tolist()
    return scores


def draw_label_map(path: Path, labelled_cube: LabelledCube, cluster_names: Sequence[str]) -> None:
    """Draw the cube, its labels and, where they are known, its true classes, with a legend.

    Args:
        path: of the picture.
        labelled_cube: to draw.
        cluster_names: names of the clusters, for the legend.
    """
    label_counts = labelled_cube.label_counts
    num_clusters = len(label_counts.cluster_pixels)
    label_panel = label_pictures.colour_label_map(labelled_cube.label_preview, num_clusters)
    panels = [("false colour", labelled_cube.false_colour), ("clusters", label_panel)]
    if labelled_cube.truth_preview is not None:
        class_codes = labelled_cube.truth_preview
        colour_indices = _class_colour_indices(label_counts.confusion_matrix)
        coloured_classes = np.where(class_codes < 0, -1, colour_indices[class_codes])
        num_colours = sum(label_counts.confusion_matrix.shape)
        truth_panel = label_pictures.colour_label_map(coloured_classes, num_colours)
        panels.append(("truth", truth_panel))
    shares = pixel_shares(label_counts.cluster_pixels)
    largest_first = [k for k in np.argsort(-shares).tolist() if shares[k] > 0]
    legend = [(f"{cluster_names[k]}: {shares[k]:.1%}", k) for k in largest_first]
    path.parent.mkdir(exist_ok=True)
    label_pictures.save_panels(path, panels, legend)


def _class_colour_indices(confusion_matrix: np.ndarray) -> np.ndarray:
    """Each class in the colour of the cluster matched to it, so that two maps compare by eye."""
    num_clusters, num_classes = confusion_matrix.shape
    colour_indices = num_clusters + np.arange(num_classes)
    for cluster_index, class_index in enumerate(metrics.hungarian(confusion_matrix)):
        if class_index >= 0:
            colour_indices[class_index] = cluster_index
    return colour_indices
