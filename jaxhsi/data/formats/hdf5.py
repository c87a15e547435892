"""HDF5 files, NetCDF 4 and HyperSpy's among them, read in slabs.

A slab costs the stored chunks that it touches: chunks of whole bands are read again for each slab.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from jaxhsi.data.formats.container import ArrayContainer, NamedArray, plain_value
from jaxhsi.data.formats.file_errors import open_hdf5_file, reading_errors
from jaxhsi.data.formats.hyperspy import with_hyperspy_axes
from jaxhsi.data.formats.sensors import select_sensor_cube
from jaxhsi.data.formats.volume import Volume

FILE_KIND = "an HDF5"
LIKELY_CAUSE = "it may be truncated, still being written, or compressed by a filter that h5py lacks"
MAX_TEXT_BYTES = 2**16  # of a text that is stored as an array, such as a coordinate system
BARE_DIMENSION = "This is a netCDF dimension but not a netCDF variable"
MAX_TEXT_VECTOR = 4096  # texts in a vector that are looked at
STRUCTURAL_ATTRIBUTES = ("DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME", "_nc3_strict")


def describe_container(path: Path, file: Any) -> ArrayContainer:
    """What an open HDF5 file holds; arrays of complex numbers, texts and objects are left out.

    Args:
        path: of the file.
        file: open file of h5py.

    Raises:
        ValueError: damaged.
    """
    arrays: dict[str, NamedArray] = {}
    texts: dict[str, str] = {}
    number_texts: dict[str, np.ndarray] = {}
    group_attributes = {"": _attributes(file)}

    def visit(name: str, item: Any) -> None:
        if not hasattr(item, "dtype"):
            group_attributes[name] = _attributes(item)
        elif _is_bare_dimension(item):
            return
        elif item.dtype.kind in "iuf" and item.shape is not None:
            arrays[name] = _describe_array(item)
        else:
            group_attributes[name] = _attributes(item)
            if item.dtype.kind in "SO" and item.size == 1:
                texts.update(_short_text(name, item))
            elif (numbers := _numbers_of_texts(item)) is not None:
                number_texts[name] = numbers
                arrays[name] = _describe_array(item)

    def read(name: str, index: tuple[slice | int, ...]) -> np.ndarray:
        if name in number_texts:
            return number_texts[name][index]
        with reading_errors(path, FILE_KIND, LIKELY_CAUSE):
            return np.asarray(file[name][index])

    with reading_errors(path, FILE_KIND, LIKELY_CAUSE):
        file.visititems(visit)
    named = {name: _with_axis_scales(name, array, arrays) for name, array in arrays.items()}
    return ArrayContainer(path, named, read, group_attributes, texts)


def _describe_array(item: Any) -> NamedArray:
    """Axes by their labels, or by the scales attached to them as NetCDF 4 does."""
    paths = [(axis[0].name or "").strip("/") if len(axis) else "" for axis in item.dims]
    names = tuple(
        axis.label or path.rpartition("/")[2] for axis, path in zip(item.dims, paths, strict=True)
    )
    scales = tuple(
        "" if len(axis) and _is_bare_dimension(axis[0]) else path
        for axis, path in zip(item.dims, paths, strict=True)
    )
    return NamedArray(item.shape, names, _attributes(item), scales)


def _is_bare_dimension(item: Any) -> bool:
    """Whether an array stands for a dimension of NetCDF 4 that has no values: it holds zeros."""
    name = item.attrs.get("NAME", b"")
    text = name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)
    return text.startswith(BARE_DIMENSION)


def _with_axis_scales(name: str, array: NamedArray, arrays: dict[str, NamedArray]) -> NamedArray:
    """An array with the vectors named as its axes for their scales, where none are attached."""
    group = name.rpartition("/")[0]
    scales = tuple(
        scale or next((p for p in (f"{group}/{axis}".strip("/"), axis) if p in arrays and p), "")
        for axis, scale in zip(array.axis_names, array.axis_scales, strict=True)
    )
    return array._replace(axis_scales=scales)


def _attributes(item: Any) -> dict[str, Any]:
    """Attributes of a group or array; what h5py cannot read is left out."""
    attributes = {}
    for name in item.attrs:
        if name in STRUCTURAL_ATTRIBUTES:
            continue
        try:
            attributes[name] = plain_value(item.attrs[name])
        except (OSError, TypeError, ValueError):
            continue
    return attributes


def _numbers_of_texts(item: Any) -> np.ndarray | None:
    """The numbers of a vector of texts, such as wavelengths written as text, or None."""
    if item.dtype.kind not in "SO" or item.ndim != 1 or not 1 < item.size <= MAX_TEXT_VECTOR:
        return None
    try:
        return np.array([float(text) for text in item[()]])
    except (ValueError, TypeError):
        return None


def _short_text(name: str, item: Any) -> dict[str, str]:
    if item.dtype.kind == "S" and item.dtype.itemsize > MAX_TEXT_BYTES:
        return {}
    text = plain_value(np.asarray(item[()]))
    return {name: text} if isinstance(text, str) else {}


def hdf5_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the real numeric arrays, by their paths in the file.

    Raises:
        ValueError: unreadable or truncated.
        ImportError: h5py is not installed.
    """
    with open_hdf5_file(path, FILE_KIND, LIKELY_CAUSE) as file:
        arrays = describe_container(path, file).arrays
        return {name: array.shape for name, array in arrays.items()}


@contextmanager
def open_hdf5(
    path: Path, *, key: str | None = None, size: tuple[int, int] | None = None
) -> Iterator[Volume]:
    """Open a 3-D array of an HDF5 file.

    Args:
        path: the file.
        key: path inside of the file such as "group/data"; see `cube_choice.choose_cube`.
        size: not used.

    Raises:
        ValueError: unreadable, no such key, none or several 3-D arrays.
        ImportError: h5py is not installed.
    """
    with open_hdf5_file(path, FILE_KIND, LIKELY_CAUSE) as file:
        container = with_hyperspy_axes(describe_container(path, file))
        yield select_sensor_cube(container, key)
