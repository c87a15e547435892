"""EnMAP (DLR): GeoTIFF with a -METADATA.XML beside it.

Guide: DLR, "EnMAP Ground Segment: L1B, L1C, L2A Product Specification" (EN-PCV-ICD-2009). The XML
holds centre wavelengths, gains and offsets by `bandID`; stored x gain + offset is radiance (L1) or
reflectance (L2A). Water-vapour bands of L2A hold no data. L1B has one image a detector, and these
are not co-registered.
"""

from pathlib import Path

from jaxhsi.data.formats.sensors.dlr_products import (
    IMAGE_MARK,
    spectral_image,
    with_value_units,
)
from jaxhsi.data.formats.sensors.sensor import Sensor, add_notes
from jaxhsi.data.formats.volume import Volume


def _matches(path: Path, volume: Volume) -> bool:
    name = path.name.upper()
    return name.startswith("ENMAP") and IMAGE_MARK in name


def _refine(path: Path, volume: Volume) -> Volume:
    volume = with_value_units(path, volume, "EnMAP")
    if "L1B" not in path.name.upper():
        return volume
    return add_notes(volume, "VNIR and SWIR of EnMAP L1B are not co-registered: not joined")


SENSOR = Sensor(
    name="EnMAP",
    guide="DLR, EnMAP L1B, L1C, L2A Product Specification (EN-PCV-ICD-2009)",
    matches_file=_matches,
    refine=_refine,
    find_cube=lambda folder: spectral_image(folder, "ENMAP"),
)
