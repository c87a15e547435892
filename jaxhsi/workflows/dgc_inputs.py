"""What a run trains on, labels and scores, opened from a configuration."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from jaxhsi.config.dgc import DGCConfig
from jaxhsi.data.cache import default_cache
from jaxhsi.data.cube import Cube
from jaxhsi.data.labels.label_files import encode_classes, find_labels, label_names, open_labels
from jaxhsi.data.labels.label_map import LabelMap
from jaxhsi.data.labels.labelme import BACKGROUND
from jaxhsi.data.open import open_sources
from jaxhsi.data.stream import standardised
from jaxhsi.data.synthetic.leaf_cubes import CLASSES, leaf_cubes
from jaxhsi.data.windows import Reader, read_window

Truth = Callable[[Cube], LabelMap | None]
"""Of a cube, to be read by windows: codes of the classes, -1 where unlabelled."""


@dataclass(frozen=True, eq=False)
class Task:
    """What to train on and what to label.

    Attributes:
        train: cubes that windows are drawn from.
        label: cubes that get a label map.
        truth: codes of a cube's true classes, read by windows; None where unknown.
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
        FileNotFoundError, ValueError: see :func:`jaxhsi.data.open.open_sources` and
            :func:`open_truth`.
    """
    if config.data is None:
        return _leaf_task(config)
    cubes = open_sources(
        config.data,
        key=config.key,
        layout=config.layout,
        size=config.size,
        tolerance=config.tolerance,
    )
    truth, classes = (lambda _: None), ()
    if config.labels is not None:
        truth, classes = open_truth(
            config.labels, cubes, key=config.label_key, ignore=config.ignore_label
        )
    return Task(cubes, cubes, truth, classes, reader_of(config, cubes))


def reader_of(config: DGCConfig, cubes: Sequence[Cube]) -> Reader:
    """How a run of this configuration reads windows of cubes."""
    return standardised(cubes) if config.stream.standardise_cubes else read_window


def _leaf_task(config: DGCConfig) -> Task:
    """Train on some built-in scenes; label and score others, from seeds that follow."""
    if config.labels is not None:
        raise ValueError("--labels was given without --data; the built-in scenes know their truth")
    scenes = config.scenes
    seeds = range(scenes.seed, scenes.seed + scenes.train + scenes.test)
    cubes, files = leaf_cubes(default_cache(), scenes.size, seeds)
    # With two clusters there is no cluster for lesions: they count as the tissue they are in.
    classes = CLASSES if config.num_clusters > 2 else CLASSES[:2]

    def truth(cube: Cube) -> LabelMap:
        found, last = open_labels(files[cube.name], cube.shape), len(classes) - 1

        def read(rows: slice, columns: slice) -> Int32[np.ndarray, "h w"]:
            return np.minimum(found.read(rows, columns), np.int32(last))

        return found._replace(read=read, values=tuple(v for v in found.values if v <= last))

    return Task(
        cubes[: scenes.train], cubes[scenes.train :], truth, classes, reader_of(config, cubes)
    )


def open_truth(
    path: Path,
    cubes: Sequence[Cube],
    *,
    key: str | None = None,
    ignore: int | None = None,
    names: dict[int, str] | None = None,
    drawn: bool = False,
) -> tuple[Truth, tuple[str, ...]]:
    """Open the labels of cubes; every file is looked at once.

    Args:
        path: a file, or a folder of files with the stems of the cubes.
        cubes: that may have labels.
        key: of the labels in files that hold several arrays.
        ignore: class value that means unlabelled.
        names: class value -> name; else as the files name it, or "class 3".
        drawn: of LabelMe files the shapes alone count: what lies outside is unlabelled, and
            background is what was drawn as such.

    Returns:
        The truth, and the name of each code, by ascending class values over all cubes.

    Raises:
        FileNotFoundError, ValueError: see :func:`jaxhsi.data.labels.label_files.find_labels` and
            `open_labels`; or every pixel is to be ignored.
    """
    files = find_labels(path, cubes)
    common = label_names(files.values())
    if drawn and common is not None:
        common, ignore = common | {BACKGROUND: len(common)}, 0
    maps = {
        cube.name: open_labels(files[cube.name], cube.shape, key=key, names=common)
        for cube in cubes
        if cube.name in files
    }
    found = sorted({value for each in maps.values() for value in each.values} - {ignore})
    if not found:
        raise ValueError(
            f"{path}: every pixel is {ignore}, which --ignore_label says means unlabelled; check "
            "the labels or drop --ignore_label"
        )
    known = {value: name for each in maps.values() for value, name in each.names.items()}
    known |= names or {}

    def truth(cube: Cube) -> LabelMap | None:
        return _coded(maps[cube.name], found) if cube.name in maps else None

    return truth, tuple(known.get(value, f"class {value}") for value in found)


def _coded(labels: LabelMap, classes: list[int]) -> LabelMap:
    """Codes in place of class values, window by window."""

    def read(rows: slice, columns: slice) -> Int32[np.ndarray, "h w"]:
        return encode_classes(labels.read(rows, columns), classes=classes)[0]

    present = tuple(code for code, value in enumerate(classes) if value in labels.values)
    return LabelMap(labels.shape, read, present, {})
