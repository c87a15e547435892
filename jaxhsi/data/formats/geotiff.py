"""GeoTIFF and cloud-optimised GeoTIFF, read by windows through rasterio."""

import math
import re
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from jaxhsi.data.formats.file_errors import import_reader_package, reading_errors
from jaxhsi.data.formats.volume import Volume
from jaxhsi.data.formats.wavelengths import wavelengths_in_nm
from jaxhsi.data.georeference import Georeference

GDAL_CACHE_BYTES = 256 * 2**20
"""Of GDAL, which otherwise takes a share of the machine's memory."""

FILE_KIND = "a TIFF"
NUMBER_PATTERN = r"(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)"
UNIT_PATTERN = r"(nm|nanomet(?:er|re)s?|um|µm|μm|micromet(?:er|re)s?|microns?)"
BARE_NUMBER, NUMBER_WITH_UNIT = (
    re.compile(rf"\s*{NUMBER_PATTERN}\s*"),
    re.compile(rf"(?:^|[\s(\[=:_]){NUMBER_PATTERN}\s*{UNIT_PATTERN}\b"),
)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    rasterio = import_reader_package("rasterio", path, FILE_KIND)
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
        with _readable(path), warnings.catch_warnings():
            # Pictures from a bench have no place on the ground; nothing is wrong with them.
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            file = rasterio.open(path)
        with file:
            yield file


def _readable(path: Path) -> AbstractContextManager[None]:
    """Turn GDAL's errors into one that names the file."""
    errors = import_reader_package("rasterio.errors", path, FILE_KIND).RasterioError
    return reading_errors(path, FILE_KIND, "it may be truncated or still being written", errors)


def geotiff_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of the one array, under the empty key; (H, W) of a single band, as of a label map.

    Raises:
        ValueError: unreadable.
        ImportError: rasterio is not installed.
    """
    with _opened(path) as file:
        image = (file.height, file.width)
        return {"": image if file.count == 1 else (file.count, *image)}


@contextmanager
def open_geotiff(
    path: Path, *, key: str | None = None, size: tuple[int, int] | None = None
) -> Iterator[Volume]:
    """Open a TIFF file whose bands are those of a cube.

    Args:
        path: the file.
        key: must be None.
        size: not used.

    Raises:
        ValueError: unreadable or truncated, a key, complex values, values with offsets, scales
            that differ among bands, or wavelengths out of order.
        ImportError: rasterio is not installed.
    """
    if key is not None:
        raise ValueError(f"{path} holds one array without a name; drop --key {key}")
    with _opened(path) as file:
        _check_blocks(path, file)
        if file.dtypes[0].startswith("complex"):
            raise ValueError(f"{path} holds {file.dtypes[0]} values; a cube holds real numbers")
        wavelengths, notes = _wavelengths(path, file)

        def read(index: tuple[slice, slice, slice]) -> np.ndarray:
            bands, *image = (
                slice(*part.indices(length)[:2])
                for part, length in zip(index, (file.count, *file.shape), strict=True)
            )
            chosen = list(range(bands.start + 1, bands.stop + 1))
            with _readable(path):
                return file.read_slab(
                    chosen, window=tuple((part.start, part.stop) for part in image)
                )

        yield Volume(
            path=path,
            key="",
            shape=(file.count, file.height, file.width),
            read_slab=read,
            wavelengths=wavelengths,
            layout="chw",
            no_data=_no_data(file),
            georeference=_georeference(path, file),
            value_units=next((unit for unit in file.value_units if unit), None),
            scale_factor=_scale(path, file),
            notes=notes,
        )


def _check_blocks(path: Path, file: Any) -> None:
    """Refuse a file that ends before its last blocks: GDAL opens it, and fails on the way."""
    if file.driver not in ("GTiff", "COG"):
        return
    length = path.stat().st_size
    for band in {1, file.count}:
        rows, columns = file.block_shapes[band - 1]
        last = f"{(file.width - 1) // columns}_{(file.height - 1) // rows}"
        with _readable(path):
            start, count = (
                file.get_tag_item(f"BLOCK_{what}_{last}", "TIFF", bidx=band)
                for what in ("OFFSET", "SIZE")
            )
        if start and count and int(start) + int(count) > length:
            raise ValueError(
                f"{path} is truncated, holds {length} of at least {int(start) + int(count)} bytes; "
                "copy it again, or wait until it is written"
            )


def _no_data(file: Any) -> float | None:
    value = file.nodata
    return float(value) if value is not None and math.isfinite(value) else None


def _georeference(path: Path, file: Any) -> Georeference | None:
    if file.crs is None and file.transform.is_identity:
        return None
    crs = file.crs.to_string() if file.crs else None
    metres = float(file.crs.linear_units_factor[1]) if file.crs and file.crs.is_projected else None
    return Georeference(crs, tuple(float(value) for value in file.transform[:6]), metres)


def _scale(path: Path, file: Any) -> float | None:
    if any(file.offsets) or len(set(file.scales)) > 1:
        raise ValueError(
            f"{path} states offsets, or scales that differ among its bands, which are not "
            f"supported; apply them first: gdal_translate -unscale -ot Float32 {path.name} new.tif"
        )
    return None if file.scales[0] == 1.0 else float(file.scales[0])


def _wavelengths(path: Path, file: Any) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """From tags of the bands, else tags of the file, else descriptions of the bands."""
    tags = [_lower(file.tags(band)) for band in file.indexes]
    whole = _lower(file.tags())
    for name in ("wavelength", "wavelengths", "wavelength_nm", "central_wavelength"):
        if all(name in band for band in tags):
            values, units = [band[name] for band in tags], tags[0].get(f"{name}_units")
            units = units or tags[0].get("wavelength_units") or tags[0].get("wavelength_unit")
            return _parsed(path, file, name, values, units)
        if name in whole:
            units = whole.get("wavelength_units") or whole.get("wavelength_unit")
            values = re.split(r"[\s,;]+", whole[name].strip(" \t\r\n{}[]()"))
            return _parsed(path, file, name, values, units)
    texts = [text or "" for text in file.descriptions]
    return (
        _parsed(path, file, "descriptions of the bands", texts, None) if all(texts) else (None, ())
    )


def _lower(tags: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in tags.items()}


def _parsed(
    path: Path, file: Any, name: str, texts: list[str], units: str | None
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Wavelengths of texts such as "450", "450.0 nm" or "blue (0.45 micrometers)"."""
    if len(texts) != file.count:
        raise ValueError(
            f"{path} is not consistent: {name} has {len(texts)} values and there are {file.count} "
            "bands; correct or delete that tag"
        )
    pairs = [NUMBER_WITH_UNIT.search(text) for text in texts]
    if all(pairs):
        values, units = [float(pair[1]) for pair in pairs], pairs[0][2]
        if len({pair[2] for pair in pairs}) > 1:
            return None, (f"{name}: units differ among the bands, not kept",)
    else:
        bare = [BARE_NUMBER.fullmatch(text) for text in texts]
        if not all(bare):
            return None, ()
        values = [float(match[1]) for match in bare]
        if values in ([*range(len(values))], [*range(1, len(values) + 1)]):
            return None, ()  # numbers of the bands
    return wavelengths_in_nm(np.array(values), units, f"{path}: {name}")
