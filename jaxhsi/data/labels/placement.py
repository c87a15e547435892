"""Where labels lie on the ground, compared with where their cube lies."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxhsi.data.formats.file_errors import import_reader_package
from jaxhsi.data.georeference import Georeference

MAX_OFFSET_PIXELS = 0.5
"""Distance between the corners of labels and cube above which labels are refused: from there on
the nearest pixel is another one."""

TOLD_OFFSET_PIXELS = 0.01
"""Distance that is told."""

METRES_PER_DEGREE = 111_320.0
"""Length of a degree of latitude, for the message."""


class Offset(NamedTuple):
    """How far a corner of the labels lies from that of the cube.

    Attributes:
        east: in units of the cube's coordinate system.
        north: likewise.
        pixels: distance in pixels of the cube.
    """

    east: float
    north: float
    pixels: float


def check_same_place(
    path: Path,
    label_place: Georeference | None,
    cube_place: Georeference | None,
    image_size: tuple[int, int],
) -> str | None:
    """Refuse labels that lie elsewhere on the ground than their cube.

    Nothing is compared where one of them has no coordinate system and the other has.

    Args:
        path: of the labels.
        label_place: of the labels, or None.
        cube_place: of the cube, or None.
        image_size: (H, W) of both.

    Returns:
        What is to be told of a small offset, or None.

    Raises:
        ValueError: a corner of the labels is half a pixel or more from that of the cube.
    """
    if label_place is None or cube_place is None:
        return None
    if (label_place.crs is None) != (cube_place.crs is None):
        return None
    if label_place.crs is None and not _are_positions(label_place, cube_place):
        return None
    offsets = _corner_offsets(path, label_place, cube_place, image_size)
    largest = max(offsets, key=lambda offset: offset.pixels)
    if largest.pixels >= MAX_OFFSET_PIXELS:
        raise ValueError(
            f"{path} lies elsewhere than its cube: {describe_offset(offsets[0], cube_place)} at "
            "the "
            f"upper left corner, up to {largest.pixels:,.1f} pixels. Put it on the cube's grid "
            f"first: rio warp {path.name} new.tif --like CUBE.tif --resampling nearest"
        )
    if largest.pixels > TOLD_OFFSET_PIXELS:
        return f"lies {describe_offset(largest, cube_place)} from its cube, below half a pixel"
    return None


def _are_positions(*places: Georeference) -> bool:
    """Whether grids without a coordinate system are more than the size of a pixel."""
    return all(place.transform[2] or place.transform[5] for place in places)


def _corner_offsets(
    path: Path, label_place: Georeference, cube_place: Georeference, size: tuple[int, int]
) -> list[Offset]:
    corners = [(0, 0), (0, size[1]), (size[0], 0), size]
    label_x, label_y = zip(*(_position(label_place, *corner) for corner in corners), strict=True)
    if not same_system(path, label_place.crs, cube_place.crs):
        warp = import_reader_package("rasterio.warp", path, "a raster")
        label_x, label_y = warp.transform(label_place.crs, cube_place.crs, label_x, label_y)
    a, b, _, d, e, _ = cube_place.transform
    inverse = np.linalg.inv([[a, b], [d, e]])
    offsets = []
    for corner, x, y in zip(corners, label_x, label_y, strict=True):
        cube_x, cube_y = _position(cube_place, *corner)
        steps = inverse @ [x - cube_x, y - cube_y]
        offsets.append(Offset(x - cube_x, y - cube_y, float(np.hypot(*steps))))
    return offsets


def _position(place: Georeference, row: int, column: int) -> tuple[float, float]:
    a, b, c, d, e, f = place.transform
    return a * column + b * row + c, d * column + e * row + f


def same_system(path: Path, first: str | None, second: str | None) -> bool:
    """Whether two coordinate systems, in any spelling, are one."""
    if first == second or first is None or second is None:
        return True
    crs = import_reader_package("rasterio.crs", path, "a raster").CRS
    return crs.from_user_input(first) == crs.from_user_input(second)


def describe_offset(offset: Offset, cube_place: Georeference) -> str:
    """An offset in metres, by compass direction.

    >>> place = Georeference("EPSG:32632", (1.0, 0.0, 5e5, 0.0, -1.0, 5e6), 1.0)
    >>> describe_offset(Offset(0.0, 16.0, 16.0), place)
    '16 m to the north'
    """
    metres = cube_place.metres_per_unit
    east, north, unit = offset.east, offset.north, "m"
    if metres is not None:
        east, north = east * metres, north * metres
    elif cube_place.crs is not None:
        latitude = math.radians(min(89.0, abs(cube_place.transform[5])))
        east *= METRES_PER_DEGREE * math.cos(latitude)
        north *= METRES_PER_DEGREE
    else:
        unit = "units"
    parts = [
        f"{abs(distance):,.6g} {unit} to the {names[distance < 0]}"
        for distance, names in ((north, ("north", "south")), (east, ("east", "west")))
        if abs(distance) > 1e-9 * max(abs(east), abs(north))
    ]
    return " and ".join(parts) or "0 m"
