"""Mean, deviation and range of every band over the valid pixels of a cube, measured once."""

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from jaxhsi.data.cache import default_cache_folder, fingerprint, source_digest
from jaxhsi.data.cube import Cube
from jaxhsi.data.network_wait import wait_for
from jaxhsi.data.prefetch import prefetch
from jaxhsi.data.tiles import split_into_tiles
from jaxhsi.data.windows import WindowReader, read_window
from jaxhsi.storage.checksums import read_checked_json, write_checked_json

BLOCK_VALUES = 2**16  # values that are taken into float64 at a time, within the cache of a core
TILE_SHAPE = (64, 64)
TILES_AHEAD = 4  # tiles read while one is measured

VECTOR_KEYS = {
    "mean": "mean",
    "deviation": "standard_deviation",
    "low": "minimum",
    "high": "maximum",
}
"""Keys of the vectors in JSON, part of the format of stores, and the fields that they hold."""


@dataclass(frozen=True, eq=False)
class BandStatistics:
    """What the valid pixels of a cube are like, band by band.

    Attributes:
        num_pixels: all pixels.
        num_valid: how many of them miss no band.
        mean: of the valid pixels, (C,); NaN where there is none.
        standard_deviation: unbiased, (C,); 0 where there is a single pixel, NaN where there is
            none.
        minimum: smallest value, (C,); NaN where there is none.
        maximum: largest value, (C,); likewise.
    """

    num_pixels: int
    num_valid: int
    mean: Float[np.ndarray, " c"]
    standard_deviation: Float[np.ndarray, " c"]
    minimum: Float[np.ndarray, " c"]
    maximum: Float[np.ndarray, " c"]

    @property
    def valid_share(self) -> float:
        """Valid pixels of all pixels, 0 to 1."""
        return self.num_valid / self.num_pixels

    def to_json(self) -> dict[str, Any]:
        """For a store's attributes or a file; exact, as JSON keeps every digit of a float64."""
        return {"pixels": self.num_pixels, "valid": self.num_valid} | {
            key: getattr(self, name).tolist() if self.num_valid else None
            for key, name in VECTOR_KEYS.items()
        }

    @staticmethod
    def from_json(stored_json: dict[str, Any], num_bands: int) -> "BandStatistics":
        """From what `to_json` gave.

        Raises:
            ValueError: a vector that is not as long as there are bands.
        """
        vectors = {}
        for key, name in VECTOR_KEYS.items():
            values = stored_json[key]
            vector = (
                np.full(num_bands, np.nan) if values is None else np.asarray(values, np.float64)
            )
            if vector.shape != (num_bands,):
                raise ValueError(f"{key} holds {vector.size} values for {num_bands} bands")
            vectors[name] = vector
        return BandStatistics(int(stored_json["pixels"]), int(stored_json["valid"]), **vectors)


