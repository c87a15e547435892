"""HDF5 files, NetCDF 4 among them, read in slabs.

A slab costs the stored chunks that it touches: chunks of whole bands are read again for each slab.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from jaxhsi.data.formats.file_errors import open_hdf5_file, reading_errors
from jaxhsi.data.formats.named_arrays import NamedArray, select_cube
from jaxhsi.data.formats.volume import Volume

FILE_KIND = "an HDF5"
LIKELY_CAUSE = "it may be truncated, still being written, or compressed by a filter that h5py lacks"


def _list_arrays(path: Path, file: Any) -> dict[str, NamedArray]:
    """The real numeric arrays of all groups, by their paths."""
    named_arrays: dict[str, NamedArray] = {}

    def visit(name: str, item: Any) -> None:
        if hasattr(item, "dtype") and item.dtype.kind in "iuf" and item.shape is not None:
            named_arrays[name] = NamedArray(item.shape, _axis_names(item), _attributes(item))

    with reading_errors(path, FILE_KIND, LIKELY_CAUSE):
        file.visititems(visit)
    return named_arrays


def _axis_names(item: Any) -> tuple[str, ...]:
    """Names of the axes: their labels, or the scales attached to them as NetCDF 4 does."""
    axis_names = []
    for axis in item.dims:
        scale = axis[0].name if len(axis) else ""
        axis_names.append(axis.label or scale.rpartition("/")[2])
    return tuple(axis_names)


def _attributes(item: Any) -> dict[str, Any]:
    attribute_names = (
        "units",
        "scale_factor",
        "add_offset",
        "_FillValue",
        "missing_value",
        "no_data",
        "nodata",
    )
    return {name: _plain_value(item.attrs[name]) for name in attribute_names if name in item.attrs}


def _plain_value(value: Any) -> Any:
    """Text as str, whatever way it was written; numbers as they are."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def hdf5_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the real numeric arrays, by their paths in the file.

    Raises:
        ValueError: unreadable or truncated.
        ImportError: h5py is not installed.
    """
    with open_hdf5_file(path, FILE_KIND, LIKELY_CAUSE) as file:
        return {name: array.shape for name, array in _list_arrays(path, file).items()}


@contextmanager
def open_hdf5(
    path: Path, *, key: str | None = None, size: tuple[int, int] | None = None
) -> Iterator[Volume]:
    """Open a 3-D array of an HDF5 file.

    Args:
        path: the file.
        key: path inside of the file such as "group/data"; by default the only 3-D array.
        size: not used.

    Raises:
        ValueError: unreadable, no such key, none or several 3-D arrays, wavelengths out of order,
            or values with an offset.
        ImportError: h5py is not installed.
    """
    with open_hdf5_file(path, FILE_KIND, LIKELY_CAUSE) as file:

        def read(name: str, index: tuple[slice, ...]) -> np.ndarray:
            with reading_errors(path, FILE_KIND, LIKELY_CAUSE):
                return file[name][index]

        yield select_cube(path, _list_arrays(path, file), key, read)
