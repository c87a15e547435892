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
def _open_file(path: Path) -> Iterator[Any]:
    rasterio = import_reader_package("rasterio", path, FILE_KIND)
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
        with _gdal_errors(path), warnings.catch_warnings():
            # Pictures from a bench have no place on the ground; nothing is wrong with them.
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            file = rasterio.open(path)
        with file:
            yield file


def _gdal_errors(path: Path) -> AbstractContextManager[None]:
    """Turn GDAL's errors into one that names the file."""
    errors = import_reader_package("rasterio.errors", path, FILE_KIND).RasterioError
    return reading_errors(path, FILE_KIND, "it may be truncated or still being written", errors)


def geotiff_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of the one array, under the empty key; (H, W) of a single band, as of a label map.

    Raises:
        ValueError: unreadable.
        ImportError: rasterio is not installed.
    """
    with _open_file(path) as file:
        image_shape = (file.height, file.width)
        return {"": image_shape if file.count == 1 else (file.count, *image_shape)}


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
    with _open_file(path) as file:
        _check_blocks(path, file)
        if file.dtypes[0].startswith("complex"):
            raise ValueError(f"{path} holds {file.dtypes[0]} values; a cube holds real numbers")
        wavelengths, notes = _read_wavelengths(path, file)

        def read(index: tuple[slice, slice, slice]) -> np.ndarray:
            bands, *image = (
                slice(*part.indices(length)[:2])
                for part, length in zip(index, (file.count, *file.shape), strict=True)
            )
            chosen = list(range(bands.start + 1, bands.stop + 1))
            with _gdal_errors(path):
                return file.read(chosen, window=tuple((part.start, part.stop) for part in image))

        yield Volume(
            path=path,
            key="",
            shape=(file.count, file.height, file.width),
            read_slab=read,
            wavelengths=wavelengths,
            layout="chw",
            no_data=_no_data_value(file),
            georeference=_georeference(path, file),
            value_units=next((unit for unit in file.units if unit), None),
            scale_factor=_common_scale(path, file),
            notes=notes,
        )


def _check_blocks(path: Path, file: Any) -> None:
    """Refuse a file that ends before its last blocks: GDAL opens it, and fails on the way."""
    if file.driver not in ("GTiff", "COG"):
        return
    file_bytes = path.stat().st_size
    for band in {1, file.count}:
        rows, columns = file.block_shapes[band - 1]
        last = f"{(file.width - 1) // columns}_{(file.height - 1) // rows}"
        with _gdal_errors(path):
            start, count = (
                file.get_tag_item(f"BLOCK_{what}_{last}", "TIFF", bidx=band)
                for what in ("OFFSET", "SIZE")
            )
        if start and count and int(start) + int(count) > file_bytes:
            raise ValueError(
                f"{path} is truncated, holds {file_bytes} of at least {int(start) + int(count)} "
                "bytes; "
                "copy it again, or wait until it is written"
            )


def _no_data_value(file: Any) -> float | None:
    value = file.nodata
    return float(value) if value is not None and math.isfinite(value) else None


def _georeference(path: Path, file: Any) -> Georeference | None:
    if file.crs is None and file.transform.is_identity:
        return None
    crs = file.crs.to_string() if file.crs else None
    metres = float(file.crs.linear_units_factor[1]) if file.crs and file.crs.is_projected else None
    return Georeference(crs, tuple(float(value) for value in file.transform[:6]), metres)


def _common_scale(path: Path, file: Any) -> float | None:
    if any(file.offsets) or len(set(file.scales)) > 1:
        raise ValueError(
            f"{path} states offsets, or scales that differ among its bands, which are not "
            f"supported; apply them first: gdal_translate -unscale -ot Float32 {path.name} new.tif"
        )
    return None if file.scales[0] == 1.0 else float(file.scales[0])


def _read_wavelengths(path: Path, file: Any) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """From tags of the bands, else tags of the file, else descriptions of the bands."""
    band_tags = [_lower_case_names(file.tags(band)) for band in file.indexes]
    file_tags = _lower_case_names(file.tags())
    for name in ("wavelength", "wavelengths", "wavelength_nm", "central_wavelength"):
        if all(name in band for band in band_tags):
            values, unit_name = (
                [band[name] for band in band_tags],
                band_tags[0].get(f"{name}_units"),
            )
            unit_name = (
                unit_name
                or band_tags[0].get("wavelength_units")
                or band_tags[0].get("wavelength_unit")
            )
            return _parse_wavelengths(path, file, name, values, unit_name)
        if name in file_tags:
            unit_name = file_tags.get("wavelength_units") or file_tags.get("wavelength_unit")
            values = re.split(r"[\s,;]+", file_tags[name].strip(" \t\r\n{}[]()"))
            return _parse_wavelengths(path, file, name, values, unit_name)
    band_descriptions = [text or "" for text in file.descriptions]
    return (
        _parse_wavelengths(path, file, "descriptions of the bands", band_descriptions, None)
        if all(band_descriptions)
        else (None, ())
    )


def _lower_case_names(tags: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in tags.items()}


def _parse_wavelengths(
    path: Path, file: Any, field_name: str, texts: list[str], unit_name: str | None
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Wavelengths of texts such as "450", "450.0 nm" or "blue (0.45 micrometers)"."""
    if len(texts) != file.count:
        raise ValueError(
            f"{path} is not consistent: {field_name} has {len(texts)} values and there are "
            f"{file.count} "
            "bands; correct or delete that tag"
        )
    unit_matches = [NUMBER_WITH_UNIT.search(text) for text in texts]
    if all(unit_matches):
        values, unit_name = [float(pair[1]) for pair in unit_matches], unit_matches[0][2]
        if len({pair[2] for pair in unit_matches}) > 1:
            return None, (f"{field_name}: units differ among the bands, not kept",)
    else:
        bare_matches = [BARE_NUMBER.fullmatch(text) for text in texts]
        if not all(bare_matches):
            return None, ()
        values = [float(match[1]) for match in bare_matches]
        if values in ([*range(len(values))], [*range(1, len(values) + 1)]):
            return None, ()  # numbers of the bands
    return wavelengths_in_nm(np.array(values), unit_name, f"{path}: {field_name}")
