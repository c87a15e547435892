"""MicaSense RedEdge and Altum: one TIFF a band, IMG_0000_1.tif to _5.tif and more, for a capture.

Guide: MicaSense, "RedEdge and Altum Image Processing Tutorials" and `micasense/metadata.py`
(github.com/micasense/imageprocessing). XMP states BandName and CentralWavelength; values are
counts with the black level in them, exposure and gain differ by band, and vignetting is not
corrected. Each band has a lens of its own, so that the bands of a capture are not aligned. The
thermal band (LWIR) and the panchromatic one of RedEdge-P and Altum-PT have other pixels.
"""

import re
from pathlib import Path

from jaxhsi.data.formats.camera_xmp import camera_bands
from jaxhsi.data.formats.raster_file import open_dataset, raster_files
from jaxhsi.data.formats.sensors.sensor import Sensor, add_notes
from jaxhsi.data.formats.volume import Volume

IMAGE_NAME = re.compile(r"IMG_\d{4}_(\d{1,2})\.tif", re.IGNORECASE)


def _images(path: Path) -> list[Path]:
    """The images that a path stands for: those of a folder or of a stack, or one file."""
    if path.is_dir():
        entries = list(path.iterdir())
    else:
        entries = raster_files(path) if path.suffix.lower() == ".vrt" else [path]
    return [entry for entry in entries if entry.suffix.lower() in (".tif", ".tiff")]


def _matches(path: Path, volume: Volume) -> bool:
    images = _images(path)
    if not images:
        return False
    with open_dataset(images[0]) as file:
        return any(band.maker == "MicaSense" for band in camera_bands(file))


def _refine(path: Path, volume: Volume) -> Volume:
    if path.is_file() and path.suffix.lower() != ".vrt":
        note = f"MicaSense: one band of a capture; give its folder, {path.parent}, for all bands"
        return add_notes(volume, note)
    return add_notes(
        volume,
        *_missing_images(path),
        "MicaSense: values are counts; black level, exposure, gain and vignetting of each band "
        "are in them: compare captures by reflectance that the maker's software makes",
        "MicaSense: each band has a lens of its own, so that bands lie some ten pixels apart: "
        "align them first (github.com/micasense/imageprocessing, or an orthomosaic)",
        "place on the ground not kept: GPS of the camera is no map",
    )


def _missing_images(path: Path) -> list[str]:
    """What is said of numbers that the images of a capture pass over."""
    matches = [IMAGE_NAME.fullmatch(entry.name) for entry in _images(path)]
    numbers = {int(match[1]) for match in matches if match}
    gaps = sorted(set(range(1, max(numbers, default=0))) - numbers)
    return [f"MicaSense: no image with number {number} in the capture" for number in gaps]


SENSOR = Sensor(
    name="MicaSense",
    guide="MicaSense, RedEdge and Altum Image Processing Tutorials",
    matches_file=_matches,
    refine=_refine,
)
