"""One run of DGC in memory, for `jaxhsi.segment`: the numbers of `dgc_run`, and no files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxhsi.callbacks import OnProgress
from jaxhsi.config.dgc import DGCConfig
from jaxhsi.data.cube import Cube
from jaxhsi.dgc.cluster_tree import ClusterTree, build_cluster_tree
from jaxhsi.label_counts import count_labels
from jaxhsi.workflows.dgc_inputs import DGCInputs, choose_window_reader
from jaxhsi.workflows.dgc_training import prepare_training, reader_of_state, train
from jaxhsi.workflows.label_maps import make_tile_labeller, summarise_counts
from jaxhsi.workflows.run_precision import with_precision
from jaxhsi.workflows.segmentation_model import SegmentationModel


@dataclass
class TrainingHistory:
    """What a training would have written into a folder, in memory: metrics and the last state.

    It is a `MetricsOutput` and a `StateOutput`, see :mod:`jaxhsi.training.outputs`.

    Attributes:
        num_steps: steps of the training, for progress.
        on_progress: called after each step.
        metric_rows: step and its figures, in their order.
        stream_state: where the stream of windows was at the last checkpoint, as JSON.
        last_state: state after the last step.
        best_state: the best state and its scores, as checkpoints save them.
    """

    num_steps: int
    on_progress: OnProgress
    metric_rows: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    stream_state: Any = None
    last_state: Any = None
    best_state: Any = None

    @contextmanager
    def open(self) -> Iterator["TrainingHistory"]:
        """Nothing needs to be closed."""
        yield self

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Keep the figures of a step."""
        self.metric_rows.append((step, dict(values)))

    def write_timing(self, step: int, values: dict[str, float]) -> None:
        """Times differ from run to run and are not kept."""

    def advance_bar(self, step: int) -> None:
        """Report progress."""
        self.on_progress("training", step, self.num_steps)

    def latest_step(self) -> int | None:
        """No checkpoint to go back to."""
        return None

    def save(self, step: int, state: Any, stream: Any, best: Any) -> None:
        """Keep where the stream is; the state is taken once, after the last step."""
        self.stream_state, self.best_state = stream.get_state(), best


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
    config = with_precision(config)
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
    labelled = label_in_memory(model, trained.selected_state, cubes, prepared.mesh, on_progress)
    cube_counts = {
        cube.name: count_labels(labels.astype(np.int32), None, config.num_clusters, 0)
        for cube, (labels, _) in zip(cubes, labelled, strict=True)
    }
    scores = summarise_counts(cube_counts) | trained.step_scores()
    cluster_tree = build_cluster_tree(
        jax.random.key(config.seed),
        trained.selected_state,
        prepared.sample_embedding,
        np.asarray(scores["pixels"]),
        mesh=prepared.mesh,
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
    mesh: Mesh,
    on_progress: OnProgress | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Label cubes tile by tile into arrays of the types that label files have.

    Args:
        model: options and algorithm.
        state: that labels.
        cubes: to label.
        mesh: devices.
        on_progress: called after each cube.

    Returns:
        For each cube labels (H, W) int16, -1 where not valid, and confidence (H, W) float16.
    """
    window_reader = reader_of_state(choose_window_reader(model.config, cubes), state)
    tile_size = model.config.stream.tile_size
    tile_labeller = make_tile_labeller(model.method, window_reader, tile_size, mesh)
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


def reading_options(config: DGCConfig) -> dict[str, Any]:
    """Options of a run by which files are read, for `jaxhsi.data.open.open_cubes`.

    Args:
        config: options of the run.
    """
    names = ("key", "layout", "size", "raw", "no_data", "tolerance")
    return {name: getattr(config, name) for name in names}
