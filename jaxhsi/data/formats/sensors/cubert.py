"""Cubert (Ultris, FireflEYE): exports as ENVI or TIFF are read, recordings of the camera are not.

Guide: Cubert, "cuvis SDK" (github.com/cubert-hyperspectral/cuvis.python): EnviExporter, and
TiffExporter with one page a channel, one image of many channels, or one file a channel. The format
of recordings (.cu3s, .cu3, .cue, .cub) is not public; only the SDK reads them.
"""

from pathlib import Path

from jaxhsi.data.formats.raster_file import open_dataset
from jaxhsi.data.formats.sensors.sensor import Sensor
from jaxhsi.data.formats.volume import Volume

MAKER_WORDS = ("cubert", "cuvis")


def _matches(path: Path, volume: Volume) -> bool:
    """Whether a TIFF says that Cubert's software wrote it."""
    if path.suffix.lower() not in (".tif", ".tiff") or not path.is_file():
        return False
    with open_dataset(path) as file:
        tags = " ".join(file.tags().values()).casefold()
    return any(word in tags for word in MAKER_WORDS)


SENSOR = Sensor(
    name="Cubert",
    guide="Cubert, cuvis SDK",
    matches_file=_matches,
    closed_suffixes=(".cu3s", ".cu3", ".cue", ".cub"),
    closed_remedy="is a recording of a Cubert camera, whose format is not public: export it in "
    "Cubert's software, or with cuvis.EnviExporter or cuvis.TiffExporter in Python, as ENVI or "
    "TIFF, and give the export",
)
