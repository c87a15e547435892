"""Tables of spectra from files, checked before anything long begins.

Spectra are rows, (n, c), unless said otherwise. Arrays in .npz and .mat files are found by their
names: ``data``, ``spectra``, ``D`` or ``X``, else the only table; the axis by ``axis``,
``wavenumber``, ``wavelength`` and the like; names of samples by ``samples``. What holds three axes
is a cube, whose pixels are the spectra.
"""

from pathlib import Path

import numpy as np

from jaxhsi.data.cube import Cube
from jaxhsi.data.formats import FORMATS_BY_SUFFIX
from jaxhsi.data.formats.envi_header import has_header
from jaxhsi.data.formats.mat import mat_shapes
from jaxhsi.data.formats.npy import load_npy
from jaxhsi.data.open import open_cubes
from jaxhsi.data.stream import sample_spectra
from jaxhsi.data.tables.spectra_table import MIN_SPECTRA, SpectraTable, as_float32, check_table
from jaxhsi.data.tables.stored_table import TABLE_SUFFIXES, read_table


def open_table(
    path: str | Path,
    *,
    orientation: str | None = None,
    key: str | None = None,
    layout: str | None = None,
    size: tuple[int, int] | None = None,
    raw: bool = False,
    no_data: float | None = None,
    max_pixels: int = 16384,
    seed: int = 0,
    min_spectra: int = MIN_SPECTRA,
) -> SpectraTable:
    """Read the spectra that a path names and check that they can be unmixed.

    Args:
        path: .csv, .npy, .npz or .mat file of a table, or a cube (file, folder, store, URL).
        orientation: "rows" or "columns" of the table; told from the file if None.
        key: array inside a .npz or .mat file.
        layout: order of the axes of a cube, such as "hwc".
        size: (H, W) of a cube that is kept as a table (C, H * W).
        raw: keep the stored values of a cube, whatever scale its file states.
        no_data: value of a cube that marks a missing measurement.
        max_pixels: spectra drawn from a cube at most.
        seed: of that draw.
        min_spectra: spectra that must be usable.

    Raises:
        FileNotFoundError: nothing at the path.
        ValueError: see `read_table` and `check_table`.
    """
    if is_cube_path(path, key=key, size=size):
        cubes = open_cubes(path, key=key, layout=layout, size=size, raw=raw, no_data=no_data)
        return check_table(_table_from_pixels(cubes, max_pixels, seed, str(path)))
    stored_table = read_table(Path(path), orientation=orientation, key=key)
    notes = () if stored_table.orientation_note is None else (stored_table.orientation_note,)
    values = as_float32(stored_table.values, str(path))
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
            f"{sample.num_invalid:,} of {sample.num_read:,} pixels read are not valid (NaN, "
            "infinite or no "
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
