"""Gains and offsets of bands in the METADATA.XML beside products of the DLR."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from jaxhsi.data.formats.band_xml import BandColumn, band_columns
from jaxhsi.data.formats.sensors.sensor import add_notes
from jaxhsi.data.formats.volume import Volume, shared_value

GAIN_TAG, OFFSET_TAG = "gainofband", "offsetofband"


def with_gains_and_offsets(path: Path, volume: Volume, sensor_name: str) -> Volume:
    """A volume with the gains and offsets of the metadata beside its file.

    Args:
        path: of the raster.
        volume: of it; its wavelengths were read from the same metadata, see `raster_wavelengths`.
        sensor_name: for the notes.
    """
    num_bands = volume.shape[(volume.layout or "hwc").index("c")]
    xml_name, columns = band_columns(path, num_bands)
    if not columns:
        note = (
            f"{sensor_name}: no -METADATA.XML beside it that describes {num_bands} bands; "
            "wavelengths, gains and offsets are in there"
        )
        return add_notes(volume, note)
    if volume.scale_factor is not None or volume.offset is not None:
        return volume
    by_tag = {name.lower(): column for name, column in columns.items()}
    gains = _shared_number(by_tag.get(GAIN_TAG), 1.0)
    offsets = _shared_number(by_tag.get(OFFSET_TAG), 0.0)
    used = [n for n, value in (("gains", gains), ("offsets", offsets)) if value is not None]
    if not used:
        return volume
    note = f"{sensor_name}: {' and '.join(used)} of the bands from {xml_name}"
    return add_notes(replace(volume, scale_factor=gains, offset=offsets), note)


def _shared_number(column: BandColumn | None, neutral: float) -> float | np.ndarray | None:
    if column is None:
        return None
    return shared_value(np.array([float(text) for text in column.texts]), neutral)
