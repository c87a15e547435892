"""Places on the ground in HDF5 and NetCDF files, and notes where they are lost."""

import h5py
import numpy as np
import pytest

from tests.data.cases.scenes import check_ingest, save_hdf5, scene, wavelengths
from tests.helpers.netcdf import save_netcdf4

CUBE, WAVES = scene(), wavelengths(12)
TRANSFORM = (30.0, 0.0, 500000.0, 0.0, -30.0, 5000000.0)
GDAL_TRANSFORM = "500000 30 0 5000000 0 -30"
UTM = (
    'PROJCS["WGS 84 / UTM zone 32N",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,'
    '298.257223563]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],'
    'PROJECTION["Transverse_Mercator"],PARAMETER["latitude_of_origin",0],'
    'PARAMETER["central_meridian",9],PARAMETER["scale_factor",0.9996],'
    'PARAMETER["false_easting",500000],PARAMETER["false_northing",0],UNIT["metre",1]]'
)


def check_place(path, crs, transform=TRANSFORM, waves=WAVES):
    cube = check_ingest(path, CUBE, waves=waves)
    assert cube.georeference.crs == crs
    np.testing.assert_allclose(cube.georeference.transform, transform)
    return cube.georeference


@pytest.mark.parametrize("how", ["coordinates", "geotransform"])
@pytest.mark.parametrize("text", [True, False])
def test_grid_mapping_of_cf(tmp_path, how, text):
    path = save_netcdf4(tmp_path / "a.nc", CUBE, ["y", "x", "band"], grid_mapping="crs")
    with h5py.File(path, "r+") as file:
        file["crs"] = "a character variable" if text else np.int32(0)
        file["crs"].attrs["crs_wkt"] = UTM
        if how == "coordinates":
            file["x"][:] = 500015 + 30 * np.arange(20)
            file["y"][:] = 4999985 - 30 * np.arange(24)
        else:
            file["crs"].attrs["GeoTransform"] = GDAL_TRANSFORM
    georeference = check_place(path, UTM, waves=None)
    assert georeference.metres_per_unit == 1.0


def test_latitude_and_longitude_along_the_axes(tmp_path):
    path = save_netcdf4(tmp_path / "a.nc", CUBE, ["lat", "lon", "band"])
    with h5py.File(path, "r+") as file:
        for name, start, step in (("lat", 45.0, -0.5), ("lon", 9.0, 0.25)):
            file[name][:] = start + step * np.arange(len(file[name]))
            file[name].attrs["units"] = "degrees"
    check_place(path, "EPSG:4326", (0.25, 0.0, 8.875, 0.0, -0.5, 45.25), waves=None)


@pytest.mark.parametrize("name", ["EPSG", "epsg_code", "Epsg_Code"])
@pytest.mark.parametrize("value", [32632, "EPSG:32632", "32632"])
def test_code_and_geotransform_as_attributes(tmp_path, name, value):
    root = {"": {name: value, "GeoTransform": GDAL_TRANSFORM}}
    path = save_hdf5(tmp_path / "a.h5", {"cube": CUBE, "wavelength": WAVES}, root)
    check_place(path, "EPSG:32632")


def test_map_info(tmp_path):
    arrays = {
        "site/cube": CUBE,
        "site/wavelength": WAVES,
        "site/Metadata/Map_Info": "UTM, 1, 1, 500000, 5000000, 30, 30, 32, North, WGS-84",
        "site/Metadata/EPSG Code": "32632",
    }
    check_place(save_hdf5(tmp_path / "a.h5", arrays), "EPSG:32632")


@pytest.mark.parametrize("prefix", ["", "location/"])
def test_places_pixel_by_pixel_are_noted(tmp_path, prefix):
    arrays = {"cube": CUBE, "wavelength": WAVES}
    arrays |= {f"{prefix}{name}": np.zeros((24, 20)) for name in ("lat", "lon")}
    root = {"": {"geotransform": GDAL_TRANSFORM, "EPSG": 4326}}  # of the map, not of the cube
    cube = check_ingest(save_hdf5(tmp_path / "a.h5", arrays, root), CUBE, waves=WAVES)
    assert cube.georeference is None
    assert any("place on the ground not kept" in line for line in cube.history)
