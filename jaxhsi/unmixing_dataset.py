"""The result of unmixing as an xarray Dataset."""

from typing import Any

import numpy as np

from jaxhsi.data.data_arrays import cube_from_data_array, image_array, map_like
from jaxhsi.data.windows import read_window

COMPONENT = "component"
"""Name of the dimension of the components; its coordinate holds their names."""


def result_dataset(result: Any) -> Any:
    """Components, concentrations and confidence with the coordinates of what was unmixed.

    Args:
        result: a `jaxhsi.UnmixingResult`.

    Raises:
        ImportError: xarray is not installed.
    """
    import xarray

    source, names = result.source_array, list(result.component_names)
    is_image = source is not None and getattr(source, "ndim", 3) == 3
    if is_image:
        array = image_array(source)
        band_dim = array.dims[2]
        concentrations = map_like(
            source,
            _image_concentrations(result),
            "concentration",
            dimension=COMPONENT,
            labels=names,
        )
        band_coordinates = _along(array, band_dim)
    else:
        band_dim, sample_dim, band_coordinates, coordinates = _table_coordinates(result)
        concentrations = xarray.DataArray(
            result.concentrations, dims=(sample_dim, COMPONENT), coords=coordinates
        ).assign_coords({COMPONENT: names})
    components = xarray.DataArray(
        result.components, dims=(COMPONENT, band_dim), coords=band_coordinates
    ).assign_coords({COMPONENT: names})
    variables = {"components": components, "concentrations": concentrations}
    if result.confidence is not None:
        variables["confidence"] = ((COMPONENT,), np.asarray(result.confidence))
    return xarray.Dataset(variables)


def _image_concentrations(result: Any) -> np.ndarray:
    """Concentrations of all pixels, (rows, columns, k), NaN where not valid."""
    cube = cube_from_data_array(result.source_array)
    values, valid = read_window(cube, 0, 0, *cube.shape[:2])
    maps = np.full((*valid.shape, result.num_components), np.nan, np.float32)
    maps[valid] = result.transform(values[valid])
    return maps


def _table_coordinates(result: Any) -> tuple[str, str, dict, dict]:
    """Names of the axes of bands and samples, and their coordinates."""
    source, axis = result.source_array, result.model.axis
    num_bands = result.components.shape[1]
    if source is None:
        return "band", "sample", {} if axis is None else {"band": np.asarray(axis)}, {}
    is_turned = source.shape[0] == num_bands and source.shape[1] == len(result.concentrations)
    band_dim, sample_dim = source.dims if is_turned else reversed(source.dims)
    return band_dim, sample_dim, _along(source, band_dim), _along(source, sample_dim)


def _along(array: Any, dim: Any) -> dict[Any, Any]:
    """Coordinates of an array that run along one of its dimensions alone."""
    return {name: each for name, each in array.coords.items() if each.dims == (dim,)}
