"""Polygons of geographic information systems: GeoJSON, GeoPackage, shapefiles, placed by CRS."""

import json
import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxhsi.data.formats.file_errors import import_reader_package, reading_errors
from jaxhsi.data.georeference import Georeference
from jaxhsi.data.labels.annotated_picture import AnnotatedPicture, Area, only_text_value
from jaxhsi.data.labels.placement import METRES_PER_DEGREE, same_system

VECTOR_SUFFIXES = (".geojson", ".gpkg", ".shp", ".kml", ".fgb", ".gml")
CLASS_ATTRIBUTES = (
    *("class", "cls", "label", "name", "type", "category", "classname", "class_name", "species"),
    *("landcover", "land_cover", "classification", "lc", "material", "code"),
)
"""Usual names of the attribute that holds the class."""

AREA_TYPES = ("Polygon", "MultiPolygon")
MAX_DEGREES = 360.0  # what lies beyond is no longitude or latitude


class VectorLayer(NamedTuple):
    """A layer of polygons.

    Attributes:
        areas: their classes and geometries, in the layer's coordinates.
        without_area: kinds of geometries that have no area.
        crs: the layer's coordinate system, or None.
        bounds: lowest x and y, highest x and y.
    """

    areas: tuple[Area, ...]
    without_area: tuple[str, ...]
    crs: str | None
    bounds: tuple[float, float, float, float]


def is_geojson(content: Any) -> bool:
    """Whether JSON is GeoJSON."""
    return isinstance(content, dict) and content.get("type") in ("FeatureCollection", "Feature")


def read_vector_layer(path: Path, key: str | None) -> VectorLayer:
    """Read the polygons of a file.

    Args:
        path: GeoJSON, GeoPackage, shapefile or what else GDAL reads.
        key: attribute that holds the class; of a file with several layers "layer/attribute".

    Raises:
        ValueError: unreadable, several layers, no polygon, or a class that is not clear.
        ImportError: pyogrio or shapely is not installed.
    """
    pyogrio = import_reader_package("pyogrio", path, "a vector")
    shapely = import_reader_package("shapely", path, "a vector")
    with reading_errors(path, "a vector"):
        layer_names = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        layer_name, key = _choose_layer(path, layer_names, key)
        meta, _, geometries, columns = pyogrio.raw.read(path, layer=layer_name, force_2d=True)
        shapes = shapely.from_wkb(geometries)
    fields = [str(name) for name in meta["fields"]]
    areas, without_area = [], []
    for number, shape in enumerate(shapes):
        source_name = f"{path}: feature {number + 1}"
        if shape is None or shape.is_empty or shape.geom_type not in AREA_TYPES:
            without_area.append("nothing" if shape is None else shape.geom_type)
            continue
        attributes = {
            name: _plain_value(column[number]) for name, column in zip(fields, columns, strict=True)
        }
        label = only_text_value(source_name, attributes, key, CLASS_ATTRIBUTES)
        areas.append(Area(source_name, label, shapely.geometry.mapping(shape)))
    if not areas:
        raise ValueError(f"{path} holds no polygon ({len(without_area)} other features)")
    bounds = tuple(float(v) for v in shapely.total_bounds(shapes))
    crs = None if meta["crs"] is None else str(meta["crs"])
    return VectorLayer(tuple(areas), tuple(without_area), crs, bounds)


def _choose_layer(
    path: Path, layer_names: list[str], key: str | None
) -> tuple[str | None, str | None]:
    """The layer to read, and the attribute."""
    if len(layer_names) < 2:
        return next(iter(layer_names), None), key
    layer, slash, attribute = (key or "").rpartition("/")
    if not slash and key in layer_names:
        layer, attribute = key, ""
    if layer not in layer_names:
        raise ValueError(
            f"{path} holds several layers, {', '.join(layer_names)}; name one by --label_key "
            f"{layer_names[0]} or --label_key {layer_names[0]}/ATTRIBUTE"
        )
    return layer, attribute or None


def _plain_value(value: Any) -> Any:
    """A value as text: whole numbers without a fraction, the name in QuPath's JSON."""
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, str) and value.startswith("{"):
        try:
            return json.loads(value).get("name", value)
        except (ValueError, AttributeError):
            return value
    return str(value)


