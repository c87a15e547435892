"""MATLAB .mat files: version 5 through SciPy, version 7.3 (HDF5) through h5py.

Version 5 keeps a variable as one compressed block, so it passes through memory whole; version 7.3
is read in slabs. Shapes are always those that MATLAB shows: HDF5 stores the axes in the opposite
order, which is undone here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from jaxhsi.data.formats.container import ArrayContainer, NamedArray
from jaxhsi.data.formats.file_errors import open_hdf5_file, reading_errors
from jaxhsi.data.formats.named_arrays import select_cube
from jaxhsi.data.formats.volume import Volume

FILE_KIND, FILE_KIND_HDF5 = "a MATLAB", "a MATLAB 7.3"
NUMERIC_CLASSES = {"double", "single"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}


def is_hdf5_mat(path: Path) -> bool:
    """Version 7.3 says so in the text that opens the file, before the HDF5 part at byte 512."""
    with path.open("rb") as file:
        first_bytes = file.read(520)
    return b"\x89HDF\r\n\x1a\n" in (
        first_bytes[:8],
        first_bytes[512:520],
    ) or first_bytes.startswith(b"MATLAB 7.3")


def mat_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the real numeric variables in a .mat file, as MATLAB shows them.

    Raises:
        ValueError: unreadable or truncated.
        ImportError: version 7.3 without h5py.
    """
    return {key: shape for key, shape in mat_tree_shapes(path).items() if "/" not in key}


def mat_tree_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """As `mat_shapes`, with the fields of structs too, whose key is struct/field."""
    if not is_hdf5_mat(path):
        return _shapes_v5(path, path.stat().st_mtime_ns)
    with open_hdf5_file(path, FILE_KIND_HDF5) as file, reading_errors(path, FILE_KIND):
        return {key: item.shape[::-1] for key, item in _numeric_items(file).items()}


@lru_cache(maxsize=64)
def _shapes_v5(path: Path, modified: int) -> dict[str, tuple[int, ...]]:
    """As `mat_tree_shapes`; structs must be read for it, so that the answer is kept."""
    del modified
    with reading_errors(path, FILE_KIND):
        variables = scipy.io.whosmat(path)
        structs = [key for key, _, kind in variables if kind == "struct"]
        loaded = scipy.io.loadmat(path, variable_names=structs) if structs else {}
    shapes = {key: tuple(shape) for key, shape, kind in variables if kind in NUMERIC_CLASSES}
    for key in structs:
        fields = _struct_fields(key, loaded[key])
        shapes |= {name: v.shape for name, v in fields.items() if v.dtype.kind in "iuf"}
    return shapes


def _struct_fields(key: str, value: Any) -> dict[str, np.ndarray]:
    """Arrays in a single struct and in those below it, by their paths."""
    if not isinstance(value, np.ndarray) or value.size == 0:
        return {}
    if value.dtype.names is None:
        return {key: value}
    fields = {}
    if value.size == 1:
        for name in value.dtype.names:
            fields |= _struct_fields(f"{key}/{name}", value.ravel()[0][name])
    return fields


def _numeric_items(file: Any) -> dict[str, Any]:
    """Numeric datasets of a version 7.3 file, in structs too, by their paths."""
    items = {}

    def visit(name: str, item: Any) -> None:
        if hasattr(item, "dtype") and not name.startswith("#") and _is_numeric(item):
            items[name] = item

    file.visititems(visit)
    return items


def _is_numeric(dataset: Any) -> bool:
    """Text and truth values are stored as integers too, and told apart by their MATLAB class."""
    matlab_class = dataset.attrs.get("MATLAB_class", b"")
    matlab_class = matlab_class.decode() if isinstance(matlab_class, bytes) else matlab_class
    return dataset.dtype.kind in "iuf" and matlab_class not in ("char", "logical", "cell")


