"""What a run trains on, labels and scores, opened from a configuration."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jaxhsi.config.dgc import DGCConfig
from jaxhsi.data.labels import encode_classes, find_labels, load_labels
from jaxhsi.data.scenes import CLASSES, leaf_cubes
from jaxhsi.data.sources import default_cache, open_sources
from jaxhsi.data.store import Cube
from jaxhsi.data.stream import Reader, standardised
from jaxhsi.data.windows import read_window

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
