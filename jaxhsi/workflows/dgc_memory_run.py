"""One run of DGC in memory, for `jaxhsi.segment`; and its folder, written and read afterwards."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxhsi.callbacks import OnProgress
from jaxhsi.cluster_groups import default_cluster_name
from jaxhsi.config.dgc import DGCConfig
from jaxhsi.config.files import write_config
from jaxhsi.data.cube import Cube, open_cube
from jaxhsi.data.manifest import manifest_json
from jaxhsi.dgc.cluster_tree import ClusterTree, build_cluster_tree
from jaxhsi.label_counts import count_labels
from jaxhsi.report.cluster_presence import cluster_presence, write_presence_files
from jaxhsi.training.run_folder import CONFIG_FILE, CUBES_FILE, check_run_folder, create_run_folder
from jaxhsi.training.tile_labels import LabelledTile, label_writer
from jaxhsi.workflows.dgc_inputs import DGCInputs, choose_window_reader
from jaxhsi.workflows.dgc_training import prepare_training, train
from jaxhsi.workflows.label_maps import history_note, make_tile_labeller, summarise_counts
from jaxhsi.workflows.merge_tree_files import read_cluster_tree, write_cluster_tree
from jaxhsi.workflows.segmentation_model import SegmentationModel, open_segmentation_model


@dataclass
class TrainingHistory:
    """What a training would have written into a folder, in memory: metrics and the last state.

    It has the methods of a metrics writer and of checkpoints that `jaxhsi.training.loop.train` calls.

    Attributes:
        num_steps: steps of the training, for progress.
        on_progress: called after each step.
        metric_rows: step and its figures, in their order.
        stream_state: where the stream of windows was at the last checkpoint, as JSON.
        last_state: state after the last step.
        best_record: the best state and its scores, as checkpoints save them.
    """

    num_steps: int
    on_progress: OnProgress
    metric_rows: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    stream_state: Any = None
    last_state: Any = None
    best_record: Any = None

    @contextmanager
    def open(self) -> Iterator["TrainingHistory"]:
        """Nothing needs to be closed."""
        yield self

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Keep the figures of a step."""
        self.metric_rows.append((step, dict(values)))

    def time(self, step: int, values: Mapping[str, float]) -> None:
        """Times differ from run to run and are not kept."""

    def advance(self, step: int) -> None:
        """Report progress."""
        self.on_progress("training", step, self.num_steps)

    def latest(self) -> int | None:
        """No checkpoint to go back to."""
        return None

    def save(self, step: int, state: Any, stream: Any, record: Any) -> None:
        """Keep where the stream is; the state is taken once, after the last step."""
        self.stream_state, self.best_record = stream.get_state(), record


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


@dataclass(frozen=True, kw_only=True, eq=False)
class MemoryRun:
    """Result of :func:`run_in_memory`.

    Attributes:
        model: options, algorithm, bands and wavelengths.
        state: that labels, on the host.
        cluster_tree: merge tree of the clusters.
        cube_labels: label map of each cube, int16, -1 where not valid.
        cube_confidence: probability of each label, float16.
        scores: as ``scores.json`` holds them.
        history: metrics and states of the training.
    """

    model: SegmentationModel
    state: Any
    cluster_tree: ClusterTree
    cube_labels: tuple[np.ndarray, ...]
    cube_confidence: tuple[np.ndarray, ...]
    scores: dict[str, Any]
    history: TrainingHistory


def run_in_memory(config: DGCConfig, cubes: tuple[Cube, ...], on_progress: OnProgress) -> MemoryRun:
    """Train on cubes and label them; the numbers are those of `dgc_run.run_dgc`.

    Args:
        config: the options; those that name files are not used.
        cubes: open cubes of the same bands.
        on_progress: called after each step.

    Raises:
        ValueError, FloatingPointError: see :func:`jaxhsi.workflows.dgc_training.train`.
    """
    inputs = DGCInputs(cubes, cubes, lambda _: None, (), choose_window_reader(config, cubes))
    prepared = prepare_training(config, inputs)
    history = TrainingHistory(config.steps, on_progress)
    trained = train(prepared, lambda _: history, history)
    history.last_state = jax.device_get(trained.last_state)
    known_wavelengths = [cube.wavelengths for cube in cubes if cube.wavelengths is not None]
    model = SegmentationModel(
        folder=None,
        config=config,
        method=prepared.method,
        num_bands=cubes[0].shape[2],
        wavelengths=known_wavelengths[0] if known_wavelengths else None,
    )
    labelled = label_in_memory(model, trained.selected_state, cubes, on_progress)
    cube_counts = {
        cube.name: count_labels(labels.astype(np.int32), None, config.num_clusters, 0)
        for cube, (labels, _) in zip(cubes, labelled, strict=True)
    }
    scores = summarise_counts(cube_counts) | {
        "steps": int(trained.last_state.step),
        "best_step": trained.best_step,
        "kept_step": int(trained.selected_state.step),
    }
    cluster_tree = build_cluster_tree(
        jax.random.key(config.seed),
        trained.selected_state,
        prepared.sample_embedding,
        np.asarray(scores["pixels"]),
    )
    return MemoryRun(
        model=model,
        state=trained.selected_state,
        cluster_tree=cluster_tree,
        cube_labels=tuple(labels for labels, _ in labelled),
        cube_confidence=tuple(confidence for _, confidence in labelled),
        scores=scores,
        history=history,
    )


