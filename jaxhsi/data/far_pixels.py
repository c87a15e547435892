"""Pixels far from all others, such as an overflow of the detector or an unmarked missing value."""

import logging
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from jaxhsi.data.cube import Cube
from jaxhsi.data.spectra_sample import SpectraSample
from jaxhsi.data.windows import Window, WindowReader

SAMPLE_RATIO = 30.0
"""Distance from the medians of the bands, over the 99th percentile of all distances, beyond which a
pixel takes no part in the statistics of a sample. Set by hand: glare is within three mean values.
"""
READING_DEVIATIONS = 1e4
"""Deviations of the data beyond which a pixel counts as missing. Set by hand: no measurement is so
far out, and float32 can still square what is nearer."""
_TYPICAL_PERCENTILE = 99.0
MAX_VALUE = 1e18
"""Value of a measurement above which float32 cannot hold its square."""
_MAX_NAMED = 3
"""Pixels that are named on the screen."""


def far_spectra(spectra: Float[np.ndarray, "n c"]) -> Bool[np.ndarray, " n"]:
    """Spectra of a sample that are far from all others.

    Args:
        spectra: finite.

    >>> sample = np.random.default_rng(0).random((1000, 5))
    >>> sample[7, 2] = 1e30
    >>> np.flatnonzero(far_spectra(sample)).tolist()
    [7]
    """
    distances = np.abs(spectra - np.median(spectra, axis=0)).max(axis=1)
    typical = np.percentile(distances, _TYPICAL_PERCENTILE, method="lower")
    return distances > SAMPLE_RATIO * typical if typical > 0 else np.zeros(len(spectra), bool)


def typical_spectra(cubes: Sequence[Cube], sample: SpectraSample) -> Float32[np.ndarray, "n c"]:
    """Spectra of a sample but for those far from all others, which are named in the log.

    Args:
        cubes: that they are of.
        sample: of the cubes.

    Raises:
        ValueError: values too large to be squared, which are not far from the others.
    """
    is_far = far_spectra(sample.spectra)
    if is_far.any():
        message = describe_far_pixels(cubes, sample.places[is_far])
        logging.getLogger(__name__).warning(message)
    spectra = sample.spectra[~is_far]
    if (largest_value := float(np.abs(spectra).max())) > MAX_VALUE:
        names = ", ".join(cube.name for cube in cubes[:_MAX_NAMED])
        raise ValueError(
            f"{names}: values reach {largest_value:g}, whose square float32 cannot hold; use "
            "another unit, or say which value marks missing measurements (no_data)"
        )
    return spectra


def limited_reader(window_reader: WindowReader, limit: float) -> WindowReader:
    """A reader for which pixels of values beyond a limit are not valid.

    Args:
        window_reader: that reads.
        limit: largest absolute value of a measurement.
    """

    def reader(cube: Cube, y0: int, x0: int, height: int, width: int) -> Window:
        values, valid = window_reader(cube, y0, x0, height, width)
        if max(values.max(), -values.min()) <= limit:
            return values, valid
        is_far = (np.abs(values) > limit).any(axis=-1)
        return np.where(is_far[..., None], np.float32(0), values), valid & ~is_far

    return reader


def describe_far_pixels(cubes: Sequence[Cube], places: Int[np.ndarray, "m 3"]) -> str:
    """What a user is told of pixels that were left out.

    Args:
        cubes: that they are of.
        places: number of the cube, row and column of each.
    """
    named = [
        f"{cubes[number].name} row {row} column {column}"
        for number, row, column in places[:_MAX_NAMED].tolist()
    ]
    more = ", ..." if len(places) > _MAX_NAMED else ""
    number = "1 sampled pixel" if len(places) == 1 else f"{len(places):,} sampled pixels"
    return (
        f"left out of the statistics: {number} more than {SAMPLE_RATIO:g} times as far from the "
        f"others as these from each other ({', '.join(named)}{more}); give no_data where such "
        "values mark missing measurements"
    )
