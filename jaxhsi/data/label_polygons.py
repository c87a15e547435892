"""Label maps as polygons in a GeoPackage or GeoJSON, with area, confidence and mean spectrum."""

import json
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxhsi.data.exports import ClassMap
from jaxhsi.data.formats.file_errors import import_reader_package
from jaxhsi.data.tiles import split_into_tiles
from jaxhsi.storage.replacement import replace_path

MAX_POLYGON_EDGES = 4_000_000
"""Borders between pixels of different labels up to which a map is made into polygons, which bounds
the memory. Set by hand: about 1 GB."""

_BLOCK_SIDE = 256
LAYER_NAME = "labels"
_WRITERS: dict[str, dict[str, Any]] = {
    ".gpkg": {"driver": "GPKG"},
    # By RFC 7946: longitude and latitude. 9 decimals are 0.1 mm; the usual 7 are a pixel of a leaf.
    ".geojson": {"driver": "GeoJSON", "RFC7946": "YES", "COORDINATE_PRECISION": "9"},
}
"""How GDAL writes a file of each suffix."""

_log = logging.getLogger(__name__)


class LabelAttributes(NamedTuple):
    """What the polygons of each label say of it.

    Attributes:
        pixels: number of pixels.
        pixel_area: area of a pixel in m2, None where unknown.
        confidence: mean probability of the label, 0 to 1.
        mean_spectra: mean spectrum.
        wavelengths: of the bands in nm, None where unknown.
    """

    pixels: Int[np.ndarray, " k"]
    pixel_area: float | None
    confidence: Float[np.ndarray, " k"]
    mean_spectra: Float[np.ndarray, "k c"]
    wavelengths: Float[np.ndarray, " c"] | None


def count_edges(class_map: ClassMap) -> int:
    """Number of borders between neighbouring pixels of different labels.

    Args:
        class_map: the label map, read by blocks.
    """
    total = 0
    for y0, x0, height, width in split_into_tiles(class_map.shape, (_BLOCK_SIDE, _BLOCK_SIDE)):
        # One row and column more, so that borders between blocks count.
        rows = slice(y0, min(y0 + height + 1, class_map.shape[0]))
        columns = slice(x0, min(x0 + width + 1, class_map.shape[1]))
        labels = class_map.read_labels(rows, columns)
        total += int((labels[1:, :width] != labels[:-1, :width]).sum())
        total += int((labels[:height, 1:] != labels[:height, :-1]).sum())
    return total


def write_label_polygons(
    path: Path, raster_path: Path, class_map: ClassMap, attributes: LabelAttributes
) -> bool:
    """Write a multipolygon for each label that occurs.

    The attributes are ``label``, ``name``, ``pixels``, ``area_m2``, ``confidence``, and as lists of
    numbers in text ``mean_spectrum`` and ``wavelengths_nm``.

    Args:
        path: with the suffix ``.gpkg``, or ``.geojson`` whose coordinates are longitude and
            latitude; a file that is there is replaced.
        raster_path: GeoTIFF of the same map, from which polygons are traced line by line.
        class_map: the label map.
        attributes: of the labels.

    Returns:
        Whether it was written: a map with more than four million borders is not, and the log says
        so.

    Raises:
        ImportError: rasterio, shapely or pyogrio is not installed.
        ValueError: another suffix.
    """
    if path.suffix not in _WRITERS:
        raise ValueError(f"{path} is no file of polygons; the suffix is {' or '.join(_WRITERS)}")
    pyogrio = import_reader_package("pyogrio", path, "a vector")
    if (num_edges := count_edges(class_map)) > MAX_POLYGON_EDGES:
        _log.warning(
            "%s is not written: the map has %s borders between pixels, more than %s; smooth it, or "
            "use the GeoTIFF",
            path,
            f"{num_edges:,}",
            f"{MAX_POLYGON_EDGES:,}",
        )
        return False
    shapely = import_reader_package("shapely", path, "a vector")
    polygons = _trace_polygons(raster_path, path, len(class_map.class_names))
    present = [label for label, parts in enumerate(polygons) if parts]
    geometries = [shapely.MultiPolygon(polygons[label]) for label in present]
    fields = _fields(present, class_map.class_names, attributes)
    place = class_map.georeference
    with replace_path(path) as partial_file, warnings.catch_warnings():
        # The file gets its name when it is whole.
        warnings.filterwarnings("ignore", "The filename extension should be", RuntimeWarning)
        pyogrio.raw.write(
            partial_file,
            geometry=np.array(shapely.to_wkb(geometries), object),
            field_data=list(fields.values()),
            fields=list(fields),
            layer=LAYER_NAME,
            geometry_type="MultiPolygon",
            crs=None if place is None else place.crs,
            **_WRITERS[path.suffix],
        )
    return True


def _trace_polygons(raster_path: Path, path: Path, num_labels: int) -> list[list]:
    """Polygons of each label; GDAL reads the raster line by line."""
    rasterio = import_reader_package("rasterio", path, "a vector")
    features = import_reader_package("rasterio.features", path, "a vector")
    shapely = import_reader_package("shapely", path, "a vector")
    polygons: list[list] = [[] for _ in range(num_labels)]
    with rasterio.open(raster_path) as raster:
        for geometry, value in features.shapes(rasterio.band(raster, 1), connectivity=4):
            if value < num_labels:  # what is beyond is "no data"
                polygons[int(value)].append(shapely.geometry.shape(geometry))
    return polygons


def _fields(
    present: Sequence[int], names: Sequence[str], attributes: LabelAttributes
) -> dict[str, np.ndarray]:
    """Columns of the table of attributes."""
    pixels = attributes.pixels[present].astype(np.int64)
    areas = np.full(len(present), np.nan)
    if attributes.pixel_area is not None:
        areas = pixels * attributes.pixel_area
    wavelengths = attributes.wavelengths
    axis_text = None if wavelengths is None else _numbers_text(wavelengths)
    spectra = [_numbers_text(attributes.mean_spectra[label]) for label in present]
    return {
        "label": np.array(present, np.int64),
        "name": np.array([names[label] for label in present], object),
        "pixels": pixels,
        "area_m2": areas,
        "confidence": attributes.confidence[present].astype(np.float64),
        "mean_spectrum": np.array(spectra, object),
        "wavelengths_nm": np.array([axis_text] * len(present), object),
    }


def _numbers_text(values: np.ndarray) -> str:
    return json.dumps([float(f"{value:.7g}") for value in values.tolist()])
