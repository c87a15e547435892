"""DESIS (DLR, Teledyne): GeoTIFF with a -METADATA.xml beside it.

Guide: DLR and Teledyne Brown, "DESIS Data Products Specification" (PAV-DES). The XML holds centre
wavelengths, gains and offsets by `band`; stored x gain + offset is radiance (L1) or reflectance
(L2A).
"""

from pathlib import Path

from jaxhsi.data.formats.sensors.dlr_products import (
    IMAGE_MARK,
    spectral_image,
    with_value_units,
)
from jaxhsi.data.formats.sensors.sensor import Sensor
from jaxhsi.data.formats.volume import Volume


def _matches(path: Path, volume: Volume) -> bool:
    name = path.name.upper()
    return name.startswith("DESIS") and IMAGE_MARK in name


def _refine(path: Path, volume: Volume) -> Volume:
    return with_value_units(path, volume, "DESIS")


SENSOR = Sensor(
    name="DESIS",
    guide="DLR and Teledyne Brown, DESIS Data Products Specification",
    matches_file=_matches,
    refine=_refine,
    find_cube=lambda folder: spectral_image(folder, "DESIS"),
)
