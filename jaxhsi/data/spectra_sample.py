"""Spectra drawn uniformly over cubes, in one pass and bounded memory."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int

from jaxhsi.data.cube import Cube
from jaxhsi.data.tiles import count_tiles, numbered_tile
from jaxhsi.data.windows import WindowReader, read_window

_MAX_LISTED_TILES = 2**20  # up to which all are put into a random order: 8 MB of numbers
_MAX_TILES_FACTOR = 16  # times as many tiles may be looked into where most hold nothing


class SpectraSample(NamedTuple):
    """Spectra drawn uniformly over a data set, and what was seen on the way.

    Attributes:
        spectra: (n, c), valid ones alone, in random order.
        num_read: pixels read.
        num_invalid: how many of them were not valid.
        places: number of the cube, row and column of each spectrum.
    """

    spectra: Float32[np.ndarray, "n c"]
    num_read: int
    num_invalid: int
    places: Int[np.ndarray, "n 3"]


def sample_spectra(
    cubes: Sequence[Cube],
    num_spectra: int,
    seed: int,
    *,
    read_window_fn: WindowReader = read_window,
    tile_side: int = 64,
    max_tiles: int = 256,
) -> SpectraSample:
    """Draw ``num_spectra`` valid spectra (fewer where there are fewer) by one pass over tiles.

    Every pixel gets a random number, and those with the smallest are kept: a uniform sample
    without replacement in memory that does not grow with the cubes. At most ``max_tiles`` tiles
    with valid pixels are used, themselves drawn at random, so that a start takes seconds on a cube
    of any size; 16 times as many are looked into before a cube that is almost empty is given up.

    Raises:
        ValueError: no valid pixel was found.
    """
    rng = np.random.default_rng(seed)
    tile_shape = (tile_side, tile_side)
    tile_ends = np.cumsum([count_tiles(cube.shape[:2], tile_shape) for cube in cubes])
    kept_spectra, kept_tickets = np.zeros((0, cubes[0].shape[2]), np.float32), np.zeros(0)
    kept_places = np.zeros((0, 3), np.int64)
    num_read, num_valid, tiles_used = 0, 0, 0
    for number in _draw_numbers(rng, int(tile_ends[-1]), _MAX_TILES_FACTOR * max_tiles):
        cube_number = int(np.searchsorted(tile_ends, number, side="right"))
        tiles_before = int(tile_ends[cube_number - 1]) if cube_number else 0
        cube = cubes[cube_number]
        place = numbered_tile(cube.shape[:2], tile_shape, number - tiles_before)
        values, valid = read_window_fn(cube, *place)
        tile_spectra = values[valid]
        kept_spectra = np.concatenate([kept_spectra, tile_spectra])
        kept_tickets = np.concatenate([kept_tickets, rng.random(len(tile_spectra))])
        rows, columns = np.nonzero(valid)
        places = [np.full(len(rows), cube_number), rows + place.y0, columns + place.x0]
        kept_places = np.concatenate([kept_places, np.stack(places, axis=1)])
        smallest_tickets = np.argsort(kept_tickets)[:num_spectra]
        kept_spectra, kept_tickets = kept_spectra[smallest_tickets], kept_tickets[smallest_tickets]
        kept_places = kept_places[smallest_tickets]
        num_read, num_valid = num_read + valid.size, num_valid + len(tile_spectra)
        tiles_used += len(tile_spectra) > 0
        if tiles_used == max_tiles:
            break
    if not num_valid:
        cube_urls = ", ".join(cube.url for cube in cubes)
        raise ValueError(
            f"no valid pixel among {num_read} read from {cube_urls}: every one holds NaN, an "
            "infinity or "
            "the no-data value; check the file and its no-data value"
        )
    return SpectraSample(kept_spectra, num_read, num_read - num_valid, kept_places)


def _draw_numbers(rng: np.random.Generator, count: int, max_drawn: int) -> list[int]:
    """Different numbers below ``count`` in random order, none listed but those drawn."""
    if count <= _MAX_LISTED_TILES:
        return rng.permutation(count)[:max_drawn].tolist()
    return rng.choice(count, max_drawn, replace=False).tolist()
