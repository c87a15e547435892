"""One run of DGC, from cubes on disk to a folder of labels, pictures and scores."""

import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from rich.console import Console

from jaxhsi.cluster_groups import default_cluster_name
from jaxhsi.config.dgc import FREE_TO_CHANGE, DGCConfig, build_method
from jaxhsi.config.files import check_same_run, write_config
from jaxhsi.data.manifest import manifest_json
from jaxhsi.data.stream import sample_spectra, window_stream
from jaxhsi.dgc.algorithm import DGC
from jaxhsi.dgc.views import window_size
from jaxhsi.report import tables
from jaxhsi.report.cluster_presence import (
    cluster_presence,
    partial_presence_lines,
    write_presence_files,
)
from jaxhsi.report.merge_tree import draw_tree, format_tree
from jaxhsi.report.training_curves import plot_training_curves
from jaxhsi.sharding import device_mesh, replicate
from jaxhsi.training.best_state import Watch, read_probe
from jaxhsi.training.checkpoints import Checkpoints
from jaxhsi.training.loop import fit
from jaxhsi.training.metrics_writer import Logbook
from jaxhsi.training.run_folder import CONFIG, CUBES, check_folder, claim_folder, fresh_folder
from jaxhsi.workflows.dgc_inputs import DGCInputs, open_dgc_inputs
from jaxhsi.workflows.label_maps import label_and_score_cubes
from jaxhsi.workflows.merge_tree_files import (
    ClusterTree,
    build_cluster_tree,
    embed_sample,
    score_cuts,
    write_cluster_tree,
)


