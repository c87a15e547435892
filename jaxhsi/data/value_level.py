"""How large the values of cubes are: whether they can be in the same units."""

import logging
import math
from collections.abc import Sequence

import numpy as np

from jaxhsi.data.cube import Cube
from jaxhsi.data.statistics import BandStatistics, stored_statistics
from jaxhsi.data.windows import read_window

MAX_LEVEL_RATIO = 20.0
"""How many times larger the values of one cube may be than those of another in the same units.
Exposure and illumination differ by up to five times; percent, per mille and counts of reflectance
differ by 100 or more."""

SAMPLE_GRID, SAMPLE_SIDE = 4, 16  # windows of a cube without statistics that are looked at


def value_level(cube: Cube, statistics: BandStatistics | None = None) -> float | None:
    """Typical magnitude of the values: median over the bands of |mean| + standard deviation.

    Args:
        cube: to measure; by its statistics, or a few windows where it has none.
        statistics: of the cube, where they are at hand.

    Returns:
        The magnitude, or None where no pixel that was looked at is valid.
    """
    statistics = statistics or stored_statistics(cube)
    if statistics is not None and statistics.num_valid:
        return float(np.median(np.abs(statistics.mean) + statistics.standard_deviation))
    if statistics is not None:
        return None
    height, width = cube.shape[:2]
    places = np.linspace(0, 1, SAMPLE_GRID)
    spectra = []
    for y in (places * max(0, height - SAMPLE_SIDE)).astype(int):
        for x in (places * max(0, width - SAMPLE_SIDE)).astype(int):
            window = int(y), int(x), min(SAMPLE_SIDE, height), min(SAMPLE_SIDE, width)
            values, valid = read_window(cube, *window)
            spectra.append(values[valid])
    sample = np.concatenate(spectra).astype(np.float64)
    return float(np.median(np.abs(sample.mean(0)) + sample.std(0))) if len(sample) else None


def check_value_levels(run_name: str, run_level: float | None, cubes: Sequence[Cube]) -> None:
    """Refuse cubes whose values are in other units than those of a run.

    Args:
        run_name: what messages call the run.
        run_level: typical magnitude of the values that it was trained on; None where not known.
        cubes: to compare.

    Raises:
        ValueError: values many times larger or smaller; names the cube and the factor to give.
    """
    if not run_level:
        return
    for cube in cubes:
        level = value_level(cube)
        if not level:
            logging.getLogger(__name__).warning("%s: no values to compare with the run", cube.url)
            continue
        ratio = run_level / level
        if 1 / MAX_LEVEL_RATIO < ratio < MAX_LEVEL_RATIO:
            continue
        factor = 10.0 ** round(math.log10(ratio))
        raise ValueError(
            f"{cube.name} ({cube.url}) is in other units than the cubes that {run_name} was "
            f"trained on: its values are near {level:.3g}, theirs near {run_level:.3g}. If the "
            "values of its file "
            f"times {factor:g} are in the units of the run, give --scale {factor:g}; --raw keeps "
            "stored values; ingest a store again with that scale"
        )
