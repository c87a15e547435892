"""What a run of dgc trains on, labels and scores, opened from its options."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from jaxhsi.config.dgc import DGCConfig
from jaxhsi.data.cache import default_cache_folder
from jaxhsi.data.cube import Cube
from jaxhsi.data.labels.annotation_file import NumberedShapes, is_annotation, number_shapes
from jaxhsi.data.labels.label_files import (
    draws_background,
    encode_classes,
    number_label_classes,
    open_labels,
)
from jaxhsi.data.labels.label_map import LabelMap
from jaxhsi.data.labels.label_search import find_labels
from jaxhsi.data.labels.labelme import BACKGROUND
from jaxhsi.data.open import open_cubes
from jaxhsi.data.stream import standardised_reader
from jaxhsi.data.synthetic.leaf_cubes import CLASS_NAMES, leaf_cubes
from jaxhsi.data.windows import WindowReader, read_window
from jaxhsi.plain_text import plain_name

_log = logging.getLogger(__name__)

MAX_SHAPE_SPECTRA = 200
"""Drawn shapes of a cube whose spectra are gathered. Set by hand: of 200 bands they are 80 MB."""

GroundTruth = Callable[[Cube], LabelMap | None]
"""Codes of the true classes of a cube, read by windows, -1 where unlabelled; None if unknown."""


ShapeReader = Callable[[Cube], NumberedShapes | None]
"""The shapes that were drawn on a cube; None where there are none."""


@dataclass(frozen=True, eq=False)
class DGCInputs:
    """Cubes and true classes of a run.

    Attributes:
        train_cubes: cubes that windows are drawn from.
        label_cubes: cubes that get a label map.
        ground_truth: true classes of a cube; None where they are not known.
        class_names: name of each class code; empty where no true classes are known at all.
        window_reader: how windows of the cubes are read.
        drawn_shapes: shapes that the true classes of a cube were drawn as, where they were.
    """

    train_cubes: tuple[Cube, ...]
    label_cubes: tuple[Cube, ...]
    ground_truth: GroundTruth
    class_names: tuple[str, ...]
    window_reader: WindowReader
    drawn_shapes: ShapeReader = lambda _: None


def open_dgc_inputs(config: DGCConfig) -> DGCInputs:
    """Open the cubes and look at the labels that the options name.

    Args:
        config: the options; without ``data`` the built-in leaf scenes are opened.

    Raises:
        FileNotFoundError, ValueError: see :func:`jaxhsi.data.open.open_cubes` and
            :func:`open_ground_truth`.
    """
    if config.data is None:
        return _open_leaf_scenes(config)
    cubes = open_cubes(
        config.data,
        key=config.key,
        layout=config.layout,
        size=config.size,
        raw=config.raw,
        no_data=config.no_data,
        tolerance=config.tolerance,
    )
    ground_truth, class_names = (lambda _: None), ()
    label_files: dict[str, Path] = {}
    if config.labels is not None:
        label_files = find_labels(config.labels, cubes, config.label_key)
        ground_truth, class_names = open_ground_truth(
            config.labels,
            cubes,
            array_key=config.label_key,
            ignore_label=config.ignore_label,
            unlabelled_outside=config.unlabelled_outside,
            label_files=label_files,
        )

    def drawn_shapes(cube: Cube) -> NumberedShapes | None:
        return number_cube_shapes(label_files.get(cube.name), cube, config.label_key)

    window_reader = choose_window_reader(config, cubes)
    return DGCInputs(cubes, cubes, ground_truth, class_names, window_reader, drawn_shapes)


def number_cube_shapes(path: Path | None, cube: Cube, key: str | None) -> NumberedShapes | None:
    """The shapes of a file for a cube; None where the labels are no shapes, or too many.

    Args:
        path: file of the labels of the cube, or None.
        cube: that they were drawn on.
        key: attribute that holds the class, where shapes have several.
    """
    if path is None or not is_annotation(path):
        return None
    shapes = number_shapes(
        path, cube.shape[:2], picture_name=cube.name, place=cube.georeference, key=key
    )
    if len(shapes.labels) > MAX_SHAPE_SPECTRA:
        _log.warning(
            "%s: no spectra are gathered of its %d shapes, more than %d",
            *(path.name, len(shapes.labels), MAX_SHAPE_SPECTRA),
        )
        return None
    return shapes


def choose_window_reader(config: DGCConfig, cubes: Sequence[Cube]) -> WindowReader:
    """How a run with these options reads windows of cubes.

    Args:
        config: the options; with ``stream.standardise_cubes`` each band is standardised by cube.
        cubes: to be read; measured first if they are standardised.
    """
    return standardised_reader(cubes) if config.stream.standardise_cubes else read_window


def _open_leaf_scenes(config: DGCConfig) -> DGCInputs:
    """Train on some built-in scenes; label and score others, from the seeds that follow."""
    if config.labels is not None:
        raise ValueError("--labels was given without --data; the built-in scenes know their truth")
    scenes = config.scenes
    seeds = range(scenes.seed, scenes.seed + scenes.num_train + scenes.num_test)
    cubes, label_files = leaf_cubes(default_cache_folder(), scenes.image_size, seeds)
    # With two clusters there is no cluster for lesions: they count as the tissue they are in.
    class_names = CLASS_NAMES if config.num_clusters > 2 else CLASS_NAMES[:2]
    last_code = len(class_names) - 1

    def ground_truth(cube: Cube) -> LabelMap:
        label_map = open_labels(label_files[cube.name], cube.shape)

        def read_codes(rows: slice, columns: slice) -> Int32[np.ndarray, "h w"]:
            return np.minimum(label_map.read_labels(rows, columns), np.int32(last_code))

        present_codes = tuple(value for value in label_map.class_values if value <= last_code)
        return label_map._replace(read_labels=read_codes, class_values=present_codes)

    train_cubes, test_cubes = cubes[: scenes.num_train], cubes[scenes.num_train :]
    window_reader = choose_window_reader(config, cubes)
    return DGCInputs(train_cubes, test_cubes, ground_truth, class_names, window_reader)


def open_ground_truth(
    labels_path: Path,
    cubes: Sequence[Cube],
    *,
    array_key: str | None = None,
    ignore_label: int | None = None,
    value_names: dict[int, str] | None = None,
    unlabelled_outside: bool | None = None,
    label_files: Mapping[str, Path] | None = None,
) -> tuple[GroundTruth, tuple[str, ...]]:
    """Open the true classes of cubes; every file is looked at once.

    Args:
        labels_path: a file, or a folder of files, see `label_search.find_labels`.
        cubes: that may have labels.
        array_key: of the labels in files that hold several arrays, or the attribute of drawn shapes
            that names their class.
        ignore_label: class value that means unlabelled.
        value_names: class value -> name; else as the files name it, or "class 3".
        unlabelled_outside: pixels that no drawn shape covers have no class, and background is what
            was drawn as such; False: they are background; None: they are background, unless
            shapes of that name are drawn.
        label_files: file of each cube, where they were searched for already.

    Returns:
        The true classes, and the name of each code, by ascending class values over all cubes.

    Raises:
        FileNotFoundError, ValueError: see :func:`jaxhsi.data.labels.label_search.find_labels` and
            `open_labels`; or every pixel is to be ignored.
    """
    if label_files is None:
        label_files = find_labels(labels_path, cubes, array_key)
    common_names = number_label_classes(label_files.values(), array_key)
    if unlabelled_outside is None:
        unlabelled_outside = draws_background(label_files.values(), array_key)
    if unlabelled_outside and common_names is not None:
        common_names, ignore_label = common_names | {BACKGROUND: len(common_names)}, 0
    label_maps = {
        cube.name: _open_cube_labels(label_files[cube.name], cube, array_key, common_names)
        for cube in cubes
        if cube.name in label_files
    }
    _tell_outside(label_files, label_maps, unlabelled_outside)
    present_values = {value for each in label_maps.values() for value in each.class_values}
    class_values = sorted(present_values - {ignore_label})
    if not class_values:
        ignored = f" or {ignore_label}, which is ignored" if ignore_label is not None else ""
        raise ValueError(
            f"{labels_path}: no pixel has a class, all are unlabelled{ignored}; check the labels, "
            "--ignore_label and --unlabelled_outside"
        )
    name_of_value = {
        value: name for each in label_maps.values() for value, name in each.class_names.items()
    }
    name_of_value |= value_names or {}

    def ground_truth(cube: Cube) -> LabelMap | None:
        if cube.name not in label_maps:
            return None
        return _encode_values(label_maps[cube.name], class_values)

    class_names = (name_of_value.get(value, f"class {value}") for value in class_values)
    return ground_truth, tuple(map(plain_name, class_names))


def _open_cube_labels(
    path: Path, cube: Cube, array_key: str | None, common_names: dict[str, int] | None
) -> LabelMap:
    """The labels of a cube; drawn classes have one numbering in all files."""
    return open_labels(
        path,
        cube.shape,
        key=array_key,
        class_values=common_names if is_annotation(path) else None,
        picture_name=cube.name,
        place=cube.georeference,
    )


def _tell_outside(
    label_files: Mapping[str, Path], label_maps: Mapping[str, LabelMap], is_unlabelled: bool
) -> None:
    """Say how much of each annotated cube no shape covers, and what is made of that."""
    for name, label_map in label_maps.items():
        if not is_annotation(label_files[name]):
            continue
        outside = int((label_map.read_labels(slice(None), slice(None)) == 0).sum())
        reading = (
            "unlabelled; --unlabelled_outside false makes them background"
            if is_unlabelled
            else f"{BACKGROUND}; --unlabelled_outside leaves them without a class"
        )
        share = outside / max(1, label_map.shape[0] * label_map.shape[1])
        _log.info(
            "%s: %s pixels of %s, %.1f %%, are in no drawn shape: %s",
            label_files[name].name,
            f"{outside:,}",
            name,
            100 * share,
            reading,
        )


def _encode_values(label_map: LabelMap, class_values: list[int]) -> LabelMap:
    """A label map of codes in the place of class values, encoded window by window."""

    def read_codes(rows: slice, columns: slice) -> Int32[np.ndarray, "h w"]:
        return encode_classes(label_map.read_labels(rows, columns), class_values=class_values)[0]

    present_codes = tuple(
        code for code, value in enumerate(class_values) if value in label_map.class_values
    )
    return LabelMap(label_map.shape, read_codes, present_codes, {})
