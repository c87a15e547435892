"""Tables as files hold them: which array, which way round, with which axis."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxhsi.data.formats.mat import load_mat, mat_shapes
from jaxhsi.data.formats.npy import load_npy
from jaxhsi.data.tables.csv_file import read_csv

TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".npy", ".npz", ".mat")


DATA_KEYS = ("data", "spectra", "D", "X")


AXIS_KEYS = (
    *("axis", "wavenumber", "wavenumbers", "wavelength", "wavelengths", "wavelengths_nm"),
    *("wavelength_nm", "wl", "lambda", "shift", "raman_shift", "wn"),
)


class StoredTable(NamedTuple):
    """A table as a file holds it, spectra in rows; see `SpectraTable`."""

    values: np.ndarray
    axis: np.ndarray | None = None
    axis_name: str = ""
    sample_names: tuple[str, ...] | None = None
    orientation_note: str | None = None


def read_table(
    path: Path,
    *,
    orientation: str | None = None,
    key: str | None = None,
    default_keys: tuple[str, ...] = DATA_KEYS,
) -> StoredTable:
    """Read a table without judging its values.

    Args:
        path: the file.
        orientation: see `open_table`.
        key: the array's name; else the first of ``default_keys`` that is there, else the only
            table.
        default_keys: names to look for.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a suffix that is not read, a key that is missing (those there are named),
            several tables without a known name, or as `read_csv`.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    suffix = path.suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise ValueError(
            f"{path}: tables are read from {', '.join(TABLE_SUFFIXES)}, not from "
            f"{suffix or 'a name without suffix'!r}"
        )
    if orientation not in (None, "rows", "columns"):
        raise ValueError(f"--spectra {orientation} is unknown; give rows or columns")
    if key is not None and suffix not in (".npz", ".mat"):
        raise ValueError(f"{path} holds one table without a name; drop --key {key}")
    if suffix == ".npy":
        return _orient_table(load_npy(path), None, orientation, path)
    if suffix in (".npz", ".mat"):
        return _read_named_table(path, orientation, key, default_keys)
    return StoredTable(*read_csv(path, orientation))


class ArrayFile(NamedTuple):
    """The numeric arrays of a file that holds several.

    Attributes:
        array_shapes: by key.
        load_array: values of a key.
    """

    array_shapes: dict[str, tuple[int, ...]]
    load_array: Callable[[str], np.ndarray]


def open_array_file(path: Path) -> ArrayFile:
    """Look into a .npz or .mat file.

    Raises:
        ValueError: damaged, or holding pickled objects.
    """
    if path.suffix.lower() == ".mat":
        return ArrayFile(mat_shapes(path), lambda key: load_mat(path, key))
    try:
        with np.load(path, allow_pickle=False) as file:
            named_arrays = dict(file)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} cannot be read as a .npz file of arrays, it may be truncated; write it again "
            f"with numpy.savez ({error})"
        ) from error
    return ArrayFile(
        {key: array.shape for key, array in named_arrays.items()}, named_arrays.__getitem__
    )


def _read_named_table(
    path: Path, orientation: str | None, key: str | None, default_keys: tuple[str, ...]
) -> StoredTable:
    array_file = open_array_file(path)
    key = key or _find_key(path, array_file, default_keys)
    if key not in array_file.array_shapes:
        raise ValueError(f"{path} has no key {key!r}; {list_arrays(array_file)}")
    axis_key = next((name for name in AXIS_KEYS if name in array_file.array_shapes), None)
    axis = None if axis_key is None else np.asarray(array_file.load_array(axis_key)).ravel()
    stored_table = _orient_table(array_file.load_array(key), axis, orientation, path)
    sample_names = (
        array_file.load_array("samples").ravel() if "samples" in array_file.array_shapes else ()
    )
    if len(sample_names) == len(stored_table.values):
        stored_table = stored_table._replace(sample_names=tuple(str(name) for name in sample_names))
    return stored_table if stored_table.axis is None else stored_table._replace(axis_name=axis_key)


def _find_key(path: Path, array_file: ArrayFile, default_keys: tuple[str, ...]) -> str:
    for key in default_keys:
        if key in array_file.array_shapes:
            return key
    table_keys = [
        key for key, shape in array_file.array_shapes.items() if len(shape) == 2 and min(shape) > 1
    ]
    if len(table_keys) == 1:
        return table_keys[0]
    raise ValueError(
        f"{path} does not tell which array holds the spectra: none is called "
        f"{', '.join(default_keys)}; name it with --key, {list_arrays(array_file)}"
    )


def list_arrays(array_file: ArrayFile) -> str:
    """What a file holds, for a message."""
    array_list = ", ".join(f"{key} {shape}" for key, shape in array_file.array_shapes.items())
    return f"the file holds: {array_list or 'nothing'}"


def _orient_table(
    values: np.ndarray, axis: np.ndarray | None, orientation: str | None, path: Path
) -> StoredTable:
    """Spectra in rows; turned where that was said, or where the axis fits the columns alone."""
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(
            f"{path} holds an array of shape {values.shape}; a table has a row for each spectrum "
            "and a column for each band"
        )
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{path} holds {values.dtype} values; a table holds real numbers")
    orientation_note = None
    if orientation is None and axis is not None and len(axis) == len(values) != values.shape[1]:
        orientation, orientation_note = (
            "columns",
            "the axis is as long as the columns: spectra are columns",
        )
    values = values.T if orientation == "columns" else values
    axis_fits = axis is not None and axis.shape == values.shape[1:] and axis.dtype.kind in "iuf"
    return StoredTable(
        np.asarray(values),
        axis.astype(float) if axis_fits else None,
        orientation_note=orientation_note,
    )
