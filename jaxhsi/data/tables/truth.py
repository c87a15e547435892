"""What is known about a table beforehand: its true components, or a library to find them in."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from jaxhsi.data.tables.spectra_table import SpectraTable, check_same_axis
from jaxhsi.data.tables.stored_table import list_arrays, open_array_file, read_table

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
    ``clean`` (n, c); ``component_names`` of the components. n counts the rows of the table's file.

    Raises:
        FileNotFoundError, ValueError: as `load_component_spectra`, and concentrations or clean
            data of a shape that does not go with the table.
    """
    components, component_names = load_component_spectra(path, table)
    truth = GroundTruth(components, component_names=component_names)
    if path.suffix.lower() not in (".npz", ".mat") or table.cubes:
        return truth
    array_file, num_components = open_array_file(path), len(components)
    concentrations = _read_table_rows(path, array_file, CONCENTRATION_KEYS, table, num_components)
    clean = _read_table_rows(path, array_file, CLEAN_KEYS, table, table.spectra.shape[1])
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
    num_bands = table.spectra.shape[1]
    stored_spectra = _read_as_rows(path, num_bands)
    spectra, axis = stored_spectra.values, stored_spectra.axis
    if not np.isfinite(spectra).all() or not np.any(spectra, axis=1).all():
        raise ValueError(f"{path}: every spectrum needs finite values that are not all zero")
    check_same_axis(path, axis, table)
    return spectra.astype(np.float32), stored_spectra.sample_names or _read_component_names(
        path, len(spectra)
    )


def _read_as_rows(path: Path, num_bands: int):
    """The spectra as rows of so many bands, whichever way the file has them."""
    first_error = None
    for orientation in ("rows", "columns"):
        try:
            stored_spectra = read_table(path, orientation=orientation, default_keys=COMPONENT_KEYS)
        except ValueError as error:  # text among the numbers may be names, seen the other way
            first_error = first_error or error
            continue
        if stored_spectra.values.shape[1] == num_bands:
            return stored_spectra
        shape = stored_spectra.values.shape
    if first_error is not None:
        raise first_error
    raise ValueError(
        f"{path} holds an array of {shape}, the data have {num_bands} bands; give spectra of the "
        "same "
        "bands"
    )


def _read_component_names(path: Path, num_components: int) -> tuple[str, ...] | None:
    if path.suffix.lower() != ".npz":
        return None
    array_file = open_array_file(path)
    for key in NAME_KEYS:
        if array_file.array_shapes.get(key) == (num_components,):
            return tuple(str(name) for name in array_file.load_array(key))
    return None


def _read_table_rows(
    path: Path, array_file, keys: tuple[str, ...], table: SpectraTable, num_columns: int
):
    """An array (n, columns) of a file, for the rows that the table kept; None if not there."""
    key = next((key for key in keys if key in array_file.array_shapes), None)
    if key is None:
        return None
    values = np.asarray(array_file.load_array(key), np.float32)
    num_rows = int(table.row_indices.max()) + 1
    if values.ndim != 2 or values.shape[1] != num_columns or len(values) < num_rows:
        raise ValueError(
            f"{path}: {key!r} has shape {values.shape}; for these data it is "
            f"({num_rows} or more, {num_columns}); {list_arrays(array_file)}"
        )
    return values[table.row_indices]
