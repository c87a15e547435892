"""Resonon Pika: ENVI files NAME.bil, .bip or .bsq with NAME.bil.hdr, as Spectronon writes them.

Guide: Resonon, "Spectronon User Manual", Datacubes and Header Files. The header may lack the byte
order (little endian) and the unit of the wavelengths (nm); bit depth, shutter, gain and framerate
describe the recording. Recorded values are counts; dark current and a white panel are cubes of
their own, whatever the user called them. Cubes of reflectance state their scale factor.
"""

from pathlib import Path

import numpy as np

from jaxhsi.data.formats.envi_header import INTERLEAVES, find_header, read_header
from jaxhsi.data.formats.raster_file import is_esri_header
from jaxhsi.data.formats.sensors.sensor import Sensor, add_notes
from jaxhsi.data.formats.volume import Volume

RECORDING_FIELDS = (
    "shutter",
    "framerate",
    "gain",
    "bit depth",
    "imager type",
    "imager serial number",
)
MIN_FIELDS = 3  # of these, for a header to be Resonon's


def _header_fields(path: Path) -> dict:
    is_named_so = path.suffix.lower().removeprefix(".") in INTERLEAVES
    header = find_header(path) if is_named_so and path.is_file() else None
    return {} if header is None or is_esri_header(header) else read_header(header)


def _matches(path: Path, volume: Volume) -> bool:
    fields = _header_fields(path)
    return sum(name in fields for name in RECORDING_FIELDS) >= MIN_FIELDS


def _refine(path: Path, volume: Volume) -> Volume:
    depth = str(_header_fields(path).get("bit depth", ""))
    is_counts = np.dtype(volume.read_slab((slice(0, 1),) * 3).dtype).kind in "iu"
    if volume.scale_factor is not None or not is_counts:
        return volume
    saturation = (
        f" of {depth} bits, {2 ** int(depth) - 1} is saturated" if depth.isdecimal() else ""
    )
    note = f"Resonon: values are counts{saturation}; --white and --dark make reflectance of them"
    return add_notes(volume, note)


SENSOR = Sensor(
    name="Resonon",
    guide="Resonon, Spectronon User Manual",
    matches_file=_matches,
    refine=_refine,
    closed_suffixes=(".icp",),
    closed_remedy="is a calibration pack of Spectronon: convert the cube to radiance there, and "
    "give the cube",
)
