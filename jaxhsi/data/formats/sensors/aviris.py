"""AVIRIS-Classic, AVIRIS-NG and AVIRIS-3 (NASA/JPL): ENVI files, -9999 outside of the swath.

Guide: NASA/JPL, "AVIRIS Data Product Readme" (f*_rfl, f*_img) and "AVIRIS-NG Data Product Readme"
(ang*_rfl_*_img): orthorectified pixels without measurement hold -9999 in all bands, whether or not
the header says so. AVIRIS-3 products are NetCDF and read in the general way.
"""

import re
from dataclasses import replace
from pathlib import Path

from jaxhsi.data.formats.sensors.sensor import Sensor, add_notes
from jaxhsi.data.formats.volume import Volume

NAME = re.compile(r"(f\d{6}t\d\dp\d\dr\d\d|ang\d{8}t\d{6}|av3\d{8}t\d{6})", re.IGNORECASE)
MISSING = -9999.0


def _matches(path: Path, volume: Volume) -> bool:
    return NAME.match(path.name) is not None


def _refine(path: Path, volume: Volume) -> Volume:
    dtype = volume.read_slab((slice(0, 1),) * 3).dtype
    if volume.no_data is not None or dtype.kind == "u":
        return volume
    note = f"AVIRIS: {MISSING:g} taken for missing, as its guide says; the header states no value"
    return add_notes(replace(volume, no_data=MISSING), note)


SENSOR = Sensor(
    name="AVIRIS",
    guide="NASA/JPL, AVIRIS and AVIRIS-NG Data Product Readme",
    matches_file=_matches,
    refine=_refine,
)
