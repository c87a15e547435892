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

GroundTruth = Callable[[Cube], LabelMap | None]
"""Of a cube, to be read by windows: codes of the classes, -1 where unlabelled."""


@dataclass(frozen=True, eq=False)
class DGCInputs:
    """What to train on and what to label.

    Attributes:
        train_cubes: cubes that windows are drawn from.
        label_cubes: cubes that get a label map.
        ground_truth: codes of a cube's true classes, read by windows; None where unknown.
        class_names: name of each code; empty where there is no truth at all.
        window_reader: how windows are read.
    """

    train_cubes: tuple[Cube, ...]
    label_cubes: tuple[Cube, ...]
    ground_truth: GroundTruth
    class_names: tuple[str, ...]
    window_reader: Reader


def open_dgc_inputs(config: DGCConfig) -> DGCInputs:
    """Open the cubes and look at the labels that a configuration names.

    Raises:
        FileNotFoundError, ValueError: see :func:`jaxhsi.data.open.open_sources` and
            :func:`open_ground_truth`.
    """
    if config.data is None:
        return _leaf_scene_inputs(config)
    cubes = open_sources(
        config.data,
        key=config.key,
        layout=config.layout,
        size=config.size,
        tolerance=config.tolerance,
    )
    truth, classes = (lambda _: None), ()
    if config.labels is not None:
        truth, classes = open_ground_truth(
            config.labels, cubes, array_key=config.label_key, ignore_label=config.ignore_label
        )
    return DGCInputs(cubes, cubes, truth, classes, choose_window_reader(config, cubes))


def choose_window_reader(config: DGCConfig, cubes: Sequence[Cube]) -> Reader:
    """How a run of this configuration reads windows of cubes."""
    return standardised(cubes) if config.stream.standardise_cubes else read_window


def _leaf_scene_inputs(config: DGCConfig) -> DGCInputs:
    """Train on some built-in scenes; label and score others, from seeds that follow."""
    if config.labels is not None:
        raise ValueError("--labels was given without --data; the built-in scenes know their truth")
    scenes = config.scenes
    seeds = range(scenes.seed, scenes.seed + scenes.num_train + scenes.num_test)
    cubes, files = leaf_cubes(default_cache(), scenes.image_size, seeds)
    # With two clusters there is no cluster for lesions: they count as the tissue they are in.
    classes = CLASSES if config.num_clusters > 2 else CLASSES[:2]

    def truth(cube: Cube) -> LabelMap:
        found, last = open_labels(files[cube.name], cube.shape), len(classes) - 1

        def read(rows: slice, columns: slice) -> Int32[np.ndarray, "h w"]:
            return np.minimum(found.read(rows, columns), np.int32(last))

        return found._replace(read=read, values=tuple(v for v in found.values if v <= last))

    return DGCInputs(
        cubes[: scenes.num_train],
        cubes[scenes.num_train :],
        truth,
        classes,
        choose_window_reader(config, cubes),
    )


def open_ground_truth(
    labels_path: Path,
    cubes: Sequence[Cube],
    *,
    array_key: str | None = None,
    ignore_label: int | None = None,
    value_names: dict[int, str] | None = None,
    shapes_only: bool = False,
) -> tuple[GroundTruth, tuple[str, ...]]:
    """Open the labels of cubes; every file is looked at once.

    Args:
        labels_path: a file, or a folder of files with the stems of the cubes.
        cubes: that may have labels.
        array_key: of the labels in files that hold several arrays.
        ignore_label: class value that means unlabelled.
        value_names: class value -> name; else as the files name it, or "class 3".
        shapes_only: of LabelMe files the shapes alone count: what lies outside is unlabelled, and
            background is what was drawn as such.

    Returns:
        The truth, and the name of each code, by ascending class values over all cubes.

    Raises:
        FileNotFoundError, ValueError: see :func:`jaxhsi.data.labels.label_files.find_labels` and
            `open_labels`; or every pixel is to be ignored.
    """
    label_files = find_labels(labels_path, cubes)
    common_names = label_names(label_files.values())
    if shapes_only and common_names is not None:
        common_names, ignore_label = common_names | {BACKGROUND: len(common_names)}, 0
    label_maps = {
        cube.name: open_labels(
            label_files[cube.name], cube.shape, key=array_key, names=common_names
        )
        for cube in cubes
        if cube.name in label_files
    }
    class_values = sorted(
        {value for each in label_maps.values() for value in each.values} - {ignore_label}
    )
    if not class_values:
        raise ValueError(
            f"{labels_path}: every pixel is {ignore_label}, which --ignore_label says means unlabelled; check "
            "the labels or drop --ignore_label"
        )
    name_of_value = {
        value: name for each in label_maps.values() for value, name in each.names.items()
    }
    name_of_value |= value_names or {}

    def truth(cube: Cube) -> LabelMap | None:
        return (
            _encode_values(label_maps[cube.name], class_values) if cube.name in label_maps else None
        )

    return truth, tuple(name_of_value.get(value, f"class {value}") for value in class_values)


def _encode_values(labels: LabelMap, class_values: list[int]) -> LabelMap:
    """Codes in place of class values, window by window."""

    def read(rows: slice, columns: slice) -> Int32[np.ndarray, "h w"]:
        return encode_classes(labels.read(rows, columns), classes=class_values)[0]

    present = tuple(code for code, value in enumerate(class_values) if value in labels.values)
    return LabelMap(labels.shape, read, present, {})
