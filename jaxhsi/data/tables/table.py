"""Tables of spectra from files, checked before anything long begins.

Spectra are rows, (n, c), unless said otherwise. Arrays in .npz and .mat files are found by their
names: ``data``, ``spectra``, ``D`` or ``X``, else the only table; the axis by ``axis``,
``wavenumber``, ``wavelength`` and the like; names of samples by ``samples``. What holds three axes
is a cube, whose pixels are the spectra.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int

from jaxhsi.data.cube import Cube
from jaxhsi.data.formats import FORMATS_BY_SUFFIX
from jaxhsi.data.formats.envi_header import has_header
from jaxhsi.data.formats.mat import load_mat, mat_shapes
from jaxhsi.data.formats.npy import load_npy
from jaxhsi.data.open import open_cubes
from jaxhsi.data.stream import sample_spectra
from jaxhsi.data.tables.csv_file import read_csv

TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".npy", ".npz", ".mat")
DATA_KEYS = ("data", "spectra", "D", "X")
AXIS_KEYS = (
    *("axis", "wavenumber", "wavenumbers", "wavelength", "wavelengths", "wavelengths_nm"),
    *("wavelength_nm", "wl", "lambda", "shift", "raman_shift", "wn"),
)
MIN_SPECTRA, MIN_BANDS = 3, 2


class SpectraTable(NamedTuple):
    """Spectra to unmix.

    Attributes:
        spectra: finite values in the units of the file.
        row_indices: which rows of the file these are; some are left out.
        axis: number of each band, or None.
        axis_name: what the axis is called, or empty.
        sample_names: of the samples, or None.
        source_name: where they came from, for messages.
        notes: what a reader of the result should be told.
        cubes: where the spectra are drawn from, if they are pixels; else empty.
    """

    spectra: Float32[np.ndarray, "n c"]
    row_indices: Int[np.ndarray, " n"]
    axis: Float[np.ndarray, " c"] | None = None
    axis_name: str = ""
    sample_names: tuple[str, ...] | None = None
    source_name: str = ""
    notes: tuple[str, ...] = ()
    cubes: tuple[Cube, ...] = ()


class StoredTable(NamedTuple):
    """A table as a file holds it, spectra in rows; see `SpectraTable`."""

    values: np.ndarray
    axis: np.ndarray | None = None
    axis_name: str = ""
    sample_names: tuple[str, ...] | None = None
    orientation_note: str | None = None


def open_table(
    path: str | Path,
    *,
    orientation: str | None = None,
    key: str | None = None,
    layout: str | None = None,
    size: tuple[int, int] | None = None,
    max_pixels: int = 16384,
    seed: int = 0,
    min_spectra: int = MIN_SPECTRA,
) -> SpectraTable:
    """Read the spectra that a path names and check that they can be unmixed.

    Args:
        path: .csv, .npy, .npz or .mat file of a table, or a cube (file, folder, store, URL).
        orientation: "rows" or "columns" of the table; told from the file if None.
        key: array inside a .npz or .mat file.
        layout: "hwc" or "chw" of a cube.
        size: (H, W) of a cube that is kept as a table (C, H * W).
        max_pixels: spectra drawn from a cube at most.
        seed: of that draw.
        min_spectra: spectra that must be usable.

    Raises:
        FileNotFoundError: nothing at the path.
        ValueError: see `read_table` and `check_table`.
    """
    if is_cube_path(path, key=key, size=size):
        cubes = open_cubes(path, key=key, layout=layout, size=size)
        return check_table(_table_from_pixels(cubes, max_pixels, seed, str(path)))
    stored_table = read_table(Path(path), orientation=orientation, key=key)
    notes = () if stored_table.orientation_note is None else (stored_table.orientation_note,)
    values = _as_float32(stored_table.values, str(path))
    row_indices = np.arange(len(values))
    table = SpectraTable(
        values,
        row_indices,
        stored_table.axis,
        stored_table.axis_name,
        stored_table.sample_names,
        str(path),
        notes,
    )
    return check_table(table, min_spectra)


def _table_from_pixels(
    cubes: tuple[Cube, ...], max_pixels: int, seed: int, source_name: str
) -> SpectraTable:
    sample = sample_spectra(cubes, max_pixels, seed)
    total_pixels = sum(cube.shape[0] * cube.shape[1] for cube in cubes)
    notes = [
        f"{len(sample.spectra):,} spectra drawn from the {total_pixels:,} pixels of {source_name}"
    ]
    if sample.num_invalid:
        notes.append(
            f"{sample.num_invalid:,} of {sample.num_read:,} pixels read are not valid (NaN, infinite or no "
            "data) and are left out"
        )
    wavelengths = cubes[0].wavelengths
    axis_name = "" if wavelengths is None else "wavelength (nm)"
    row_indices = np.arange(len(sample.spectra))
    return SpectraTable(
        sample.spectra, row_indices, wavelengths, axis_name, None, source_name, tuple(notes), cubes
    )


def is_cube_path(path: str | Path, *, key: str | None = None, size: tuple | None = None) -> bool:
    """Whether a path names cubes rather than a table: a store, a folder, or an array of 3 axes."""
    if "://" in str(path) or Path(path).is_dir():
        return True
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no data at {path}: the path does not exist")
    if size is not None:
        return True
    if path.suffix.lower() == ".npy":
        return load_npy(path).ndim == 3
    if path.suffix.lower() == ".mat":
        array_shapes = mat_shapes(path)
        array_shapes = {key: array_shapes[key]} if key in array_shapes else array_shapes
        return any(len(shape) == 3 for shape in array_shapes.values()) or {"nRow", "nCol"} <= set(
            array_shapes
        )
    suffix = path.suffix.lower()
    return suffix not in TABLE_SUFFIXES and (suffix in FORMATS_BY_SUFFIX or has_header(path))


# Reading ------------------------------------------------------------------------------------------


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
        key: the array's name; else the first of ``default_keys`` that is there, else the only table.
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


# Checking -----------------------------------------------------------------------------------------


def _as_float32(values: np.ndarray, source_name: str) -> Float32[np.ndarray, "n c"]:
    bad_cells = np.argwhere(~np.isfinite(values))
    if len(bad_cells):
        cell_list = "; ".join(
            f"spectrum {i + 1}, band {j + 1}: {values[i, j]}" for i, j in bad_cells[:3]
        )
        num_rows = len(np.unique(bad_cells[:, 0]))
        raise ValueError(
            f"{source_name}: {len(bad_cells)} value(s) of {num_rows} spectra are not finite ({cell_list}"
            f"{'; ...' if len(bad_cells) > 3 else ''}); remove these spectra or bands, or fill the values"
        )
    largest_value = float(np.abs(values).max())
    if largest_value > 1e18 or 0 < largest_value < 1e-18:
        raise ValueError(
            f"{source_name}: the largest value is {largest_value:g}, whose square float32 cannot hold; use "
            "another unit"
        )
    return np.ascontiguousarray(values, np.float32)


def check_table(table: SpectraTable, min_spectra: int = MIN_SPECTRA) -> SpectraTable:
    """Leave out spectra that are zero, and note what else a reader should know.

    Noted: zero spectra left out, equal spectra (kept), sizes that differ by a million or more.

    Args:
        table: to check.
        min_spectra: spectra that must be left.

    Raises:
        ValueError: fewer spectra, one band, or nothing but zeros.
    """
    notes, spectra = [], table.spectra
    if spectra.shape[1] < MIN_BANDS:
        raise ValueError(
            f"{table.source_name}: spectra of {spectra.shape[1]} band cannot be told apart; "
            "give at least two bands (are spectra in --spectra columns?)"
        )
    spectrum_sizes = np.sqrt((spectra.astype(np.float64) ** 2).mean(axis=1))
    is_zero = spectrum_sizes == 0
    if is_zero.any():
        row_list = ", ".join(str(row + 1) for row in table.row_indices[is_zero][:5])
        notes.append(
            f"{is_zero.sum()} of {len(is_zero)} spectra are all zero and left out (row {row_list}"
            f"{', ...' if is_zero.sum() > 5 else ''})"
        )
        table, spectrum_sizes = select_rows(table, ~is_zero), spectrum_sizes[~is_zero]
    if len(table.spectra) < min_spectra:
        requirement = "one is needed"
        if min_spectra > 1:
            requirement = f"mixtures are taken apart by comparing at least {min_spectra} of them"
        raise ValueError(
            f"{table.source_name}: {len(table.spectra)} usable spectra of {len(is_zero)}; {requirement} "
            "(are spectra in --spectra columns?)"
        )
    num_repeated = len(table.spectra) - len(np.unique(table.spectra, axis=0))
    if num_repeated and not table.cubes:
        notes.append(
            f"{num_repeated} spectra repeat another one; they are kept, and add no evidence"
        )
    if spectrum_sizes.max() > 1e6 * spectrum_sizes.min():
        notes.append(
            f"the largest spectrum is {spectrum_sizes.max() / spectrum_sizes.min():.1g} times the smallest; the "
            "small ones have hardly any weight: scale spectra first if they should"
        )
    return table._replace(notes=(*table.notes, *notes))


def select_rows(table: SpectraTable, selected: np.ndarray) -> SpectraTable:
    """The table of some of its spectra, with their names."""
    sample_names = table.sample_names
    if sample_names is not None:
        sample_names = tuple(
            name for name, keep in zip(sample_names, selected, strict=True) if keep
        )
    return table._replace(
        spectra=table.spectra[selected],
        row_indices=table.row_indices[selected],
        sample_names=sample_names,
    )


def check_same_axis(
    source_name: str | Path,
    axis: Float[np.ndarray, " c"] | None,
    table: SpectraTable,
    tolerance: float | None = None,
) -> None:
    """Refuse spectra of another axis than a table's, where both are known.

    Args:
        source_name: of the axis, for the message.
        axis: as long as the table's.
        table: with its own.
        tolerance: by which they may differ; half of the smallest distance between two bands of the
            table if None.

    Raises:
        ValueError: names both.
    """
    if axis is None or table.axis is None:
        return
    allowed_difference = 0.5 * np.abs(np.diff(table.axis)).min() if tolerance is None else tolerance
    if np.abs(axis - table.axis).max() > allowed_difference:
        is_reversed = np.allclose(axis[::-1], table.axis, atol=allowed_difference)
        raise ValueError(
            f"{source_name}: its axis runs from {axis[0]:g} to {axis[-1]:g}, that of {table.source_name} "
            f"from {table.axis[0]:g} to {table.axis[-1]:g}; "
            + ("turn one of them round" if is_reversed else "bring both to the same axis")
        )
