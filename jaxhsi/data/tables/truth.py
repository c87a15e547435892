"""What is known about a table beforehand: its true components, or a library to find them in."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from jaxhsi.data.tables.array_file import ArrayFile, list_arrays, open_array_file
from jaxhsi.data.tables.spectra_table import SpectraTable, check_same_axis, runs_the_other_way
from jaxhsi.data.tables.stored_table import StoredTable
from jaxhsi.data.tables.table_files import read_table
from jaxhsi.data.tables.table_options import TableOptions
from jaxhsi.plain_text import plain_name

COMPONENT_KEYS = ("components", "S", "endmembers", "M", "library")
CONCENTRATION_KEYS = ("concentrations", "C", "abundances", "A")
CLEAN_KEYS = ("clean",)
NAME_KEYS = ("component_names", "names")


class ComponentSpectra(NamedTuple):
    """Pure spectra on the bands of a table.

    Attributes:
        spectra: of any size.
        names: of the components, or None.
        notes: what was done to bring them there.
    """

    spectra: Float32[np.ndarray, "k c"]
    names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


class GroundTruth(NamedTuple):
    """True components, and more where it is known.

    Attributes:
        components: pure spectra, of any size.
        concentrations: of each of them in each spectrum of the table.
        clean: noise-free spectra.
        component_names: of the components.
        notes: what was done to bring it to the units and the order of the table.
    """

    components: Float32[np.ndarray, "k c"]
    concentrations: Float32[np.ndarray, "n k"] | None = None
    clean: Float32[np.ndarray, "n c"] | None = None
    component_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def load_ground_truth(path: Path, table: SpectraTable, key: str | None = None) -> GroundTruth:
    """Read the truth of a table from .npz or .mat (all of it) or any other file (components).

    Keys: ``components`` (or ``S``) (k, c) or (c, k); ``concentrations`` (or ``C``) (n, k) or
    (k, n); ``clean`` (n, c); ``component_names`` of the components. n counts the rows of the
    table's file.

    Args:
        path: the file.
        table: whose truth it is.
        key: of the components, where they have another name.

    Raises:
        FileNotFoundError, ValueError: as `load_component_spectra`, and concentrations or clean
            data of a shape that does not go with the table.
    """
    pure = load_component_spectra(path, table, key, option="truth_key")
    truth = GroundTruth(pure.spectra, component_names=pure.names, notes=pure.notes)
    if path.suffix.lower() not in (".npz", ".mat") or table.cubes:
        return truth
    array_file, num_components = open_array_file(path), len(pure.spectra)
    concentrations = _read_table_rows(path, array_file, CONCENTRATION_KEYS, table, num_components)
    clean = _read_table_rows(path, array_file, CLEAN_KEYS, table, table.spectra.shape[1])
    return truth._replace(concentrations=concentrations, clean=clean)


def load_component_spectra(
    path: Path, table: SpectraTable, key: str | None = None, option: str = "key"
) -> ComponentSpectra:
    """Read pure spectra (a truth or a library) that go with a table, and their names.

    They may be rows or columns; the number of bands tells. On the axis of the table in the other
    direction they are turned round, which is noted.

    Args:
        path: the file.
        table: whose bands they have.
        key: of the array inside a .npz or .mat file.
        option: that gives the key, for messages.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another number of bands than the table, another axis, a spectrum that is zero,
            or values that are not finite.
    """
    num_bands = table.spectra.shape[1]
    stored = _read_as_rows(path, num_bands, key, option)
    spectra, axis, notes = stored.values, stored.axis, ()
    if not np.isfinite(spectra).all() or not np.any(spectra, axis=1).all():
        raise ValueError(f"{path}: every spectrum needs finite values that are not all zero")
    if axis is not None and table.axis is not None and runs_the_other_way(axis, table.axis):
        spectra, axis = spectra[:, ::-1], axis[::-1]
        notes = (f"the spectra of {path} run the other way along the axis and were turned round",)
    check_same_axis(path, axis, table)
    names = stored.sample_names or _read_component_names(path, len(spectra))
    return ComponentSpectra(np.ascontiguousarray(spectra, np.float32), names, notes)


def _read_as_rows(path: Path, num_bands: int, key: str | None, option: str) -> StoredTable:
    """The spectra as rows of so many bands, whichever way the file has them."""
    first_error, shapes = None, []
    for orientation in ("rows", "columns"):
        options = TableOptions(spectra=orientation, key=key)
        try:
            stored = read_table(path, options, COMPONENT_KEYS)
        except ValueError as error:  # text among the numbers may be names, seen the other way
            first_error = first_error or error
            continue
        if stored.values.shape[1] == num_bands:
            return stored
        shapes.append(stored.values.shape)
    if not shapes and first_error is not None:
        raise ValueError(str(first_error).replace("--key", f"--{option}"))
    raise ValueError(
        f"{path} holds an array of {shapes[0]}, the data have {num_bands} bands; give spectra of "
        f"the same bands, or name another array with --{option}"
    )


def _read_component_names(path: Path, num_components: int) -> tuple[str, ...] | None:
    if path.suffix.lower() != ".npz":
        return None
    array_file = open_array_file(path)
    for key in NAME_KEYS:
        if array_file.array_shapes.get(key) == (num_components,):
            return tuple(plain_name(str(name)) for name in array_file.load_array(key))
    return None


def _read_table_rows(
    path: Path,
    array_file: ArrayFile,
    keys: tuple[str, ...],
    table: SpectraTable,
    num_columns: int,
):
    """An array (n, columns) of a file, for the rows that the table kept; None if not there."""
    key = next((key for key in keys if key in array_file.array_shapes), None)
    if key is None:
        return None
    values = np.asarray(array_file.load_array(key), np.float32)
    num_rows = int(table.row_indices.max()) + 1
    if values.ndim == 2 and len(values) == num_columns and values.shape[1] >= num_rows:
        values = values.T if values.shape[1] != num_columns else values
    if values.ndim != 2 or values.shape[1] != num_columns or len(values) < num_rows:
        raise ValueError(
            f"{path}: {key!r} has shape {values.shape}; for these data it is "
            f"({num_rows} or more, {num_columns}); {list_arrays(array_file)}"
        )
    return values[table.row_indices]
