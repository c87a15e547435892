"""One run of DGC, from cubes on disk to a folder of labels, pictures and scores."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from jaxhsi.cluster_groups import default_cluster_name
from jaxhsi.config.dgc import RESUMABLE_CHANGES, DGCConfig
from jaxhsi.config.files import check_same_run, whole_config_file, write_run_config
from jaxhsi.config.report import ReportConfig
from jaxhsi.data.manifest import manifest_json
from jaxhsi.dgc.cluster_tree import ClusterTree, build_cluster_tree, score_cuts
from jaxhsi.processes import is_first_process
from jaxhsi.report import dgc_sentences as sentences
from jaxhsi.report import dgc_tables
from jaxhsi.report.cluster_presence import cluster_presence, write_presence_files
from jaxhsi.report.json_files import write_json
from jaxhsi.report.merge_tree import draw_tree, format_tree
from jaxhsi.report.training_curves import plot_training_curves
from jaxhsi.storage.checksums import write_checked_json
from jaxhsi.storage.file_lock import locked_folder
from jaxhsi.training.checkpoints import Checkpoints
from jaxhsi.training.console import PlainConsole
from jaxhsi.training.metrics_writer import METRICS_FILE, MetricsWriter
from jaxhsi.training.process_group import leave_processes
from jaxhsi.training.run_folder import (
    CUBES_FILE,
    check_run_folder,
    create_run_folder,
    next_free_folder,
)
from jaxhsi.training.shared_outputs import SilentMetrics, shared_checkpoints
from jaxhsi.training.stage_times import StageTimes
from jaxhsi.training.step_profiler import StepProfiler
from jaxhsi.training.stop_signals import set_way_on
from jaxhsi.workflows.dgc_inputs import DGCInputs, open_dgc_inputs
from jaxhsi.workflows.dgc_training import PreparedTraining, prepare_training, train
from jaxhsi.workflows.label_maps import label_and_score_cubes
from jaxhsi.workflows.merge_tree_files import write_cluster_tree
from jaxhsi.workflows.run_precision import with_precision
from jaxhsi.workflows.run_report import write_run_report


def run_dgc(
    config: DGCConfig, *, resume: bool = False, overwrite: bool = False, profile: bool = False
) -> dict[str, Any]:
    """Train on cubes, label them, score the labels, and write everything into a folder.

    Of several processes of `jax.distributed` all train, and the first one does the rest.

    Args:
        config: the options.
        resume: go on from the newest checkpoint of the run in the folder.
        overwrite: delete the run in the folder first.
        profile: trace a few steps into the folder, see `jaxhsi.training.step_profiler`.

    Returns:
        The content of ``scores.json``, and the folder; nothing but in the first process.

    Raises:
        FileExistsError: the folder holds a run already.
        BlockingIOError: another process writes into the folder.
        FileNotFoundError, ValueError: data, labels or options that cannot be used. Raised before
            anything is trained, and before anything is deleted.
    """
    config = with_precision(config)
    if not is_first_process():
        prepared = prepare_training(config, open_dgc_inputs(config), of_all_processes=True)
        checkpoints = shared_checkpoints(prepared.mesh, None)
        train(prepared, lambda _: SilentMetrics(), checkpoints, resume=resume)
        leave_processes()
        return {}
    folder = config.out or next_free_folder(Path("runs"), "dgc")
    with locked_folder(folder):
        return _run_in_folder(config, folder, resume=resume, overwrite=overwrite, profile=profile)


def _run_in_folder(
    config: DGCConfig, folder: Path, *, resume: bool, overwrite: bool, profile: bool
) -> dict[str, Any]:
    """The run, in a folder that no other process writes into."""
    console, times = PlainConsole(), StageTimes()
    check_run_folder(folder, resume=resume, overwrite=overwrite)
    if resume:
        check_same_run(config, whole_config_file(folder), RESUMABLE_CHANGES)
    with times.measure("start"):
        inputs = open_dgc_inputs(config)
        prepared = prepare_training(config, inputs, of_all_processes=True)
    prepared = replace(prepared, inputs=_with_timed_reader(prepared.inputs, times))
    _print_inputs(console, prepared)
    create_run_folder(folder, overwrite=overwrite)
    set_way_on(f"go on with: jaxhsi train dgc --out {folder} --resume")
    write_run_config(config, folder)
    write_checked_json(folder / CUBES_FILE, manifest_json(inputs.train_cubes))

    own_checkpoints = Checkpoints(folder / "checkpoints")
    with shared_checkpoints(prepared.mesh, own_checkpoints) as checkpoints:
        open_logbook = partial(MetricsWriter, folder, last_step=config.steps)
        profiler = StepProfiler(folder if profile else None, say=partial(_print_line, console))
        trained = train(
            prepared, open_logbook, checkpoints, resume=resume, times=times, profiler=profiler
        )
    leave_processes()
    if trained.stop_reason is not None:
        console.print(trained.stop_reason)
    with times.measure("pictures"):
        plot_training_curves(
            folder / "pictures" / "training.png", folder / METRICS_FILE, trained.best_step
        )
    with times.measure("label"):
        scores = label_and_score_cubes(
            config,
            prepared.method,
            prepared.inputs,
            prepared.initial_state,
            trained.selected_state,
            folder,
            prepared.own_mesh,
        )
    with times.measure("merge tree"):
        cluster_tree = _write_tree(prepared, trained.selected_state, scores, folder)
    scores |= _write_presence(scores, folder)
    scores |= trained.step_scores() | {"seconds": times.total()}
    write_json(folder / "scores.json", scores)
    _print_results(console, scores, cluster_tree, inputs, folder)
    with times.measure("report"):
        write_run_report(ReportConfig(run=folder))
    times.write(folder)
    _print_line(console, times.sentence())
    return scores | {"folder": str(folder)}


def _with_timed_reader(inputs: DGCInputs, times: StageTimes) -> DGCInputs:
    return replace(inputs, window_reader=times.timed("read", inputs.window_reader))


def _print_line(console: Console, line: str) -> None:
    console.print(line, soft_wrap=True)  # a path is not to be broken


def _print_inputs(console: Console, prepared: PreparedTraining) -> None:
    cubes = prepared.inputs.train_cubes
    console.print(sentences.describe_inputs(len(cubes), cubes[0].shape, prepared.mesh.size))
    batch_size = prepared.config.stream.batch_size
    if (idle_line := sentences.describe_idle_devices(prepared.mesh.size, batch_size)) is not None:
        console.print(idle_line)
    if prepared.pixels_invalid:
        console.print(
            sentences.describe_invalid_pixels(prepared.pixels_invalid, prepared.pixels_read)
        )


def _write_tree(
    prepared: PreparedTraining, selected_state: Any, scores: dict[str, Any], folder: Path
) -> ClusterTree:
    """Write the merge tree and its picture; add the scores of its cuts to the scores."""
    cluster_pixels, class_names = np.asarray(scores["pixels"]), scores.get("classes", [])
    majority_classes = np.asarray(scores["alignment"]["merge"]) if class_names else None
    cluster_tree = build_cluster_tree(
        jax.random.key(prepared.config.seed),
        selected_state,
        prepared.sample_embedding,
        cluster_pixels,
        majority_classes,
        class_names,
        mesh=prepared.own_mesh,
    )
    write_cluster_tree(folder, cluster_tree)
    draw_tree(
        folder / "tree.png",
        cluster_tree.tree,
        cluster_tree.pixel_shares,
        cluster_tree.cluster_names,
        [suggestion.num_groups for suggestion in cluster_tree.suggested_cuts],
    )
    if class_names:
        scores["cuts"] = score_cuts(cluster_tree.tree, np.asarray(scores["confusion"]))
    return cluster_tree


def _write_presence(scores: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write which clusters are in which cube; returns what the scores hold of it."""
    cube_pixels = {name: np.asarray(counts) for name, counts in scores["cubes"].items()}
    cluster_names = [default_cluster_name(k) for k in range(len(scores["pixels"]))]
    presence_record = cluster_presence(cube_pixels, cluster_names)
    write_presence_files(folder, presence_record)
    return {"presence": presence_record}