class RunningStatistics:
    """Gathers `BandStatistics` block by block, in any order, in memory of a few vectors.

    Means and sums of squares are merged in float64 after Chan, Golub and LeVeque (1979), "Updating
    formulae and a pairwise algorithm for computing sample variances": no digits are lost where
    the mean is large beside the deviation.
    """

    def __init__(self, num_bands: int):
        """Begin with no pixel."""
        self._count = 0
        self._mean, self._squares = np.zeros(num_bands), np.zeros(num_bands)
        self._low, self._high = np.full(num_bands, np.inf), np.full(num_bands, -np.inf)

    def add(self, values: Shaped[np.ndarray, "n c"]) -> None:
        """Take in valid spectra, of any real type; none at all changes nothing."""
        rows_at_once = max(1, BLOCK_VALUES // max(1, values.shape[1]))
        for start in range(0, len(values), rows_at_once):
            block_values = values[start : start + rows_at_once].astype(np.float64)
            block_mean = block_values.mean(0)
            block_squares = np.square(block_values - block_mean).sum(0)
            self._merge(
                len(block_values),
                block_mean,
                block_squares,
                block_values.min(0),
                block_values.max(0),
            )

    def merge(self, other: "RunningStatistics") -> None:
        """Take in what another one has gathered of other pixels."""
        if other._count:
            self._merge(other._count, other._mean, other._squares, other._low, other._high)

    def state_to_json(self) -> dict[str, Any]:
        """All that was gathered, for a file of JSON; exact."""
        vectors = (self._mean, self._squares, self._low, self._high)
        return {"count": self._count, "vectors": [vector.tolist() for vector in vectors]}

    @staticmethod
    def from_state_json(state_json: dict[str, Any]) -> "RunningStatistics":
        """Go on from what `state_to_json` gave."""
        running = RunningStatistics(len(state_json["vectors"][0]))
        running._count = state_json["count"]
        vectors = (np.array(vector) for vector in state_json["vectors"])
        running._mean, running._squares, running._low, running._high = vectors
        return running

    def _merge(self, count: int, mean, squares, low, high) -> None:
        mean_shift, total_count = mean - self._mean, self._count + count
        self._squares = self._squares + squares + mean_shift**2 * self._count * count / total_count
        self._mean, self._count = self._mean + mean_shift * count / total_count, total_count
        self._low, self._high = np.minimum(self._low, low), np.maximum(self._high, high)

    def result(self, num_pixels: int) -> BandStatistics:
        """The statistics of what was taken in.

        Args:
            num_pixels: all of the cube, those without a valid spectrum too.
        """
        if not self._count:
            return BandStatistics(num_pixels, 0, *np.full((4, len(self._mean)), np.nan))
        standard_deviation = np.sqrt(self._squares / max(self._count - 1, 1))
        return BandStatistics(
            num_pixels, self._count, self._mean, standard_deviation, self._low, self._high
        )


def cube_statistics(
    cube: Cube, read_window_fn: WindowReader = read_window, cache_folder: Path | None = None
) -> BandStatistics:
    """Statistics of a cube: those that its store keeps, else measured by one pass over it.

    What was measured is kept in the cache under a fingerprint of the store, so that one pass is
    enough as long as the store stays the same.

    Args:
        cube: to measure.
        read_window_fn: how windows are read; what another reader than `read_window` gives is
            measured each time, as nothing is known of it.
        cache_folder: folder for the results, `default_cache_folder()` if None.

    Raises:
        ValueError: a window cannot be read.
    """
    if read_window_fn is not read_window:
        return _measure_statistics(cube, read_window_fn)
    statistics = stored_statistics(cube, cache_folder)
    if statistics is None:
        statistics = _measure_statistics(cube, read_window_fn)
        _save_statistics(statistics, _cache_path(cube, cache_folder))
    return statistics


def stored_statistics(cube: Cube, cache_folder: Path | None = None) -> BandStatistics | None:
    """Statistics that the store or the cache holds already, else None: no pass over the cube."""
    num_bands = cube.shape[2]
    try:
        if cube.statistics is not None:
            return BandStatistics.from_json(cube.statistics, num_bands)
        path = _cache_path(cube, cache_folder)
        return BandStatistics.from_json(read_checked_json(path, "delete it"), num_bands)
    except OSError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        warning_text = "statistics kept for %s cannot be used and are measured anew: %s"
        logging.getLogger(__name__).warning(warning_text, cube.url, error)
        return None


def _measure_statistics(cube: Cube, read_window_fn: WindowReader) -> BandStatistics:
    running = RunningStatistics(cube.shape[2])
    tile_list = split_into_tiles(cube.shape[:2], TILE_SHAPE)
    for values, valid in prefetch(
        lambda t: read_window_fn(cube, *t), tile_list, TILES_AHEAD, TILES_AHEAD
    ):
        running.add(values[valid])
    return running.result(cube.shape[0] * cube.shape[1])


def _cache_path(cube: Cube, cache_folder: Path | None) -> Path:
    folder = default_cache_folder() if cache_folder is None else Path(cache_folder)
    return folder / "statistics" / f"{store_fingerprint(cube)}.json"


def _save_statistics(statistics: BandStatistics, path: Path) -> None:
    """Write a file that is whole or absent; a cache that cannot be written is no reason to stop."""
    try:
        write_checked_json(path, statistics.to_json())
    except OSError as error:
        logging.getLogger(__name__).warning("statistics are not kept: %s", error)


def store_fingerprint(cube: Cube) -> str:
    """Name of the state of a store: its metadata, and what changes when its values do."""
    metadata = json.dumps(cube.array.spec().to_json(), sort_keys=True)
    folder = Path(cube.url)
    if folder.is_dir():
        store_state = tuple(sorted(_file_states(folder)))
    else:  # no list of files over the network: three blocks stand for all
        height, width, _ = cube.shape
        sample_pixels = ((0, 0), (height // 2, width // 2), (height - 1, width - 1))
        store_state = tuple(
            wait_for(cube.array[place].read(), cube.url).tobytes() for place in sample_pixels
        )
    source = source_digest("data/statistics.py", "data/windows.py")
    return fingerprint((source, cube.url, cube.no_data, metadata, store_state))


def _file_states(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Path, size and time of change of every file below a folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _file_states(Path(entry.path))
            elif not entry.name.endswith(".__lock"):
                state = entry.stat()
                yield entry.path, state.st_size, state.st_mtime_ns
