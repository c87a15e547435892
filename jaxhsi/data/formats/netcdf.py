"""NetCDF files: version 3 through SciPy, memory-mapped; version 4 is HDF5."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from jaxhsi.data.formats.container import ArrayContainer, NamedArray, plain_value
from jaxhsi.data.formats.file_errors import reading_errors
from jaxhsi.data.formats.hdf5 import hdf5_shapes, open_hdf5
from jaxhsi.data.formats.named_arrays import select_cube
from jaxhsi.data.formats.volume import Volume


def is_version_3(path: Path) -> bool:
    """Whether a file is NetCDF 3, which is not HDF5."""
    with path.open("rb") as file:
        return file.read(3) == b"CDF"


@contextmanager
def _open_file(path: Path) -> Iterator[Any]:
    """The file, mapped; what is taken from it must be copied and let go before the end."""
    with reading_errors(path, "a NetCDF"):
        file = scipy.io.netcdf_file(path, mmap=True)
    with file:
        yield file


def describe_container(path: Path) -> ArrayContainer:
    """What a NetCDF 3 file holds.

    Raises:
        ValueError: unreadable.
    """
    with _open_file(path) as file:
        arrays = {
            name: NamedArray(
                item.shape,
                tuple(item.dimensions),
                _attributes(item._attributes),
                tuple(axis if axis in file.variables else "" for axis in item.dimensions),
            )
            for name, item in file.variables.items()
            if item.data.dtype.kind in "iuf"
        }
        group_attributes = {"": _attributes(file._attributes)} | {
            name: _attributes(item._attributes)
            for name, item in file.variables.items()
            if name not in arrays
        }

    def read(name: str, index: tuple[slice | int, ...]) -> np.ndarray:
        with _open_file(path) as file:
            return np.array(file.variables[name].data[index])

    return ArrayContainer(path, arrays, read, group_attributes)


def _attributes(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes that are no longer mapped from the file."""
    return {name: plain_value(np.array(value).copy()) for name, value in stored.items()}


def netcdf_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the numeric arrays by name.

    Raises:
        ValueError: unreadable or truncated.
        ImportError: version 4 without h5py.
    """
    if not is_version_3(path):
        return hdf5_shapes(path)
    return {name: array.shape for name, array in describe_container(path).arrays.items()}


@contextmanager
def open_netcdf(
    path: Path, *, key: str | None = None, size: tuple[int, int] | None = None
) -> Iterator[Volume]:
    """Open a 3-D array of a NetCDF file.

    Args:
        path: the file.
        key: name of the variable; by default the only 3-D one.
        size: not used.

    Raises:
        ValueError, ImportError: as `open_hdf5`.
    """
    if not is_version_3(path):
        with open_hdf5(path, key=key, size=size) as volume:
            yield volume
        return

    yield select_cube(describe_container(path), key)
