"""EO-1 Hyperion (USGS): 242 bands of two detectors, 44 of them not calibrated.

Guide: Beck, "EO-1 User Guide v. 2.3" (2003), USGS: bands 1-7, 58-76 and 225-242 are not calibrated
and hold 0; bands 56-57 and 77-78 cover the same wavelengths. Radiance is stored / 40 for bands
1-70 and stored / 80 for the others, in W / (m2 sr um).
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from jaxhsi.data.formats.sensors.sensor import Sensor, add_notes
from jaxhsi.data.formats.volume import Volume

NAME = re.compile(r"EO1H\d{6}", re.IGNORECASE)
ALL_BANDS = 242
UNCALIBRATED = ((1, 7), (58, 76), (225, 242))  # from 1, both ends included


def _matches(path: Path, volume: Volume) -> bool:
    return NAME.match(path.name) is not None


def _refine(path: Path, volume: Volume) -> Volume:
    num_bands = volume.shape[(volume.layout or "hwc").index("c")]
    if num_bands != ALL_BANDS or volume.bad_bands is not None:
        return volume
    numbers = np.arange(1, ALL_BANDS + 1)
    is_bad = np.any([(numbers >= low) & (numbers <= high) for low, high in UNCALIBRATED], axis=0)
    note = "Hyperion: bands 1-7, 58-76 and 225-242 (from 1) are not calibrated"
    return add_notes(replace(volume, bad_bands=is_bad), note)


SENSOR = Sensor(
    name="Hyperion",
    guide="Beck, EO-1 User Guide v. 2.3 (USGS, 2003)",
    matches_file=_matches,
    refine=_refine,
)
