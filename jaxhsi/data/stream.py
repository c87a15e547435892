"""Windows of cubes as a seeded, resumable stream; spectra drawn over a whole data set."""

from collections.abc import Sequence
from typing import NamedTuple

import grain
import numpy as np
from jaxtyping import Float32

from jaxhsi.data.cube import Cube
from jaxhsi.data.statistics import cube_statistics
from jaxhsi.data.tiles import split_into_tiles
from jaxhsi.data.windows import Window, WindowReader, read_window

_STREAM_LENGTH = 2**40  # windows in a stream: more than any run takes
_MAX_DRAWS = 64  # draws for a window that shows anything at all
_MAX_TILES_FACTOR = 16  # times as many tiles may be looked into where most hold nothing


def window_stream(
    cubes: Sequence[Cube],
    window_size: int,
    batch_size: int,
    seed: int,
    *,
    read_window_fn: WindowReader = read_window,
    num_threads: int = 4,
    prefetch_windows: int = 8,
) -> grain.DatasetIterator:
    """Endless batches of square windows, each of a random cube about a random pixel of it.

    Cubes are drawn in proportion to their area, the middle of a window uniformly over the cube;
    what lies beyond the edges is mirrored, so that pixels at the border are seen as often as any.
    A window without a valid pixel is drawn again, its cube too (64 times at most). So every valid
    pixel of the data set is seen equally often: a cube counts by its valid area, though nobody
    needs to know it. Window i depends on ``seed`` and i alone: the iterator's ``get_state`` and
    ``set_state`` continue the stream exactly, and the number of threads changes nothing.

    Args:
        cubes: all with the same bands.
        window_size: side of a window in pixels.
        batch_size: windows of a batch.
        seed: of the draws.
        read_window_fn: how a window is read.
        num_threads: that read concurrently.
        prefetch_windows: windows read before they are asked for; bounds the memory.

    Returns:
        Iterator over ``(values (b, h, w, c), valid (b, h, w))``.
    """
    cube_areas = np.array([cube.shape[0] * cube.shape[1] for cube in cubes], float)

    def draw(_: int, rng: np.random.Generator) -> Window:
        for _ in range(_MAX_DRAWS):
            cube = cubes[rng.choice(len(cubes), p=cube_areas / cube_areas.sum())]
            y, x = rng.integers(cube.shape[0]), rng.integers(cube.shape[1])
            window = read_window_fn(
                cube, int(y) - window_size // 2, int(x) - window_size // 2, window_size, window_size
            )
            if window[1].any():
                break
        return window

    window_dataset = grain.MapDataset.range(_STREAM_LENGTH).seed(seed).random_map(draw)
    read_options = grain.ReadOptions(
        num_threads=num_threads, prefetch_buffer_size=max(prefetch_windows, batch_size)
    )
    return iter(window_dataset.to_iter_dataset(read_options).batch(batch_size))


class SpectraSample(NamedTuple):
    """Spectra drawn uniformly over a data set, and what was seen on the way.

    Attributes:
        spectra: (n, c), valid ones alone, in random order.
        num_read: pixels read.
        num_invalid: how many of them were not valid.
    """

    spectra: Float32[np.ndarray, "n c"]
    num_read: int
    num_invalid: int


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
    cube_tiles = [
        (cube, t)
        for cube in cubes
        for t in split_into_tiles(cube.shape[:2], (tile_side, tile_side))
    ]
    kept_spectra, kept_tickets = np.zeros((0, cubes[0].shape[2]), np.float32), np.zeros(0)
    num_read, num_valid, tiles_used = 0, 0, 0
    for i in rng.permutation(len(cube_tiles))[: _MAX_TILES_FACTOR * max_tiles]:
        cube, place = cube_tiles[i]
        values, valid = read_window_fn(cube, *place)
        tile_spectra = values[valid]
        kept_spectra = np.concatenate([kept_spectra, tile_spectra])
        kept_tickets = np.concatenate([kept_tickets, rng.random(len(tile_spectra))])
        smallest_tickets = np.argsort(kept_tickets)[:num_spectra]
        kept_spectra, kept_tickets = kept_spectra[smallest_tickets], kept_tickets[smallest_tickets]
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
    return SpectraSample(kept_spectra, num_read, num_read - num_valid)


def standardised_reader(
    cubes: Sequence[Cube], read_window_fn: WindowReader = read_window
) -> WindowReader:
    """A reader that standardises every band over its own cube, as upstream does.

    (x - mean) / (deviation + 1e-6), both over the valid pixels of the cube, from
    `statistics.cube_statistics` (upstream ``normalize_cube``). A cube that was not named is
    measured when it is first read.
    """
    moments_by_url = {cube.url: _moments(cube, read_window_fn) for cube in cubes}

    def reader(cube: Cube, y0: int, x0: int, height: int, width: int) -> Window:
        if cube.url not in moments_by_url:
            moments_by_url[cube.url] = _moments(cube, read_window_fn)
        mean, deviation = moments_by_url[cube.url]
        values, valid = read_window_fn(cube, y0, x0, height, width)
        scaled = (values - mean) / (deviation + 1e-6)
        return np.where(valid[..., None], scaled, 0).astype(np.float32), valid

    return reader


def _moments(cube: Cube, read_window_fn: WindowReader) -> tuple[np.ndarray, np.ndarray]:
    statistics = cube_statistics(cube, read_window_fn)
    return statistics.mean.astype(np.float32), statistics.standard_deviation.astype(np.float32)
