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
from jaxhsi.data.formats import FORMATS
from jaxhsi.data.formats.envi_header import is_data
from jaxhsi.data.formats.mat import load_mat, mat_shapes
from jaxhsi.data.formats.npy import load_npy
from jaxhsi.data.open import open_sources
from jaxhsi.data.stream import sample_spectra
from jaxhsi.data.tables.csv_file import read_csv

SUFFIXES = (".csv", ".tsv", ".txt", ".npy", ".npz", ".mat")
DATA_KEYS = ("data", "spectra", "D", "X")
AXIS_KEYS = (
    *("axis", "wavenumber", "wavenumbers", "wavelength", "wavelengths", "wavelengths_nm"),
    *("wavelength_nm", "wl", "lambda", "shift", "raman_shift", "wn"),
)
LEAST_SPECTRA, LEAST_BANDS = 3, 2
MOST_NEGATIVE = 0.25  # share of the squared values; derivative and centred spectra have about half


class Table(NamedTuple):
    """Spectra to unmix.

    Attributes:
        spectra: finite values in the units of the file.
        rows: which rows of the file these are; some are left out.
        axis: number of each band, or None.
        axis_name: what the axis is called, or empty.
        names: of the samples, or None.
        source: where they came from, for messages.
        notes: what a reader of the result should be told.
        cubes: where the spectra are drawn from, if they are pixels; else empty.
    """

    spectra: Float32[np.ndarray, "n c"]
    rows: Int[np.ndarray, " n"]
    axis: Float[np.ndarray, " c"] | None = None
    axis_name: str = ""
    names: tuple[str, ...] | None = None
    source: str = ""
    notes: tuple[str, ...] = ()
    cubes: tuple[Cube, ...] = ()


class Array(NamedTuple):
    """A table as a file holds it, spectra in rows; see `Table`."""

    values: np.ndarray
    axis: np.ndarray | None = None
    axis_name: str = ""
    names: tuple[str, ...] | None = None
    note: str | None = None


def open_table(
    path: str | Path,
    *,
    spectra: str | None = None,
    key: str | None = None,
    layout: str | None = None,
    size: tuple[int, int] | None = None,
    pixels: int = 16384,
    seed: int = 0,
    least: int = LEAST_SPECTRA,
) -> Table:
    """Read the spectra that a path names and check that they can be unmixed.

    Args:
        path: .csv, .npy, .npz or .mat file of a table, or a cube (file, folder, store, URL).
        spectra: "rows" or "columns" of the table; told from the file if None.
        key: array inside a .npz or .mat file.
        layout: "hwc" or "chw" of a cube.
        size: (H, W) of a cube that is kept as a table (C, H * W).
        pixels: spectra drawn from a cube at most.
        seed: of that draw.
        least: spectra that must be usable.

    Raises:
        FileNotFoundError: nothing at the path.
        ValueError: see `read_array` and `checked`.
    """
    if is_cube(path, key=key, size=size):
        cubes = open_sources(path, key=key, layout=layout, size=size)
        return checked(_pixels(cubes, pixels, seed, str(path)))
    array = read_array(Path(path), spectra=spectra, key=key)
    notes = () if array.note is None else (array.note,)
    values = _as_float32(array.values, str(path))
    rows = np.arange(len(values))
    table = Table(values, rows, array.axis, array.axis_name, array.names, str(path), notes)
    return checked(table, least)


def _pixels(cubes: tuple[Cube, ...], count: int, seed: int, source: str) -> Table:
    sample = sample_spectra(cubes, count, seed)
    total = sum(cube.shape[0] * cube.shape[1] for cube in cubes)
    notes = [f"{len(sample.spectra):,} spectra drawn from the {total:,} pixels of {source}"]
    if sample.invalid:
        notes.append(
            f"{sample.invalid:,} of {sample.seen:,} pixels read are not valid (NaN, infinite or no "
            "data) and are left out"
        )
    waves = cubes[0].wavelengths
    name = "" if waves is None else "wavelength (nm)"
    rows = np.arange(len(sample.spectra))
    return Table(sample.spectra, rows, waves, name, None, source, tuple(notes), cubes)


def is_cube(path: str | Path, *, key: str | None = None, size: tuple | None = None) -> bool:
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
        shapes = mat_shapes(path)
        shapes = {key: shapes[key]} if key in shapes else shapes
        return any(len(shape) == 3 for shape in shapes.values()) or {"nRow", "nCol"} <= set(shapes)
    suffix = path.suffix.lower()
    return suffix not in SUFFIXES and (suffix in FORMATS or is_data(path))


# Reading ------------------------------------------------------------------------------------------


