"""HySpex (Norsk Elektro Optikk): ENVI files, one for the VNIR and one for the SWIR camera.

Guide: Norsk Elektro Optikk, "HySpex RAD User Manual". The cameras have pixels of their own: their
files are joined only after both were brought to one map.
"""

import re
from pathlib import Path

from jaxhsi.data.formats.sensors.sensor import Sensor, add_notes
from jaxhsi.data.formats.volume import Volume

NAME = re.compile(r"\.hyspex$|_(VNIR|SWIR)_.*_SN\d{4}", re.IGNORECASE)
OTHER_CAMERA = {"VNIR": "SWIR", "SWIR": "VNIR"}


def _matches(path: Path, volume: Volume) -> bool:
    return NAME.search(path.name) is not None


def _refine(path: Path, volume: Volume) -> Volume:
    own = next((name for name in OTHER_CAMERA if name in path.name.upper()), None)
    others = sorted(
        entry.name
        for entry in path.parent.iterdir()
        if own and OTHER_CAMERA[own] in entry.name.upper() and entry.suffix == path.suffix
    )
    if not others:
        return volume
    return add_notes(volume, f"HySpex: {others[0]} has pixels of its own and is not joined")


SENSOR = Sensor(
    name="HySpex",
    guide="Norsk Elektro Optikk, HySpex RAD User Manual",
    matches_file=_matches,
    refine=_refine,
)
