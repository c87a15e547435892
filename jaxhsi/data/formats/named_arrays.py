"""The cube among the named arrays of a file (HDF5, NetCDF), and what its attributes say."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxhsi.data.formats.volume import WAVELENGTH_KEYS, Volume
from jaxhsi.data.formats.wavelengths import wavelengths_in_nm
from jaxhsi.data.store_url import AXIS_NAMES

NO_DATA_KEYS = ("_FillValue", "missing_value", "no_data", "nodata")


class NamedArray(NamedTuple):
    """A numeric array in a file, not read.

    Attributes:
        shape: lengths of its axes.
        axis_names: their names, empty where the file has none.
        attributes: by name; text as str.
    """

    shape: tuple[int, ...]
    axis_names: tuple[str, ...]
    attributes: dict[str, Any]


ArrayReader = Callable[[str, tuple[slice, ...]], np.ndarray]
"""(name, slices of all axes) -> values."""


def select_cube(
    path: Path, arrays: dict[str, NamedArray], key: str | None, read_array: ArrayReader
) -> Volume:
    """The 3-D array of a file as a volume.

    Args:
        path: the file.
        arrays: its real numeric arrays, by path inside of the file.
        key: the one to take; by default the only 3-D one.
        read_array: reads one of them.

    Raises:
        ValueError: no such key, none or several 3-D arrays, wavelengths out of order, or a
            `add_offset` other than 0.
    """
    key = _choose_key(path, arrays, key)
    array = arrays[key]
    if float(_as_scalar(array.attributes.get("add_offset"), 0.0)) != 0.0:
        raise ValueError(
            f"{path}: {key!r} has add_offset {array.attributes['add_offset']}, which is not "
            "supported; save the values with scale and offset applied"
        )
    scale_factor = _as_scalar(array.attributes.get("scale_factor"), None)
    wavelengths, notes = _read_wavelengths(path, arrays, key, read_array)
    layout, shape, stored_axes = _image_layout(array)

    def slab(index: tuple[slice, slice, slice]) -> np.ndarray:
        values = read_array(key, tuple(index[axis] for axis in np.argsort(stored_axes)))
        return values.transpose(stored_axes)

    return Volume(
        path=path,
        key=key,
        shape=shape,
        read_slab=slab,
        wavelengths=wavelengths,
        layout=layout,
        no_data=_no_data_value(array.attributes),
        value_units=array.attributes.get("units") or None,
        scale_factor=None if scale_factor in (None, 1.0) else float(scale_factor),
        notes=notes,
    )


def _choose_key(path: Path, arrays: dict[str, NamedArray], key: str | None) -> str:
    array_list = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "none"
    if key is not None:
        name = key.strip("/")
        if name not in arrays:
            raise ValueError(
                f"{path} has no numeric array {key!r}; its numeric arrays are: {array_list}"
            )
        if len(arrays[name].shape) != 3 or 0 in arrays[name].shape:
            raise ValueError(
                f"{path}: {key!r} has shape {arrays[name].shape}; a cube has three non-empty axes, "
                f"(H, W, C) or (C, H, W); choose another with --key: {array_list}"
            )
        return name
    cube_names = [
        name for name, array in arrays.items() if len(array.shape) == 3 and all(array.shape)
    ]
    if len(cube_names) != 1:
        what = "several 3-D arrays, choose one with --key" if cube_names else "no 3-D array"
        raise ValueError(f"{path} has {what}; its numeric arrays are: {array_list}")
    return cube_names[0]


def _image_layout(array: NamedArray) -> tuple[str | None, tuple[int, ...], tuple[int, ...]]:
    """Layout told by the names of the axes, shape in it, and the stored axis of each of its axes.

    Bands in the middle, lines of bands, are shown bands last.
    """
    band_axes = [
        axis for axis, name in enumerate(array.axis_names) if name.lower() in AXIS_NAMES["band"]
    ]
    if len(band_axes) != 1:
        return None, array.shape, (0, 1, 2)
    axis_order = {0: (0, 1, 2), 1: (0, 2, 1), 2: (0, 1, 2)}[band_axes[0]]
    shape = tuple(array.shape[axis] for axis in axis_order)
    return "chw" if band_axes[0] == 0 else "hwc", shape, axis_order


def _read_wavelengths(
    path: Path, arrays: dict[str, NamedArray], key: str, read_array: ArrayReader
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """The vector named as wavelengths beside the cube, or the only one of the file that fits it."""
    named_vectors = [
        name
        for name, array in arrays.items()
        if name.rpartition("/")[2].lower() in WAVELENGTH_KEYS
        and max(array.shape, default=0) == math.prod(array.shape)
        and math.prod(array.shape) in arrays[key].shape
    ]
    vectors_beside = [
        name for name in named_vectors if name.rpartition("/")[0] == key.rpartition("/")[0]
    ]
    candidates = vectors_beside or named_vectors
    if len(candidates) != 1:
        notes = (
            (f"wavelengths not kept, several vectors: {', '.join(candidates)}",)
            if candidates
            else ()
        )
        return None, notes
    values = read_array(candidates[0], (slice(None),) * len(arrays[candidates[0]].shape))
    unit_name = arrays[candidates[0]].attributes.get("units")
    return wavelengths_in_nm(values, unit_name, f"{path}: {candidates[0]}")


def _as_scalar(value: Any, default: float | None) -> float | None:
    return default if value is None else float(np.asarray(value).ravel()[0])


def _no_data_value(attributes: dict[str, Any]) -> float | None:
    values = [_as_scalar(attributes.get(name), None) for name in NO_DATA_KEYS]
    return next((value for value in values if value is not None and math.isfinite(value)), None)
