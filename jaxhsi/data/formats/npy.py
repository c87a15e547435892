"""NumPy .npy files, memory-mapped."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from jaxhsi.data.formats.container import NamedArray
from jaxhsi.data.formats.cube_choice import kept_axes
from jaxhsi.data.formats.volume import Volume


def load_npy(path: Path) -> np.ndarray:
    """Map the array of a .npy file without reading its values.

    Raises:
        ValueError: truncated, not a .npy file, or pickled objects.
    """
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(
            f"{path} cannot be read as a .npy array of numbers, it may be truncated; write it "
            f"again with numpy.save ({error})"
        ) from error


def npy_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of the one array, under the empty key."""
    return {"": load_npy(path).shape}


@contextmanager
def open_npy(
    path: Path, *, key: str | None = None, size: tuple[int, int] | None = None
) -> Iterator[Volume]:
    """Open the 3-D array of a .npy file.

    Args:
        path: the file.
        key: must be None, a .npy file holds one array without a name.
        size: (H, W) of a 2-D array (C, pixels) whose pixels run down the columns.

    Raises:
        ValueError: unreadable, a key, or an array that is not 3-D.
    """
    if key is not None:
        raise ValueError(f"{path} holds one array without a name; drop --key {key}")
    array = load_npy(path)
    if array.ndim == 2 and size is not None and array.shape[1] == size[0] * size[1]:
        pixels = array.reshape(len(array), *size, order="F")
        yield Volume(path, "", pixels.shape, pixels.__getitem__, layout="chw")
        return
    stored_shape = array.shape
    axes = kept_axes(NamedArray(array.shape, (), {}))
    if axes is not None:
        array = array.reshape([array.shape[axis] for axis in axes])
    if array.ndim != 3 or array.size == 0:
        raise ValueError(
            f"{path} holds an array of shape {array.shape}; a cube has three non-empty axes, "
            "(H, W, C) or (C, H, W). A table (C, H * W) needs --size '[H,W]' with its own H and W"
        )
    notes = (
        () if array.shape == stored_shape else (f"axes of length one of {stored_shape} left out",)
    )
    yield Volume(path, "", array.shape, array.__getitem__, notes=notes)
