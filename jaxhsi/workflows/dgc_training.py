"""Training of DGC on open cubes: the same for the command and for :func:`jaxhsi.segment`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float

from jaxhsi.config.dgc import DGCConfig
from jaxhsi.data.far_pixels import (
    READING_DEVIATIONS,
    limited_reader,
    typical_spectra,
)
from jaxhsi.data.spectra_sample import sample_spectra
from jaxhsi.data.stream import describe_windows, window_stream
from jaxhsi.data.windows import WindowReader
from jaxhsi.dgc.cluster_tree import embed_sample
from jaxhsi.dgc.options import MIN_CROP
from jaxhsi.dgc.state import SegmentationAlgorithm, State
from jaxhsi.dgc.views import window_size
from jaxhsi.process_sharding import process_rows
from jaxhsi.processes import broadcast_arrays, check_same_everywhere
from jaxhsi.sharding import device_mesh, replicate, view_mesh
from jaxhsi.training.best_state import StateMonitor, read_validation_views
from jaxhsi.training.loop import run_training
from jaxhsi.training.outputs import MetricsOutput, StateOutput
from jaxhsi.training.stage_times import StageTimes
from jaxhsi.training.state_digest import state_digest
from jaxhsi.training.step_profiler import StepProfiler
from jaxhsi.workflows.dgc_inputs import DGCInputs
from jaxhsi.workflows.dgc_method import build_method
from jaxhsi.workflows.same_command import check_same_command


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedTraining:
    """All that a run needs before its first step; nothing is written yet.

    Attributes:
        config: the options.
        inputs: the open cubes.
        method: the algorithm that the options describe.
        mesh: devices of the training, which may be of several processes.
        own_mesh: devices of this process, for all else.
        initial_state: closed-form start of the method.
        sample_embedding: the sampled spectra in the closed-form embedding, or None (upstream).
        pixels_read: pixels that were read for the sample.
        pixels_invalid: how many of them are not valid.
    """

    config: DGCConfig
    inputs: DGCInputs
    method: SegmentationAlgorithm
    mesh: Mesh
    own_mesh: Mesh
    initial_state: Any
    sample_embedding: Float[Array, "n d"] | None
    pixels_read: int
    pixels_invalid: int


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedStates:
    """What a training left.

    Attributes:
        last_state: state after the last step, on the devices.
        selected_state: state that labels cubes (the best one, or the last), on the host.
        best_step: step of the best state by the mutual information of two views' labels.
        stop_reason: why the training ended early, in a sentence; None if it did not.
        skipped_steps: steps that were not finite and were left out; None where these end a run.
    """

    last_state: Any
    selected_state: Any
    best_step: int
    stop_reason: str | None
    skipped_steps: int | None

    def step_scores(self) -> dict[str, Any]:
        """What the scores of a run hold of its steps."""
        scores = {
            "steps": int(self.last_state.step),
            "best_step": self.best_step,
            "kept_step": int(self.selected_state.step),
        }
        skipped = {} if self.skipped_steps is None else {"skipped_steps": self.skipped_steps}
        return scores | skipped


def prepare_training(
    config: DGCConfig, inputs: DGCInputs, *, of_all_processes: bool = False
) -> PreparedTraining:
    """Check the cubes, build the method and compute its closed-form start.

    Args:
        config: the options.
        inputs: the open cubes.
        of_all_processes: train one state with all processes of `jax.distributed`, which all call
            this; false: each process trains its own.

    Raises:
        ValueError: a cube smaller than a crop, cubes without a valid pixel, or processes that were
            given other options or cubes.
    """
    check_crop_size(config, inputs)
    num_bands = inputs.train_cubes[0].shape[2]
    own_mesh = device_mesh(config.devices)
    mesh = device_mesh(config.devices, of_all_processes=of_all_processes)
    if of_all_processes:
        check_same_command(config)
        check_same_everywhere(
            "cubes", str([(cube.name, cube.shape) for cube in inputs.train_cubes])
        )
    method = build_method(config, num_bands, mesh)
    sample = sample_spectra(
        inputs.train_cubes,
        config.stream.sample_size,
        config.seed,
        read_window_fn=inputs.window_reader,
    )
    spectra = jnp.asarray(typical_spectra(inputs.train_cubes, sample))
    # Each process computes the start by itself, and then has that of the first one.
    own_method = method if own_mesh == mesh else build_method(config, num_bands, own_mesh)
    initial_state = own_method.init(jax.random.key(config.seed), spectra)
    if of_all_processes:
        check_same_everywhere("values of cubes", state_digest(sample.spectra))
        initial_state = broadcast_arrays(initial_state)
    inputs = replace(inputs, window_reader=reader_of_state(inputs.window_reader, initial_state))
    # The embedding has far fewer dimensions than bands: it is kept, the spectra are not.
    embedding = embed_sample(initial_state, config.teacher_student.normalisations, spectra)
    return PreparedTraining(
        config=config,
        inputs=inputs,
        method=method,
        mesh=mesh,
        own_mesh=own_mesh,
        initial_state=initial_state,
        sample_embedding=embedding,
        pixels_read=sample.num_read,
        pixels_invalid=sample.num_invalid,
    )


def reader_of_state(window_reader: WindowReader, state: Any) -> WindowReader:
    """A reader for which pixels far outside of the data that a state began with are not valid.

    Args:
        window_reader: that reads.
        state: of the method; upstream's has no statistics, and all pixels stay.
    """
    if not isinstance(state, State):
        return window_reader
    stats = jax.device_get(state.pca_embedding.band_stats)
    largest_mean = float(np.abs(stats.mean).max())
    return limited_reader(
        window_reader, largest_mean + READING_DEVIATIONS * float(stats.overall_deviation)
    )


def check_crop_size(config: DGCConfig, inputs: DGCInputs) -> None:
    """Refuse cubes that a crop does not fit into.

    Raises:
        ValueError: names the cube.
    """
    crop = config.views.crop
    for cube in inputs.train_cubes:
        side = min(cube.shape[:2])
        if side < crop:
            remedy = f"lower --views.crop to at most {side}"
            if side < MIN_CROP:
                table = "save its spectra as a table for `jaxhsi train gmcr`"
                remedy = f"crops need {MIN_CROP} rows and columns: leave it out, or {table}"
            raise ValueError(
                f"{cube.url} has {cube.shape[0]} x {cube.shape[1]} pixels, less than a crop of "
                f"{crop}; {remedy}"
            )


def train(
    prepared: PreparedTraining,
    open_metrics: Callable[[int], MetricsOutput],
    checkpoints: StateOutput,
    *,
    resume: bool = False,
    times: StageTimes | None = None,
    profiler: StepProfiler | None = None,
) -> TrainedStates:
    """Train from the closed-form start, or go on from the newest checkpoint.

    Args:
        prepared: from :func:`prepare_training`.
        open_metrics: gives the output of metrics, from the last step that was taken already.
        checkpoints: takes the states; to resume it must be
            :class:`jaxhsi.training.checkpoints.Checkpoints`, or
            :class:`jaxhsi.training.shared_outputs.SharedCheckpoints`, as on devices of several
            processes.
        resume: go on from the newest checkpoint where there is one.
        times: takes the seconds of the stages.
        profiler: traces a few of the steps.

    Raises:
        FloatingPointError: a step was not finite; the state before it is kept.
    """
    config, inputs, mesh = prepared.config, prepared.inputs, prepared.mesh
    own_rows, batch_size = None, config.stream.batch_size
    if mesh != prepared.own_mesh:
        own_rows = process_rows(view_mesh(mesh, batch_size), batch_size)
    stream = window_stream(
        inputs.train_cubes,
        window_size(config.views),
        config.stream.batch_size,
        config.seed,
        read_window_fn=inputs.window_reader,
        num_threads=config.stream.num_threads,
        prefetch_windows=config.stream.prefetch_windows,
        rows=own_rows,
    )
    monitor = _build_monitor(prepared)
    # A step reuses the memory of the state that it is given; the start is needed again later.
    state = jax.tree.map(jnp.copy, prepared.initial_state)
    if resume and checkpoints.latest_step() is not None:
        state = checkpoints.restore(replicate(mesh, state), stream, monitor.best_state)
    state = run_training(
        jax.random.key(config.seed),
        state,
        prepared.method.step,
        stream,
        mesh,
        config.steps,
        open_metrics(int(state.step)),
        checkpoints,
        monitor,
        batch_size=config.stream.batch_size,
        log_every=config.log_every,
        save_every=config.save_every,
        skip_bad_batches=config.skip_bad_batches,
        locate_windows=partial(_locate_windows, config, inputs),
        times=times,
        profiler=profiler,
    )
    selected_state = (
        monitor.best_state.chosen_state(state) if config.keep_state == "best" else state
    )
    return TrainedStates(
        last_state=state,
        selected_state=jax.device_get(selected_state),
        best_step=monitor.best_state.chosen_step(int(state.step)),
        stop_reason=monitor.stop_message() if monitor.ended else None,
        skipped_steps=monitor.best_state.skipped_steps if config.skip_bad_batches else None,
    )


def _locate_windows(
    config: DGCConfig, inputs: DGCInputs, position: Any, indices: Sequence[int]
) -> list[str]:
    """Windows of the batch at a position of the stream: rows, columns, cube and extreme values."""
    return describe_windows(
        inputs.train_cubes,
        window_size(config.views),
        config.stream.batch_size,
        config.seed,
        position,
        indices,
        read_window_fn=inputs.window_reader,
    )


def _build_monitor(prepared: PreparedTraining) -> StateMonitor:
    """Evaluation of states on views drawn from all training cubes, without labels."""
    config, inputs = prepared.config, prepared.inputs
    monitor_options = config.monitor
    validation_views = read_validation_views(
        inputs.train_cubes,
        config.views,
        config.stream.batch_size,
        config.seed,
        monitor_options.num_windows,
        inputs.window_reader,
    )
    return StateMonitor(
        prepared.mesh,
        prepared.method,
        config.num_clusters,
        validation_views,
        every=monitor_options.every,
        patience=monitor_options.patience,
        margin=monitor_options.max_information_loss,
        # Upstream's clusters go and come back after hundreds of steps.
        no_improvement=None if config.method == "upstream" else monitor_options.no_improvement,
        min_improvement=monitor_options.min_improvement,
    )
