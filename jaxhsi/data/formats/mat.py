"""MATLAB .mat files: version 5 through SciPy, version 7.3 (HDF5) through h5py.

Version 5 keeps a variable as one compressed block, so it passes through memory whole; version 7.3
is read in slabs. Shapes are always those that MATLAB shows: HDF5 stores the axes in the opposite
order, which is undone here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from jaxhsi.data.formats.file_errors import open_hdf5_file, reading_errors
from jaxhsi.data.formats.volume import WAVELENGTH_KEYS, Volume, plausible_wavelengths

FILE_KIND, FILE_KIND_HDF5 = "a MATLAB", "a MATLAB 7.3"
NUMERIC_CLASSES = {"double", "single"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}


def _is_hdf5(path: Path) -> bool:
    """Version 7.3 says so in the text that opens the file, before the HDF5 part at byte 512."""
    with path.open("rb") as file:
        first_bytes = file.read(520)
    return b"\x89HDF\r\n\x1a\n" in (
        first_bytes[:8],
        first_bytes[512:520],
    ) or first_bytes.startswith(b"MATLAB 7.3")


def mat_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the real numeric arrays in a .mat file, as MATLAB shows them.

    Raises:
        ValueError: unreadable or truncated.
        ImportError: version 7.3 without h5py.
    """
    if not _is_hdf5(path):
        with reading_errors(path, FILE_KIND):
            variables = scipy.io.whosmat(path)
        return {key: tuple(shape) for key, shape, kind in variables if kind in NUMERIC_CLASSES}
    with open_hdf5_file(path, FILE_KIND_HDF5) as file, reading_errors(path, FILE_KIND):
        arrays = {key: item for key, item in file.items() if hasattr(item, "dtype")}
        return {key: item.shape[::-1] for key, item in arrays.items() if _is_numeric(item)}


def _is_numeric(dataset: Any) -> bool:
    """Text and truth values are stored as integers too, and told apart by their MATLAB class."""
    matlab_class = dataset.attrs.get("MATLAB_class", b"")
    matlab_class = matlab_class.decode() if isinstance(matlab_class, bytes) else matlab_class
    return dataset.dtype.kind in "iuf" and matlab_class not in ("char", "logical", "cell")


def load_mat(path: Path, key: str) -> np.ndarray:
    """One variable of a .mat file, in memory, with MATLAB's axes.

    Raises:
        ValueError: no such variable (the message names those there are), or unreadable.
        ImportError: version 7.3 without h5py.
    """
    if not _is_hdf5(path):
        with reading_errors(path, FILE_KIND):
            variables = scipy.io.loadmat(path, variable_names=[key])
    else:
        with open_hdf5_file(path, FILE_KIND_HDF5) as file, reading_errors(path, FILE_KIND):
            variables = {key: file[key][()].T} if key in file else {}
    if key not in variables:
        raise ValueError(f"{path} has no key {key!r}; {_describe_arrays(path)}")
    return variables[key]


def _describe_arrays(path: Path) -> str:
    shapes = ", ".join(f"{key} {shape}" for key, shape in mat_shapes(path).items())
    return f"its numeric arrays are: {shapes or 'none'}"


@contextmanager
def open_mat(
    path: Path, *, key: str | None = None, size: tuple[int, int] | None = None
) -> Iterator[Volume]:
    """Open the 3-D array of a .mat file.

    A table `(C, H * W)` whose pixels run down the columns, as in the Jasper Ridge and Samson
    files, is taken as a cube where `size` or the file's own nRow and nCol give (H, W).

    Args:
        path: the file.
        key: variable; by default the only 3-D numeric array, else the table with most rows.
        size: (H, W) of a table.

    Raises:
        ValueError: unreadable, no such key, none or several 3-D arrays, or no real numbers.
        ImportError: version 7.3 without h5py.
    """
    array_shapes = mat_shapes(path)
    size = size or _image_size_of_file(path, array_shapes)
    key = key or _guess_key(path, array_shapes, size)
    if key not in array_shapes:
        raise ValueError(f"{path} has no numeric array {key!r}; {_describe_arrays(path)}")
    wavelengths = _read_wavelengths(path, array_shapes)
    if len(array_shapes[key]) == 2:
        height, width = _table_size(path, key, array_shapes[key], size)
        pixels = load_mat(path, key).reshape(-1, height, width, order="F")
        yield Volume(path, key, pixels.shape, pixels.__getitem__, wavelengths, layout="chw")
        return
    if len(array_shapes[key]) != 3 or 0 in array_shapes[key]:
        raise ValueError(
            f"{path}: {key!r} has shape {array_shapes[key]}; a cube has three non-empty axes, "
            "(H, W, C) "
            f"or (C, H, W); choose another with --key, {_describe_arrays(path)}"
        )
    if _is_hdf5(path):
        with open_hdf5_file(path, FILE_KIND_HDF5) as file:
            yield Volume(path, key, array_shapes[key], _slab_reader(path, file[key]), wavelengths)
    else:
        load_once = cache(lambda: load_mat(path, key))
        yield Volume(path, key, array_shapes[key], lambda index: load_once()[index], wavelengths)


def _slab_reader(path: Path, dataset: Any):
    def read(index: tuple[slice, slice, slice]) -> np.ndarray:
        with reading_errors(path, FILE_KIND):
            return dataset[index[::-1]].T

    return read


def _image_size_of_file(
    path: Path, array_shapes: dict[str, tuple[int, ...]]
) -> tuple[int, int] | None:
    if not {"nRow", "nCol"} <= array_shapes.keys():
        return None
    return int(load_mat(path, "nRow").item()), int(load_mat(path, "nCol").item())


def _guess_key(
    path: Path, array_shapes: dict[str, tuple[int, ...]], size: tuple[int, int] | None
) -> str:
    cubes = [key for key, shape in array_shapes.items() if len(shape) == 3]
    if len(cubes) == 1:
        return cubes[0]
    if len(cubes) > 1:
        raise ValueError(
            f"{path} has several 3-D arrays, choose one with --key; {_describe_arrays(path)}"
        )
    tables = [
        key for key, shape in array_shapes.items() if size and shape[1:] == (size[0] * size[1],)
    ]
    if tables:
        return max(tables, key=lambda key: array_shapes[key][0])
    raise ValueError(
        f"{path} has no 3-D array; {_describe_arrays(path)}. A table (C, H * W) needs "
        "--size '[H,W]' with its own H and W"
    )


def _table_size(path: Path, key: str, table_shape: tuple[int, ...], size: tuple[int, int] | None):
    if size is None or size[0] * size[1] != table_shape[1] or 0 in table_shape:
        raise ValueError(
            f"{path}: {key!r} is a table of shape {table_shape} and the image size is "
            f"{size or 'not known'}; give --size '[H,W]' with H * W = {table_shape[1]}, or another "
            "--key; "
            f"{_describe_arrays(path)}"
        )
    return size


def _read_wavelengths(path: Path, array_shapes: dict[str, tuple[int, ...]]) -> np.ndarray | None:
    wavelength_keys = [key for key in array_shapes if key.lower() in WAVELENGTH_KEYS]
    return plausible_wavelengths(load_mat(path, wavelength_keys[0])) if wavelength_keys else None
