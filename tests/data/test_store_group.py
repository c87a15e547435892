"""Stores as other programs open them: xarray, rioxarray, GDAL; and stores that others wrote."""

import json

import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401 -- adds `.rio` to arrays
import tensorstore as ts
import xarray
from rasterio.crs import CRS

from jaxhsi.data.cube import open_cube
from jaxhsi.data.georeference import Georeference
from jaxhsi.data.store_group import fill_value
from tests.helpers.cubes import SHAPE, VALUES, write_cube

pytestmark = [
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),  # rioxarray
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),  # zarr
]
WAVELENGTHS = np.array([450.0, 550.0, 650.0, 750.0, 850.0])
TRANSFORM = (30.0, 0.0, 500000.0, 0.0, -30.0, 5000000.0)
PLACE = Georeference("EPSG:32633", TRANSFORM, 1.0)
COUNTS = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)


def opened(path, **options) -> xarray.Dataset:
    return xarray.open_zarr(path, consolidated=True, **options)


def test_xarray_finds_coordinates_nanometres_and_crs(tmp_path):
    path = write_cube(
        tmp_path / "a.zarr",
        VALUES,
        wavelengths=WAVELENGTHS,
        georeference=PLACE,
        units="reflectance",
    )
    data = opened(path).reflectance
    assert data.dims == ("y", "x", "wavelength")
    np.testing.assert_array_equal(data, VALUES)
    np.testing.assert_array_equal(data.wavelength, WAVELENGTHS)
    assert data.wavelength.attrs["units"] == "nm"
    assert data.attrs["units"] == "reflectance"
    assert data.x.values[:2].tolist() == [500015.0, 500045.0]
    assert data.y.values[:2].tolist() == [4999985.0, 4999955.0]
    assert data.rio.crs.to_epsg() == 32633
    assert tuple(data.rio.transform())[:6] == TRANSFORM
    np.testing.assert_array_equal(data.sel(wavelength=560, method="nearest").values, VALUES[..., 1])


def test_geographic_rotated_and_unknown_places(tmp_path):
    degrees = Georeference("EPSG:4326", (0.01, 0.0, 10.0, 0.0, -0.01, 50.0))
    data = opened(write_cube(tmp_path / "a.zarr", VALUES, georeference=degrees)).reflectance
    assert data.x.attrs["units"] == "degrees_east"
    turned = Georeference("EPSG:32633", (20.0, 5.0, 500000.0, 5.0, -20.0, 5000000.0), 1.0)
    data = opened(write_cube(tmp_path / "b.zarr", VALUES, georeference=turned)).reflectance
    assert set(data.coords) == {"spatial_ref"}
    assert data.spatial_ref.attrs["GeoTransform"] == "500000.0 20.0 5.0 5000000.0 5.0 -20.0"
    data = opened(write_cube(tmp_path / "c.zarr", VALUES)).reflectance
    assert (data.dims, set(data.coords)) == (("y", "x", "band"), set())


@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32", "float64"])
def test_values_without_data_are_missing_in_xarray(tmp_path, dtype):
    values = COUNTS.astype(dtype)
    values[0, 0, 0] = no_data = 7
    path = write_cube(tmp_path / "a.zarr", values, no_data=no_data)
    data = opened(path).reflectance.values
    np.testing.assert_array_equal(np.isnan(data), values == no_data)
    raw = opened(path, mask_and_scale=False).reflectance
    assert (raw.dtype, raw.values[0, 0, 0]) == (np.dtype(dtype), 7)


def test_zeros_are_no_missing_values(tmp_path):
    path = write_cube(tmp_path / "a.zarr", np.zeros(SHAPE, np.uint16))
    assert not opened(path).reflectance.isnull().any()
    assert fill_value(np.dtype("uint16"), None) == 65535
    assert fill_value(np.dtype("int16"), -9999.0) == -9999
    assert fill_value(np.dtype("uint8"), -9999.0) == 255
    assert fill_value(np.dtype("float32"), None) == "NaN"


def without_checksum(path) -> None:
    """Take the checksums off a store: GDAL reads them from version 3.13 on."""
    for metadata_path in (path / "reflectance" / "zarr.json", path / "zarr.json"):
        metadata = json.loads(metadata_path.read_text())
        members = metadata.get("consolidated_metadata", {}).get("metadata", {})
        for array in (metadata, members.get("reflectance", {})):
            array["codecs"] = [c for c in array.get("codecs", []) if c["name"] != "crc32c"]
        metadata_path.write_text(json.dumps(metadata))
    for block in (path / "reflectance" / "c").rglob("*"):
        if block.is_file():
            block.write_bytes(block.read_bytes()[:-4])


@pytest.mark.skipif(
    tuple(map(int, rasterio.__gdal_version__.split(".")[:2])) < (3, 11),
    reason="GDAL reads Zarr 3 as it was decided from version 3.11 on",
)
def test_gdal_finds_nanometres_crs_and_missing_values(tmp_path):
    path = write_cube(
        tmp_path / "a.zarr",
        COUNTS,
        wavelengths=WAVELENGTHS,
        georeference=PLACE,
        no_data=7.0,
    )
    if tuple(map(int, rasterio.__gdal_version__.split(".")[:2])) < (3, 13):
        without_checksum(path)
    with rasterio.open(f'ZARR:"{path}":/reflectance') as raster:
        assert raster.crs == CRS.from_epsg(32633)
        assert tuple(raster.transform)[:6] == TRANSFORM
        assert (raster.count, raster.nodata) == (5, 7.0)
        assert raster.tags(2)["DIM_wavelength_VALUE"] == "550"
        assert raster.tags(2)["DIM_wavelength_UNIT"] == "nm"
        np.testing.assert_array_equal(raster.read(), np.moveaxis(COUNTS, -1, 0))


def test_stores_of_earlier_versions_open(tmp_path):
    own = {"version": 1, "wavelengths_nm": WAVELENGTHS.tolist(), "no_data": -1.0, "history": ["a"]}
    metadata = {
        "shape": list(SHAPE),
        "data_type": "float32",
        "dimension_names": ["y", "x", "band"],
        "attributes": {"jaxhsi": own | {"georeference": None, "units": None}},
    }
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path / "a.zarr")}}
    ts.open(spec | {"metadata": metadata}, create=True).result().write(VALUES).result()
    cube = open_cube(tmp_path / "a.zarr")
    assert (cube.history, cube.no_data) == (("a",), -1.0)
    np.testing.assert_array_equal(cube.wavelengths, WAVELENGTHS)
    np.testing.assert_array_equal(cube.array.read().result(), VALUES)


def test_the_only_cube_of_a_group_of_xarray_is_opened(tmp_path):
    data = xarray.Dataset({"rad": (("wavelength", "y", "x"), np.moveaxis(VALUES, -1, 0))})
    data["mask"] = (("y", "x"), np.ones(SHAPE[:2], np.uint8))
    data.to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=True)
    cube = open_cube(tmp_path / "a.zarr")
    np.testing.assert_array_equal(cube.array.read().result(), VALUES)
    data["other"] = data["rad"]
    data.to_zarr(tmp_path / "b.zarr", zarr_format=3, consolidated=True)
    with pytest.raises(ValueError, match=r"it holds other, rad\); give the folder of an array"):
        open_cube(tmp_path / "b.zarr")
    assert open_cube(tmp_path / "b.zarr" / "rad").shape == SHAPE
