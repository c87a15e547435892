"""Readers of file formats: one module per format, one table of all of them.

| suffix | module | package |
|---|---|---|
| .npy .npz | `npy`, `npz` | NumPy |
| .mat | `mat` | SciPy; h5py for version 7.3 |
| .h5 .hdf5 .hdf .he5 .hspy | `hdf5` | h5py |
| .nc .nc4 .cdf | `netcdf` | SciPy for version 3; h5py for version 4 |
| .tif .tiff .vrt .img .jp2 .pix .bil and all else that GDAL opens | `raster` | rasterio |
| .hdr and its data file | `envi` | spectral, for the header |

To add a format, write a module with the two functions of `FileFormat`: one that returns the shapes
of the arrays in a file, and a context manager that yields a `Volume`, whose `read_slab` reads a
part of the array. Then register its suffixes in `FORMATS_BY_SUFFIX`; nothing else refers to single
formats. Helpers: `file_errors` (optional packages and damaged files), `wavelengths` (units),
`named_arrays` and `container` (files that hold several arrays), `axis_order` (which axis holds
the bands), `value_marks` (missing values, scale, offset). `tests/data/test_formats.py` checks that
every format gives the same cube.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from jaxhsi.data.formats.band_files import (
    band_folder_shapes,
    list_band_files,
    open_band_folder,
)
from jaxhsi.data.formats.envi import envi_shapes, open_envi
from jaxhsi.data.formats.envi_header import DATA_SUFFIXES, find_data_file, find_header, has_header
from jaxhsi.data.formats.hdf5 import hdf5_shapes, open_hdf5
from jaxhsi.data.formats.mat import mat_tree_shapes, open_mat
from jaxhsi.data.formats.netcdf import netcdf_shapes, open_netcdf
from jaxhsi.data.formats.npy import npy_shapes, open_npy
from jaxhsi.data.formats.npz import npz_shapes, open_npz
from jaxhsi.data.formats.raster import open_raster, raster_shapes
from jaxhsi.data.formats.raster_file import (
    RASTER_SUFFIXES,
    is_erdas_file,
    is_esri_header,
    opens_as_raster,
    raster_data_file,
)
from jaxhsi.data.formats.sensors import closed_format_remedy, with_sensors
from jaxhsi.data.formats.volume import Volume, resolve_layout


class FileFormat(NamedTuple):
    """How to look into a file and how to read it.

    Attributes:
        array_shapes: path -> shapes of its numeric arrays by key.
        open_volume: (path, *, key, size) -> context of a `Volume`.
    """

    array_shapes: Callable[[Path], dict[str, tuple[int, ...]]]
    open_volume: Callable[..., AbstractContextManager[Volume]]


ENVI = FileFormat(envi_shapes, open_envi)
RASTER = FileFormat(raster_shapes, open_raster)
BAND_FOLDER = FileFormat(band_folder_shapes, open_band_folder)
FORMATS_BY_SUFFIX = {
    ".mat": FileFormat(mat_tree_shapes, open_mat),
    ".npy": FileFormat(npy_shapes, open_npy),
    ".npz": FileFormat(npz_shapes, open_npz),
    **dict.fromkeys(RASTER_SUFFIXES, RASTER),
    **dict.fromkeys((".h5", ".hdf5", ".hdf", ".he5", ".hspy"), FileFormat(hdf5_shapes, open_hdf5)),
    **dict.fromkeys((".nc", ".nc4", ".cdf"), FileFormat(netcdf_shapes, open_netcdf)),
    ".hdr": ENVI,
    **dict.fromkeys(filter(None, DATA_SUFFIXES), ENVI),
}
"""Readers by suffix. ENVI data files may have any other suffix, or none, beside their header; what
else GDAL opens may have any suffix too."""


ARCHIVE_SUFFIXES = (".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".7z", ".rar", ".zst")


def file_format(path: Path) -> FileFormat:
    """The reader for a file, chosen by its suffix, or by a header beside it.

    A folder has a reader where it holds one file a band.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another folder, or a suffix that no reader serves.
    """
    if path.is_dir():
        if list_band_files(path):
            return _with_sensors(BAND_FOLDER)
        raise ValueError(
            f"{path} is a folder without files whose names number a band, such as scene_B01.tif; "
            "name a file in it. A store needs no reader"
        )
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    reader = FORMATS_BY_SUFFIX.get(path.suffix.lower()) or (ENVI if has_header(path) else None)
    if reader in (None, ENVI) and _may_be_raster(path) and opens_as_raster(path):
        reader = RASTER
    if reader is None:
        if (remedy := closed_format_remedy(path)) is not None:
            raise ValueError(f"{path} {remedy}")
        if path.suffix.lower() in ARCHIVE_SUFFIXES:
            raise ValueError(f"{path} is an archive; unpack it, and give the file or folder in it")
        raise ValueError(
            f"{path}: no reader for {path.suffix or 'a name without suffix'!r}; supported are "
            f"{', '.join(FORMATS_BY_SUFFIX)}, any data file with an ENVI header beside it, what "
            "GDAL opens, and Zarr v3 stores"
        )
    return _with_sensors(reader)


def _with_sensors(reader: FileFormat) -> FileFormat:
    return reader._replace(open_volume=with_sensors(reader.open_volume))


def has_reader(path: Path) -> bool:
    """Whether a reader serves a file."""
    try:
        return file_format(path) is not None
    except ValueError:
        return False


def _may_be_raster(path: Path) -> bool:
    """Whether a file without a suffix of its own format has no ENVI header: GDAL may read it."""
    header = path if path.suffix.lower() == ".hdr" else find_header(path)
    return header is None or is_esri_header(header) or is_erdas_file(path)


def readable_files(folder: Path) -> list[Path]:
    """The files of a folder that a reader serves, sorted by name; subfolders are not entered.

    An ENVI header and its data are one, named by the data file; a data file without a header is
    not listed. Hidden files are left out. Whether a file holds a cube is not looked at.

    Raises:
        FileNotFoundError: a header without its data.
        ValueError: a header beside several data files.
    """
    folder_entries = [
        entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith(".")
    ]
    headers = [entry for entry in folder_entries if entry.suffix.lower() == ".hdr"]
    esri_headers = [entry for entry in headers if is_esri_header(entry)]
    envi_files = {find_data_file(entry) for entry in headers if entry not in esri_headers}
    other_files = [
        entry
        for entry in folder_entries
        if FORMATS_BY_SUFFIX.get(entry.suffix.lower(), ENVI) is not ENVI
        or (
            entry.suffix.lower() in RASTER_SUFFIXES
            and entry not in envi_files
            and opens_as_raster(entry)
        )
    ]
    return sorted({*other_files, *map(raster_data_file, esri_headers), *envi_files})


def cube_shape(
    source: Path,
    *,
    key: str | None = None,
    layout: str | None = None,
    size: tuple[int, int] | None = None,
) -> tuple[int, int, int]:
    """(H, W, C) that `ingest.pipeline.ingest` would make of a file, without reading its values.

    Raises:
        FileNotFoundError, ValueError, ImportError: as `ingest.pipeline.ingest`.
    """
    with file_format(source).open_volume(source, key=key, size=size) as volume:
        return resolve_layout(volume, layout)[1]
