"""Windows of cubes as a seeded, resumable stream; spectra drawn over a whole data set."""

from collections.abc import Sequence
from typing import Any

import grain
import numpy as np

from jaxhsi.data.cube import Cube
from jaxhsi.data.statistics import cube_statistics
from jaxhsi.data.windows import Window, WindowReader, read_window

_STREAM_LENGTH = 2**40  # windows in a stream: more than any run takes
_MAX_DRAWS = 64  # draws for a window that shows anything at all
_NOT_READ = ()  # stands for a window that another process reads


def window_stream(
    cubes: Sequence[Cube],
    window_size: int,
    batch_size: int,
    seed: int,
    *,
    read_window_fn: WindowReader = read_window,
    num_threads: int = 4,
    prefetch_windows: int = 8,
    rows: Sequence[int] | None = None,
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
        rows: windows of each batch that are given, by their numbers in it; all if None. Processes
            that train together read their own rows alone, and have the position in common.

    Returns:
        Iterator over ``(values (b, h, w, c), valid (b, h, w))``.
    """
    cube_areas = np.array([cube.shape[0] * cube.shape[1] for cube in cubes], float)
    batch_rows = range(batch_size) if rows is None else rows
    own_rows = frozenset(batch_rows)

    def draw(number: int, rng: np.random.Generator) -> Window | tuple[()]:
        if number % batch_size not in own_rows:
            return _NOT_READ
        for _ in range(_MAX_DRAWS):
            cube = cubes[rng.choice(len(cubes), p=cube_areas / cube_areas.sum())]
            y, x = rng.integers(cube.shape[0]), rng.integers(cube.shape[1])
            window = read_window_fn(
                cube, int(y) - window_size // 2, int(x) - window_size // 2, window_size, window_size
            )
            if window[1].any():
                break
        return window

    def stack_windows(windows: Sequence[tuple]) -> tuple[np.ndarray, np.ndarray]:
        values, valid = zip(*(windows[row] for row in batch_rows), strict=True)
        return np.stack(values), np.stack(valid)

    window_dataset = grain.MapDataset.range(_STREAM_LENGTH).seed(seed).random_map(draw)
    num_ahead = prefetch_windows * batch_size // len(own_rows)
    read_options = grain.ReadOptions(
        num_threads=num_threads, prefetch_buffer_size=max(num_ahead, batch_size)
    )
    batch_fn = None if rows is None else stack_windows  # None: Grain stacks them in threads
    return iter(window_dataset.to_iter_dataset(read_options).batch(batch_size, batch_fn=batch_fn))


def describe_windows(
    cubes: Sequence[Cube],
    window_size: int,
    batch_size: int,
    seed: int,
    position: Any,
    indices: Sequence[int],
    *,
    read_window_fn: WindowReader = read_window,
) -> list[str]:
    """Where windows of a batch lie, and how far their values reach; the batch is read again.

    Args:
        cubes: of the stream, see `window_stream`.
        window_size: likewise.
        batch_size: likewise.
        seed: likewise.
        position: state of the stream before the batch.
        indices: of windows in the batch.
        read_window_fn: how a window is read.
    """
    read_windows = []

    def recording_reader(cube: Cube, y0: int, x0: int, height: int, width: int) -> Window:
        window = read_window_fn(cube, y0, x0, height, width)
        read_windows.append((cube, y0, x0, window[0]))
        return window

    stream = window_stream(
        cubes, window_size, batch_size, seed, read_window_fn=recording_reader, num_threads=1
    )
    stream.set_state(position)
    batch_values, _ = next(stream)
    descriptions = []
    for index in indices:
        values = batch_values[index]
        cube, y0, x0, _ = next(each for each in read_windows if np.array_equal(each[3], values))
        descriptions.append(
            f"rows {y0}..{y0 + window_size - 1}, columns {x0}..{x0 + window_size - 1} of "
            f"{cube.name} (values {values.min():.4g} to {values.max():.4g})"
        )
    return descriptions


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
