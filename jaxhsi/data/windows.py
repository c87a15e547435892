"""Windows of cubes: one read each, edges mirrored, missing values masked."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float32, Int, Shaped

from jaxhsi.data.cube import Cube
from jaxhsi.data.network_wait import wait_for
from jaxhsi.data.store_url import is_unreachable, tensorstore_reason

Window = tuple[Float32[np.ndarray, "h w c"], Bool[np.ndarray, "h w"]]
"""Spectra, and which of them are valid."""

WindowReader = Callable[[Cube, int, int, int, int], Window]
"""Of the form of `read_window`."""


def mirror_index(positions: Int[np.ndarray, " n"], length: int) -> Int[np.ndarray, " n"]:
    """Fold any integer positions into 0..size-1 by mirrors just outside of the edge pixels.

    The edge is repeated: ... 1 0 | 0 1 2 3 | 3 2 1 0 | 0 1 ... for size 4, as `numpy.pad` with
    mode "symmetric", at any distance. Windows about uniformly drawn pixels so show every pixel
    equally often, those at the border too.

    >>> mirror_index(np.arange(-2, 6), 4).tolist()
    [1, 0, 0, 1, 2, 3, 3, 2]
    """
    folded_positions = positions % (2 * length)
    return np.minimum(folded_positions, 2 * length - 1 - folded_positions)


def read_window(cube: Cube, y0: int, x0: int, height: int, width: int) -> Window:
    """Read the window [y0, y0 + height) x [x0, x0 + width) in one read of its bounding box.

    Positions outside of the cube are filled by mirroring (see `mirror_index`): they hold real
    spectra and are valid.

    Args:
        cube: where to read.
        y0: first row, may be negative or beyond the cube.
        x0: first column, likewise.
        height: rows of the window, at least 1.
        width: columns of the window, at least 1.

    Returns:
        values: spectra in the cube's units, with 0 in place of what is missing.
        valid: False where any band is NaN, infinite in float32, or `cube.no_data`.

    Raises:
        ConnectionError: a server does not answer, after some retries.
        ValueError: an empty window, or a store with missing or damaged blocks. Both name the
            store, the rows and columns, and the block.
    """
    if height < 1 or width < 1:
        raise ValueError(f"a window needs at least 1 x 1 pixel; got {height} x {width}")
    row_index = mirror_index(np.arange(y0, y0 + height), cube.shape[0])
    column_index = mirror_index(np.arange(x0, x0 + width), cube.shape[1])
    top, left = int(row_index.min()), int(column_index.min())
    bottom, right = int(row_index.max()) + 1, int(column_index.max()) + 1
    try:
        stored_values = wait_for(cube.array[top:bottom, left:right].read(), cube.url)
    except (ValueError, OSError) as error:
        raise read_error(cube, (top, bottom), (left, right), error) from error
    if stored_values.shape[:2] != (height, width) or y0 != top or x0 != left:
        stored_values = stored_values[np.ix_(row_index - top, column_index - left)]
    return mask_missing(stored_values, cube.no_data)


def read_error(
    cube: Cube, row_range: tuple[int, int], column_range: tuple[int, int], error: Exception
) -> Exception:
    """What to raise where TensorStore could not read; its own words name the block."""
    window_name = (
        f"{cube.url}: rows {row_range[0]}..{row_range[1] - 1}, columns "
        f"{column_range[0]}..{column_range[1] - 1} cannot "
        "be read"
    )
    if isinstance(error, ConnectionError):
        return ConnectionError(f"{window_name}: {error}")
    if is_unreachable(error):
        return ConnectionError(
            f"{window_name}: the server gives no whole answer, however often it is asked; check "
            "the "
            f"connection and run again ({tensorstore_reason(error)})"
        )
    return ValueError(
        f"{window_name}, part of the store is missing or damaged; make or copy the cube again "
        f"({tensorstore_reason(error)})"
    )


def mask_missing(
    stored_values: Shaped[np.ndarray, "*n c"], no_data: float | None
) -> tuple[Float32[np.ndarray, "*n c"], Bool[np.ndarray, "*n"]]:
    """Stored values as float32 with missing ones at 0, and the pixels that miss none."""
    with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite, thus missing
        values = np.ascontiguousarray(stored_values, np.float32)
        is_missing = ~np.isfinite(values)
        if no_data is not None:  # in the stored type: float32 merges neighbouring large integers
            is_missing |= stored_values == no_data
    values[is_missing] = 0.0
    return values, ~is_missing.any(axis=-1)
