"""Axes of HyperSpy's files: attributes of the groups axis-0, axis-1, ... beside `data`.

Guide: HyperSpy user guide, "HSpy - HyperSpy's HDF5 Specification"; an axis has name, size, units,
offset and scale, or the vector `axis`, and navigate tells image axes from those of the signal.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from jaxhsi.data.formats.axis_names import axis_role
from jaxhsi.data.formats.container import ArrayContainer, NamedArray


def with_hyperspy_axes(container: ArrayContainer) -> ArrayContainer:
    """The container with named axes and their scales, where it describes them as HyperSpy does."""
    vectors: dict[str, np.ndarray] = {}
    arrays = dict(container.arrays)
    for name, array in container.arrays.items():
        group, _, base = name.rpartition("/")
        axes = [
            container.group_attributes.get(f"{group}/axis-{i}", {}) for i in range(len(array.shape))
        ]
        if base != "data" or not all("size" in axis or "name" in axis for axis in axes):
            continue
        axis_names = _axis_names(axes)
        scales = []
        for number, (axis, length) in enumerate(zip(axes, array.shape, strict=True)):
            scale_name = f"{group}/axis-{number}/axis"
            if scale_name not in container.arrays:
                steps = np.arange(length) * float(axis.get("scale", 1.0))
                vectors[scale_name] = float(axis.get("offset", 0.0)) + steps
            units = {"units": axis["units"]} if isinstance(axis.get("units"), str) else {}
            label = {"long_name": "wavelength"} if axis_names[number] == "wavelength" else {}
            arrays[scale_name] = NamedArray((length,), (axis_names[number],), units | label)
            scales.append(scale_name)
        arrays[name] = array._replace(axis_names=axis_names, axis_scales=tuple(scales))

    def read(name: str, index: tuple[slice | int, ...]) -> np.ndarray:
        return vectors[name][index] if name in vectors else container.read_array(name, index)

    return replace(container, arrays=arrays, read_array=read) if vectors else container


def _axis_names(axes: list[dict[str, Any]]) -> tuple[str, ...]:
    """Names of the axes; a single signal axis holds the bands, two navigation axes the image."""
    is_image = [bool(axis.get("navigate", False)) for axis in axes]
    names = [str(axis.get("name", "")) for axis in axes]
    if is_image.count(False) == 1 and len(axes) >= 3:
        band = is_image.index(False)
        names[band] = "wavelength" if axis_role(names[band]) != "c" else names[band]
    return tuple(names)
