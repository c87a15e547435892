"""Pictures of cubes and label maps."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Integer, Shaped, UInt8

from jaxhsi.data.cube import Cube
from jaxhsi.data.windows import Window, WindowReader
from jaxhsi.report.palettes import INVALID_COLOUR, class_colours, cluster_colours

MAX_PANEL_SIDE = 1024
"""Side of a panel in pixels at most; a small cube is enlarged to about half of it."""

RGB_WAVELENGTHS_NM = (640.0, 550.0, 460.0)
"""Wavelengths of red, green and blue light; set by hand."""

DISPLAY_PERCENTILES = (0.5, 99.0)
"""Percentiles of the values that are drawn black and white; set by hand."""

DISPLAY_GAMMA = 1.8
"""Exponent that brightens dark values, near the 2.2 of screens; set by hand."""

Picture = UInt8[np.ndarray, "h w 3"]


def subsampling_step(shape: Sequence[int], max_side: int = MAX_PANEL_SIDE) -> int:
    """Every how many rows and columns a map is shown.

    Args:
        shape: rows, columns, and more, of the map.
        max_side: rows or columns that are shown at most.

    >>> subsampling_step((3000, 200))
    3
    """
    return max(1, -(-max(shape[:2]) // max_side))


class SubsampledMap:
    """A map at every few pixels, gathered from its tiles in any order.

    Attributes:
        values: (h, w, ...); the fill value where no tile was added.
    """

    def __init__(
        self, shape: Sequence[int], fill_value: np.ndarray, max_side: int = MAX_PANEL_SIDE
    ):
        """An empty map.

        Args:
            shape: rows and columns of the full map, and more.
            fill_value: of a pixel where no tile is; gives the type and the number of values.
            max_side: rows or columns that are shown at most.
        """
        self._step = subsampling_step(shape, max_side)
        sizes = [-(-size // self._step) for size in shape[:2]]
        self.values = np.broadcast_to(fill_value, (*sizes, *fill_value.shape)).copy()

    def add(self, slices: tuple[slice, slice], values: Shaped[np.ndarray, "h w *n"]) -> None:
        """Keep the pixels of a tile that are shown.

        Args:
            slices: rows and columns of the tile in the full map.
            values: of its pixels.
        """
        step = self._step
        # First row and column inside the tile that are multiples of the step in the full map.
        first_row, first_column = (-part.start % step for part in slices)
        shown_values = values[first_row::step, first_column::step]
        top, left = (-(-part.start // step) for part in slices)
        bottom, right = top + shown_values.shape[0], left + shown_values.shape[1]
        self.values[top:bottom, left:right] = shown_values


class FalseColourPicture:
    """A picture of a cube, gathered while its windows are read for another purpose.

    Red, green and blue are the bands nearest 640, 550 and 460 nm where the wavelengths are known
    to cover them, on one scale; else three bands spread over the cube, each on its own scale.
    """

    def __init__(self, cube: Cube, max_side: int = MAX_PANEL_SIDE):
        """An empty picture.

        Args:
            cube: to draw.
            max_side: rows or columns of the picture at most.
        """
        self._bands, self._has_true_colours = _choose_rgb_bands(cube)
        self._values = SubsampledMap(cube.shape, np.full(3, np.nan, np.float32), max_side)

    def recording_reader(self, window_reader: WindowReader) -> WindowReader:
        """A reader of windows inside of the cube, which this picture takes its pixels from.

        Args:
            window_reader: reads the windows; its results are handed on unchanged.
        """

        def reader(cube: Cube, y0: int, x0: int, height: int, width: int) -> Window:
            values, valid = window_reader(cube, y0, x0, height, width)
            rgb_values = np.where(valid[..., None], values[..., self._bands], np.nan)
            self._values.add((slice(y0, y0 + height), slice(x0, x0 + width)), rgb_values)
            return values, valid

        return reader

    def picture(self) -> Picture:
        """The picture; pixels that were not read or are not valid are black."""
        values = self._values.values
        valid = ~np.isnan(values).any(-1)
        if not valid.any():
            return np.zeros(values.shape, np.uint8)
        axis = None if self._has_true_colours else 0
        low, high = np.percentile(values[valid], DISPLAY_PERCENTILES, axis=axis)
        brightness = np.clip((values - low) / np.maximum(high - low, 1e-12), 0, 1)
        brightness = brightness ** (1 / DISPLAY_GAMMA)
        return np.where(valid[..., None], 255 * brightness, 0).astype(np.uint8)


def _choose_rgb_bands(cube: Cube) -> tuple[list[int], bool]:
    """Bands for red, green and blue, and whether they are at those wavelengths."""
    wavelengths, (red, _, blue) = cube.wavelengths, RGB_WAVELENGTHS_NM
    if wavelengths is not None and wavelengths.min() <= blue and wavelengths.max() >= red:
        return [int(np.abs(wavelengths - nm).argmin()) for nm in RGB_WAVELENGTHS_NM], True
    return [round(share * (cube.shape[2] - 1)) for share in (0.75, 0.45, 0.15)], False


def colour_label_map(labels: Integer[np.ndarray, "h w"], num_clusters: int) -> Picture:
    """Labels in the colours of their clusters; pixels that are not valid (-1) are black.

    Args:
        labels: cluster of each pixel, -1 where it is not valid.
        num_clusters: number of clusters k.

    >>> colour_label_map(np.array([[0, -1]]), 1).tolist()
    [[[0, 112, 252], [0, 0, 0]]]
    """
    colour_table = np.concatenate(
        [cluster_colours(num_clusters), np.array([INVALID_COLOUR], np.uint8)]
    )
    return colour_table[np.where(labels < 0, num_clusters, labels)]


def colour_class_map(class_codes: Integer[np.ndarray, "h w"], num_classes: int) -> Picture:
    """True classes in colours of their own; unlabelled pixels (-1) are black.

    Args:
        class_codes: class of each pixel, -1 where unlabelled.
        num_classes: number of classes.

    >>> colour_class_map(np.array([[0, -1]]), 1).tolist()
    [[[230, 159, 0], [0, 0, 0]]]
    """
    colour_table = np.concatenate(
        [class_colours(num_classes), np.array([INVALID_COLOUR], np.uint8)]
    )
    return colour_table[np.where(class_codes < 0, num_classes, class_codes)]
