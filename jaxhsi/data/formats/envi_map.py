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
    crs = ",".join(_parts(coordinate_system)) or None
    try:
        if map_info:
            return _from_map(_parts(map_info), crs)
        if pixel_size:
            return _from_size(_parts(pixel_size)), ()
    except (ValueError, IndexError, ZeroDivisionError) as error:
        return None, (f"map info was not understood and not kept ({error})",)
    return None, ()


def _parts(field: HeaderField) -> list[str]:
    if field is None:
        return []
    return [part.strip() for part in (field if isinstance(field, list) else field.split(","))]


def _options(parts: list[str]) -> tuple[list[str], dict[str, str]]:
    """Positional values, and those of the form name=value."""
    named = dict(part.lower().split("=", 1) for part in parts if "=" in part)
    return [part for part in parts if "=" not in part], {
        name.strip(): value.strip() for name, value in named.items()
    }


def _from_size(parts: list[str]) -> Georeference | None:
    values, options = _options(parts)
    metres = METRES_PER_UNIT.get(options.get("units", "").rstrip("s"))
    if metres is None:
        return None
    width, height = (_size(value) for value in values[:2])
    return Georeference(None, (width, 0.0, 0.0, 0.0, -height, 0.0), metres)


def _from_map(parts: list[str], crs: str | None) -> tuple[Georeference, tuple[str, ...]]:
    values, options = _options(parts)
    projection = values[0].lower()
    column, row, easting, northing = (float(value) for value in values[1:5])
    width, height = (_size(value) for value in values[5:7])
    angle = math.radians(float(options.get("rotation", 0)))
    a, b = math.cos(angle) * width, math.sin(angle) * width
    d, e = math.sin(angle) * height, -math.cos(angle) * height
    corner = column - 1.0, row - 1.0
    c = easting - a * corner[0] - b * corner[1]
    f = northing - d * corner[0] - e * corner[1]
    code = crs or _code(projection, values[7:])
    notes = (
        ()
        if code
        else (
            f"coordinate system of map info {', '.join(values[:1] + values[7:])} "
            "is not known, only the pixel grid was kept",
        )
    )
    metres = _metres(projection, options.get("units"), crs)
    return Georeference(code, (a, b, c, d, e, f), metres), notes


def _size(value: str) -> float:
    size = float(value)
    if not (math.isfinite(size) and size > 0):
        raise ValueError(f"pixel size {value}")
    return size


def _code(projection: str, values: list[str]) -> str | None:
    """EPSG code of the two systems that the fields name in full."""
    datum = re.sub(r"[^a-z0-9]", "", values[-1].lower()) if values else ""
    if datum not in ("wgs84", "worldgeodeticsystem1984"):
        return None
    if projection.startswith("geographic"):
        return "EPSG:4326"
    if projection != "utm":
        return None
    zone = int(values[0])
    if not 1 <= zone <= 60:
        raise ValueError(f"UTM zone {zone}")
    return (
        f"EPSG:{(UTM_SOUTH_BASE if values[1].lower().startswith('s') else UTM_NORTH_BASE) + zone}"
    )


def _metres(projection: str, units: str | None, crs: str | None) -> float | None:
    if projection.startswith("geographic") or (crs or "").upper().startswith(("GEOGCS", "GEOGCRS")):
        return None
    if units is None:
        return 1.0 if projection == "utm" else None
    return METRES_PER_UNIT.get(units.rstrip("s"))
