"""EnMAP (DLR): GeoTIFF with a -METADATA.XML beside it.

Guide: DLR, "EnMAP Ground Segment: L1B, L1C, L2A Product Specification" (EN-PCV-ICD-2009). The XML
holds centre wavelengths, gains and offsets by `bandID`; stored x gain + offset is radiance (L1) or
reflectance (L2A). Water-vapour bands of L2A hold no data. L1B has one image a detector, and these
are not co-registered.
"""

from dataclasses import replace
from pathlib import Path

from jaxhsi.data.formats.sensors.band_metadata_xml import with_gains_and_offsets
from jaxhsi.data.formats.sensors.sensor import Sensor, add_notes
from jaxhsi.data.formats.volume import Volume


def _matches(path: Path, volume: Volume) -> bool:
    name = path.name.upper()
    return name.startswith("ENMAP") and "-SPECTRAL_IMAGE" in name


def _refine(path: Path, volume: Volume) -> Volume:
    name = path.name.upper()
    volume = with_gains_and_offsets(path, volume, "EnMAP")
    if "L1B" in name:
        volume = add_notes(volume, "VNIR and SWIR of EnMAP L1B are not co-registered: not joined")
    units = "reflectance" if "L2A" in name else "radiance"
    return replace(volume, value_units=volume.value_units or units)


SENSOR = Sensor(
    name="EnMAP",
    guide="DLR, EnMAP L1B, L1C, L2A Product Specification (EN-PCV-ICD-2009)",
    matches_file=_matches,
    refine=_refine,
)