def _print_results(
    console: Console,
    scores: dict[str, Any],
    cluster_tree: ClusterTree,
    inputs: DGCInputs,
    folder: Path,
) -> None:
    class_names = inputs.class_names
    majority_names = ["" for _ in scores["pixels"]]
    if class_names:
        majority_names = [class_names[c] if c >= 0 else "" for c in scores["alignment"]["merge"]]
        cube_names = scores["scored_cubes"]
        console.print(dgc_tables.score_table(scores["start"], scores, class_names, cube_names))
        if len(scores["pixels"]) > len(class_names):
            console.print(dgc_tables.MATCHING_NOTE)
    console.print(dgc_tables.share_table(np.asarray(scores["pixels"]), majority_names))
    console.print(
        format_tree(cluster_tree.tree, cluster_tree.pixel_shares, cluster_tree.cluster_names)
    )
    presence_lines = sentences.partial_presence_lines(scores["presence"])
    sentences.print_lines(console, sentences.PRESENCE_TITLE, presence_lines)
    suggestion_lines = sentences.suggestion_lines(cluster_tree.suggested_cuts)
    sentences.print_lines(console, sentences.SUGGESTIONS_TITLE, suggestion_lines)
    if cluster_tree.suggested_cuts:
        first_cut = sentences.describe_first_cut(folder, cluster_tree.suggested_cuts)
        console.print(first_cut, soft_wrap=True, markup=False, highlight=False)
    console.print(sentences.describe_kept_state(scores["kept_step"], scores["steps"]))
    # Without soft_wrap a long path is broken over two lines and cannot be copied.
    results_line = sentences.describe_results(folder, scores["active_clusters"])
    console.print(results_line, soft_wrap=True)
