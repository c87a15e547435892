"""What is known about a table beforehand: its true components, or a library to find them in."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from jaxhsi.data.tables.table import (
    SpectraTable,
    check_same_axis,
    list_arrays,
    open_array_file,
    read_table,
)

COMPONENT_KEYS = ("components", "S", "endmembers", "M", "library")
CONCENTRATION_KEYS = ("concentrations", "C", "abundances", "A")
CLEAN_KEYS = ("clean",)
NAME_KEYS = ("component_names", "names")


class GroundTruth(NamedTuple):
    """True components, and more where it is known.

    Attributes:
        components: pure spectra, of any size.
        concentrations: of each of them in each spectrum of the table.
        clean: noise-free spectra.
        component_names: of the components.
    """

    components: Float32[np.ndarray, "k c"]
    concentrations: Float32[np.ndarray, "n k"] | None = None
    clean: Float32[np.ndarray, "n c"] | None = None
    component_names: tuple[str, ...] | None = None


def load_ground_truth(path: Path, table: SpectraTable) -> GroundTruth:
    """Read the truth of a table from .npz or .mat (all of it) or .csv or .npy (components).

    Keys: ``components`` (or ``S``) (k, c) or (c, k); ``concentrations`` (or ``C``) (n, k);
    ``clean`` (n, c); ``names`` of the components. n counts the rows of the table's file.

    Raises:
        FileNotFoundError, ValueError: as `load_component_spectra`, and concentrations or clean data of a
            shape that does not go with the table.
    """
    components, names = load_component_spectra(path, table)
    truth = GroundTruth(components, component_names=names)
    if path.suffix.lower() not in (".npz", ".mat") or table.cubes:
        return truth
    named, count = open_array_file(path), len(components)
    concentrations = _rows_of(path, named, CONCENTRATION_KEYS, table, count)
    clean = _rows_of(path, named, CLEAN_KEYS, table, table.spectra.shape[1])
    return truth._replace(concentrations=concentrations, clean=clean)


def load_component_spectra(
    path: Path, table: SpectraTable
) -> tuple[Float32[np.ndarray, "k c"], tuple[str, ...] | None]:
    """Read pure spectra (a truth or a library) that go with a table, and their names.

    They may be rows or columns; the number of bands tells.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another number of bands than the table, another axis, a spectrum that is zero,
            or values that are not finite.
    """
    bands = table.spectra.shape[1]
    found = _oriented(path, bands)
    spectra, axis = found.values, found.axis
    if not np.isfinite(spectra).all() or not np.any(spectra, axis=1).all():
        raise ValueError(f"{path}: every spectrum needs finite values that are not all zero")
    check_same_axis(path, axis, table)
    return spectra.astype(np.float32), found.sample_names or _names(path, len(spectra))


def _oriented(path: Path, bands: int):
    """The spectra as rows of so many bands, whichever way the file has them."""
    wrong = None
    for way in ("rows", "columns"):
        try:
            found = read_table(path, orientation=way, default_keys=COMPONENT_KEYS)
        except ValueError as error:  # text among the numbers may be names, seen the other way
            wrong = wrong or error
            continue
        if found.values.shape[1] == bands:
            return found
        shape = found.values.shape
    if wrong is not None:
        raise wrong
    raise ValueError(
        f"{path} holds an array of {shape}, the data have {bands} bands; give spectra of the same "
        "bands"
    )


def _names(path: Path, count: int) -> tuple[str, ...] | None:
    if path.suffix.lower() != ".npz":
        return None
    named = open_array_file(path)
    for key in NAME_KEYS:
        if named.array_shapes.get(key) == (count,):
            return tuple(str(name) for name in named.load_array(key))
    return None


def _rows_of(path: Path, named, keys: tuple[str, ...], table: SpectraTable, columns: int):
    """An array (n, columns) of a file, for the rows that the table kept; None if not there."""
    key = next((key for key in keys if key in named.array_shapes), None)
    if key is None:
        return None
    values = np.asarray(named.load_array(key), np.float32)
    rows = int(table.row_indices.max()) + 1
    if values.ndim != 2 or values.shape[1] != columns or len(values) < rows:
        raise ValueError(
            f"{path}: {key!r} has shape {values.shape}; for these data it is "
            f"({rows} or more, {columns}); {list_arrays(named)}"
        )
    return values[table.row_indices]
