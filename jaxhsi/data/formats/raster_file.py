"""Raster files opened through rasterio, whose GDAL knows some hundred formats."""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from jaxhsi.data.formats.file_errors import import_reader_package, reading_errors
from jaxhsi.data.network_wait import gdal_http_options

GDAL_CACHE_BYTES = 80 * 2**20
"""Of GDAL, which otherwise takes a share of the machine's memory. An ingest of a masked GeoTIFF of
1024 x 1024 x 192 peaks at 590 MB with 256 MiB, and at 420 MB with 80 MiB; compressed tiles that
lie in several slabs are then decompressed again, which takes a third longer."""

RASTER_SUFFIXES = (
    *(".tif", ".tiff", ".gtiff", ".btf", ".vrt", ".jp2", ".j2k", ".pix", ".ers", ".kea"),
    *(".ntf", ".nitf", ".rst", ".flt", ".mrf", ".img", ".bil", ".bip", ".bsq"),
)
"""Of files that may be cubes when a folder is listed; .img, .bil, .bip and .bsq may be ENVI's."""


@contextmanager
def open_dataset(path: Path, name: str | None = None) -> Iterator[Any]:
    """An open rasterio dataset.

    Args:
        path: the file, for messages.
        name: what GDAL opens, such as a page of the file or the XML of a VRT; the file if None.

    Raises:
        ValueError: unreadable.
        ImportError: rasterio is not installed.
    """
    rasterio = import_reader_package("rasterio", path, file_kind(path))
    options = {"GDAL_CACHEMAX": GDAL_CACHE_BYTES} | gdal_http_options()
    with rasterio.Env(**options), warnings.catch_warnings():
        # Pictures from a bench have no place on the ground; nothing is wrong with them.
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with gdal_errors(path):
            file = rasterio.open(name or path)
        with file:
            yield file


def raster_data_file(path: Path) -> Path:
    """The file that GDAL opens: the data beside an ESRI header, else the file itself.

    Raises:
        FileNotFoundError: a header without its data.
    """
    if path.suffix.lower() != ".hdr":
        return path
    data_files = [
        entry
        for entry in path.parent.iterdir()
        if entry.stem == path.stem and entry.suffix.lower() in RASTER_SUFFIXES
    ]
    if not data_files:
        raise FileNotFoundError(
            f"{path} is an ESRI header without its data beside it; looked for {path.stem} with "
            ".bil, .bip, .bsq or .flt"
        )
    return data_files[0]


def raster_files(path: Path) -> list[Path]:
    """All local files that the values of a raster depend on: sources of a VRT, masks, headers.

    Raises:
        ValueError: unreadable.
        ImportError: rasterio is not installed.
    """
    with open_dataset(raster_data_file(path)) as file:
        named = [Path(name) for name in file.files]
    return sorted({path, *(each for each in named if each.is_file())})


def is_esri_header(path: Path) -> bool:
    """Whether a .hdr file is ESRI's, with NROWS and NCOLS, and not ENVI's."""
    words = path.read_bytes()[:4096].upper().split()
    return b"NROWS" in words and b"NCOLS" in words


def is_erdas_file(path: Path) -> bool:
    """Whether a file is an ERDAS IMAGINE image, whose suffix .img ENVI uses too."""
    with path.open("rb") as file:
        return file.read(15) == b"EHFA_HEADER_TAG"


def gdal_errors(path: Path) -> AbstractContextManager[None]:
    """Turn GDAL's errors into one that names the file."""
    kind = file_kind(path)
    errors = import_reader_package("rasterio.errors", path, kind).RasterioError
    return reading_errors(path, kind, "it may be truncated or still being written", errors)


def file_kind(path: Path) -> str:
    """Name of the kind of a file for messages."""
    return "a TIFF" if path.suffix.lower() in (".tif", ".tiff") else "a raster"


def opens_as_raster(path: Path) -> bool:
    """Whether GDAL can open a file; False where rasterio is not installed."""
    try:
        with open_dataset(raster_data_file(path)):
            return True
    except (ValueError, ImportError, OSError):
        return False
