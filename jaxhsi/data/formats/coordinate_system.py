"""Coordinate systems in the words of files: WKT, EPSG codes, PROJ strings and CF's attributes."""

import re
from collections.abc import Mapping
from typing import Any

WKT_NAMES = ("crswkt", "spatialref", "coordinatesystemstring", "projectionwkt", "wkt", "crs")
EPSG_NAMES = ("epsg", "epsgcode", "epsgnumber")
PROJ_NAMES = ("proj4", "proj4string", "proj4text", "projstring", "projection", "srs", "crs")

PROJ_BY_MAPPING = {
    "latitude_longitude": "longlat",
    "transverse_mercator": "tmerc",
    "lambert_azimuthal_equal_area": "laea",
    "albers_conical_equal_area": "aea",
    "lambert_conformal_conic": "lcc",
    "polar_stereographic": "stere",
    "mercator": "merc",
    "sinusoidal": "sinu",
}
"""Projection of PROJ by the grid_mapping_name of CF."""

PROJ_PARAMETERS = {
    "latitudeofprojectionorigin": "lat_0",
    "longitudeofprojectionorigin": "lon_0",
    "longitudeofcentralmeridian": "lon_0",
    "straightverticallongitudefrompole": "lon_0",
    "scalefactoratcentralmeridian": "k",
    "scalefactoratprojectionorigin": "k",
    "falseeasting": "x_0",
    "falsenorthing": "y_0",
    "semimajoraxis": "a",
    "semiminoraxis": "b",
    "inverseflattening": "rf",
    "earthradius": "R",
}
"""Parameter of PROJ by the attribute of CF, as `value_marks.plain_name` writes it."""


def coordinate_system(fields: Mapping[str, Any]) -> str | None:
    """The coordinate system that fields state, as WKT or "EPSG:...", or None.

    Args:
        fields: by plain name, see `value_marks.plain_name`.

    >>> coordinate_system({"epsgcode": 32632}), coordinate_system({"unit": "m"})
    ('EPSG:32632', None)
    """
    for name in WKT_NAMES:
        text = fields.get(name)
        if isinstance(text, str) and "[" in text:
            return text.strip()
    for name in EPSG_NAMES + WKT_NAMES:
        match = re.fullmatch(r"(?:EPSG:)?\s*(\d{4,6})(?:\.0)?", str(fields.get(name, "")).strip())
        if match:
            return f"EPSG:{match[1]}"
    for name in PROJ_NAMES:
        text = fields.get(name)
        if isinstance(text, str) and "+proj=" in text:
            return _wkt_of_proj(text)
    proj = _proj_of_mapping(fields)
    return None if proj is None else _wkt_of_proj(proj)


def _proj_of_mapping(fields: Mapping[str, Any]) -> str | None:
    """PROJ string of the attributes of a CF grid mapping."""
    projection = PROJ_BY_MAPPING.get(str(fields.get("gridmappingname", "")).strip().lower())
    if projection is None:
        return None
    parts = [f"+proj={projection}"]
    for name, parameter in PROJ_PARAMETERS.items():
        value = fields.get(name)
        if isinstance(value, int | float):
            parts.append(f"+{parameter}={float(value)!r}")
    parallels = fields.get("standardparallel")
    if parallels is not None:
        values = [parallels] if isinstance(parallels, int | float) else list(parallels)
        parts += [f"+lat_{i}={float(value)!r}" for i, value in enumerate(values, 1)]
    if not any(part.startswith(("+a=", "+R=")) for part in parts):
        parts.append("+datum=WGS84")
    return " ".join((*parts, "+no_defs"))


def _wkt_of_proj(proj: str) -> str | None:
    """WKT of a PROJ string; None where rasterio is not there or does not understand it."""
    try:
        from rasterio.crs import CRS
        from rasterio.errors import CRSError
    except ImportError:
        return None
    try:
        return CRS.from_string(proj).to_wkt()
    except CRSError:
        return None
