"""Tables in .npy, .npz and .mat files: which array, and what the arrays beside it say of it."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.io

from jaxhsi.data.formats import npz
from jaxhsi.data.formats.mat import load_mat, mat_shapes
from jaxhsi.data.formats.npy import load_npy
from jaxhsi.data.tables.cell_table import table_of_array
from jaxhsi.data.tables.header import is_monotonic
from jaxhsi.data.tables.header_words import label_kind
from jaxhsi.data.tables.stored_table import Reference, StoredTable
from jaxhsi.data.tables.table_layout import interpret_table
from jaxhsi.data.tables.table_options import TableOptions

DATA_KEYS = ("data", "spectra", "D", "X")

AXIS_KEYS = (
    *("axis", "wavenumber", "wavenumbers", "wavelength", "wavelengths", "wavelengths_nm"),
    *("wavelength_nm", "wl", "lambda", "shift", "raman_shift", "wn"),
)
SAMPLE_KEYS = ("samples", "sample_names", "sample", "names", "labels")


class ArrayFile(NamedTuple):
    """The arrays of a file that holds several.

    Attributes:
        array_shapes: of the numeric ones, by key.
        load_array: values of a key.
        text_keys: of arrays of text.
    """

    array_shapes: dict[str, tuple[int, ...]]
    load_array: Callable[[str], np.ndarray]
    text_keys: tuple[str, ...] = ()


def open_array_file(path: Path) -> ArrayFile:
    """Look into a .npz or .mat file.

    Raises:
        ValueError: damaged, holding pickled objects, or nothing.
    """
    if path.suffix.lower() == ".mat":
        return ArrayFile(mat_shapes(path), lambda key: load_mat(path, key))
    headers = npz.read_headers(path)
    if pickled := [name for name, header in headers.items() if header.dtype.hasobject]:
        raise ValueError(
            f"{path}: {pickled[0]!r} holds pickled objects, which could run any program; write the "
            "arrays again with numpy.savez, as numbers and texts"
        )
    text_keys = tuple(key for key, header in headers.items() if header.dtype.kind in "US")
    shapes = {key: header.shape for key, header in headers.items()}
    return ArrayFile(shapes, lambda key: npz.load_member(path, key), text_keys)


def list_arrays(array_file: ArrayFile) -> str:
    """What a file holds, for a message."""
    array_list = ", ".join(f"{key} {shape}" for key, shape in array_file.array_shapes.items())
    return f"the file holds: {array_list or 'nothing'}"


def read_npy_table(path: Path, options: TableOptions) -> StoredTable:
    """The table of a .npy file, checked as one of text is.

    Raises:
        ValueError: unreadable, or not a table of real numbers.
    """
    return _interpret_array(np.asarray(load_npy(path)), path, options)


def read_named_table(
    path: Path, options: TableOptions, default_keys: tuple[str, ...] = DATA_KEYS
) -> StoredTable:
    """The table of a .npz or .mat file, with its axis, names and references from other arrays.

    Raises:
        ValueError: no such key, several tables without a usual name, or an axis of another length.
    """
    array_file = open_array_file(path)
    if not array_file.array_shapes:
        raise ValueError(f"{path} holds no array of numbers{_other_variables(path)}")
    key = options.key or find_key(path, array_file, default_keys)
    if key not in array_file.array_shapes:
        raise ValueError(f"{path} has no key {key!r}; {list_arrays(array_file)}")
    values = np.asarray(array_file.load_array(key))
    axis_key = _axis_key(array_file, values.shape, key)
    if axis_key is None:
        return _with_side_arrays(_interpret_array(values, path, options), array_file, (key,))
    axis = np.asarray(array_file.load_array(axis_key)).ravel().astype(float)
    stored = _read_with_axis(values, axis, axis_key, key, path, options)
    return _with_side_arrays(stored, array_file, (key, axis_key))


def _other_variables(path: Path) -> str:
    """What a .mat file holds instead of numbers, for a message."""
    if path.suffix.lower() != ".mat":
        return ""
    try:
        variables = scipy.io.whosmat(path)
    except (ValueError, NotImplementedError):
        return ""
    listed = ", ".join(f"{name} ({kind})" for name, _, kind in variables)
    return f", only {listed}; save the matrix itself" if listed else "; it is empty"


def find_key(path: Path, array_file: ArrayFile, default_keys: tuple[str, ...]) -> str:
    """The first usual name that is there, else the only table, or the only one with an axis.

    Raises:
        ValueError: neither; names what there is.
    """
    for key in default_keys:
        if key in array_file.array_shapes:
            return key
    table_keys = [
        key for key, shape in array_file.array_shapes.items() if len(shape) == 2 and min(shape) > 1
    ]
    if len(table_keys) > 1 and default_keys == DATA_KEYS:  # the one that an axis beside it fits
        lengths = [
            _vector_length(shape)
            for key, shape in array_file.array_shapes.items()
            if label_kind(key) == "band"
        ]
        fitting = [key for key in table_keys if set(array_file.array_shapes[key]) & set(lengths)]
        table_keys = fitting or table_keys
    if len(table_keys) == 1:
        return table_keys[0]
    raise ValueError(
        f"{path} does not tell which array holds the spectra: none is called "
        f"{', '.join(default_keys)}; name it with --key, {list_arrays(array_file)}"
    )


def _vector_length(shape: tuple[int, ...]) -> int | None:
    """Length of an array with one axis that is longer than 1."""
    lengths = [length for length in shape if length != 1]
    return lengths[0] if len(lengths) == 1 else None


def _axis_key(array_file: ArrayFile, table_shape: tuple[int, ...], key: str) -> str | None:
    """A usual name, else a vector as long as the table that is named an axis and rises or falls."""
    for name in AXIS_KEYS:
        if name in array_file.array_shapes and name != key:
            return name
    for name, shape in array_file.array_shapes.items():
        is_named = label_kind(name) == "band" and name not in (key, *array_file.text_keys)
        if is_named and _vector_length(shape) in table_shape:
            vector = np.ravel(array_file.load_array(name))
            if vector.dtype.kind in "iuf" and is_monotonic(vector):
                return name
    return None


def _check_numbers(values: np.ndarray, path: Path) -> None:
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(
            f"{path} holds an array of shape {values.shape}; a table has a row for each spectrum "
            "and a column for each band"
        )
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{path} holds {values.dtype} values; a table holds real numbers")


def _interpret_array(values: np.ndarray, path: Path, options: TableOptions) -> StoredTable:
    _check_numbers(values, path)
    return interpret_table(table_of_array(values, str(path)), options, has_words=False)


def _read_with_axis(
    values: np.ndarray,
    axis: np.ndarray,
    axis_key: str,
    key: str,
    path: Path,
    options: TableOptions,
) -> StoredTable:
    """Spectra along the side of the table that the axis fits; where both do, as the values say."""
    _check_numbers(values, path)
    orientation = options.spectra
    lengths = {"rows": values.shape[1], "columns": values.shape[0]}
    fitting = [side for side, length in lengths.items() if length == len(axis)]
    if not fitting or orientation not in (None, *fitting):
        raise ValueError(
            f"{path}: the axis {axis_key!r} has {len(axis)} values, the table {key!r} the shape "
            f"{values.shape}"
            + (f" with spectra in {orientation}" if orientation else "")
            + "; save an axis of the same length, or none"
        )
    if orientation is None and len(fitting) == 1:
        orientation = fitting[0]
    if orientation is None:
        return interpret_table(table_of_array(values, str(path)), options)._replace(
            axis=axis, axis_name=axis_key
        )
    turned = values.T if orientation == "columns" else values
    note = (
        f"{len(turned)} spectra in {orientation} (the length of {axis_key!r}), {len(axis)} bands, "
        f"axis {axis_key} from {axis[0]:g} to {axis[-1]:g}"
    )
    return StoredTable(turned.astype(np.float64), axis, axis_key, None, (note,))


def _with_side_arrays(
    stored: StoredTable, array_file: ArrayFile, used: tuple[str, ...]
) -> StoredTable:
    """Vectors as long as there are samples: names, an order such as time, or references."""
    references, names = [], stored.sample_names
    for key, shape in array_file.array_shapes.items():
        if key in used or _vector_length(shape) != len(stored.values):
            continue
        vector = np.ravel(array_file.load_array(key))
        if key in array_file.text_keys or (key in SAMPLE_KEYS and vector.dtype.kind in "iuf"):
            labels = tuple(f"{v:.10g}" if vector.dtype.kind in "iuf" else str(v) for v in vector)
            if key in SAMPLE_KEYS and names is None:
                names = labels
            else:
                references.append(Reference(key, labels))
        elif label_kind(key) == "order" and stored.sample_axis is None:
            stored = stored._replace(sample_axis=vector.astype(float), sample_axis_name=key)
        elif vector.dtype.kind in "iuf" and len(stored.values) != stored.values.shape[1]:
            references.append(Reference(key, tuple(vector.astype(float).tolist())))
    return stored._replace(sample_names=names, references=(*stored.references, *references))
