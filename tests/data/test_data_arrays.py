"""xarray arrays as cubes: axes, wavelengths and place by name, and maps with their coordinates."""

import numpy as np
import pytest
import rioxarray  # noqa: F401 -- adds `.rio` to arrays
import xarray

from jaxhsi.data.data_arrays import cube_from_data_array, image_array, map_like
from jaxhsi.data.given_cubes import is_single_cube, open_given_cubes, source_arrays
from tests.helpers.cubes import SHAPE, VALUES

pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
NANOMETRES = np.array([450.0, 550.0, 650.0, 750.0, 850.0])


def scene(dims: str = "y x wavelength", **coordinates) -> xarray.DataArray:
    return xarray.DataArray(VALUES, dims=dims.split(), coords=coordinates, name="scene")


@pytest.mark.parametrize(
    ("dims", "order"),
    [
        ("wavelength y x", (1, 2, 0)),
        ("x y band", (1, 0, 2)),
        ("line sample bands", (0, 1, 2)),
        ("lat channel lon", (0, 2, 1)),
        ("u v band", (0, 1, 2)),
    ],
)
def test_axes_by_name(dims, order):
    array = scene(dims)
    np.testing.assert_array_equal(image_array(array).values, VALUES.transpose(order))
    assert cube_from_data_array(array).shape == tuple(SHAPE[i] for i in order)


def test_wavelengths_in_nanometres_and_place():
    micrometres = ("wavelength", NANOMETRES / 1000, {"units": "um"})
    array = scene(
        wavelength=micrometres,
        y=("y", 5000000 - 30 * (np.arange(SHAPE[0]) + 0.5)),
        x=("x", 500000 + 30 * (np.arange(SHAPE[1]) + 0.5)),
    ).rio.write_crs("EPSG:32633")
    cube = cube_from_data_array(array)
    np.testing.assert_allclose(cube.wavelengths, NANOMETRES)
    assert cube.georeference.transform == (30.0, 0.0, 500000.0, 0.0, -30.0, 5000000.0)
    assert "32633" in cube.georeference.crs
    assert cube.georeference.pixel_area == 900.0


def test_a_coordinate_beside_the_dimension_gives_the_wavelengths():
    array = scene("y x band", wavelength=("band", NANOMETRES, {"units": "nm"}))
    np.testing.assert_array_equal(cube_from_data_array(array).wavelengths, NANOMETRES)
    assert cube_from_data_array(scene("y x band")).wavelengths is None


def test_maps_keep_the_coordinates_of_the_pixels():
    array = scene(x=np.arange(7) * 2.0, wavelength=NANOMETRES).rio.write_crs("EPSG:32633")
    labels = map_like(array, np.zeros(SHAPE[:2], np.int16), "label", long_name="cluster")
    assert (labels.dims, labels.name, labels.dtype) == (("y", "x"), "label", np.int16)
    assert set(labels.coords) == {"x", "spatial_ref"}
    assert labels.rio.crs.to_epsg() == 32633
    maps = map_like(array, np.zeros((*SHAPE[:2], 2)), "c", dimension="component", labels=["a", "b"])
    assert maps.sel(component="b").shape == SHAPE[:2]


def test_what_is_no_image_is_refused_by_name():
    with pytest.raises(ValueError, match=r"rename\(\{'w': 'band'\}\)"):
        image_array(scene("u v w"))
    with pytest.raises(ValueError, match="a cube has three"):
        image_array(scene()[0])
    data = xarray.Dataset({"a": scene(), "b": scene()})
    with pytest.raises(ValueError, match=r"2 variables of three dimensions \(a, b\)"):
        image_array(data)


def test_given_arrays_are_named_and_kept():
    data = xarray.Dataset({"scene": scene()})
    assert is_single_cube(data)
    (cube,) = open_given_cubes(data)
    np.testing.assert_array_equal(cube.array.read().result(), VALUES)
    cubes = open_given_cubes([scene(), scene()])
    assert [cube.name for cube in cubes] == ["scene-0", "scene-1"]
    assert source_arrays([scene(), VALUES])[1] is None
    assert source_arrays(VALUES) == ()
