"""Where the pixels of a cube in an HDF5 or NetCDF file lie on the ground."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jaxhsi.data.formats.axis_names import axis_roles
from jaxhsi.data.formats.band_wavelengths import as_number_list
from jaxhsi.data.formats.container import ArrayContainer
from jaxhsi.data.formats.coordinate_system import EPSG_NAMES, coordinate_system
from jaxhsi.data.formats.envi_map import envi_georeference
from jaxhsi.data.formats.value_marks import plain_name
from jaxhsi.data.formats.wavelengths import NANOMETRES_PER_UNIT, plain_unit
from jaxhsi.data.georeference import Georeference

Transform = tuple[float, float, float, float, float, float]

TRANSFORM_NAMES = ("geotransform", "gdalgeotransform")
AFFINE_NAMES = ("transform", "affine", "affinetransform")
MAP_INFO_NAMES = ("mapinfo",)
GRID_STEP_TOLERANCE = 1e-3
"""Share of a step by which coordinates of rows or columns may deviate from even ones."""

GEOGRAPHIC_WKT = ("GEOGCS", "GEOGCRS")
UTM_CODES = (range(32601, 32661), range(32701, 32761), range(25828, 25839))  # metres


def find_georeference(
    container: ArrayContainer, key: str
) -> tuple[Georeference | None, tuple[str, ...]]:
    """Georeference of a cube by CF grid mapping, coordinates, GDAL's and NEON's fields, EPSG codes.

    Args:
        container: the file.
        key: of the cube, whose axes are three.

    Returns:
        georeference: None where the file states none.
        notes: what was lost, for the history.
    """
    fields = _position_fields(container, key)
    crs = coordinate_system(fields)
    map_info = next((fields[name] for name in MAP_INFO_NAMES if name in fields), None)
    if isinstance(map_info, str):
        return envi_georeference(map_info.replace("{", "").replace("}", ""), crs)
    transform = _stated_transform(fields)
    is_own_grid = _grid_mapping_name(container, key) is not None
    has_geolocation = _geolocation_arrays(container, key)
    if transform is not None and has_geolocation and not is_own_grid:
        transform = None  # of another grid than that of the cube, as in EMIT's files
        crs = None
    coordinates, unit = _coordinate_transform(container, key)
    transform = transform or coordinates
    if transform is not None:
        crs = crs or ("EPSG:4326" if unit.startswith("degree") else None)
        metres = metres_per_unit(crs) if crs else NANOMETRES_PER_UNIT.get(unit, 0.0) * 1e-9
        notes = () if crs else ("no coordinate system is stated, only the pixel grid was kept",)
        return Georeference(crs, transform, metres or None), notes
    if has_geolocation:
        return None, (
            f"place on the ground not kept: {' and '.join(has_geolocation)} give it pixel by pixel",
        )
    if crs:
        return None, (f"place on the ground not kept: {crs[:40]} is stated without a pixel grid",)
    return None, ()


def metres_per_unit(crs: str | None) -> float | None:
    """Length of one unit of a coordinate system in metres; None for angles and where unknown.

    >>> metres_per_unit("EPSG:32632"), metres_per_unit("EPSG:4326")
    (1.0, None)
    """
    if crs is None or crs.upper().startswith(GEOGRAPHIC_WKT):
        return None
    code = re.fullmatch(r"EPSG:(\d+)", crs)
    if code and any(int(code[1]) in codes for codes in UTM_CODES):
        return 1.0
    try:
        from rasterio.crs import CRS
        from rasterio.errors import CRSError
    except ImportError:
        return 1.0 if re.search(r'UNIT\["met(re|er)",\s*1(\.0)?\b', crs, re.IGNORECASE) else None
    try:
        parsed = CRS.from_user_input(crs)
        return float(parsed.linear_units_factor[1]) if parsed.is_projected else None
    except CRSError:
        return None


def _grid_mapping_name(container: ArrayContainer, key: str) -> str | None:
    """Path of the variable that describes the grid of a cube, after CF."""
    named = container.arrays[key].attributes.get("grid_mapping")
    if not isinstance(named, str) or not named.strip():
        return None
    base = named.split()[0].rstrip(":")
    group = key.rpartition("/")[0]
    paths = (f"{group}/{base}".strip("/"), base)
    return next(
        (p for p in paths if p in container.arrays or p in container.group_attributes), None
    )


def _position_fields(container: ArrayContainer, key: str) -> dict[str, Any]:
    """Attributes and texts that may speak of the ground, by plain name; the nearest counts."""
    fields: dict[str, Any] = {}
    for attributes in _attribute_sets(container, key):
        for name, value in attributes.items():
            fields.setdefault(plain_name(name), value)
    for name, text in container.texts.items():
        fields.setdefault(plain_name(name.rpartition("/")[2]), text)
    for name, array in container.arrays.items():
        if math.prod(array.shape) == 1 and plain_name(name.rpartition("/")[2]) in EPSG_NAMES:
            value = container.read_array(name, (slice(None),) * len(array.shape))
            fields.setdefault(plain_name(name.rpartition("/")[2]), float(np.ravel(value)[0]))
    return fields


def _attribute_sets(container: ArrayContainer, key: str) -> Iterator[Mapping[str, Any]]:
    grid_mapping = _grid_mapping_name(container, key)
    if grid_mapping is not None:
        if grid_mapping in container.arrays:
            yield container.arrays[grid_mapping].attributes
        yield container.group_attributes.get(grid_mapping, {})
    yield container.arrays[key].attributes
    parts = key.split("/")[:-1]
    for depth in range(len(parts), -1, -1):
        yield container.group_attributes.get("/".join(parts[:depth]), {})
    for name in ("crs", "spatial_ref", "transverse_mercator"):
        yield container.group_attributes.get(name, {})
        if name in container.arrays:
            yield container.arrays[name].attributes


def _stated_transform(fields: Mapping[str, Any]) -> Transform | None:
    """A geotransform in GDAL's order or an affine matrix, as rasterio's."""
    for name in TRANSFORM_NAMES:
        values = as_number_list(fields.get(name))
        if values is not None and values.size == 6 and values[1] != 0 and values[5] != 0:
            c, a, b, f, d, e = (float(value) for value in values)
            return a, b, c, d, e, f
    for name in AFFINE_NAMES:
        values = as_number_list(fields.get(name))
        if values is not None and values.size in (6, 9) and values[0] != 0 and values[4] != 0:
            a, b, c, d, e, f = (float(value) for value in values[:6])
            return a, b, c, d, e, f
    return None


def _coordinate_transform(container: ArrayContainer, key: str) -> tuple[Transform | None, str]:
    """Transform from even coordinates along the axes, and their unit."""
    cube = container.arrays[key]
    roles = axis_roles(cube.axis_names)
    if "h" not in roles or "w" not in roles or not cube.axis_scales:
        return None, ""
    scales = [cube.axis_scales[roles.index(role)] for role in "wh"]
    if not all(name in container.arrays for name in scales):
        return None, ""
    steps = [_even_steps(container.read_array(name, (slice(None),))) for name in scales]
    if steps[0] is None or steps[1] is None:
        return None, ""
    (x0, dx), (y0, dy) = steps
    units = {plain_unit(container.arrays[name].attributes.get("units", "")) for name in scales}
    unit = units.pop() if len(units) == 1 else next((u for u in units if "degree" in u), "")
    if not unit and (dx, dy) == (1.0, 1.0):
        return None, ""  # numbers of the pixels
    return (dx, 0.0, x0 - dx / 2, 0.0, dy, y0 - dy / 2), unit


def _even_steps(values: np.ndarray) -> tuple[float, float] | None:
    """First value and step of an even series, or None."""
    centres = np.asarray(values, np.float64).ravel()
    if centres.size < 2 or not np.isfinite(centres).all():
        return None
    step = (centres[-1] - centres[0]) / (centres.size - 1)
    even = centres[0] + step * np.arange(centres.size)
    if step == 0 or np.abs(centres - even).max() > GRID_STEP_TOLERANCE * abs(step):
        return None
    return float(centres[0]), float(step)


def _geolocation_arrays(container: ArrayContainer, key: str) -> list[str]:
    """Names of arrays of latitude and longitude with a value for each pixel."""
    shape = container.arrays[key].shape
    return [
        name
        for name, array in container.arrays.items()
        if re.fullmatch(r"lat|latitude|lon|longitude", name.rpartition("/")[2].lower())
        and len(array.shape) == 2
        and set(array.shape) <= set(shape)
    ]
