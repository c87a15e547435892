"""Coordinate systems in the words of CF, PROJ and files beside a raster, against EPSG's."""

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.warp import transform

from jaxhsi.data.formats.coordinate_system import coordinate_system
from jaxhsi.data.ingest.pipeline import ingest
from tests.data.cases.scenes import save_hdf5, scene, wavelengths
from tests.helpers.rasters import save_raster

MAPPINGS = {
    32632: {
        "gridmappingname": "transverse_mercator",
        "longitudeofcentralmeridian": 9.0,
        "latitudeofprojectionorigin": 0.0,
        "scalefactoratcentralmeridian": 0.9996,
        "falseeasting": 500000.0,
        "falsenorthing": 0.0,
    },
    3035: {
        "gridmappingname": "lambert_azimuthal_equal_area",
        "longitudeofprojectionorigin": 10.0,
        "latitudeofprojectionorigin": 52.0,
        "falseeasting": 4321000.0,
        "falsenorthing": 3210000.0,
        "semimajoraxis": 6378137.0,
        "inverseflattening": 298.257222101,
    },
    2154: {
        "gridmappingname": "lambert_conformal_conic",
        "standardparallel": np.array([49.0, 44.0]),
        "longitudeofcentralmeridian": 3.0,
        "latitudeofprojectionorigin": 46.5,
        "falseeasting": 700000.0,
        "falsenorthing": 6600000.0,
        "semimajoraxis": 6378137.0,
        "inverseflattening": 298.257222101,
    },
    4326: {"gridmappingname": "latitude_longitude"},
}


@pytest.mark.parametrize("code", MAPPINGS)
def test_grid_mappings_without_wkt(code):
    stated = CRS.from_string(coordinate_system(MAPPINGS[code]))
    places = [transform("EPSG:4326", crs, [5.2, 9.1], [47.0, 48.5]) for crs in (stated, code)]
    np.testing.assert_allclose(places[0], places[1], rtol=1e-9, atol=1e-3)


@pytest.mark.parametrize("name", ["proj4", "srs", "crs"])
def test_proj_strings(name):
    text = "+proj=utm +zone=32 +datum=WGS84 +units=m +no_defs"
    assert CRS.from_string(coordinate_system({name: text})) == CRS.from_string(text)
    assert coordinate_system({name: "+proj=nonsense"}) is None
    assert coordinate_system({"gridmappingname": "vertical_perspective"}) is None


def test_affine_matrices(tmp_path):
    place = {"transform": [2.0, 0, 5e5, 0, -2.0, 5e6], "crs": "EPSG:32632"}
    arrays = {"cube": scene(), "wavelength": wavelengths(12)}
    cube = ingest(save_hdf5(tmp_path / "a.h5", arrays, {"cube": place}), tmp_path / "a.zarr")
    assert cube.georeference.crs == "EPSG:32632"
    assert cube.georeference.transform == (2.0, 0.0, 5e5, 0.0, -2.0, 5e6)


def test_a_prj_file_beside_a_world_file(tmp_path):
    path = save_raster(tmp_path / "a.tif", scene().transpose(2, 0, 1))
    path.with_suffix(".tfw").write_text("2\n0\n0\n-2\n500001\n4999999\n")
    path.with_suffix(".prj").write_text(CRS.from_epsg(32632).to_wkt())
    cube = ingest(path, tmp_path / "a.zarr")
    assert CRS.from_string(cube.georeference.crs).to_epsg() == 32632
    assert cube.georeference.transform == (2.0, 0.0, 5e5, 0.0, -2.0, 5e6)
    assert cube.georeference.metres_per_unit == 1.0
