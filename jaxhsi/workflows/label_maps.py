"""Label maps, pictures and scores of a state, cube by cube."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jax.sharding import Mesh

from jaxhsi.config.dgc import DGCConfig
from jaxhsi.data.cube import Cube
from jaxhsi.data.labels.annotation_file import NumberedShapes
from jaxhsi.data.labels.label_map import LabelMap
from jaxhsi.data.windows import WindowReader
from jaxhsi.dgc.state import SegmentationAlgorithm
from jaxhsi.label_counts import (
    LabelCounts,
    count_active_clusters,
    count_labels,
    score_counts,
    zero_counts,
)
from jaxhsi.label_spectra import (
    LabelSpectra,
    add_window,
    empty_label_spectra,
    pixel_priorities,
)
from jaxhsi.report import label_pictures
from jaxhsi.report.cube_preview import CubePreview, PreviewBuilder, write_preview
from jaxhsi.report.picture_panels import draw_label_map
from jaxhsi.sharding import compile_prediction, replicate
from jaxhsi.training.tile_journal import TileJournal
from jaxhsi.training.tile_labels import (
    LabelledTile,
    LabelStores,
    Relabel,
    label_tiles,
    label_writer,
)
from jaxhsi.workflows.dgc_inputs import DGCInputs
from jaxhsi.workflows.run_spectra import RunSpectra, cluster_names


@runtime_checkable
class TileLabeller(Protocol):
    """Labels the tiles of a cube."""

    def __call__(
        self,
        state: Any,
        cube: Cube,
        false_colour: label_pictures.FalseColourPicture | None = None,
        stored: LabelStores | None = None,
    ) -> Iterator[LabelledTile]:
        """Labelled tiles of a cube; a picture of the cube may be gathered from the same reads.

        Tiles that are on disk already are taken from there.
        """


class LabelledCube(NamedTuple):
    """What is left of a label map in memory after it was written.

    Attributes:
        label_counts: its counts.
        label_spectra: spectra of its labels.
        preview: the cube, its labels and its true classes at every few pixels.
        shape_spectra: spectra of the drawn shapes, of none where there are none.
    """

    label_counts: LabelCounts
    label_spectra: LabelSpectra
    preview: CubePreview
    shape_spectra: LabelSpectra


def make_tile_labeller(
    method: SegmentationAlgorithm,
    window_reader: WindowReader,
    tile_size: int,
    mesh: Mesh,
    relabel: Relabel | None = None,
) -> TileLabeller:
    """A labeller that compiles ``predict`` once for all states and cubes.

    Args:
        method: algorithm that labels.
        window_reader: how windows of a cube are read.
        tile_size: side of the tiles in pixels.
        mesh: devices; each labels tiles of its own.
        relabel: applied to the labels, such as a grouping of the clusters.
    """
    predict = compile_prediction(mesh, method.predict)

    def label(
        state: Any,
        cube: Cube,
        false_colour: label_pictures.FalseColourPicture | None = None,
        stored: LabelStores | None = None,
    ) -> Iterator[LabelledTile]:
        reader = window_reader
        if false_colour is not None:
            reader = false_colour.recording_reader(window_reader)
        return label_tiles(
            predict,
            replicate(mesh, state),
            cube,
            halo=method.halo,
            full_rows=method.full_rows,
            tile_size=tile_size,
            read=reader,
            tiles_per_call=mesh.size,
            relabel=relabel,
            stored=stored,
        )

    return label


def label_and_score_cubes(
    config: DGCConfig,
    method: SegmentationAlgorithm,
    inputs: DGCInputs,
    initial_state: Any,
    trained_state: Any,
    folder: Path,
    mesh: Mesh,
) -> dict[str, Any]:
    """Label all cubes, write maps and pictures, and score the start beside the trained state.

    Args:
        config: the options.
        method: algorithm that labels.
        inputs: cubes to label and their true classes.
        initial_state: closed-form start.
        trained_state: state that labels.
        folder: of the run.
        mesh: devices.

    Returns:
        See :func:`summarise_counts`.
    """
    tile_size = config.stream.tile_size
    tile_labeller = make_tile_labeller(method, inputs.window_reader, tile_size, mesh)
    num_clusters, num_classes = config.num_clusters, len(inputs.class_names)
    # Earlier maps are replaced only once all new ones are complete.
    partial_folder = folder / "labels.partial"
    shutil.rmtree(partial_folder, ignore_errors=True)
    notes = [history_note(num_clusters, int(trained_state.step))]
    trained_counts, initial_counts, spectra = {}, {}, RunSpectra(config, inputs)
    for cube in inputs.label_cubes:
        class_map, shapes = inputs.ground_truth(cube), inputs.drawn_shapes(cube)
        labelled_cube = write_label_map(
            tile_labeller,
            trained_state,
            cube,
            partial_folder,
            notes,
            num_clusters,
            class_map,
            num_classes,
            num_cubes=len(inputs.label_cubes),
            shapes=shapes,
        )
        trained_counts[cube.name] = labelled_cube.label_counts
        spectra.add(cube, labelled_cube.label_spectra, shapes, labelled_cube.shape_spectra)
        if class_map is not None:
            tile_counts = (
                _count_tile(tile, class_map, num_clusters, num_classes)
                for tile in tile_labeller(initial_state, cube)
            )
            initial_counts[cube.name] = reduce(add, tile_counts)
        _write_pictures(folder, cube, labelled_cube, inputs.class_names)
    spectra.write(folder)
    shutil.rmtree(folder / "labels", ignore_errors=True)
    partial_folder.rename(folder / "labels")
    return summarise_counts(trained_counts, initial_counts, inputs.class_names)


def _write_pictures(
    folder: Path, cube: Cube, labelled_cube: LabelledCube, class_names: Sequence[str]
) -> None:
    """Write the preview and the picture of a cube."""
    write_preview(folder, cube.name, labelled_cube.preview)
    pixels = labelled_cube.label_counts.cluster_pixels
    draw_label_map(
        folder / "pictures" / f"{cube.name}.png",
        labelled_cube.preview,
        pixels,
        cluster_names(len(pixels)),
        class_names,
    )


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
    *,
    num_cubes: int = 1,
    shapes: NumberedShapes | None = None,
    journal: TileJournal | None = None,
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
        num_cubes: cubes that are labelled in all; of many, previews are smaller.
        shapes: drawn on the cube, or None.
        journal: of the tiles that are on disk, to go on after an interruption.
    """
    label_counts = zero_counts(num_clusters, num_classes)
    label_spectra = empty_label_spectra(num_clusters, cube.shape[2])
    num_shapes = 0 if shapes is None else len(shapes.labels)
    shape_spectra = empty_label_spectra(num_shapes, cube.shape[2])
    false_colour = label_pictures.FalseColourPicture(cube)
    has_truth = class_map is not None
    builder = PreviewBuilder(cube, num_clusters, with_truth=has_truth, num_cubes=num_cubes)
    with label_writer(folder, cube, history_notes, journal) as stores:
        for number, tile in enumerate(tile_labeller(state, cube, false_colour, stores)):
            stores.write(tile, number)
            label_counts += _count_tile(tile, class_map, num_clusters, num_classes)
            builder.add(tile, class_map.read_labels(*tile.slices) if has_truth else None)
            priorities = pixel_priorities(cube.name, *tile.slices, cube.shape[1])
            label_spectra = add_window(label_spectra, tile.labels, tile.spectra, priorities)
            if shapes is not None:
                shape_index = np.where(tile.labels < 0, -1, shapes.numbers[tile.slices] - 1)
                shape_spectra = add_window(shape_spectra, shape_index, tile.spectra, priorities)
    preview = builder.preview(false_colour)
    return LabelledCube(label_counts, label_spectra, preview, shape_spectra)


