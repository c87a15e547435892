"""Where the pixels of an ENVI file lie on the ground, from its header's fields."""

import math
import re

from jaxhsi.data.georeference import Georeference

METRES_PER_UNIT = {
    **dict.fromkeys(("meter", "metre", "m"), 1.0),
    **dict.fromkeys(("kilometer", "kilometre", "km"), 1000.0),
    **dict.fromkeys(("centimeter", "centimetre", "cm"), 0.01),
    **dict.fromkeys(("millimeter", "millimetre", "mm"), 0.001),
    **dict.fromkeys(("feet", "foot"), 0.3048),
}
"""Length of one unit in metres, by its name in lower case and singular."""

UTM_NORTH_BASE, UTM_SOUTH_BASE = 32600, 32700  # EPSG code of WGS 84 / UTM, less the zone

HeaderField = str | list[str] | None


def envi_georeference(
    map_info: HeaderField, coordinate_system: HeaderField = None, pixel_size: HeaderField = None
) -> tuple[Georeference | None, tuple[str, ...]]:
    """Georeference of the fields of the header.

    `map info` is {projection, reference pixel x and y, its easting and northing, pixel width and
    height, then for UTM zone and North or South, datum, units=, rotation=}. Pixels count from
    (1, 1), the upper left corner of the upper left pixel. The rotation is in degrees, of the
    image about the reference pixel, with GDAL's sign.

    Args:
        map_info: field `map info`.
        coordinate_system: field `coordinate system string`, WKT; taken as it is.
        pixel_size: field `pixel size`, {x, y, units=}, used where there is no map.

    Returns:
        georeference: None where no field tells.
        notes: what was not understood, for the history.
    """
    crs = ",".join(_field_parts(coordinate_system)) or None
    try:
        if map_info:
            return _georeference_from_map(_field_parts(map_info), crs)
        if pixel_size:
            return _georeference_from_size(_field_parts(pixel_size)), ()
    except (ValueError, IndexError, ZeroDivisionError) as error:
        return None, (f"map info was not understood and not kept ({error})",)
    return None, ()


def _field_parts(field: HeaderField) -> list[str]:
    if field is None:
        return []
    return [part.strip() for part in (field if isinstance(field, list) else field.split(","))]


def _split_options(parts: list[str]) -> tuple[list[str], dict[str, str]]:
    """Positional values, and those of the form name=value."""
    named = dict(part.lower().split("=", 1) for part in parts if "=" in part)
    return [part for part in parts if "=" not in part], {
        name.strip(): value.strip() for name, value in named.items()
    }


def _georeference_from_size(parts: list[str]) -> Georeference | None:
    values, options = _split_options(parts)
    metres_per_unit = METRES_PER_UNIT.get(options.get("units", "").rstrip("s"))
    if metres_per_unit is None:
        return None
    pixel_width, pixel_height = (_positive_size(value) for value in values[:2])
    return Georeference(None, (pixel_width, 0.0, 0.0, 0.0, -pixel_height, 0.0), metres_per_unit)


def _georeference_from_map(
    parts: list[str], crs: str | None
) -> tuple[Georeference, tuple[str, ...]]:
    values, options = _split_options(parts)
    projection = values[0].lower()
    column, row, easting, northing = (float(value) for value in values[1:5])
    pixel_width, pixel_height = (_positive_size(value) for value in values[5:7])
    rotation_angle = math.radians(float(options.get("rotation", 0)))
    a, b = math.cos(rotation_angle) * pixel_width, math.sin(rotation_angle) * pixel_width
    d, e = math.sin(rotation_angle) * pixel_height, -math.cos(rotation_angle) * pixel_height
    reference_offset = column - 1.0, row - 1.0
    c = easting - a * reference_offset[0] - b * reference_offset[1]
    f = northing - d * reference_offset[0] - e * reference_offset[1]
    crs_code = crs or _epsg_code(projection, values[7:])
    notes = (
        ()
        if crs_code
        else (
            f"coordinate system of map info {', '.join(values[:1] + values[7:])} "
            "is not known, only the pixel grid was kept",
        )
    )
    metres_per_unit = _metres_per_unit(projection, options.get("units"), crs)
    return Georeference(crs_code, (a, b, c, d, e, f), metres_per_unit), notes


def _positive_size(value: str) -> float:
    size = float(value)
    if not (math.isfinite(size) and size > 0):
        raise ValueError(f"pixel size {value}")
    return size


def _epsg_code(projection: str, values: list[str]) -> str | None:
    """EPSG code of the two systems that the fields name in full."""
    datum = re.sub(r"[^a-z0-9]", "", values[-1].lower()) if values else ""
    if datum not in ("wgs84", "worldgeodeticsystem1984"):
        return None
    if projection.startswith("geographic"):
        return "EPSG:4326"
    if projection != "utm":
        return None
    utm_zone = int(values[0])
    if not 1 <= utm_zone <= 60:
        raise ValueError(f"UTM zone {utm_zone}")
    base_code = UTM_SOUTH_BASE if values[1].lower().startswith("s") else UTM_NORTH_BASE
    return f"EPSG:{base_code + utm_zone}"


def _metres_per_unit(projection: str, units: str | None, crs: str | None) -> float | None:
    if projection.startswith("geographic") or (crs or "").upper().startswith(("GEOGCS", "GEOGCRS")):
        return None
    if units is None:
        return 1.0 if projection == "utm" else None
    return METRES_PER_UNIT.get(units.rstrip("s"))