def load_mat(path: Path, key: str) -> np.ndarray:
    """One variable of a .mat file, or struct/field, in memory, with MATLAB's axes.

    Raises:
        ValueError: no such variable (the message names those there are), or unreadable.
        ImportError: version 7.3 without h5py.
    """
    if not is_hdf5_mat(path):
        name = key.split("/")[0]
        with reading_errors(path, FILE_KIND):
            variables = scipy.io.loadmat(path, variable_names=[name])
        if name in variables:
            variables = variables | _struct_fields(name, variables[name])
    else:
        with open_hdf5_file(path, FILE_KIND_HDF5) as file, reading_errors(path, FILE_KIND):
            variables = {key: file[key][()].T} if key in _numeric_items(file) else {}
    if key not in variables:
        raise ValueError(f"{path} has no key {key!r}; {_describe_arrays(path)}")
    return variables[key]


def _describe_arrays(path: Path) -> str:
    shapes = ", ".join(f"{key} {shape}" for key, shape in mat_tree_shapes(path).items())
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
        key: variable, or struct/field; by default the only 3-D numeric array (see
            `cube_choice.choose_cube`), else the table with most rows.
        size: (H, W) of a table.

    Raises:
        ValueError: unreadable, no such key, none or several 3-D arrays, or no real numbers.
        ImportError: version 7.3 without h5py.
    """
    array_shapes = mat_tree_shapes(path)
    size = size or _image_size_of_file(path, array_shapes)
    key = key and key.replace(".", "/")
    table_key = _table_key(path, array_shapes, key, size)
    with _opened_container(path, array_shapes) as container:
        if table_key is None:
            yield select_cube(container, key)
            return
        height, width = _table_size(path, table_key, array_shapes[table_key], size)
        table = container.read_array(table_key, (slice(None), slice(None)))
        pixels = table.reshape(-1, height, width, order="F")
        arrays = container.arrays | {table_key: NamedArray(pixels.shape, ("band", "y", "x"), {})}
        readers = {table_key: pixels.__getitem__}
        yield select_cube(
            replace(container, arrays=arrays, read_array=_reader(container, readers)), table_key
        )


def _reader(container: ArrayContainer, readers: dict[str, Any]):
    """Reads of a container, but for arrays that are in memory."""

    def read(name: str, index: tuple[slice | int, ...]) -> np.ndarray:
        return readers[name](index) if name in readers else container.read_array(name, index)

    return read


@contextmanager
def _opened_container(
    path: Path, array_shapes: dict[str, tuple[int, ...]]
) -> Iterator[ArrayContainer]:
    """The arrays of a file; those of version 5 are read whole, once, when they are needed."""
    arrays = {key: NamedArray(shape, (), {}) for key, shape in array_shapes.items()}
    if not is_hdf5_mat(path):
        load_once = cache(lambda name: load_mat(path, name))
        yield ArrayContainer(path, arrays, lambda name, index: load_once(name)[index])
        return
    with open_hdf5_file(path, FILE_KIND_HDF5) as file:

        def read(name: str, index: tuple[slice | int, ...]) -> np.ndarray:
            with reading_errors(path, FILE_KIND):
                return file[name][index[::-1]].T

        yield ArrayContainer(path, arrays, read)


def _image_size_of_file(
    path: Path, array_shapes: dict[str, tuple[int, ...]]
) -> tuple[int, int] | None:
    if not {"nRow", "nCol"} <= array_shapes.keys():
        return None
    return int(load_mat(path, "nRow").item()), int(load_mat(path, "nCol").item())


def _table_key(
    path: Path,
    array_shapes: dict[str, tuple[int, ...]],
    key: str | None,
    size: tuple[int, int] | None,
) -> str | None:
    """The table to read where there is no cube, or where the key names it; else None."""
    if key is not None:
        return key if len(array_shapes.get(key, ())) == 2 else None
    if any(len(shape) >= 3 for shape in array_shapes.values()):
        return None
    tables = [
        name for name, shape in array_shapes.items() if size and shape[1:] == (size[0] * size[1],)
    ]
    if tables:
        return max(tables, key=lambda name: array_shapes[name][0])
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
