"""DESIS (DLR, Teledyne): GeoTIFF with a -METADATA.xml beside it.

Guide: DLR and Teledyne Brown, "DESIS Data Products Specification" (PAV-DES). The XML holds centre
wavelengths, gains and offsets by `band`; stored x gain + offset is radiance (L1) or reflectance
(L2A).
"""

from dataclasses import replace
from pathlib import Path

from jaxhsi.data.formats.sensors.band_metadata_xml import with_gains_and_offsets
from jaxhsi.data.formats.sensors.sensor import Sensor
from jaxhsi.data.formats.volume import Volume


def _matches(path: Path, volume: Volume) -> bool:
    name = path.name.upper()
    return name.startswith("DESIS") and "-SPECTRAL_IMAGE" in name


def _refine(path: Path, volume: Volume) -> Volume:
    units = "reflectance" if "L2A" in path.name.upper() else "radiance"
    volume = with_gains_and_offsets(path, volume, "DESIS")
    return replace(volume, value_units=volume.value_units or units)


SENSOR = Sensor(
    name="DESIS",
    guide="DLR and Teledyne Brown, DESIS Data Products Specification",
    matches_file=_matches,
    refine=_refine,
)
