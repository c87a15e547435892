"""The cube among the named arrays of a file (HDF5, NetCDF, MATLAB), and what is said of it."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from jaxhsi.data.formats.axis_names import axis_roles
from jaxhsi.data.formats.band_variables import with_stacked_bands
from jaxhsi.data.formats.band_wavelengths import (
    BandWavelengths,
    find_bad_bands,
    find_band_wavelengths,
)
from jaxhsi.data.formats.container import ArrayContainer, NamedArray
from jaxhsi.data.formats.cube_choice import choose_cube, kept_axes, squeezed
from jaxhsi.data.formats.ground_position import find_georeference
from jaxhsi.data.formats.pixel_mask import find_pixel_mask
from jaxhsi.data.formats.value_marks import (
    ValueMarks,
    is_inherited_mark,
    is_unsigned,
    plain_name,
    read_value_marks,
)
from jaxhsi.data.formats.volume import Volume

LABELS_OF_AXES = ("dimensionlabels", "dimensionnames", "arraydimensions", "axes", "dimnames")
"""Attributes that name the axes, as `value_marks.plain_name` writes them."""


def select_cube(container: ArrayContainer, key: str | None) -> Volume:
    """The cube of a file as a volume.

    Args:
        container: the file.
        key: array to take; see `cube_choice.choose_cube`.

    Raises:
        ValueError: no such key, none or several 3-D arrays.
    """
    stacked = with_stacked_bands(container)
    key, notes = choose_cube(stacked, key)
    if key not in container.arrays:
        notes += (f"{stacked.arrays[key].shape[0]} arrays of one band each stacked",)
    container = stacked
    stored = container.arrays[key]
    array = _with_axis_names(squeezed(stored))
    if array.shape != stored.shape:
        notes += (f"axes of length one of {stored.shape} left out",)
    squeezed_container = replace(container, arrays=container.arrays | {key: array})
    roles = axis_roles(array.axis_names)
    waves = find_band_wavelengths(squeezed_container, key, _band_axis(roles))
    num_bands = _count_bands(array.shape, roles, waves)
    attributes = _inherited_marks(container, key, num_bands) | array.attributes
    marks = read_value_marks(attributes, key, num_bands)
    georeference, place_notes = find_georeference(squeezed_container, key)
    read_mask, mask_notes = find_pixel_mask(squeezed_container, key, roles)
    return Volume(
        path=container.path,
        key=key,
        shape=array.shape,
        read_slab=_slab_reader(container, key, marks, is_unsigned(attributes)),
        wavelengths=waves.values,
        axis_roles=_with_wavelength_axis(roles, waves),
        no_data=_as_stored(marks.no_data, container, key, attributes),
        read_mask=read_mask,
        georeference=georeference,
        value_units=marks.units,
        scale_factor=marks.scale_factor,
        offset=marks.offset,
        bad_bands=_bad_bands(squeezed_container, key, roles, waves),
        notes=(*notes, *waves.notes, *marks.notes, *mask_notes, *place_notes),
    )


def _as_stored(
    no_data: float | None, container: ArrayContainer, key: str, attributes: dict[str, Any]
) -> float | None:
    """The mark of missing values in the type that values are read as."""
    if no_data is None or is_unsigned(attributes) is None:
        return no_data
    index = (0,) * len(container.arrays[key].shape)
    bits = 8 * np.asarray(container.read_array(key, index)).dtype.itemsize
    if is_unsigned(attributes):
        return no_data % 2.0**bits
    return no_data if no_data < 2.0 ** (bits - 1) else no_data - 2.0**bits


def _with_axis_names(array: NamedArray) -> NamedArray:
    """An array whose axes are named by one of its attributes, if they are not named at all."""
    if any(axis_roles(array.axis_names)):
        return array
    for name, value in array.attributes.items():
        if plain_name(name) in LABELS_OF_AXES and isinstance(value, str):
            names = tuple(part.strip(" '\"[]()") for part in value.replace(",", " ").split())
            if len(names) == len(array.shape):
                return array._replace(axis_names=names)
    return array


def _count_bands(
    shape: tuple[int, ...], roles: tuple[str | None, ...], waves: BandWavelengths
) -> int | None:
    """Number of bands, where names or wavelengths tell it."""
    if (band_axis := _band_axis(roles)) is not None:
        return shape[band_axis]
    return None if waves.values is None else len(waves.values)


def _inherited_marks(container: ArrayContainer, key: str, num_bands: int | None) -> dict[str, Any]:
    """Marks of values that stand in the groups of the cube, as attributes or arrays.

    Arrays are single numbers, or one number a band.
    """
    marks, parts = {}, key.split("/")[:-1]
    for depth in range(len(parts) + 1):
        group = "/".join(parts[:depth])
        marks |= container.group_attributes.get(group, {})
        for name, array in container.arrays.items():
            base = name.rpartition("/")[2]
            is_beside = name.rpartition("/")[0] == group and is_inherited_mark(base)
            if is_beside and math.prod(array.shape) in (1, num_bands):
                values = container.read_array(name, (slice(None),) * len(array.shape))
                values = np.ravel(np.asarray(values, np.float64))
                marks[base] = float(values[0]) if values.size == 1 else values
    return {name: value for name, value in marks.items() if is_inherited_mark(name)}


def _band_axis(roles: tuple[str | None, ...]) -> int | None:
    """The axis of the bands by the names of the axes, or None."""
    if "c" in roles:
        return roles.index("c")
    return roles.index(None) if "h" in roles and "w" in roles else None


def _with_wavelength_axis(
    roles: tuple[str | None, ...], waves: BandWavelengths
) -> tuple[str | None, ...]:
    """The roles of the axes, with the bands where the wavelengths are attached to an axis."""
    if "c" in roles or waves.axis is None or roles[waves.axis] is not None:
        return roles
    return tuple("c" if axis == waves.axis else role for axis, role in enumerate(roles))


def _slab_reader(container: ArrayContainer, key: str, marks: ValueMarks, unsigned: bool | None):
    """Reads parts of the three axes that are kept, with one mark for missing values.

    Integers are taken as unsigned or signed where the file says that they are another than stored.
    """
    num_axes, axes = len(container.arrays[key].shape), kept_axes(container.arrays[key])
    assert axes is not None

    def read(index: tuple[slice, slice, slice]) -> np.ndarray:
        stored_index: list[slice | int] = [0] * num_axes
        for axis, part in zip(axes, index, strict=True):
            stored_index[axis] = part
        values = container.read_array(key, tuple(stored_index))
        if unsigned is not None and values.dtype.kind in "iu":
            kind = "u" if unsigned else "i"
            values = values.view(f"{values.dtype.byteorder}{kind}{values.dtype.itemsize}")
        if marks.other_no_data:
            values = values.copy()
            values[np.isin(values, marks.other_no_data)] = marks.no_data
        return values

    return read


def _bad_bands(
    container: ArrayContainer, key: str, roles: tuple[str | None, ...], waves: BandWavelengths
) -> np.ndarray | None:
    """Bands that the file marks as unusable, if names or wavelengths tell how many bands it has."""
    band_axis = _band_axis(roles)
    if band_axis is not None:
        return find_bad_bands(container, key, container.arrays[key].shape[band_axis])
    if waves.values is not None:
        return find_bad_bands(container, key, len(waves.values))
    return None