def _count_tile(
    tile: LabelledTile, class_map: LabelMap | None, num_clusters: int, num_classes: int
) -> LabelCounts:
    true_classes = None if class_map is None else class_map.read_labels(*tile.slices)
    return count_labels(tile.labels, true_classes, num_clusters, num_classes)


def summarise_counts(
    trained_counts: Mapping[str, LabelCounts],
    initial_counts: Mapping[str, LabelCounts] | None = None,
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
        :func:`jaxhsi.label_counts.score_counts`, ``classes``, ``confusion``, ``start``, the
        scores of the closed-form start, and ``scored_cubes``.
    """
    total_counts = reduce(add, trained_counts.values())
    scores = {
        "active_clusters": count_active_clusters(total_counts),
        "pixels": total_counts.cluster_pixels.tolist(),
        "invalid_pixels": total_counts.invalid_pixels,
        "cubes": {name: each.cluster_pixels.tolist() for name, each in trained_counts.items()},
    }
    if class_names and initial_counts:
        initial_scores = score_counts(reduce(add, initial_counts.values()))
        scores |= score_counts(total_counts)
        scores |= {"classes": list(class_names), "start": initial_scores}
        scores["scored_cubes"] = list(initial_counts)
        scores["confusion"] = total_counts.confusion_matrix.tolist()
    return scores