def run_dgc(config: DGCConfig, *, resume: bool = False, overwrite: bool = False) -> dict[str, Any]:
    """Train on cubes, label them, score the labels, and leave it all in a folder.

    Returns:
        What ``scores.json`` holds.

    Raises:
        FileExistsError: the folder holds a run already.
        FileNotFoundError, ValueError: data, labels or options that cannot be used. Raised before
            anything is trained, and before anything is deleted.
    """
    console, began = Console(), time.perf_counter()
    mesh = device_mesh(config.devices, config.stream.batch)
    folder = config.out or fresh_folder(Path("runs"), "dgc")
    check_folder(folder, resume=resume, overwrite=overwrite)
    if resume:
        check_same_run(config, folder / CONFIG, FREE_TO_CHANGE)
    inputs = open_dgc_inputs(config)
    _check_cubes(config, inputs)
    method = build_method(config, inputs.train_cubes[0].shape[2])
    console.print(
        f"{len(inputs.train_cubes)} cube(s) of {inputs.train_cubes[0].shape}, {mesh.size} device(s)"
    )
    start, sample = _start(config, method, inputs, console)
    claim_folder(folder, overwrite=overwrite)
    write_config(config, folder / CONFIG)
    (folder / CUBES).write_text(json.dumps(manifest_json(inputs.train_cubes), indent=1) + "\n")

    stream = window_stream(
        inputs.train_cubes,
        window_size(config.views),
        config.stream.batch,
        config.seed,
        read=inputs.window_reader,
        threads=config.stream.threads,
        ahead=config.stream.ahead,
    )
    watch = _watch(config, method, inputs, mesh)
    sample = embed_sample(config, start, sample)  # much smaller
    state = jax.tree.map(jnp.copy, start)  # the step uses up the state that it is given
    with Checkpoints(folder / "checkpoints") as checkpoints:
        if resume and checkpoints.latest() is not None:
            state = checkpoints.restore(replicate(mesh, state), stream, watch.record)
        state = fit(
            jax.random.key(config.seed),
            state,
            method.step,
            stream,
            mesh,
            config.steps,
            Logbook(folder, int(state.step), config.steps),
            checkpoints,
            watch,
            log_every=config.log_every,
            save_every=config.save_every,
        )
    steps, best_step = int(state.step), watch.record.kept_step(int(state.step))
    if watch.degraded:
        console.print(watch.verdict())
    plot_training_curves(folder / "pictures" / "training.png", folder / "metrics.jsonl", best_step)
    kept = jax.device_get(watch.record.kept(state) if config.keep == "best" else state)
    scores = label_and_score_cubes(config, method, inputs, start, kept, folder)
    found = _group(config, kept, sample, scores, folder)
    scores |= {"steps": steps, "best_step": best_step, "kept_step": int(kept.step)}
    scores |= {"seconds": time.perf_counter() - began}
    (folder / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")
    _show(console, scores, found, inputs, folder)
    return scores


def _group(
    config: DGCConfig, state: Any, sample: Any, scores: dict[str, Any], folder: Path
) -> ClusterTree:
    """Leave the tree of the clusters in the folder, and what of it can be scored in the scores."""
    pixels, classes = np.asarray(scores["pixels"]), scores.get("classes", [])
    majority = np.asarray(scores["alignment"]["merge"]) if classes else None
    found = build_cluster_tree(config, state, sample, pixels, majority, tuple(classes))
    write_cluster_tree(folder, found)
    marked = [each.groups for each in found.suggested_cuts]
    draw_tree(folder / "tree.png", found.tree, found.pixel_shares, found.cluster_names, marked)
    if classes:
        scores["cuts"] = score_cuts(found.tree, np.asarray(scores["confusion"]))
    cubes = {name: np.asarray(counts) for name, counts in scores["cubes"].items()}
    scores["presence"] = cluster_presence(
        cubes, [default_cluster_name(k) for k in range(len(pixels))]
    )
    write_presence_files(folder, scores["presence"])
    return found


def _check_cubes(config: DGCConfig, task: DGCInputs) -> None:
    crop = config.views.crop
    for cube in task.train_cubes:
        if min(cube.shape[:2]) < crop:
            raise ValueError(
                f"{cube.url} has {cube.shape[0]} x {cube.shape[1]} pixels, less than a crop of "
                f"{crop}; lower --views.crop"
            )


def _start(config: DGCConfig, method: DGC, task: DGCInputs, console: Console) -> tuple[Any, Any]:
    """The method's first state, and the spectra drawn over all training cubes that it is from."""
    sample = sample_spectra(
        task.train_cubes, config.stream.sample, config.seed, read=task.window_reader
    )
    if sample.invalid:
        console.print(
            f"{sample.invalid:,} of {sample.seen:,} pixels read are not valid (NaN, infinite or "
            "no data); they are left out of training, clusters and scores"
        )
    spectra = jnp.asarray(sample.spectra)
    return method.init(jax.random.key(config.seed), spectra), spectra


def _watch(config: DGCConfig, method: DGC, task: DGCInputs, mesh: Mesh) -> Watch:
    """Looks at a probe that is drawn from all training cubes."""
    options = config.watch
    probe = read_probe(
        task.train_cubes,
        config.views,
        config.stream.batch,
        config.seed,
        options.windows,
        task.window_reader,
    )
    how = {"every": options.every, "patience": options.patience, "margin": options.margin}
    return Watch(mesh, method, config.num_clusters, probe, **how)


def _show(
    console: Console, scores: dict[str, Any], found: ClusterTree, task: DGCInputs, folder: Path
) -> None:
    classes = task.class_names
    names = ["" for _ in scores["pixels"]]
    if classes:
        names = [classes[c] if c >= 0 else "" for c in scores["alignment"]["merge"]]
        console.print(tables.score_table(scores["start"], scores, classes))
    console.print(tables.share_table(np.asarray(scores["pixels"]), names))
    console.print(format_tree(found.tree, found.pixel_shares, found.cluster_names))
    tables.print_lines(console, "in some cubes alone:", partial_presence_lines(scores["presence"]))
    suggested = [f"{each.groups}: {each.reason}" for each in found.suggested_cuts]
    tables.print_lines(console, "numbers of groups to look at, none of them applied:", suggested)
    console.print(f"the state of step {scores['kept_step']} of {scores['steps']} is kept")
    told = f"{scores['active_clusters']} active clusters; results are in {folder}"
    console.print(told, soft_wrap=True)  # a path broken over two lines cannot be copied
