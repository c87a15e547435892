"""Truth that accompanies cubes: label maps from arrays and images, matched by file stem."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int, Int32
from PIL import Image, UnidentifiedImageError

from jaxhsi.data.formats import FORMATS, format_of
from jaxhsi.data.formats.mat import load_mat, mat_shapes
from jaxhsi.data.formats.npy import load_npy
from jaxhsi.data.store import Cube

LABEL_SUFFIXES = (".npy", ".mat", ".png")


def load_labels(
    path: str | Path, shape: Sequence[int], *, key: str | None = None
) -> Int32[np.ndarray, "H W"]:
    """Read the label map of one cube.

    Args:
        path: `.npy`, `.mat`, or `.png` (indexed: the palette indices; greyscale: the values).
        shape: (H, W) or (H, W, C) of the cube.
        key: variable of a `.mat` file; by default the only array of shape (H, W). A table
            (k, H * W), such as the abundances `A` of the Jasper Ridge file, gives for each pixel
            the row of its maximum, 0..k-1; its pixels run down the columns of the image.

    Returns:
        Class values as they are in the file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unreadable, unknown suffix or key, not whole numbers, or a shape that is not
            the cube's.
    """
    path, size = Path(path), (int(shape[0]), int(shape[1]))
    if not path.is_file():
        raise FileNotFoundError(f"no label file at {path}")
    suffix = path.suffix.lower()
    if suffix not in LABEL_SUFFIXES:
        raise ValueError(f"{path}: labels are read from {', '.join(LABEL_SUFFIXES)} files")
    if key is not None and suffix != ".mat":
        raise ValueError(f"{path} holds one array without a name; drop the key {key!r}")
    if suffix == ".mat":
        values = load_mat(path, key or _only_map(path, size))
    else:
        values = load_npy(path) if suffix == ".npy" else _load_png(path)
    if key and values.ndim == 2 and values.shape != size and values.shape[1] == size[0] * size[1]:
        values = values.argmax(axis=0).reshape(size, order="F")
    return _whole_numbers(_of_size(values, size, path), path)


def _only_map(path: Path, size: tuple[int, int]) -> str:
    """Key of the one array that fits the cube."""
    shapes = mat_shapes(path)
    maps = [key for key, shape in shapes.items() if shape == size]
    if len(maps) == 1:
        return maps[0]
    listing = ", ".join(f"{key} {shape}" for key, shape in shapes.items()) or "none"
    raise ValueError(
        f"{path} has {len(maps)} arrays of the cube's shape {size}; name one by its key. "
        f"Its numeric arrays are: {listing}"
    )


def _load_png(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            mode, values = image.mode, np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{path} cannot be read as an image; save it again ({error})") from error
    if mode not in ("1", "L", "P", "I", "I;16"):
        raise ValueError(
            f"{path} is a {mode} picture; labels are greyscale or indexed (palette) values, save "
            "it in one of these modes"
        )
    return values


def _of_size(values: np.ndarray, size: tuple[int, int], path: Path) -> np.ndarray:
    if values.shape != size:
        raise ValueError(
            f"{path} has shape {values.shape}, its cube has {size} pixels; give the labels of "
            "this cube, one value for each pixel"
        )
    return values


def _whole_numbers(values: np.ndarray, path: Path) -> Int32[np.ndarray, "H W"]:
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{path} holds {values.dtype.name} values; labels are whole numbers")
    with np.errstate(invalid="ignore"):
        labels = values.astype(np.int32)
    if not np.array_equal(labels, values):
        raise ValueError(f"{path} holds values that are not whole numbers of 32 bits; round them")
    return labels


def encode_classes(
    labels: Int[np.ndarray, "H W"],
    ignore: int | None = None,
    classes: Sequence[int] | None = None,
) -> tuple[Int32[np.ndarray, "H W"], list[int]]:
    """Number the class values consecutively, in ascending order.

    Args:
        labels: class values.
        ignore: value that means unlabelled; None where every pixel is labelled, 0 included.
        classes: the values that count, ascending, to give several maps one numbering; those in
            ``labels`` by default. Other values are unlabelled.

    Returns:
        codes: index into `classes`, or -1 where unlabelled.
        classes: the class values, ascending.
    """
    values = np.unique(labels) if classes is None else np.asarray(classes)
    kept = values[values != ignore] if ignore is not None else values
    if not len(kept):
        return np.full(labels.shape, -1, np.int32), []
    codes = np.minimum(np.searchsorted(kept, labels), len(kept) - 1)
    return np.where(kept[codes] == labels, codes, -1).astype(np.int32), kept.tolist()


def find_labels(path: str | Path, cubes: Sequence[Cube]) -> dict[str, Path]:
    """Match label files to cubes.

    A file belongs to the only cube there is, whatever its name, or to the cube of the same stem.
    In a folder, stems are matched, and the cubes' own files are passed over; cubes without labels,
    and files without a cube, are logged as warnings.

    Args:
        path: a file, or a folder of them.
        cubes: the cubes, by unique names.

    Returns:
        Cube name -> label file.

    Raises:
        FileNotFoundError: nothing at `path`.
        ValueError: nothing matches, or two files match one cube.
    """
    path, names = Path(path), [cube.name for cube in cubes]
    if path.is_file() and len(names) == 1:
        return {names[0]: path}
    if not path.exists():
        raise FileNotFoundError(f"no labels at {path}")
    files = [path] if path.is_file() else _label_files(path, cubes)
    _check_unique(files, names)
    found = {file.stem: file for file in files if file.stem in names}
    if not found:
        raise ValueError(
            f"no label file in {path} has the stem of a cube; label files: "
            f"{_names(file.name for file in files)}; cubes: {_names(names)}. Name them alike, "
            f"with one of the suffixes {', '.join(LABEL_SUFFIXES)}"
        )
    _report_unmatched(path, files, names)
    return found


def _label_files(folder: Path, cubes: Sequence[Cube]) -> list[Path]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in LABEL_SUFFIXES)
    sizes = {cube.name: cube.shape[:2] for cube in cubes}
    return [file for file in files if not _is_the_cube(file, sizes.get(file.stem))]


def _is_the_cube(file: Path, size: tuple[int, int] | None) -> bool:
    """Whether a file beside the labels is the cube itself: a 3-D array and none of (H, W)."""
    if file.suffix.lower() not in FORMATS:
        return False
    shapes = format_of(file).shapes(file).values()
    return any(len(shape) == 3 for shape in shapes) and size not in shapes


def _check_unique(files: list[Path], names: list[str]) -> None:
    for name in names:
        same = [file.name for file in files if file.stem == name]
        if len(same) > 1:
            raise ValueError(f"several label files for cube {name}: {_names(same)}; keep one")


def _report_unmatched(path: Path, files: list[Path], names: list[str]) -> None:
    log = logging.getLogger(__name__)
    stems = {file.stem for file in files}
    if without := [name for name in names if name not in stems]:
        log.warning("%s has no labels for the cubes: %s", path, _names(without))
    if unused := [file.name for file in files if file.stem not in names]:
        log.warning("%s has label files that match no cube: %s", path, _names(unused))


def _names(names) -> str:
    return ", ".join(names) or "none"
