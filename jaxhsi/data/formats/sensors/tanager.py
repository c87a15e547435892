"""Tanager (Planet): HDF-EOS5 with bands x rows x columns, wavelengths as attributes of the cube.

Guide: Planet, "Tanager Core Imagery Product Specification" (2025). Swaths are geolocated pixel by
pixel; grids (ortho products) state UpperLeftPointMtrs, LowerRightMtrs and the UTM zone in
StructMetadata.0.
"""

import re
from dataclasses import replace

from jaxhsi.data.formats.container import ArrayContainer
from jaxhsi.data.formats.sensors.sensor import Sensor
from jaxhsi.data.formats.volume import Volume
from jaxhsi.data.georeference import Georeference

CUBE_PATH = re.compile(r"HDFEOS/(SWATHS|GRIDS)/HYP/Data Fields/(surface_reflectance|toa_radiance)")
STRUCTURE_PATH = "HDFEOS INFORMATION/StructMetadata.0"
NUMBERS = r"\(\s*([-\d.eE+]+)\s*,\s*([-\d.eE+]+)\s*\)"


def _matches(container: ArrayContainer) -> bool:
    return any(CUBE_PATH.fullmatch(name) for name in container.arrays)


def _refine(container: ArrayContainer, volume: Volume) -> Volume:
    match = CUBE_PATH.fullmatch(volume.key)
    volume = replace(volume, axis_roles=("c", "h", "w")) if match else volume
    structure = container.texts.get(STRUCTURE_PATH, "")
    if match is None or match[1] != "GRIDS" or volume.georeference is not None:
        return volume
    corners = [
        re.search(rf"{name}={NUMBERS}", structure)
        for name in ("UpperLeftPointMtrs", "LowerRightMtrs")
    ]
    zone = re.search(r"ZoneCode=(-?\d+)", structure)
    if corners[0] is None or corners[1] is None or zone is None:
        return volume
    left, top, right, bottom = (float(c[i]) for c in corners for i in (1, 2))
    _, height, width = volume.shape
    transform = ((right - left) / width, 0.0, left, 0.0, (bottom - top) / height, top)
    number = int(zone[1])
    crs = f"EPSG:{(32600 if number > 0 else 32700) + abs(number)}"
    return replace(volume, georeference=Georeference(crs, transform, 1.0))


SENSOR = Sensor(
    name="Tanager",
    guide="Planet, Tanager Core Imagery Product Specification (2025)",
    matches_container=_matches,
    refine_container=_refine,
)
