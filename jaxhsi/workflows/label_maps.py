"""Label maps, pictures and scores of a state, cube by cube."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax

from jaxhsi.cluster_groups import default_cluster_name
from jaxhsi.config.dgc import DGCConfig
from jaxhsi.data.cube import Cube
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
from jaxhsi.report.label_spectra_files import BandAxis, band_axis, write_label_spectra
from jaxhsi.report.picture_panels import draw_label_map
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
        label_spectra: spectra of its labels.
        preview: the cube, its labels and its true classes at every few pixels.
    """

    label_counts: LabelCounts
    label_spectra: LabelSpectra
    preview: CubePreview


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
    cluster_names = [default_cluster_name(k) for k in range(num_clusters)]
    trained_counts, initial_counts = {}, {}
    label_spectra = empty_label_spectra(num_clusters, inputs.label_cubes[0].shape[2])
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
            num_cubes=len(inputs.label_cubes),
        )
        trained_counts[cube.name] = labelled_cube.label_counts
        label_spectra = label_spectra + labelled_cube.label_spectra
        write_preview(folder, cube.name, labelled_cube.preview)
        if class_map is not None:
            tile_counts = (
                _count_tile(tile, class_map, num_clusters, num_classes)
                for tile in tile_labeller(initial_state, cube)
            )
            initial_counts[cube.name] = reduce(add, tile_counts)
        draw_label_map(
            folder / "pictures" / f"{cube.name}.png",
            labelled_cube.preview,
            labelled_cube.label_counts.cluster_pixels,
            cluster_names,
            inputs.class_names,
        )
    axis = spectral_axis(config, inputs.label_cubes)
    write_label_spectra(folder, label_spectra, cluster_names, axis)
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
    *,
    num_cubes: int = 1,
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
    """
    label_counts = zero_counts(num_clusters, num_classes)
    label_spectra = empty_label_spectra(num_clusters, cube.shape[2])
    false_colour = label_pictures.FalseColourPicture(cube)
    has_truth = class_map is not None
    builder = PreviewBuilder(cube, num_clusters, with_truth=has_truth, num_cubes=num_cubes)
    with label_writer(folder, cube, history_notes) as write:
        for tile in tile_labeller(state, cube, false_colour):
            write(tile)
            label_counts += _count_tile(tile, class_map, num_clusters, num_classes)
            builder.add(tile, class_map.read_labels(*tile.slices) if has_truth else None)
            priorities = pixel_priorities(cube.name, *tile.slices, cube.shape[1])
            label_spectra = add_window(label_spectra, tile.labels, tile.spectra, priorities)
    return LabelledCube(label_counts, label_spectra, builder.preview(false_colour))


def spectral_axis(config: DGCConfig, cubes: Sequence[Cube]) -> BandAxis:
    """The axis of spectra of cubes.

    Args:
        config: options of the run, which may have the bands standardised.
        cubes: of the same bands.
    """
    wavelengths = next((c.wavelengths for c in cubes if c.wavelengths is not None), None)
    units = {cube.units for cube in cubes}
    shared_units = units.pop() if len(units) == 1 else None
    return band_axis(
        wavelengths,
        cubes[0].shape[2],
        shared_units,
        standardised=config.stream.standardise_cubes,
    )


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
