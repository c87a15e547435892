"""Truth that accompanies cubes: label maps of every format, matched to cubes by file stem."""

import difflib
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int, Int32

from jaxhsi.data.cube import Cube
from jaxhsi.data.formats import FORMATS_BY_SUFFIX, file_format
from jaxhsi.data.formats.mat import load_mat, mat_shapes
from jaxhsi.data.formats.npy import load_npy
from jaxhsi.data.labels.label_map import LabelMap, make_label_map
from jaxhsi.data.labels.labelme import (
    BACKGROUND,
    labelme_picture_name,
    load_labelme,
    number_labelme_classes,
)
from jaxhsi.data.labels.pictures import PICTURE_SUFFIXES, is_single_band, load_picture
from jaxhsi.data.labels.torch_file import load_torch

LABEL_SUFFIXES = (".npy", ".mat", ".png", ".tif", ".tiff", ".json", ".pth", ".pt")
KEYED_SUFFIXES = (".mat", ".pth", ".pt")  # may hold several arrays by name
MAPPED_SUFFIXES = (".npy", ".pth", ".pt")  # stay on disk


def open_labels(
    path: str | Path,
    cube_shape: Sequence[int],
    *,
    key: str | None = None,
    class_values: dict[str, int] | None = None,
) -> LabelMap:
    """Open the label map of one cube, to be read by windows.

    Args:
        path: `.npy` (stays on disk), `.mat`, `.png` or `.tif` (indexed: the palette indices;
            greyscale: the values), LabelMe `.json`, or a `.pth` tensor of PyTorch (stays on disk;
            no code in it is run).
        cube_shape: (H, W) or (H, W, C) of the cube.
        key: variable of a `.mat` file; by default the only array of shape (H, W). A table
            (k, H * W), such as the abundances `A` of the Jasper Ridge file, gives for each pixel
            the row of its maximum, 0..k-1; its pixels run down the columns of the image. Also the
            entry of a dict in a `.pth` file; by default the only 2-D tensor of whole numbers.
        class_values: class name -> class value for LabelMe files (`number_label_classes` numbers
            the classes of several files alike); of other files it only names the values.

    Returns:
        The map, its values as they are in the file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unreadable, unknown suffix or key, not whole numbers, or a shape that is not
            the cube's.
    """
    path, image_size = Path(path), (int(cube_shape[0]), int(cube_shape[1]))
    if not path.is_file():
        raise FileNotFoundError(f"no label file at {path}")
    suffix = path.suffix.lower()
    if suffix not in LABEL_SUFFIXES:
        raise ValueError(f"{path}: labels are read from {', '.join(LABEL_SUFFIXES)} files")
    if key is not None and suffix not in KEYED_SUFFIXES:
        raise ValueError(f"{path} holds one array without a name; drop the key {key!r}")
    if suffix == ".json":
        class_values = {**(class_values or number_labelme_classes([path]))}
        class_values.setdefault(BACKGROUND, 0)
    class_names = {value: name for name, value in reversed((class_values or {}).items())}
    return make_label_map(
        lambda: _load_array(path, image_size, key, class_values),
        image_size,
        path,
        class_names=class_names,
        is_memory_mapped=suffix in MAPPED_SUFFIXES,
    )


def load_labels(
    path: str | Path,
    cube_shape: Sequence[int],
    *,
    key: str | None = None,
    class_values: dict[str, int] | None = None,
) -> Int32[np.ndarray, "H W"]:
    """Read the whole label map of one cube; arguments and errors are those of `open_labels`."""
    whole = slice(None)
    return open_labels(path, cube_shape, key=key, class_values=class_values).read_labels(
        whole, whole
    )


def number_label_classes(files: Iterable[str | Path]) -> dict[str, int] | None:
    """Class name -> class value over all LabelMe files, so that cubes agree; None without any."""
    files = [Path(file) for file in files]
    labelme_files = [file for file in files if file.suffix.lower() == ".json"]
    return number_labelme_classes(labelme_files) if labelme_files else None


def _load_array(
    path: Path, image_size: tuple[int, int], key: str | None, names: dict[str, int] | None
) -> np.ndarray:
    suffix = path.suffix.lower()
    if suffix == ".mat":
        return _load_mat(path, image_size, key)
    if suffix == ".json":
        return load_labelme(path, image_size, names or {})
    if suffix in PICTURE_SUFFIXES:
        return load_picture(path, image_size)
    return load_npy(path) if suffix == ".npy" else load_torch(path, key)


def _load_mat(path: Path, image_size: tuple[int, int], key: str | None) -> np.ndarray:
    values = load_mat(path, key or _only_map_key(path, image_size))
    if (
        key
        and values.ndim == 2
        and values.shape != image_size
        and values.shape[1] == image_size[0] * image_size[1]
    ):
        return values.argmax(axis=0).reshape(image_size, order="F")
    return values


def _only_map_key(path: Path, image_size: tuple[int, int]) -> str:
    """Key of the one array that fits the cube."""
    array_shapes = mat_shapes(path)
    map_keys = [key for key, shape in array_shapes.items() if shape == image_size]
    if len(map_keys) == 1:
        return map_keys[0]
    array_list = ", ".join(f"{key} {shape}" for key, shape in array_shapes.items()) or "none"
    raise ValueError(
        f"{path} has {len(map_keys)} arrays of the cube's shape {image_size}; name one by its key. "
        f"Its numeric arrays are: {array_list}"
    )


