"""Wavelengths, gains and offsets of bands in the METADATA.XML beside products of the DLR."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from jaxhsi.data.formats.volume import Volume, shared_value

BandColumns = dict[str, np.ndarray]
"""Columns wavelength, gain and offset, one value a band."""

COLUMN_TAGS = {
    "wavelength": "wavelengthcenterofband",
    "gain": "gainofband",
    "offset": "offsetofband",
}


def metadata_path(image_path: Path) -> Path | None:
    """The metadata beside an image, NAME-SPECTRAL_IMAGE.TIF and NAME-METADATA.XML, or None."""
    prefix = image_path.name.upper().partition("-SPECTRAL_IMAGE")[0]
    if prefix == image_path.name.upper():
        return None
    names = (f"{prefix}-METADATA.XML",)
    return next((e for e in image_path.parent.iterdir() if e.name.upper() in names), None)


def read_band_metadata(path: Path) -> BandColumns:
    """The columns that the file has for every band; none where it cannot be read."""
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError):
        return {}
    rows = []
    for element in root.iter():
        row = {child.tag.rpartition("}")[2].lower(): child.text for child in element}
        if COLUMN_TAGS["wavelength"] in row:
            rows.append(row)
    columns = {}
    for name, tag in COLUMN_TAGS.items():
        try:
            columns[name] = np.array([float(row[tag]) for row in rows])
        except (KeyError, TypeError, ValueError):
            continue
    return columns if rows else {}


def with_band_metadata(path: Path, volume: Volume, sensor_name: str) -> Volume:
    """A volume with the wavelengths, gains and offsets of the metadata beside its file."""
    xml_path = metadata_path(path)
    columns = {} if xml_path is None else read_band_metadata(xml_path)
    num_bands = volume.shape[(volume.layout or "hwc").index("c")]
    if xml_path is None or not columns:
        note = f"{sensor_name}: no readable -METADATA.XML beside it, which holds the wavelengths"
        return replace(volume, notes=(*volume.notes, note))
    columns = _of_detector(path, columns, num_bands)
    if len(columns["wavelength"]) != num_bands:
        note = (
            f"{xml_path.name} describes {len(columns['wavelength'])} bands and the image has "
            f"{num_bands}; its wavelengths, gains and offsets are not used"
        )
        return replace(volume, notes=(*volume.notes, note))
    changes: dict[str, float | np.ndarray | None] = {}
    if volume.wavelengths is None:
        changes["wavelengths"] = columns["wavelength"]
    if volume.scale_factor is None and volume.offset is None:
        if "gain" in columns:
            changes["scale_factor"] = shared_value(columns["gain"], 1.0)
        if "offset" in columns:
            changes["offset"] = shared_value(columns["offset"], 0.0)
    names = {"wavelengths": "wavelengths", "scale_factor": "gains", "offset": "offsets"}
    used = [names[name] for name, value in changes.items() if value is not None]
    if not used:
        return volume
    note = f"{sensor_name}: {' and '.join(used)} of the bands from {xml_path.name}"
    return replace(volume, notes=(*volume.notes, note), **changes)


def _of_detector(path: Path, columns: BandColumns, num_bands: int) -> BandColumns:
    """The first or last bands where the image is that of the VNIR or the SWIR detector alone."""
    if "_VNIR" in path.name.upper():
        return {name: values[:num_bands] for name, values in columns.items()}
    if "_SWIR" in path.name.upper():
        return {name: values[-num_bands:] for name, values in columns.items()}
    return columns