def label_in_memory(
    model: SegmentationModel,
    state: Any,
    cubes: Sequence[Cube],
    on_progress: OnProgress | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Label cubes tile by tile into arrays of the types that label files have.

    Args:
        model: options and algorithm.
        state: that labels.
        cubes: to label.
        on_progress: called after each cube.

    Returns:
        For each cube labels (H, W) int16, -1 where not valid, and confidence (H, W) float16.
    """
    window_reader = choose_window_reader(model.config, cubes)
    tile_labeller = make_tile_labeller(model.method, window_reader, model.config.stream.tile_size)
    labelled = []
    for index, cube in enumerate(cubes):
        labels = np.full(cube.shape[:2], -1, np.int16)
        confidence = np.zeros(cube.shape[:2], np.float16)
        for tile in tile_labeller(state, cube):
            labels[tile.slices], confidence[tile.slices] = tile.labels, tile.confidence
        labelled.append((labels, confidence))
        if on_progress is not None:
            on_progress("labelling", index + 1, len(cubes))
    return labelled


# Folders ------------------------------------------------------------------------------------------


def write_run(segmentation: Any, folder: Path, *, overwrite: bool) -> None:
    """Write a segmentation as the folder of a run, which all commands of dgc read.

    Args:
        segmentation: a :class:`jaxhsi.segmentation.Segmentation`.
        folder: a new or empty one.
        overwrite: delete the run that is in the folder.

    Raises:
        FileExistsError: the folder holds a run or other files.
    """
    check_run_folder(folder, resume=False, overwrite=overwrite)
    create_run_folder(folder, overwrite=overwrite)
    if segmentation.model.folder is not None:  # a loaded run is complete on disk
        shutil.copytree(segmentation.model.folder, folder, dirs_exist_ok=True)
        return
    cubes = segmentation.cubes
    # Arrays cannot be opened again: the name stands in the place of a path, so that --resume
    # says that there is no such data rather than training on the built-in scenes.
    config = replace(segmentation.model.config, data=cubes[0].url, out=folder)
    write_config(config, folder / CONFIG_FILE)
    (folder / CUBES_FILE).write_text(json.dumps(manifest_json(cubes), indent=1) + "\n")
    _write_history(segmentation.history, folder)
    notes = [history_note(config.num_clusters, segmentation.scores["kept_step"])]
    for cube, labels, confidence in zip(
        cubes, segmentation.cube_labels, segmentation.cube_confidence, strict=True
    ):
        _write_labels(cube, labels, confidence, folder / "labels", notes)
    write_cluster_tree(folder, segmentation.cluster_tree)
    scores = dict(segmentation.scores)
    cluster_names = [default_cluster_name(k) for k in range(config.num_clusters)]
    cube_pixels = {name: np.asarray(counts) for name, counts in scores["cubes"].items()}
    scores["presence"] = cluster_presence(cube_pixels, cluster_names)
    write_presence_files(folder, scores["presence"])
    (folder / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")


def _write_history(history: TrainingHistory, folder: Path) -> None:
    """Write the metrics and the last checkpoint."""
    from jaxhsi.training.checkpoints import Checkpoints
    from jaxhsi.training.metrics_writer import MetricsWriter

    logbook = MetricsWriter(folder, 0, history.num_steps)
    with logbook.open(show_bar=False):
        for step, values in history.metric_rows:
            logbook.write(step, values)
    with Checkpoints(folder / "checkpoints") as checkpoints:
        step = int(history.last_state.step)
        stream = StreamPosition(history.stream_state)
        checkpoints.save(step, history.last_state, stream, history.best_record)


def _write_labels(
    cube: Cube, labels: np.ndarray, confidence: np.ndarray, folder: Path, notes: Sequence[str]
) -> None:
    """Write the label map of a cube in tiles of the size of its stored blocks."""
    from jaxhsi.data.tiles import tiles

    with label_writer(folder, cube, notes) as write:
        for tile in tiles(labels.shape, (256, 256)):
            write(LabelledTile(tile, labels[tile.slices].astype(np.int32), confidence[tile.slices]))


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
    scores = json.loads((folder / "scores.json").read_text())
    state, _ = model.restore_state()
    cube_names = tuple(scores["cubes"])
    labels_folder = folder / "labels"
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
