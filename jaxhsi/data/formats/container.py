"""Files that hold several named arrays (HDF5, NetCDF, MATLAB), described without reading them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class NamedArray(NamedTuple):
    """A numeric array in a file, not read.

    Attributes:
        shape: lengths of its axes.
        axis_names: their names, empty where the file has none.
        attributes: by name; text as str.
        axis_scales: name of the array that is attached to each axis as its scale, else empty.
    """

    shape: tuple[int, ...]
    axis_names: tuple[str, ...]
    attributes: dict[str, Any]
    axis_scales: tuple[str, ...] = ()


ArrayReader = Callable[[str, tuple[slice | int, ...]], np.ndarray]
"""(name, slices or indices of all axes) -> values."""


@dataclass(frozen=True)
class ArrayContainer:
    """What a file holds.

    Attributes:
        path: the file.
        arrays: real numeric arrays, by path inside of the file.
        read_array: reads part of one of them.
        group_attributes: attributes of each group by its path, the root's by "".
        texts: short texts that are stored as arrays, by path.
    """

    path: Path
    arrays: dict[str, NamedArray]
    read_array: ArrayReader
    group_attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)

    def describe_arrays(self) -> str:
        """Names and shapes of all arrays, for messages."""
        listed = [f"{name} {array.shape}" for name, array in self.arrays.items()]
        more = f" and {len(listed) - 30} more" if len(listed) > 30 else ""
        return (", ".join(listed[:30]) or "none") + more


def plain_value(value: Any) -> Any:
    """Text as str, whatever way it was written; arrays of one number as that number."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "SO":
        texts = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in value.ravel()]
        return " ".join(texts) if all(isinstance(text, str) for text in texts) else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
