"""A label map that is read by windows: its classes are known, its pixels may stay in the file."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32

SEARCH_BLOCK_PIXELS = 2**20  # looked at together when a map is searched for its classes
MAX_CLASSES = 2**16

UNLABELLED = -1
"""Value of pixels without a class, in files as in memory: label maps of jaxhsi have it where a
pixel is not valid."""

ArrayLoader = Callable[[], np.ndarray]


class LabelMap(NamedTuple):
    """Truth of one cube.

    Attributes:
        shape: (H, W).
        read_labels: class values, as in the file, of a window given by its rows and columns;
            `UNLABELLED` where there is no class.
        class_values: class values that occur, ascending, without `UNLABELLED`.
        class_names: class value -> name, where they are known, else empty.
    """

    shape: tuple[int, int]
    read_labels: Callable[[slice, slice], Int32[np.ndarray, "h w"]]
    class_values: tuple[int, ...]
    class_names: dict[int, str]


def make_label_map(
    load_array: ArrayLoader,
    image_size: tuple[int, int],
    path: Path,
    *,
    class_names: dict[int, str] | None = None,
    is_memory_mapped: bool = False,
) -> LabelMap:
    """Check an array of class values and find its classes block by block.

    Args:
        load_array: gives the array, of any numeric type.
        image_size: (H, W) of the cube.
        path: the file, for messages.
        class_names: class value -> name.
        is_memory_mapped: `load_array` memory-maps a file. It is then called for every window: what
            a map has read
            counts as memory of the process until it is closed. Else it is called once, and the
            map keeps the array in the smallest integer type that holds its values.

    Raises:
        ValueError: another shape, no whole numbers of 32 bits, or more than 65 536 classes.
    """
    array = load_array()
    if array.shape != image_size:
        raise ValueError(
            f"{path} has shape {array.shape}, its cube has {image_size} pixels; give the labels of "
            "this cube, one value for each pixel"
        )
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{path} holds {array.dtype.name} values; labels are whole numbers")
    blocks = list(_split_into_blocks(array))
    if is_memory_mapped:
        del array
        return _map_from_loader(
            load_array, image_size, _find_class_values(load_array, blocks, path), class_names
        )
    class_values = _find_class_values(lambda: array, blocks, path)
    small_array = array.astype(_smallest_type((UNLABELLED, *class_values)), copy=False)
    return _map_from_loader(lambda: small_array, image_size, class_values, class_names)


def _map_from_loader(
    load_array: ArrayLoader,
    image_size: tuple[int, int],
    class_values: tuple[int, ...],
    class_names: dict[int, str] | None,
) -> LabelMap:
    def read(rows: slice, columns: slice) -> Int32[np.ndarray, "h w"]:
        return load_array()[rows, columns].astype(np.int32)

    return LabelMap(image_size, read, class_values, class_names or {})


def _split_into_blocks(array: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Windows that cover an array, along the axis that lies together in memory or in the file."""
    height, width = array.shape
    by_rows = abs(array.strides[0]) >= abs(array.strides[1])
    lines, length = (height, width) if by_rows else (width, height)
    lines_per_block = max(1, SEARCH_BLOCK_PIXELS // length)
    for start in range(0, lines, lines_per_block):
        part = slice(start, start + lines_per_block)
        yield (part, slice(None)) if by_rows else (slice(None), part)


def _find_class_values(
    load_array: ArrayLoader, blocks: list[tuple[slice, slice]], path: Path
) -> tuple[int, ...]:
    class_values: set[int] = set()
    for block in blocks:
        class_values.update(
            _different_values(_as_whole_numbers(load_array()[block], path)).tolist()
        )
        if len(class_values) > MAX_CLASSES:
            raise ValueError(
                f"{path} holds more than {MAX_CLASSES} different values; these are measurements, "
                "not classes. Give a label map"
            )
    return tuple(sorted(class_values - {UNLABELLED}))


def _as_whole_numbers(block: np.ndarray, path: Path) -> Int32[np.ndarray, "h w"]:
    with np.errstate(invalid="ignore"):
        labels = block.astype(np.int32)
    if not np.array_equal(labels, block):
        raise ValueError(f"{path} holds values that are not whole numbers of 32 bits; round them")
    return labels


def _different_values(labels: Int32[np.ndarray, "h w"]) -> np.ndarray:
    """Different values; counting them is much faster than sorting where they lie close."""
    low, high = int(labels.min()), int(labels.max())
    if high - low >= MAX_CLASSES:
        return np.unique(labels)
    return np.flatnonzero(np.bincount((labels - low).ravel())) + low


def _smallest_type(class_values: tuple[int, ...]) -> np.dtype:
    low, high = min(class_values), max(class_values)
    return np.result_type(np.min_scalar_type(low), np.min_scalar_type(high))
