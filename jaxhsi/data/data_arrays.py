"""Cubes as xarray arrays: axes, wavelengths and place by their names. xarray is not imported here.

Lazy arrays (dask) are read whole; where a cube is larger than the memory, give its path.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from jaxhsi.data.cube import Cube
from jaxhsi.data.formats.axis_names import axis_roles
from jaxhsi.data.formats.band_wavelengths import find_band_wavelengths
from jaxhsi.data.formats.container import ArrayContainer, NamedArray
from jaxhsi.data.formats.ground_position import find_georeference
from jaxhsi.data.memory_cube import cube_from_array

_VALUES = "values"  # name of the cube's values among its coordinates


def is_labelled_array(data: Any) -> bool:
    """Whether something is a DataArray or a Dataset of xarray.

    Args:
        data: anything.

    >>> is_labelled_array(np.ones((2, 3, 4)))
    False
    """
    return type(data).__module__.partition(".")[0] == "xarray" and hasattr(data, "dims")


def image_array(data: Any) -> Any:
    """A DataArray (rows, columns, bands), with its axes in this order.

    Args:
        data: a DataArray of three dimensions, or a Dataset with one such variable.

    Raises:
        ValueError: no or several variables of three dimensions, or no name says which are bands.
    """
    if hasattr(data, "data_vars"):
        cubes = sorted(name for name, array in data.data_vars.items() if array.ndim == 3)
        if len(cubes) != 1:
            raise ValueError(
                f"the Dataset has {len(cubes)} variables of three dimensions "
                f"({', '.join(map(str, cubes))}); give one of them, such as dataset['reflectance']"
            )
        data = data[cubes[0]]
    names = tuple(map(str, data.dims))
    if data.ndim != 3:
        raise ValueError(f"the DataArray has the dimensions {names}; a cube has three")
    roles = axis_roles(names)
    if "c" not in roles:
        raise ValueError(
            f"none of the dimensions {names} is called band or wavelength; rename the "
            "one that holds the bands: array.rename({'" + names[-1] + "': 'band'})"
        )
    band_dim = data.dims[roles.index("c")]
    others = [dim for dim in data.dims if dim != band_dim]
    if roles.index("c") != 2 or "w" in roles[:1]:
        by_role = dict(zip(roles, data.dims, strict=True))
        if "w" in by_role and others[0] == by_role["w"]:
            others.reverse()
    return data.transpose(*others, band_dim)


def cube_from_data_array(data: Any, name: str = "") -> Cube:
    """A cube with the values of a DataArray; its wavelengths and place are told by names.

    Args:
        data: see :func:`image_array`.
        name: by which labels are named; that of the array if not given.

    Raises:
        ValueError: see :func:`image_array`.
    """
    array = image_array(data)
    container = _container(array)
    bands = find_band_wavelengths(container, _VALUES, 2)
    georeference, place_notes = find_georeference(container, _VALUES)
    for note in (*bands.notes, *place_notes):
        logging.getLogger(__name__).info("%s: %s", name or array.name or "array", note)
    no_data = container.arrays[_VALUES].attributes.get("_FillValue")
    return cube_from_array(
        np.asarray(array.values),
        str(name or array.name or "array"),
        wavelengths=bands.values,
        no_data=None if no_data is None or not np.isfinite(no_data) else float(no_data),
        georeference=georeference,
        units=array.attrs.get("units"),
    )


def map_like(data: Any, values: np.ndarray, name: str, **attributes: Any) -> Any:
    """A DataArray of a map, with the coordinates of the image that it belongs to.

    Args:
        data: the DataArray or Dataset of the image.
        values: (rows, columns), or (rows, columns, k) with a new last dimension.
        name: of the map.
        **attributes: of the map; ``dimension`` names the last dimension, and ``labels`` its
            coordinate.
    """
    array = image_array(data)
    dimension, labels = attributes.pop("dimension", None), attributes.pop("labels", None)
    template = array.isel({array.dims[2]: 0}, drop=True)
    coordinates = dict(template.coords)
    if labels is not None:
        coordinates[dimension] = list(labels)
    dims = template.dims if dimension is None else (*template.dims, dimension)
    result = type(array)(values, dims=dims, coords=coordinates, name=name, attrs=attributes)
    mapping = _grid_mapping(array)
    if mapping is not None and mapping in result.coords:
        result.encoding["grid_mapping"] = mapping
    return result


def _container(array: Any) -> ArrayContainer:
    """Values and coordinates as readers of files describe them."""
    attributes = dict(array.attrs)
    if (mapping := _grid_mapping(array)) is not None:
        attributes["grid_mapping"] = mapping
    dims = tuple(map(str, array.dims))
    scales = tuple(dim if dim in array.coords else "" for dim in dims)
    arrays = {_VALUES: NamedArray(array.shape, dims, attributes, scales)}
    coordinates = {str(name): coordinate for name, coordinate in array.coords.items()}
    for name, coordinate in coordinates.items():
        is_number = coordinate.dtype.kind in "iuf"
        if is_number or name == mapping:
            axes = tuple(map(str, coordinate.dims))
            arrays[name] = NamedArray(coordinate.shape, axes, dict(coordinate.attrs))

    def read(name: str, places: tuple[slice | int, ...]) -> np.ndarray:
        return np.asarray((array if name == _VALUES else coordinates[name]).values)[places]

    return ArrayContainer(Path(str(array.name or "DataArray")), arrays, read)


def _grid_mapping(array: Any) -> str | None:
    """Name of the coordinate that describes the grid, as CF, xarray and rioxarray keep it."""
    named = array.encoding.get("grid_mapping", array.attrs.get("grid_mapping"))
    return named or ("spatial_ref" if "spatial_ref" in array.coords else None)
