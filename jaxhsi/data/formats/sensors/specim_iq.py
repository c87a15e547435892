"""Specim IQ: a folder a capture, with the references of the camera beside the cube.

Guide: Specim, "Specim IQ User Manual". capture/NAME.raw holds counts; DARKREF_, WHITEREF_ and
WHITEDARKREF_NAME.raw its references, by which an ingest makes reflectance (see `reference_files`).
"""

from pathlib import Path

from jaxhsi.data.formats.reference_files import capture_cube
from jaxhsi.data.formats.sensors.sensor import Sensor
from jaxhsi.data.formats.volume import Volume


def _matches(path: Path, volume: Volume) -> bool:
    return path.parent.is_dir() and capture_cube(path.parent) == path


SENSOR = Sensor(
    name="Specim IQ",
    guide="Specim, Specim IQ User Manual",
    matches_file=_matches,
    find_cube=capture_cube,
)