def encode_classes(
    labels: Int[np.ndarray, "H W"],
    ignore_value: int | None = None,
    class_values: Sequence[int] | None = None,
) -> tuple[Int32[np.ndarray, "H W"], list[int]]:
    """Number the class values consecutively, in ascending order.

    Args:
        labels: class values.
        ignore_value: value that means unlabelled; None where every pixel is labelled, 0 included.
        class_values: the values that count, ascending, to give several maps, or all windows of one,
            one numbering (the windows are then not searched); those in ``labels`` by default.
            Other values are unlabelled.

    Returns:
        codes: index into `class_values`, or -1 where unlabelled.
        class_values: the class values, ascending.
    """
    values = np.unique(labels) if class_values is None else np.asarray(class_values)
    labelled_values = values[values != ignore_value] if ignore_value is not None else values
    if not len(labelled_values):
        return np.full(labels.shape, -1, np.int32), []
    codes = np.minimum(np.searchsorted(labelled_values, labels), len(labelled_values) - 1)
    return np.where(labelled_values[codes] == labels, codes, -1).astype(
        np.int32
    ), labelled_values.tolist()


def find_labels(path: str | Path, cubes: Sequence[Cube]) -> dict[str, Path]:
    """Match label files to cubes.

    A file belongs to the only cube there is, whatever its name, or to the cube of the same stem.
    In a folder, stems are matched; the cubes' own files, and the pictures on which LabelMe files
    were drawn, are passed over. Cubes without labels, and files without a cube, are logged as
    warnings, with the names that come closest.

    Args:
        path: a file, or a folder of them.
        cubes: the cubes, by unique names.

    Returns:
        Cube name -> label file.

    Raises:
        FileNotFoundError: nothing at `path`.
        ValueError: nothing matches, or two files match one cube.
    """
    path, cube_names = Path(path), [cube.name for cube in cubes]
    if path.is_file() and len(cube_names) == 1:
        return {cube_names[0]: path}
    if not path.exists():
        raise FileNotFoundError(f"no labels at {path}")
    files = [path] if path.is_file() else _list_label_files(path, cubes)
    _check_unique(files, cube_names)
    label_files = {file.stem: file for file in files if file.stem in cube_names}
    if not label_files:
        raise ValueError(
            f"no label file in {path} has the stem of a cube; label files: "
            f"{_with_closest_cube((file.name for file in files), cube_names)}; cubes: "
            f"{_join_names(cube_names)}. Name them "
            f"alike, with one of the suffixes {', '.join(LABEL_SUFFIXES)}"
            + ("; or name the label file itself" if len(cube_names) == 1 else "")
        )
    _warn_unmatched(path, files, cube_names)
    return label_files


def _list_label_files(folder: Path, cubes: Sequence[Cube]) -> list[Path]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in LABEL_SUFFIXES)
    image_sizes = {cube.name: cube.shape[:2] for cube in cubes}
    files = [file for file in files if not _is_cube_file(file, image_sizes.get(file.stem))]
    labelme_files = {file.stem: file for file in files if file.suffix.lower() == ".json"}
    return [file for file in files if not _is_annotated_picture(file, labelme_files.get(file.stem))]


def _is_cube_file(file: Path, image_size: tuple[int, int] | None) -> bool:
    """Whether a file beside the labels is the cube itself: a 3-D array and none of (H, W)."""
    suffix = file.suffix.lower()
    if suffix in PICTURE_SUFFIXES:
        return suffix != ".png" and not is_single_band(file)
    if suffix not in FORMATS_BY_SUFFIX:
        return False
    shapes = file_format(file).array_shapes(file).values()
    return any(len(shape) == 3 for shape in shapes) and image_size not in shapes


def _is_annotated_picture(file: Path, labelme_file: Path | None) -> bool:
    """Whether a picture is what the LabelMe file of the same stem was drawn on."""
    if labelme_file is None or file.suffix.lower() not in PICTURE_SUFFIXES:
        return False
    return labelme_picture_name(labelme_file) == file.name


def _check_unique(files: list[Path], cube_names: list[str]) -> None:
    for name in cube_names:
        same_stem = [file.name for file in files if file.stem == name]
        if len(same_stem) > 1:
            raise ValueError(
                f"several label files for cube {name}: {_join_names(same_stem)}; keep one"
            )


def _warn_unmatched(path: Path, files: list[Path], cube_names: list[str]) -> None:
    log = logging.getLogger(__name__)
    stems = {file.stem for file in files}
    unused_files = [file.name for file in files if file.stem not in cube_names]
    if unlabelled_cubes := [name for name in cube_names if name not in stems]:
        log.warning("%s has no labels for the cubes: %s", path, _join_names(unlabelled_cubes))
    if unused_files:
        log.warning(
            "%s has label files that match no cube: %s",
            path,
            _with_closest_cube(unused_files, unlabelled_cubes),
        )


def _join_names(names) -> str:
    return ", ".join(names) or "none"


def _with_closest_cube(files: Iterable[str], cube_names: Sequence[str]) -> str:
    """File names, each with the cube whose name is the most like it, if one is."""
    plain_names = {_plain_name(cube): cube for cube in cube_names}
    hints = []
    for file in files:
        closest_names = difflib.get_close_matches(_plain_name(Path(file).stem), plain_names, n=1)
        hints.append(
            f"{file} (did you mean cube {plain_names[closest_names[0]]}?)"
            if closest_names
            else file
        )
    return _join_names(hints)


def _plain_name(name: str) -> str:
    """A name without what often differs between files of one scene: case and separators."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower())
