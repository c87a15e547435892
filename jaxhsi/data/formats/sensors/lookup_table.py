"""Cubes brought to a map by a table of the source pixel for each pixel of the map."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int

from jaxhsi.data.formats.volume import Volume, read_image_part

BLOCK_COLUMNS = 64  # of the map that are gathered at a time: their source pixels lie close together


def orthorectified_reader(
    volume: Volume, layout: str, rows: Int[np.ndarray, "y x"], columns: Int[np.ndarray, "y x"]
) -> Callable[[tuple[slice, slice, slice]], np.ndarray]:
    """Reader of a cube on a map, (y, x, bands): the source pixel of each, unchanged.

    Args:
        volume: in sensor geometry.
        layout: order of its axes.
        rows: row of the source for each pixel of the map, negative where there is none.
        columns: likewise.
    """
    dtype = volume.read_slab((slice(0, 1),) * 3).dtype
    missing = np.nan if volume.no_data is None else volume.no_data
    if dtype.kind in "iu" and volume.no_data is None:
        raise ValueError(
            f"{volume.path}: the cube has no value for missing pixels; give one with --no_data"
        )

    def read(index: tuple[slice, slice, slice]) -> np.ndarray:
        map_rows, map_columns, bands = index
        source_rows, source_columns = rows[map_rows, map_columns], columns[map_rows, map_columns]
        num_bands = len(range(volume.shape[layout.index("c")])[bands])
        values = np.full((*source_rows.shape, num_bands), missing, dtype)
        for top in range(0, source_rows.shape[0], BLOCK_COLUMNS):
            for left in range(0, source_rows.shape[1], BLOCK_COLUMNS):
                block = np.s_[top : top + BLOCK_COLUMNS, left : left + BLOCK_COLUMNS]
                is_inside = (source_rows[block] >= 0) & (source_columns[block] >= 0)
                if not is_inside.any():
                    continue
                y, x = source_rows[block][is_inside], source_columns[block][is_inside]
                part = read_image_part(
                    volume,
                    layout,
                    slice(int(y.min()), int(y.max()) + 1),
                    slice(int(x.min()), int(x.max()) + 1),
                    bands,
                )
                values[block][is_inside] = part[y - y.min(), x - x.min()]
        return values

    return read
