"""Cubes that a file keeps as one array (H, W) a band, such as Oa01_radiance, B8A or Rrs_443."""

import re
from dataclasses import replace
from typing import Any

import numpy as np

from jaxhsi.data.formats.band_wavelengths import WAVELENGTH_ATTRIBUTES, WAVELENGTH_RANGE
from jaxhsi.data.formats.container import ArrayContainer, NamedArray
from jaxhsi.data.formats.value_marks import is_value_mark

MIN_BANDS = 3  # arrays that differ by a number alone, to be taken for bands
STACK_NAME = "bands"
BAND_NUMBER = re.compile(r"(\d+(?:\.\d+)?)(?:[a-zA-Z](?![a-zA-Z]))?")  # 8 of B8 and of B8A


def with_stacked_bands(container: ArrayContainer) -> ArrayContainer:
    """The container with the largest stack of equal arrays, whose names differ by a number, as one.

    The stack is called `bands`, in the order of the numbers. Nothing is added where the file has a
    three-dimensional array, or where two stacks are equally large.
    """
    if any(len(array.shape) >= 3 for array in container.arrays.values()):
        return container
    stacks: dict[tuple[str, tuple[int, ...]], list[tuple[float, str]]] = {}
    for name, array in container.arrays.items():
        numbers = BAND_NUMBER.findall(name.rpartition("/")[2])
        if len(array.shape) == 2 and min(array.shape) > 1 and numbers:
            pattern = BAND_NUMBER.sub("#", name)
            stacks.setdefault((pattern, array.shape), []).append((float(numbers[0]), name))
    sizes = sorted((len(members) for members in stacks.values()), reverse=True)
    if not sizes or sizes[0] < MIN_BANDS or sizes[1:2] == sizes[:1]:
        return container
    members = sorted(next(each for each in stacks.values() if len(each) == sizes[0]))
    return _with_stack(container, [number for number, _ in members], [name for _, name in members])


def _with_stack(
    container: ArrayContainer, numbers: list[float], names: list[str]
) -> ArrayContainer:
    first = container.arrays[names[0]]
    axis_names = first.axis_names or ("y", "x")
    attributes = dict(first.attributes) | _marks_of_members(container, names)
    wavelengths = _member_wavelengths(container, names)
    low, high = WAVELENGTH_RANGE
    if wavelengths is None and low <= numbers[0] < numbers[-1] <= high:
        wavelengths = numbers
    if wavelengths is not None:
        attributes["wavelength"] = np.array(wavelengths)
    group = names[0].rpartition("/")[0]
    stack_name = f"{group}/{STACK_NAME}".strip("/")
    stack = NamedArray(
        (len(names), *first.shape),
        ("band", *axis_names),
        attributes,
        ("", *(first.axis_scales or ("", ""))),
    )

    def read(name: str, index: tuple[slice | int, ...]) -> np.ndarray:
        if name != stack_name:
            return container.read_array(name, index)
        bands = np.arange(len(names))[index[0]]
        return np.stack([container.read_array(names[band], tuple(index[1:])) for band in bands])

    return replace(container, arrays=container.arrays | {stack_name: stack}, read_array=read)


def _marks_of_members(container: ArrayContainer, names: list[str]) -> dict[str, Any]:
    """Factors, offsets and fill values that differ among the arrays, as lists, one a band."""
    all_attributes = [container.arrays[name].attributes for name in names]
    lists = {}
    for name in all_attributes[0]:
        values = [attributes.get(name) for attributes in all_attributes]
        is_number = all(isinstance(value, int | float | np.number) for value in values)
        if is_number and is_value_mark(name) and len(set(values)) > 1:
            lists[name] = np.array(values, np.float64)
    return lists


def _member_wavelengths(container: ArrayContainer, names: list[str]) -> list[float] | None:
    """Wavelength of each array by an attribute of its own, or None."""
    for attribute in WAVELENGTH_ATTRIBUTES:
        values = [container.arrays[name].attributes.get(attribute) for name in names]
        if all(isinstance(value, int | float | np.number) for value in values):
            return [float(value) for value in values]
    return None
