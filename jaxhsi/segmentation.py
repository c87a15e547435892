"""One run of DGC, from cubes on disk to a folder of labels, pictures and scores."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from jaxhsi import metrics, report
from jaxhsi.config import DGCConfig, build_method, write_config
from jaxhsi.data.labels import encode_classes, find_labels, load_labels
from jaxhsi.data.scenes import CLASSES, leaf_cubes
from jaxhsi.data.sources import default_cache, open_sources
from jaxhsi.data.store import Cube, read_window
from jaxhsi.data.stream import Reader, sample_spectra, standardised, window_stream
from jaxhsi.dgc.algorithm import DGC
from jaxhsi.dgc.views import window_size
from jaxhsi.runtime.checkpoint import Checkpoints
from jaxhsi.runtime.fit import fit
from jaxhsi.runtime.folder import CONFIG, check_folder, claim_folder, fresh_folder
from jaxhsi.runtime.labelling import Labelled, label_tiles, label_writer
from jaxhsi.runtime.logbook import Logbook
from jaxhsi.runtime.parallel import device_mesh, replicate

Truth = Callable[[Cube], np.ndarray | None]


@dataclass(frozen=True, eq=False)
class Task:
    """What to train on and what to label.

    Attributes:
        train: cubes that windows are drawn from.
        label: cubes that get a label map.
        truth: codes (H, W) of a cube's true classes, -1 where unlabelled; None where unknown.
            Read when asked for, one cube at a time.
        classes: name of each code; empty where there is no truth at all.
        read: how windows are read.
    """

    train: tuple[Cube, ...]
    label: tuple[Cube, ...]
    truth: Truth
    classes: tuple[str, ...]
    read: Reader


def segment(config: DGCConfig, *, resume: bool = False, overwrite: bool = False) -> dict[str, Any]:
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
    task = open_task(config)
    _check_cubes(config, task)
    method = build_method(config, task.train[0].shape[2])
    claim_folder(folder, overwrite=overwrite)
    write_config(config, folder / CONFIG)
    console.print(f"{len(task.train)} cube(s) of {task.train[0].shape}, {mesh.size} device(s)")

    start = _start(config, method, task, console)
    stream = window_stream(
        task.train,
        window_size(config.views),
        config.stream.batch,
        config.seed,
        read=task.read,
        threads=config.stream.threads,
        ahead=config.stream.ahead,
    )
    checkpoints = Checkpoints(folder / "checkpoints")
    state = jax.tree.map(jnp.copy, start)  # the step uses up the state that it is given
    if resume and checkpoints.latest() is not None:
        state = checkpoints.restore(replicate(mesh, state), stream)
    state = fit(
        jax.random.key(config.seed),
        state,
        method.step,
        stream,
        mesh,
        config.steps,
        Logbook(folder, int(state.step), config.steps),
        checkpoints,
        log_every=config.log_every,
        save_every=config.save_every,
    )
    checkpoints.close()
    scores = _label(config, method, task, start, jax.device_get(state), folder)
    scores |= {"steps": int(state.step), "seconds": time.perf_counter() - began}
    (folder / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")
    _show(console, scores, task, folder)
    return scores


def open_task(config: DGCConfig) -> Task:
    """Open the cubes and look at the labels that a configuration names.

    Raises:
        FileNotFoundError, ValueError: see :func:`jaxhsi.data.sources.open_sources` and
            :func:`jaxhsi.data.labels.load_labels`.
    """
    if config.data is None:
        return _leaf_task(config)
    cubes = open_sources(config.data, key=config.key, layout=config.layout, size=config.size)
    read = standardised(cubes) if config.stream.standardise_cubes else read_window
    truth, classes = _truth(config, cubes)
    return Task(cubes, cubes, truth, classes, read)


def _leaf_task(config: DGCConfig) -> Task:
    """Train on some built-in scenes; label and score others, from seeds that follow."""
    if config.labels is not None:
        raise ValueError("--labels was given without --data; the built-in scenes know their truth")
    scenes = config.scenes
    seeds = range(scenes.seed, scenes.seed + scenes.train + scenes.test)
    cubes, files = leaf_cubes(default_cache(), scenes.size, seeds)
    # With two clusters there is no cluster for lesions: they count as the tissue they are in.
    classes = CLASSES if config.num_clusters > 2 else CLASSES[:2]

    def truth(cube: Cube) -> np.ndarray:
        return np.minimum(np.load(files[cube.name]).astype(np.int32), len(classes) - 1)

    read = standardised(cubes) if config.stream.standardise_cubes else read_window
    return Task(cubes[: scenes.train], cubes[scenes.train :], truth, classes, read)


def _truth(config: DGCConfig, cubes: tuple[Cube, ...]) -> tuple[Truth, tuple[str, ...]]:
    if config.labels is None:
        return lambda _: None, ()
    files = find_labels(config.labels, cubes)

    def values(cube: Cube) -> np.ndarray:
        return load_labels(files[cube.name], cube.shape, key=config.label_key)

    labelled = [cube for cube in cubes if cube.name in files]
    found = {c for cube in labelled for c in encode_classes(values(cube), config.ignore_label)[1]}
    classes = sorted(found)
    if not classes:
        raise ValueError(
            f"{config.labels}: every pixel is {config.ignore_label}, which --ignore_label says "
            "means unlabelled; check the labels or drop --ignore_label"
        )

    def truth(cube: Cube) -> np.ndarray | None:
        if cube.name not in files:
            return None
        return encode_classes(values(cube), classes=classes)[0]

    return truth, tuple(f"class {c}" for c in classes)


def _check_cubes(config: DGCConfig, task: Task) -> None:
    crop = config.views.crop
    for cube in task.train:
        if min(cube.shape[:2]) < crop:
            raise ValueError(
                f"{cube.url} has {cube.shape[0]} x {cube.shape[1]} pixels, less than a crop of "
                f"{crop}; lower --views.crop"
            )


def _start(config: DGCConfig, method: DGC, task: Task, console: Console) -> Any:
    """The method's first state, from spectra drawn over all training cubes."""
    sample = sample_spectra(task.train, config.stream.sample, config.seed, read=task.read)
    if sample.invalid:
        console.print(
            f"{sample.invalid:,} of {sample.seen:,} pixels read are not valid (NaN, infinite or "
            "no data); they are left out of training, clusters and scores"
        )
    return method.init(jax.random.key(config.seed), jnp.asarray(sample.spectra))


