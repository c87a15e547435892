"""How a plane is cut into tiles, and how much more of it a tile needs to be read with."""

from collections.abc import Iterator
from typing import NamedTuple

PlaneShape = tuple[int, int]


class Tile(NamedTuple):
    """Rectangle of a cube: first row and column, height and width, in pixels."""

    y0: int
    x0: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the plane that the tile covers."""
        return slice(self.y0, self.y0 + self.height), slice(self.x0, self.x0 + self.width)

    def within(self, outer: "Tile") -> tuple[slice, slice]:
        """Slices that take this tile out of an array that covers ``outer``."""
        return self._replace(y0=self.y0 - outer.y0, x0=self.x0 - outer.x0).slices


def split_into_tiles(plane_shape: PlaneShape, tile_shape: PlaneShape) -> Iterator[Tile]:
    """Cut a plane into tiles, row by row; the last of a row or column may be smaller.

    >>> [tuple(tile) for tile in split_into_tiles((4, 5), (4, 3))]
    [(0, 0, 4, 3), (0, 3, 4, 2)]
    """
    for y0 in range(0, plane_shape[0], tile_shape[0]):
        for x0 in range(0, plane_shape[1], tile_shape[1]):
            yield Tile(
                y0,
                x0,
                min(tile_shape[0], plane_shape[0] - y0),
                min(tile_shape[1], plane_shape[1] - x0),
            )


def count_tiles(plane_shape: PlaneShape, tile_shape: PlaneShape) -> int:
    """Number of tiles of `split_into_tiles`, which need not be listed for it.

    >>> count_tiles((10**9, 10**9), (10, 10))
    10000000000000000
    """
    rows, columns = (-(-n // tile) for n, tile in zip(plane_shape, tile_shape, strict=True))
    return rows * columns


def numbered_tile(plane_shape: PlaneShape, tile_shape: PlaneShape, number: int) -> Tile:
    """One of the tiles of `split_into_tiles`, by its number from 0.

    >>> numbered_tile((4, 5), (4, 3), 1) == list(split_into_tiles((4, 5), (4, 3)))[1]
    True
    """
    row, column = divmod(number, -(-plane_shape[1] // tile_shape[1]))
    y0, x0 = row * tile_shape[0], column * tile_shape[1]
    height = min(tile_shape[0], plane_shape[0] - y0)
    return Tile(y0, x0, height, min(tile_shape[1], plane_shape[1] - x0))


def tile_with_halo(tile: Tile, plane_shape: PlaneShape, tile_shape: PlaneShape, halo: int) -> Tile:
    """What to read for a tile: its halo as well, moved inside where that leaves the plane.

    Each edge of the result is an edge of the plane or at least ``halo`` pixels away from the
    tile: a network that pads its input sees the same padding as on the whole plane. All tiles of
    a plane get one shape, so that a compiled function serves them all.

    >>> tuple(tile_with_halo(Tile(0, 4, 4, 4), (12, 12), (4, 4), halo=2))
    (0, 2, 8, 8)
    """
    height, width = (
        min(n + 2 * halo, full) for n, full in zip(tile_shape, plane_shape, strict=True)
    )
    y0 = min(max(tile.y0 - halo, 0), plane_shape[0] - height)
    x0 = min(max(tile.x0 - halo, 0), plane_shape[1] - width)
    return Tile(y0, x0, height, width)