def vector_picture(
    path: Path, layer: VectorLayer, place: Georeference | None, image_size: tuple[int, int]
) -> AnnotatedPicture:
    """The polygons of a layer in pixels of a cube.

    Args:
        path: the file, for messages.
        layer: of polygons.
        place: of the cube; where it has none, the coordinates are taken as pixels.
        image_size: (H, W) of the cube.

    Raises:
        ValueError: no polygon lies in the cube.
    """
    if place is None or place.crs is None:
        transform, notes = _pixel_transform(path, layer, place)
        areas = layer.areas
    else:
        areas, notes = _in_system_of_cube(path, layer, place)
        transform = np.linalg.inv(_matrix(place.transform))
    in_pixels = tuple(
        area._replace(geometry=_transformed(area.geometry, transform)) for area in areas
    )
    _check_overlap(path, in_pixels, place, image_size)
    for note in notes:
        logging.getLogger(__name__).info("%s: %s", path, note)
    return AnnotatedPicture(path.name, None, in_pixels, layer.without_area)


def _matrix(transform: tuple[float, ...]) -> np.ndarray:
    a, b, c, d, e, f = transform
    return np.array([[a, b, c], [d, e, f], [0.0, 0.0, 1.0]])


def _pixel_transform(
    path: Path, layer: VectorLayer, place: Georeference | None
) -> tuple[np.ndarray, list[str]]:
    """Coordinates on a picture without a place: pixels, y down, or up as QGIS counts."""
    _, lowest, _, highest = layer.bounds
    if place is not None and _has_origin(place):
        return np.linalg.inv(_matrix(place.transform)), [
            "the cube has a grid without a coordinate system; coordinates are taken as its units"
        ]
    if highest <= 0 and lowest < 0:
        return np.diag([1.0, -1.0, 1.0]), [
            "the cube has no place on the ground; coordinates are taken as pixels, with y from 0 "
            "at the top to minus its height, as QGIS shows pictures"
        ]
    return np.eye(3), [
        "the cube has no place on the ground; coordinates are taken as pixels, x to the right "
        "and y down"
    ]


def _has_origin(place: Georeference) -> bool:
    return bool(place.transform[2] or place.transform[5])


def _in_system_of_cube(
    path: Path, layer: VectorLayer, place: Georeference
) -> tuple[tuple[Area, ...], list[str]]:
    is_projected = max(map(abs, layer.bounds)) > MAX_DEGREES
    if layer.crs is None or (is_projected and same_system(path, layer.crs, "EPSG:4326")):
        return layer.areas, [
            "names no coordinate system that its coordinates fit; taken as that of the cube"
        ]
    if same_system(path, layer.crs, place.crs):
        return layer.areas, []
    warp = import_reader_package("rasterio.warp", path, "a vector")
    geometries = warp.transform_geom(layer.crs, place.crs, [area.geometry for area in layer.areas])
    return tuple(
        area._replace(geometry=geometry)
        for area, geometry in zip(layer.areas, geometries, strict=True)
    ), []


def _transformed(geometry: dict[str, Any], matrix: np.ndarray) -> dict[str, Any]:
    def ring(points: Any) -> list[tuple[float, float]]:
        values = np.asarray(points, float)[:, :2] @ matrix[:2, :2].T + matrix[:2, 2]
        return [tuple(point) for point in values.tolist()]

    parts = geometry["coordinates"]
    if geometry["type"] == "Polygon":
        return {"type": "Polygon", "coordinates": [ring(points) for points in parts]}
    coordinates = [[ring(points) for points in part] for part in parts]
    return {"type": "MultiPolygon", "coordinates": coordinates}


def _check_overlap(
    path: Path, areas: tuple[Area, ...], place: Georeference | None, size: tuple[int, int]
) -> None:
    boxes = np.array([_bounds(area.geometry) for area in areas])
    outside = (boxes[:, 2:] <= 0).any(1) | (boxes[:, 0] >= size[1]) | (boxes[:, 1] >= size[0])
    if not outside.all():
        return
    gaps = np.stack([boxes[:, :2] - [size[1], size[0]], -boxes[:, 2:]]).max(0).clip(0)
    pixels = float(np.hypot(*gaps.T).min())
    raise ValueError(
        f"{path}: no polygon lies in the cube; the nearest is {_distance(pixels, place)} away. "
        "Give "
        "the polygons of this cube, or assign the right coordinate system to them or to the cube"
    )


def _bounds(geometry: dict[str, Any]) -> tuple[float, ...]:
    parts = geometry["coordinates"]
    outer_rings = [parts[0]] if geometry["type"] == "Polygon" else [part[0] for part in parts]
    points = np.concatenate([np.asarray(ring) for ring in outer_rings])
    return (*points.min(0), *points.max(0))


def _distance(pixels: float, place: Georeference | None) -> str:
    if place is None or place.crs is None:
        return f"{pixels:,.6g} pixels"
    side = abs(np.linalg.det(_matrix(place.transform))) ** 0.5
    metres = pixels * side * (place.metres_per_unit or METRES_PER_DEGREE)
    return f"{metres:,.6g} m ({pixels:,.6g} pixels)"
