"""What the products of the DLR share: NAME-SPECTRAL_IMAGE.TIF with NAME-METADATA.XML beside it.

Wavelengths, gains and offsets of the metadata are read with every raster, see `band_xml`.
"""

from dataclasses import replace
from pathlib import Path

from jaxhsi.data.formats.sensors.sensor import add_notes
from jaxhsi.data.formats.volume import Volume

IMAGE_MARK = "-SPECTRAL_IMAGE"  # in the names of cubes, beside pictures and masks of the product
IMAGE_SUFFIXES = (".tif", ".tiff", ".bsq", ".bil", ".bip", ".jp2")


def with_value_units(path: Path, volume: Volume, sensor_name: str) -> Volume:
    """A volume with units where its values are scaled, and a note where they are not.

    Args:
        path: of the raster.
        volume: of it.
        sensor_name: for the note.
    """
    if volume.scale_factor is None and volume.offset is None:
        note = (
            f"{sensor_name}: no -METADATA.XML beside it that describes its bands, with their "
            "wavelengths, gains and offsets: values are counts"
        )
        return add_notes(volume, note)
    units = "reflectance" if "L2A" in path.name.upper() else "radiance"
    return replace(volume, value_units=volume.value_units or units)


def spectral_image(folder: Path, prefix: str) -> Path | None:
    """The cube in the folder of a product; None where there is none, or one a detector.

    Args:
        folder: of the product.
        prefix: of the names of its files.
    """
    images = [
        entry
        for entry in folder.iterdir()
        if entry.name.upper().startswith(prefix)
        and IMAGE_MARK in entry.name.upper()
        and entry.suffix.lower() in IMAGE_SUFFIXES
    ]
    return images[0] if len(images) == 1 else None
