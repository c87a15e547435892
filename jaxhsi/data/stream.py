"""Windows of cubes as a seeded, resumable stream; spectra drawn over a whole data set."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import grain
import numpy as np
from jaxtyping import Bool, Float32

from jaxhsi.data.store import Cube
from jaxhsi.data.tiles import tiles
from jaxhsi.data.windows import read_window

Window = tuple[Float32[np.ndarray, "h w c"], Bool[np.ndarray, "h w"]]
Reader = Callable[[Cube, int, int, int, int], Window]
"""Of the form of :func:`jaxhsi.data.windows.read_window`."""

_FOREVER = 2**40  # windows in a stream: more than any run takes


def window_stream(
    cubes: Sequence[Cube],
    size: int,
    batch: int,
    seed: int,
    *,
    read: Reader = read_window,
    threads: int = 4,
    ahead: int = 8,
) -> grain.DatasetIterator:
    """Endless batches of square windows, each of a random cube about a random pixel of it.

    Cubes are drawn in proportion to their area, the middle of a window uniformly over the cube;
    what lies beyond the edges is mirrored, so that pixels at the border are seen as often as any.
    Window i depends on ``seed`` and i alone: the iterator's ``get_state`` and ``set_state``
    continue the stream exactly, and the number of threads changes nothing.

    Args:
        cubes: all with the same bands.
        size: side of a window in pixels.
        batch: windows of a batch.
        seed: of the draws.
        read: how a window is read.
        threads: that read concurrently.
        ahead: windows read before they are asked for; bounds the memory.

    Returns:
        Iterator over ``(values (b, h, w, c), valid (b, h, w))``.
    """
    areas = np.array([cube.shape[0] * cube.shape[1] for cube in cubes], float)

    def draw(_: int, rng: np.random.Generator) -> Window:
        cube = cubes[rng.choice(len(cubes), p=areas / areas.sum())]
        y, x = rng.integers(cube.shape[0]), rng.integers(cube.shape[1])
        return read(cube, int(y) - size // 2, int(x) - size // 2, size, size)

    stream = grain.MapDataset.range(_FOREVER).seed(seed).random_map(draw)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(ahead, batch))
    return iter(stream.to_iter_dataset(options).batch(batch))


class Sample(NamedTuple):
    """Spectra drawn uniformly over a data set, and what was seen on the way.

    Attributes:
        spectra: (n, c), valid ones alone, in random order.
        seen: pixels read.
        invalid: how many of them were not valid.
    """

    spectra: Float32[np.ndarray, "n c"]
    seen: int
    invalid: int


def sample_spectra(
    cubes: Sequence[Cube],
    count: int,
    seed: int,
    *,
    read: Reader = read_window,
    tile: int = 64,
    most_tiles: int = 256,
) -> Sample:
    """Draw ``count`` valid spectra (fewer where there are fewer) by one pass over tiles.

    Every pixel gets a random number, and those with the smallest are kept: a uniform sample
    without replacement in memory that does not grow with the cubes. At most ``most_tiles`` tiles
    are read, themselves drawn at random, so that a start takes seconds on a cube of any size.

    Raises:
        ValueError: no valid pixel was found.
    """
    rng = np.random.default_rng(seed)
    places = [(cube, t) for cube in cubes for t in tiles(cube.shape[:2], (tile, tile))]
    kept, tickets, seen, valid_seen = (
        np.zeros((0, cubes[0].shape[2]), np.float32),
        np.zeros(0),
        0,
        0,
    )
    for i in rng.permutation(len(places))[:most_tiles]:
        cube, place = places[i]
        values, valid = read(cube, *place)
        fresh = values[valid]
        kept = np.concatenate([kept, fresh])
        tickets = np.concatenate([tickets, rng.random(len(fresh))])
        best = np.argsort(tickets)[:count]
        kept, tickets = kept[best], tickets[best]
        seen, valid_seen = seen + valid.size, valid_seen + len(fresh)
    if not valid_seen:
        names = ", ".join(cube.url for cube in cubes)
        raise ValueError(
            f"no valid pixel among {seen} read from {names}: every one holds NaN, an infinity or "
            "the no-data value; check the file and its no-data value"
        )
    return Sample(kept, seen, seen - valid_seen)


def standardised(cubes: Sequence[Cube], read: Reader = read_window) -> Reader:
    """A reader that standardises every band over its own cube, as upstream does.

    (x - mean) / (deviation + 1e-6), both over the valid pixels of the cube, gathered by one
    streaming pass per cube (upstream ``normalize_cube``). A cube that was not named is measured
    when it is first read.
    """
    moments = {cube.url: _moments(cube, read) for cube in cubes}

    def reader(cube: Cube, y0: int, x0: int, height: int, width: int) -> Window:
        if cube.url not in moments:
            moments[cube.url] = _moments(cube, read)
        mean, deviation = moments[cube.url]
        values, valid = read(cube, y0, x0, height, width)
        scaled = (values - mean) / (deviation + 1e-6)
        return np.where(valid[..., None], scaled, 0).astype(np.float32), valid

    return reader


def _moments(cube: Cube, read: Reader) -> tuple[np.ndarray, np.ndarray]:
    """Mean and unbiased deviation of each band, merged tile by tile (Chan et al. 1979)."""
    count, mean, squares = 0, np.zeros(cube.shape[2]), np.zeros(cube.shape[2])
    for place in tiles(cube.shape[:2], (64, 64)):
        values, valid = read(cube, *place)
        fresh = values[valid].astype(np.float64)
        if not len(fresh):
            continue
        shift = fresh.mean(0) - mean
        total = count + len(fresh)
        squares += ((fresh - fresh.mean(0)) ** 2).sum(0) + shift**2 * count * len(fresh) / total
        mean, count = mean + shift * len(fresh) / total, total
    return mean.astype(np.float32), np.sqrt(squares / max(count - 1, 1)).astype(np.float32)
