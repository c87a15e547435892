"""Cubes that GDAL reads, by windows through rasterio: GeoTIFF, VRT, ERDAS, JPEG 2000 and others."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxhsi.data.formats.band_xml import xml_gains
from jaxhsi.data.formats.file_errors import reading_errors
from jaxhsi.data.formats.ground_position import metres_per_unit
from jaxhsi.data.formats.raster_bands import RasterBands, raster_bands
from jaxhsi.data.formats.raster_file import (
    file_kind,
    gdal_errors,
    open_dataset,
    raster_data_file,
)
from jaxhsi.data.formats.raster_pages import find_pages
from jaxhsi.data.formats.raster_stack import STACK_NOTE_TAG
from jaxhsi.data.formats.raster_wavelengths import raster_wavelengths
from jaxhsi.data.formats.volume import Volume, shared_value
from jaxhsi.data.georeference import Georeference


def raster_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of the one array, under the empty key; (H, W) of a single band, as of a label map.

    Raises:
        ValueError: unreadable.
        ImportError: rasterio is not installed.
    """
    path = raster_data_file(path)
    with open_dataset(path) as file:
        stack = find_pages(path, file)
        if stack is not None:
            return {"": stack.shape}
        spectral = _checked_bands(path, file).spectral
        image_shape = (file.height, file.width)
        return {"": image_shape if len(spectral) == 1 else (len(spectral), *image_shape)}


@contextmanager
def open_raster(
    path: Path, *, key: str | None = None, size: tuple[int, int] | None = None
) -> Iterator[Volume]:
    """Open a raster file whose bands, or whose pages, are the bands of a cube.

    An alpha band is no spectral band: it and masks of the file tell which pixels are valid.

    Args:
        path: the file.
        key: pages such as "2-51" of a TIFF file that holds several images; else None.
        size: not used.

    Raises:
        ValueError: unreadable or truncated, a key where there are no pages, pages that differ in
            size, or complex values.
        ImportError: rasterio is not installed.
    """
    path = raster_data_file(path)
    with open_dataset(path) as file:
        stack = find_pages(path, file, key)
        if stack is None:
            if key is not None:
                raise ValueError(f"{path} holds one array without a name; drop --key {key}")
            yield raster_volume(path, file)
            return
    with open_dataset(path, stack.vrt) as file:
        volume = raster_volume(path, file, notes=stack.notes)
        yield replace(volume, layout=None, default_layout=stack.layout)


def raster_volume(path: Path, file: Any, notes: Sequence[str] = ()) -> Volume:
    """The bands of an open rasterio dataset as a volume (C, H, W).

    Args:
        path: the file, for messages.
        file: the dataset, which stays open as long as the volume is read.
        notes: what was done before, for the history.

    Raises:
        ValueError: see `open_raster`.
    """
    _check_blocks(path, file)
    if any(dtype.startswith("complex") for dtype in file.dtypes):
        raise ValueError(f"{path} holds {file.dtypes[0]} values; a cube holds real numbers")
    bands = _checked_bands(path, file)
    wavelengths, wavelength_notes = raster_wavelengths(path, file, bands.spectral)
    scale_factor, offset = _scale_and_offset(file, bands.spectral)
    gain_notes: tuple[str, ...] = ()
    if scale_factor is None and offset is None:
        scale_factor, offset, gain_notes = xml_gains(path, len(bands.spectral))
    has_one_no_data = len({repr(file.nodatavals[band - 1]) for band in bands.spectral}) == 1
    return Volume(
        path=path,
        key="",
        shape=(len(bands.spectral), file.height, file.width),
        read_slab=_slab_reader(path, file, bands.spectral),
        wavelengths=wavelengths,
        layout="chw",
        no_data=_finite(file.nodatavals[bands.spectral[0] - 1]) if has_one_no_data else None,
        read_mask=bands.read_mask,
        georeference=_with_prj_file(path, raster_georeference(file)),
        value_units=next((unit for unit in file.units if unit), None),
        scale_factor=scale_factor,
        offset=offset,
        block_shape=file.block_shapes[bands.spectral[0] - 1],
        notes=(*notes, *_stack_notes(file), *bands.notes, *wavelength_notes, *gain_notes),
    )


def _slab_reader(
    path: Path, file: Any, spectral: Sequence[int]
) -> Callable[[tuple[slice, slice, slice]], np.ndarray]:
    def read(index: tuple[slice, slice, slice]) -> np.ndarray:
        rows, columns = (
            part.indices(length)[:2] for part, length in zip(index[1:], file.shape, strict=True)
        )
        with gdal_errors(path):
            return file.read(list(spectral[index[0]]), window=(rows, columns))

    return read


def _checked_bands(path: Path, file: Any) -> RasterBands:
    """The bands of a raster; what GDAL finds damaged, in files beside it too, names the file."""
    with reading_errors(path, file_kind(path), "it, or an XML file beside it, is damaged"):
        return raster_bands(path, file)


def _stack_notes(file: Any) -> tuple[str, ...]:
    note = file.tags().get(STACK_NOTE_TAG)
    return (note,) if note else ()


def _check_blocks(path: Path, file: Any) -> None:
    """Refuse a file that ends before its last blocks: GDAL opens it, and fails on the way."""
    if file.driver not in ("GTiff", "COG") or not path.is_file():
        return
    file_bytes = path.stat().st_size
    for band in {1, file.count}:
        rows, columns = file.block_shapes[band - 1]
        last = f"{(file.width - 1) // columns}_{(file.height - 1) // rows}"
        with gdal_errors(path):
            start, count = (
                file.get_tag_item(f"BLOCK_{what}_{last}", "TIFF", bidx=band)
                for what in ("OFFSET", "SIZE")
            )
        if start and count and int(start) + int(count) > file_bytes:
            raise ValueError(
                f"{path} is truncated, holds {file_bytes} of at least {int(start) + int(count)} "
                "bytes; copy it again, or wait until it is written"
            )


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def raster_georeference(file: Any) -> Georeference | None:
    """Where the pixels of an open rasterio dataset lie, or None where it does not say."""
    if file.crs is None and file.transform.is_identity:
        return None
    crs = file.crs.to_string() if file.crs else None
    transform = tuple(float(value) for value in file.transform[:6])
    return Georeference(crs, transform, metres_per_unit(crs))


def _with_prj_file(path: Path, place: Georeference | None) -> Georeference | None:
    """The place with the coordinate system of NAME.prj, as it stands beside world files."""
    prj_path = path.with_suffix(".prj")
    if place is None or place.crs is not None or not prj_path.is_file():
        return place
    crs = prj_path.read_text("utf-8", "replace").strip()
    is_wkt = crs.upper().startswith(("PROJC", "GEOGC"))
    return replace(place, crs=crs, metres_per_unit=metres_per_unit(crs)) if is_wkt else place


def _scale_and_offset(
    file: Any, spectral: Sequence[int]
) -> tuple[float | np.ndarray | None, float | np.ndarray | None]:
    """Scale and offset of the values: one number where all bands agree, None where unstated."""
    scales = np.array([file.scales[band - 1] for band in spectral])
    offsets = np.array([file.offsets[band - 1] for band in spectral])
    return shared_value(scales, 1.0), shared_value(offsets, 0.0)
