"""Cubes in memory, which are read by windows as those on disk are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorstore as ts

from jaxhsi.data.cube import CUBE_DTYPES, Cube
from jaxhsi.data.georeference import Georeference
from jaxhsi.data.statistics import cube_statistics
from jaxhsi.data.windows import Window, read_window
from jaxhsi.plain_text import path_part


def cube_from_array(
    values: Any,
    name: str = "array",
    *,
    wavelengths: Sequence[float] | np.ndarray | None = None,
    no_data: float | None = None,
    georeference: Georeference | None = None,
    units: str | None = None,
) -> Cube:
    """A cube whose values are an array in memory, which is not copied.

    Args:
        values: array (H, W, C), bands last; NaN marks missing measurements.
        name: by which labels and outputs are named; no folders of a path.
        wavelengths: centre of each band in nm, (C,), or None where unknown.
        no_data: another value that marks a missing measurement, or None.
        georeference: where the pixels lie on the ground, or None.
        units: of the values, such as "reflectance", or None.

    Raises:
        ValueError: the array has other than three axes, an empty axis, or a type that no cube has.

    >>> cube = cube_from_array(np.ones((4, 5, 3), np.float32), "field")
    >>> cube.shape, cube.name
    ((4, 5, 3), 'field')
    """
    array, name = np.asarray(values), path_part(name)
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(
            f"{name} has shape {array.shape}; a cube is (H, W, C), three non-empty axes with the "
            "bands last. Give several cubes as a list"
        )
    if array.dtype.name not in CUBE_DTYPES:
        raise ValueError(f"{name} holds {array.dtype.name}; a cube holds one of {CUBE_DTYPES}")
    if wavelengths is not None and len(wavelengths) != array.shape[2]:
        raise ValueError(f"{name} has {array.shape[2]} bands, but {len(wavelengths)} wavelengths")
    fields = {
        "array": ts.array(array),
        "name": name,
        "url": f"array in memory: {name}",
        "wavelengths": None if wavelengths is None else np.asarray(wavelengths, np.float64),
        "no_data": no_data,
        "georeference": georeference,
        "units": units,
    }
    # The statistics are part of the cube: those of cubes on disk are cached by their path, and
    # an array has none.
    statistics = cube_statistics(Cube(**fields), _read_uncached)
    return Cube(**fields, statistics=statistics.to_json())


def _read_uncached(cube: Cube, y0: int, x0: int, height: int, width: int) -> Window:
    """As `read_window`; `cube_statistics` caches nothing that another reader than that gives."""
    return read_window(cube, y0, x0, height, width)