@dataclass(frozen=True)
class Tally:
    """Counts over the labels of some pixels; they add up.

    Attributes:
        pixels: in each cluster, (k,).
        invalid: in none.
        confusion: clusters against classes, (k, c).
    """

    pixels: np.ndarray
    invalid: int
    confusion: np.ndarray

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.pixels + other.pixels,
            self.invalid + other.invalid,
            self.confusion + other.confusion,
        )


def _tally(part: Labelled, truth: np.ndarray | None, clusters: int, classes: int) -> Tally:
    kept = part.labels[part.labels >= 0]
    confusion = np.zeros((clusters, classes), np.int64)
    if truth is not None:
        confusion = metrics.confusion(part.labels, truth[part.slices], clusters, classes)
    return Tally(np.bincount(kept, minlength=clusters), part.labels.size - kept.size, confusion)


def _label(
    config: DGCConfig, method: DGC, task: Task, start: Any, state: Any, folder: Path
) -> dict[str, Any]:
    """Label all cubes, write maps and pictures, and score the start beside the trained state."""
    predict, clusters, classes = jax.jit(method.predict), config.num_clusters, len(task.classes)
    trained, untrained = {}, []

    def count(state: Any, cube: Cube, write: Callable[[Labelled], None]) -> Tally:
        total = Tally(np.zeros(clusters, np.int64), 0, np.zeros((clusters, classes), np.int64))
        for part in label_tiles(
            predict,
            state,
            cube,
            halo=method.halo,
            full_rows=method.full_rows,
            tile=config.stream.tile,
            read=task.read,
        ):
            write(part)
            total += _tally(part, truth, clusters, classes)
        return total

    for cube in task.label:
        truth = task.truth(cube)
        note = f"labelled by DGC with {clusters} clusters after {config.steps} steps"
        with label_writer(folder / "labels", cube, note) as write:
            trained[cube.name] = count(state, cube, write)
        if truth is not None:
            untrained.append(count(start, cube, lambda _: None))
        _picture(folder, cube, truth, trained[cube.name], task.classes)
    return _scores(trained, untrained, task.classes)


def _scores(
    trained: dict[str, Tally], untrained: list[Tally], classes: tuple[str, ...]
) -> dict[str, Any]:
    total = reduce(add, trained.values())
    active = total.pixels > metrics.ACTIVE_SHARE * total.pixels.sum()
    scores = {
        "active_clusters": int(active.sum()),
        "pixels": total.pixels.tolist(),
        "invalid_pixels": total.invalid,
        "cubes": {name: tally.pixels.tolist() for name, tally in trained.items()},
    }
    if classes:
        start = metrics.scores(reduce(add, untrained).confusion)
        scores |= metrics.scores(total.confusion)
        scores |= {"classes": list(classes), "start": start}
    return scores


def _picture(
    folder: Path, cube: Cube, truth: np.ndarray | None, tally: Tally, classes: tuple[str, ...]
) -> None:
    step = report.thinning(cube.shape)
    labels = np.load(folder / "labels" / f"{cube.name}.npy", mmap_mode="r")[::step, ::step]
    clusters = len(tally.pixels)
    panels = [
        ("false colour", report.false_colour(cube)),
        ("clusters", report.cluster_map(labels, clusters)),
    ]
    if truth is not None:
        # Each class in the colour of its largest cluster, so that the two maps compare by eye.
        shown = tally.confusion.argmax(0)
        coded = truth[::step, ::step]
        panels.append(
            ("truth", report.cluster_map(np.where(coded < 0, -1, shown[coded]), clusters))
        )
    share = tally.pixels / max(tally.pixels.sum(), 1)
    legend = [(f"{k}: {share[k]:.1%}", k) for k in np.argsort(-share).tolist() if share[k] > 0]
    path = folder / "pictures" / f"{cube.name}.png"
    path.parent.mkdir(exist_ok=True)
    report.save_picture(path, panels, legend)


def _show(console: Console, scores: dict[str, Any], task: Task, folder: Path) -> None:
    classes = task.classes
    names = ["" for _ in scores["pixels"]]
    if classes:
        names = [classes[c] if c >= 0 else "" for c in scores["alignment"]["merge"]]
        console.print(report.score_table(scores["start"], scores, classes))
    console.print(report.share_table(np.asarray(scores["pixels"]), names))
    console.print(f"{scores['active_clusters']} active clusters; results are in {folder}")
