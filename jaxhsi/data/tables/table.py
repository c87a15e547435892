"""Spectra from what a user names: a table in any file, a folder of spectra, or a cube.

What holds three axes is a cube, whose pixels are the spectra; see `table_files` for the readers.
"""

from pathlib import Path

import numpy as np

from jaxhsi.data.cube import Cube, is_store
from jaxhsi.data.formats import FORMATS_BY_SUFFIX, readable_files
from jaxhsi.data.formats.envi_header import has_header
from jaxhsi.data.formats.mat import mat_shapes
from jaxhsi.data.formats.npy import load_npy
from jaxhsi.data.formats.raster_file import opens_as_raster
from jaxhsi.data.open import open_cubes
from jaxhsi.data.spectra_sample import SpectraSample, sample_spectra
from jaxhsi.data.tables.instrument_files import is_spectral_library
from jaxhsi.data.tables.spectra_table import MIN_SPECTRA, SpectraTable, as_float32, check_table
from jaxhsi.data.tables.stored_table import StoredTable
from jaxhsi.data.tables.table_files import read_table, table_files
from jaxhsi.data.tables.table_options import TableOptions
from jaxhsi.data.tables.text_encoding import is_text
from jaxhsi.data.tables.workbook import WORKBOOK_SUFFIXES
from jaxhsi.gmcr.weighted_projection import first_fill


def open_table(
    path: str | Path,
    options: TableOptions = TableOptions(),  # noqa: B008 -- frozen
    *,
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
        path: file of a table, folder of files with a spectrum each, or a cube (file, folder,
            store, URL).
        options: what the user says of the table.
        layout: order of the axes of a cube, such as "hwc".
        size: (H, W) of a cube that is kept as a table (C, H * W).
        raw: keep the stored values of a cube, whatever scale its file states.
        no_data: value of a cube that marks a missing measurement.
        max_pixels: spectra drawn from a cube at most.
        seed: of that draw.
        min_spectra: spectra that must be usable.

    Raises:
        FileNotFoundError: nothing at the path.
        ImportError: a package that reads the file is not installed.
        ValueError: see `read_table` and `check_table`.
    """
    if is_cube_path(path, key=options.key, size=size):
        cubes = open_cubes(
            path, key=options.key, layout=layout, size=size, raw=raw, no_data=no_data
        )
        return check_table(table_from_pixels(cubes, max_pixels, seed, str(path)))
    return checked_table(read_table(Path(path), options), str(path), min_spectra)


def checked_table(
    stored: StoredTable, source_name: str, min_spectra: int = MIN_SPECTRA
) -> SpectraTable:
    """A table as it is stored, checked that it can be unmixed.

    Raises:
        ValueError: values that are not finite, or as `check_table`.
    """
    missing = np.isnan(stored.values)  # left by the choice to mask them alone
    values = first_fill(stored.values, missing) if missing.any() else stored.values
    table = SpectraTable(
        as_float32(values, source_name),
        np.arange(len(stored.values)),
        stored.axis,
        stored.axis_name,
        stored.sample_names,
        source_name,
        stored.notes,
        references=stored.references,
        sample_axis=stored.sample_axis,
        sample_axis_name=stored.sample_axis_name,
        source_rows=len(stored.values),
        missing_mask=missing if missing.any() else None,
    )
    return check_table(table, min_spectra)


def table_from_pixels(
    cubes: tuple[Cube, ...], max_pixels: int, seed: int, source_name: str
) -> SpectraTable:
    """Valid spectra drawn at random from cubes, as a table.

    Args:
        cubes: of the same bands.
        max_pixels: spectra to draw.
        seed: of the draw.
        source_name: what the cubes are called in messages.

    Raises:
        ValueError: no pixel is valid.
    """
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
        sample.spectra,
        row_indices,
        wavelengths,
        axis_name,
        _pixel_names(cubes, sample),
        source_name,
        tuple(notes),
        cubes,
    )


def _pixel_names(cubes: tuple[Cube, ...], sample: SpectraSample) -> tuple[str, ...]:
    """Row and column of each drawn spectrum, after the name of the cube where there are several."""
    prefixes = [f"{cube.name} " if len(cubes) > 1 else "" for cube in cubes]
    return tuple(
        f"{prefixes[number]}row {row} column {column}"
        for number, row, column in sample.places.tolist()
    )


def is_cube_path(path: str | Path, *, key: str | None = None, size: tuple | None = None) -> bool:
    """Whether a path names cubes rather than a table: a store, an array of 3 axes, a folder."""
    if "://" in str(path):
        return True
    path = Path(path)
    if path.is_dir():
        return _is_cube_folder(path)
    if not path.is_file():
        raise FileNotFoundError(f"no data at {path}: the path does not exist")
    if size is not None:
        return True
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return load_npy(path).ndim == 3
    if suffix == ".mat":
        array_shapes = mat_shapes(path)
        array_shapes = {key: array_shapes[key]} if key in array_shapes else array_shapes
        return any(len(shape) == 3 for shape in array_shapes.values()) or {"nRow", "nCol"} <= set(
            array_shapes
        )
    if suffix in PLAIN_TEXT_SUFFIXES or is_spectral_library(path):
        return False
    if has_header(path) or (suffix in FORMATS_BY_SUFFIX and suffix not in ENVI_TEXT_SUFFIXES):
        return True
    return suffix not in WORKBOOK_SUFFIXES and not is_text(path) and opens_as_raster(path)


PLAIN_TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".npz")
"""Never the data of an image, even beside a header."""

ENVI_TEXT_SUFFIXES = (".dat", "")
"""Suffixes of ENVI's data that text tables have as well; a header tells them apart."""


def _is_cube_folder(folder: Path) -> bool:
    """Whether a folder is a store, or holds cubes; else it may hold files of spectra."""
    if is_store(folder) or any(entry.is_dir() and is_store(entry) for entry in folder.iterdir()):
        return True
    has_library = any(map(is_spectral_library, folder.glob("*.[hH][dD][rR]")))
    return not table_files(folder) or (not has_library and bool(readable_files(folder)))
