"""A .npy file that is written tile by tile without being in memory.

It is not mapped: where a disk is full, writing into a mapped file ends the process without a word.
"""

from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from jaxhsi.data.tiles import Tile
from jaxhsi.storage.replacement import write_errors_named


class PlaneFile(AbstractContextManager["PlaneFile"]):
    """A plane of numbers in a .npy file, of which any tile can be written.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "plane.npy"
    >>> with PlaneFile(path, (2, 3), np.int16) as plane:
    ...     plane.write(Tile(0, 1, 2, 2), np.array([[1, 2], [3, 4]]))
    >>> np.load(path).tolist()
    [[0, 1, 2], [0, 3, 4]]
    """

    def __init__(self, path: Path, shape: tuple[int, int], dtype: type[np.number]):
        """Make the file, of zeros, or replace it.

        Args:
            path: of the file.
            shape: rows and columns.
            dtype: of the numbers.

        Raises:
            OSError: no space; names the file.
        """
        self._path, self._shape, self._dtype = path, shape, np.dtype(dtype)
        self._file = path.open("wb")
        header = {
            "shape": shape,
            "fortran_order": False,
            "descr": np.lib.format.dtype_to_descr(self._dtype),
        }
        with write_errors_named(self._path):
            np.lib.format.write_array_header_1_0(self._file, header)
            self._start = self._file.tell()
            self._file.truncate(self._start + shape[0] * shape[1] * self._dtype.itemsize)

    def write(self, tile: Tile, values: Shaped[np.ndarray, "h w"]) -> None:
        """Write a tile.

        Args:
            tile: where.
            values: its numbers.

        Raises:
            OSError: no space; names the file.
        """
        rows = np.ascontiguousarray(values, self._dtype)
        with write_errors_named(self._path):
            for row, numbers in enumerate(rows, tile.y0):
                position = (row * self._shape[1] + tile.x0) * self._dtype.itemsize
                self._file.seek(self._start + position)
                self._file.write(numbers.tobytes())
            self._file.flush()

    def close(self) -> None:
        """Write what is left to the file."""
        with write_errors_named(self._path):
            self._file.close()

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()
