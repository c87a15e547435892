"""Bands that hold no measurements in (nearly) all pixels: each alone would make all invalid."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int

from jaxhsi.data.formats.volume import Volume, read_image_part
from jaxhsi.data.ingest.reflectance import to_float32

EMPTY_SHARE = 0.95
"""Share of the pixels with a measurement in some band, from which a band that they miss is empty:
water-vapour bands and dead detectors lack all of them, shadows and saturation far fewer."""

SAMPLE_GRID = 4  # places along each side of the image that are looked at before copying
SAMPLE_SHAPE = (4, 16)  # rows and columns at each
MIN_SAMPLE_PIXELS = 32  # with a measurement in some band, for the sample to decide


def find_empty_bands(
    volume: Volume, layout: str, cube_shape: tuple[int, int, int], no_data: float | None
) -> Bool[np.ndarray, " c"]:
    """Bands that are empty in a sample of the image.

    Args:
        volume: the file.
        layout: of its axes.
        cube_shape: (H, W, C).
        no_data: value that marks a missing measurement, or None.

    Returns:
        True for those; none where the sample decides nothing, which the copy makes up for.
    """
    height, width, num_bands = cube_shape
    missing, num_inside = np.zeros(num_bands, np.int64), 0
    if volume.read_slab((slice(0, 1),) * 3).dtype.kind in "iu" and no_data is None:
        return np.zeros(num_bands, bool)
    for rows, columns in sample_windows((height, width)):
        values = read_image_part(volume, layout, rows, columns)
        is_missing = ~np.isfinite(to_float32(values, no_data))
        is_inside = ~is_missing.all(axis=-1)
        missing += is_missing[is_inside].sum(axis=0)
        num_inside += int(is_inside.sum())
    if num_inside < min(MIN_SAMPLE_PIXELS, height * width):
        return np.zeros(num_bands, bool)
    return empty_by_counts(missing, num_inside)


def empty_by_counts(missing: Int[np.ndarray, " c"], num_inside: int) -> Bool[np.ndarray, " c"]:
    """Bands that are empty by the number of pixels that miss each.

    Args:
        missing: pixels with a measurement in some band that have none in this.
        num_inside: pixels with a measurement in some band.

    >>> empty_by_counts(np.array([0, 40, 98]), 100).tolist()
    [False, False, True]
    """
    return (missing >= EMPTY_SHARE * num_inside) & (missing > 0)


def sample_windows(plane_shape: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of small windows, evenly over an image.

    Args:
        plane_shape: (H, W).
    """
    height, width = plane_shape
    for top in _sample_starts(height, SAMPLE_SHAPE[0]):
        for left in _sample_starts(width, SAMPLE_SHAPE[1]):
            rows = slice(top, min(top + SAMPLE_SHAPE[0], height))
            yield rows, slice(left, min(left + SAMPLE_SHAPE[1], width))


def _sample_starts(length: int, part: int) -> list[int]:
    """First rows or columns of windows in the middle of even parts."""
    middles = ((i + 0.5) * length / SAMPLE_GRID for i in range(SAMPLE_GRID))
    last = max(0, length - part)
    return sorted({min(max(0, round(middle - part / 2)), last) for middle in middles})