def read_array(
    path: Path,
    *,
    spectra: str | None = None,
    key: str | None = None,
    keys: tuple[str, ...] = DATA_KEYS,
) -> Array:
    """Read a table without judging its values.

    Args:
        path: the file.
        spectra: see `open_table`.
        key: the array's name; else the first of ``keys`` that is there, else the only table.
        keys: names to look for.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a suffix that is not read, a key that is missing (those there are named),
            several tables without a known name, or as `read_csv`.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(
            f"{path}: tables are read from {', '.join(SUFFIXES)}, not from "
            f"{suffix or 'a name without suffix'!r}"
        )
    if spectra not in (None, "rows", "columns"):
        raise ValueError(f"--spectra {spectra} is unknown; give rows or columns")
    if key is not None and suffix not in (".npz", ".mat"):
        raise ValueError(f"{path} holds one table without a name; drop --key {key}")
    if suffix == ".npy":
        return _oriented(load_npy(path), None, spectra, path)
    if suffix in (".npz", ".mat"):
        return _read_named(path, spectra, key, keys)
    return Array(*read_csv(path, spectra))


class Named(NamedTuple):
    """The numeric arrays of a file that holds several.

    Attributes:
        shapes: by key.
        load: values of a key.
    """

    shapes: dict[str, tuple[int, ...]]
    load: Callable[[str], np.ndarray]


def named_arrays(path: Path) -> Named:
    """Look into a .npz or .mat file.

    Raises:
        ValueError: damaged, or holding pickled objects.
    """
    if path.suffix.lower() == ".mat":
        return Named(mat_shapes(path), lambda key: load_mat(path, key))
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} cannot be read as a .npz file of arrays, it may be truncated; write it again "
            f"with numpy.savez ({error})"
        ) from error
    return Named({key: array.shape for key, array in arrays.items()}, arrays.__getitem__)


def _read_named(path: Path, spectra: str | None, key: str | None, keys: tuple[str, ...]) -> Array:
    named = named_arrays(path)
    key = key or _find_key(path, named, keys)
    if key not in named.shapes:
        raise ValueError(f"{path} has no key {key!r}; {listing(named)}")
    found = next((name for name in AXIS_KEYS if name in named.shapes), None)
    axis = None if found is None else np.asarray(named.load(found)).ravel()
    array = _oriented(named.load(key), axis, spectra, path)
    samples = named.load("samples").ravel() if "samples" in named.shapes else ()
    if len(samples) == len(array.values):
        array = array._replace(names=tuple(str(name) for name in samples))
    return array if array.axis is None else array._replace(axis_name=found)


def _find_key(path: Path, named: Named, keys: tuple[str, ...]) -> str:
    for key in keys:
        if key in named.shapes:
            return key
    tables = [key for key, shape in named.shapes.items() if len(shape) == 2 and min(shape) > 1]
    if len(tables) == 1:
        return tables[0]
    raise ValueError(
        f"{path} does not tell which array holds the spectra: none is called "
        f"{', '.join(keys)}; name it with --key, {listing(named)}"
    )


def listing(named: Named) -> str:
    """What a file holds, for a message."""
    arrays = ", ".join(f"{key} {shape}" for key, shape in named.shapes.items())
    return f"the file holds: {arrays or 'nothing'}"


def _oriented(
    values: np.ndarray, axis: np.ndarray | None, spectra: str | None, path: Path
) -> Array:
    """Spectra in rows; turned where that was said, or where the axis fits the columns alone."""
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(
            f"{path} holds an array of shape {values.shape}; a table has a row for each spectrum "
            "and a column for each band"
        )
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{path} holds {values.dtype} values; a table holds real numbers")
    note = None
    if spectra is None and axis is not None and len(axis) == len(values) != values.shape[1]:
        spectra, note = "columns", "the axis is as long as the columns: spectra are columns"
    values = values.T if spectra == "columns" else values
    fits = axis is not None and axis.shape == values.shape[1:] and axis.dtype.kind in "iuf"
    return Array(np.asarray(values), axis.astype(float) if fits else None, note=note)


# Checking -----------------------------------------------------------------------------------------


def _as_float32(values: np.ndarray, where: str) -> Float32[np.ndarray, "n c"]:
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        places = "; ".join(f"spectrum {i + 1}, band {j + 1}: {values[i, j]}" for i, j in bad[:3])
        rows = len(np.unique(bad[:, 0]))
        raise ValueError(
            f"{where}: {len(bad)} value(s) of {rows} spectra are not finite ({places}"
            f"{'; ...' if len(bad) > 3 else ''}); remove these spectra or bands, or fill the values"
        )
    largest = float(np.abs(values).max())
    if largest > 1e18 or 0 < largest < 1e-18:
        raise ValueError(
            f"{where}: the largest value is {largest:g}, whose square float32 cannot hold; use "
            "another unit"
        )
    return np.ascontiguousarray(values, np.float32)


def checked(table: Table, least: int = LEAST_SPECTRA) -> Table:
    """Leave out spectra that are zero, and note what else a reader should know.

    Noted: zero spectra left out, equal spectra (kept), sizes that differ by a million or more.

    Args:
        table: to check.
        least: spectra that must be left.

    Raises:
        ValueError: fewer spectra, one band, or nothing but zeros.
    """
    notes, spectra = [], table.spectra
    if spectra.shape[1] < LEAST_BANDS:
        raise ValueError(
            f"{table.source}: spectra of {spectra.shape[1]} band cannot be told apart; "
            "give at least two bands (are spectra in --spectra columns?)"
        )
    sizes = np.sqrt((spectra.astype(np.float64) ** 2).mean(axis=1))
    zero = sizes == 0
    if zero.any():
        shown = ", ".join(str(row + 1) for row in table.rows[zero][:5])
        notes.append(
            f"{zero.sum()} of {len(zero)} spectra are all zero and left out (row {shown}"
            f"{', ...' if zero.sum() > 5 else ''})"
        )
        table, sizes = keep_rows(table, ~zero), sizes[~zero]
    if len(table.spectra) < least:
        needed = "one is needed"
        if least > 1:
            needed = f"mixtures are taken apart by comparing at least {least} of them"
        raise ValueError(
            f"{table.source}: {len(table.spectra)} usable spectra of {len(zero)}; {needed} "
            "(are spectra in --spectra columns?)"
        )
    repeated = len(table.spectra) - len(np.unique(table.spectra, axis=0))
    if repeated and not table.cubes:
        notes.append(f"{repeated} spectra repeat another one; they are kept, and add no evidence")
    if sizes.max() > 1e6 * sizes.min():
        notes.append(
            f"the largest spectrum is {sizes.max() / sizes.min():.1g} times the smallest; the "
            "small ones have hardly any weight: scale spectra first if they should"
        )
    return table._replace(notes=(*table.notes, *notes))


def keep_rows(table: Table, kept: np.ndarray) -> Table:
    """The table of some of its spectra, with their names."""
    names = table.names
    if names is not None:
        names = tuple(name for name, keep in zip(names, kept, strict=True) if keep)
    return table._replace(spectra=table.spectra[kept], rows=table.rows[kept], names=names)


def negative_note(spectra: Float32[np.ndarray, "n c"], source: str, option: str) -> str | None:
    """What to say of negative values where components and concentrations are to have none.

    Args:
        spectra: the data.
        source: for the message.
        option: that switches non-negativity off, for the message.

    Returns:
        A note, or None where no value is negative.

    Raises:
        ValueError: negative values hold more than a quarter of the sum of squares: they are
            signal, as in derivative or centred spectra, and not noise about zero.
    """
    below = spectra[spectra < 0].astype(np.float64)
    if not below.size:
        return None
    share = (below**2).sum() / (spectra.astype(np.float64) ** 2).sum()
    told = (
        f"{below.size:,} of {spectra.size:,} values are negative, down to {below.min():.4g} "
        f"({share:.2%} of the sum of squares)"
    )
    if share > MOST_NEGATIVE:
        raise ValueError(
            f"{source}: {told}, but components and concentrations are not to be negative; give "
            f"{option} for derivative or centred spectra, or correct the baseline"
        )
    return f"{told}; they are taken as noise about zero (else give {option})"


def check_axis(
    source: str | Path,
    axis: Float[np.ndarray, " c"] | None,
    table: Table,
    tolerance: float | None = None,
) -> None:
    """Refuse spectra of another axis than a table's, where both are known.

    Args:
        source: of the axis, for the message.
        axis: as long as the table's.
        table: with its own.
        tolerance: by which they may differ; half of the smallest distance between two bands of the
            table if None.

    Raises:
        ValueError: names both.
    """
    if axis is None or table.axis is None:
        return
    allowed = 0.5 * np.abs(np.diff(table.axis)).min() if tolerance is None else tolerance
    if np.abs(axis - table.axis).max() > allowed:
        turned = np.allclose(axis[::-1], table.axis, atol=allowed)
        raise ValueError(
            f"{source}: its axis runs from {axis[0]:g} to {axis[-1]:g}, that of {table.source} "
            f"from {table.axis[0]:g} to {table.axis[-1]:g}; "
            + ("turn one of them round" if turned else "bring both to the same axis")
        )
