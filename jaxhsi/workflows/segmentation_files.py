"""The folder of a run, written from a `jaxhsi.Segmentation` and read into one."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxhsi.cluster_groups import default_cluster_name
from jaxhsi.config.files import write_run_config
from jaxhsi.data.cube import Cube, open_cube
from jaxhsi.data.manifest import manifest_json
from jaxhsi.data.tiles import split_into_tiles
from jaxhsi.data.windows import WindowReader
from jaxhsi.label_spectra import empty_label_spectra
from jaxhsi.report.cluster_presence import cluster_presence, write_presence_files
from jaxhsi.report.cube_preview import write_preview
from jaxhsi.report.json_files import write_json
from jaxhsi.report.label_pictures import FalseColourPicture
from jaxhsi.report.label_spectra_files import write_label_spectra
from jaxhsi.storage.checksums import write_checked_json
from jaxhsi.storage.file_lock import locked_folder
from jaxhsi.training.checkpoints import Checkpoints
from jaxhsi.training.metrics_writer import MetricsWriter
from jaxhsi.training.run_files import check_run_file, read_run_json
from jaxhsi.training.run_folder import (
    CUBES_FILE,
    check_run_folder,
    create_run_folder,
)
from jaxhsi.training.tile_labels import LabelledTile, LabelStores
from jaxhsi.workflows.dgc_inputs import choose_window_reader
from jaxhsi.workflows.dgc_memory_run import TrainingHistory
from jaxhsi.workflows.label_maps import (
    TileLabeller,
    history_note,
    write_label_map,
)
from jaxhsi.workflows.merge_tree_files import read_cluster_tree, write_cluster_tree
from jaxhsi.workflows.run_spectra import spectral_axis
from jaxhsi.workflows.segmentation_model import open_segmentation_model


@dataclass(frozen=True)
class StreamPosition:
    """A stream that only knows where it is, for a checkpoint.

    Attributes:
        position: as JSON.
    """

    position: Any

    def __next__(self) -> Any:
        raise StopIteration

    def get_state(self) -> Any:
        """Where the stream is."""
        return self.position

    def set_state(self, position: Any) -> None:
        """The position does not change."""


def write_run(segmentation: Any, folder: Path, *, overwrite: bool) -> None:
    """Write a segmentation as the folder of a run, which all commands of dgc read.

    Args:
        segmentation: a :class:`jaxhsi.segmentation.Segmentation`.
        folder: a new or empty one.
        overwrite: delete the run that is in the folder.

    Raises:
        FileExistsError: the folder holds a run or other files.
    """
    with locked_folder(folder):
        _write_into(segmentation, folder, overwrite=overwrite)


def _write_into(segmentation: Any, folder: Path, *, overwrite: bool) -> None:
    """`write_run`, into a folder that no other process writes into."""
    check_run_folder(folder, resume=False, overwrite=overwrite)
    create_run_folder(folder, overwrite=overwrite)
    if segmentation.model.folder is not None:  # a loaded run is complete on disk
        shutil.copytree(segmentation.model.folder, folder, dirs_exist_ok=True)
        return
    cubes = segmentation.cubes
    # Arrays cannot be opened again: the name stands in the place of a path, so that --resume
    # says that there is no such data rather than training on the built-in scenes.
    config = replace(segmentation.model.config, data=cubes[0].url, out=folder)
    write_run_config(config, folder)
    write_checked_json(folder / CUBES_FILE, manifest_json(cubes))
    _write_history(segmentation.history, folder)
    notes = [history_note(config.num_clusters, segmentation.scores["kept_step"])]
    _write_label_maps(segmentation, folder, notes)
    write_cluster_tree(folder, segmentation.cluster_tree)
    scores = dict(segmentation.scores)
    cluster_names = [default_cluster_name(k) for k in range(config.num_clusters)]
    cube_pixels = {name: np.asarray(counts) for name, counts in scores["cubes"].items()}
    scores["presence"] = cluster_presence(cube_pixels, cluster_names)
    write_presence_files(folder, scores["presence"])
    write_json(folder / "scores.json", scores)


def _write_history(history: TrainingHistory, folder: Path) -> None:
    """Write the metrics and the last checkpoint."""
    metrics_writer = MetricsWriter(folder, 0, history.num_steps)
    with metrics_writer.open(show_bar=False):
        for step, values in history.metric_rows:
            metrics_writer.write(step, values)
    with Checkpoints(folder / "checkpoints") as checkpoints:
        step = int(history.last_state.step)
        stream = StreamPosition(history.stream_state)
        checkpoints.save(step, history.last_state, stream, history.best_state)


def _write_label_maps(segmentation: Any, folder: Path, notes: Sequence[str]) -> None:
    """Write the label maps, previews and spectra; the cubes are read once for the latter two."""
    cubes, config = segmentation.cubes, segmentation.model.config
    window_reader = choose_window_reader(config, cubes)
    label_spectra = empty_label_spectra(config.num_clusters, cubes[0].shape[2])
    for cube, labels, confidence in zip(
        cubes, segmentation.cube_labels, segmentation.cube_confidence, strict=True
    ):
        labelled_cube = write_label_map(
            _stored_tiles(labels, confidence, window_reader, config.stream.tile_size),
            None,
            cube,
            folder / "labels",
            notes,
            config.num_clusters,
            num_cubes=len(cubes),
        )
        label_spectra = label_spectra + labelled_cube.label_spectra
        write_preview(folder, cube.name, labelled_cube.preview)
    cluster_names = [default_cluster_name(k) for k in range(config.num_clusters)]
    write_label_spectra(folder, label_spectra, cluster_names, spectral_axis(config, cubes))


def _stored_tiles(
    labels: np.ndarray, confidence: np.ndarray, window_reader: WindowReader, tile_size: int
) -> TileLabeller:
    """Tiles of a label map that is in memory, with the spectra of the cube."""

    def read_tiles(
        state: Any,
        cube: Cube,
        false_colour: FalseColourPicture | None = None,
        stored: LabelStores | None = None,
    ) -> Iterator[LabelledTile]:
        reader = window_reader
        if false_colour is not None:
            reader = false_colour.recording_reader(window_reader)
        for tile in split_into_tiles(labels.shape, (tile_size, tile_size)):
            values, _ = reader(cube, *tile)
            tile_labels = labels[tile.slices].astype(np.int32)
            yield LabelledTile(tile, tile_labels, confidence[tile.slices], values)

    return read_tiles


def read_run(folder: Path) -> dict[str, Any]:
    """The fields of a `Segmentation` from the folder of a finished run.

    Label maps stay on disk: they are mapped into memory.

    Args:
        folder: of the run.

    Raises:
        FileNotFoundError, ValueError: the folder holds no finished run of dgc.
    """
    model = open_segmentation_model(folder)
    cluster_tree = read_cluster_tree(folder)
    scores = read_run_json(folder / "scores.json")
    state, _ = model.restore_state()
    cube_names = tuple(scores["cubes"])
    labels_folder = folder / "labels"
    for name in cube_names:
        check_run_file(labels_folder / f"{name}.npy", folder)
    confidence_stores = (open_cube(labels_folder / f"{n}-confidence.zarr") for n in cube_names)
    return {
        "model": model,
        "state": state,
        "cubes": (),
        "cluster_tree": cluster_tree,
        "cube_names": cube_names,
        "cube_labels": tuple(
            np.load(labels_folder / f"{name}.npy", mmap_mode="r") for name in cube_names
        ),
        "cube_confidence": tuple(
            store.array[..., 0].read().result() for store in confidence_stores
        ),
        "scores": scores,
        "is_single": len(cube_names) == 1,
        "history": None,
    }
