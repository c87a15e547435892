"""Rasters at an address are read by windows, over the commands too."""

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxhsi.data.cube import open_cube
from jaxhsi.data.formats.raster_url import raster_url
from jaxhsi.data.network_wait import set_network_timeout
from jaxhsi.data.open import open_cubes
from jaxhsi.ingest import main
from tests.helpers.rasters import PLACE, save_raster

ROOT = Path(__file__).parents[3]
VALUES = np.random.default_rng(7).integers(1, 999, (90, 70, 4)).astype(np.uint16)


@pytest.fixture
def served(tmp_path):
    """A cloud-optimised GeoTIFF with a mask behind a server: its URL."""
    planes = VALUES.transpose(2, 0, 1)
    options = {"driver": "COG", "compress": "deflate", "nodata": 0}
    save_raster(tmp_path / "served" / "scene.tif", planes, **options, **PLACE)
    # In a process of its own: rasterio holds Python's lock while it waits for an answer.
    command = (sys.executable, "-m", "tests.helpers.servers", str(tmp_path / "served"))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        yield f"{server.stdout.readline().strip()}/scene.tif"
        server.terminate()


def test_a_raster_by_its_address(tmp_path, served):
    [cube] = open_cubes(served, cache_folder=tmp_path / "cache")
    np.testing.assert_array_equal(cube.array.read().result(), VALUES)
    assert (cube.name, cube.no_data) == ("scene", 0.0)
    assert cube.georeference.crs == "EPSG:32632"
    assert main([served, str(tmp_path / "a.zarr")]) == 0
    np.testing.assert_array_equal(open_cube(tmp_path / "a.zarr").array.read().result(), VALUES)


def test_addresses_where_nothing_is(tmp_path, served):
    with pytest.raises(FileNotFoundError, match="the server does not have it"):
        open_cubes(served.replace("scene", "other"), cache_folder=tmp_path / "cache")
    with pytest.raises(ConnectionError, match="does not answer; check the address"):
        open_cubes("http://127.0.0.1:9/scene.tif", cache_folder=tmp_path / "cache")


def test_a_server_leads_to_no_local_file(tmp_path, served):
    away = served.replace("scene.tif", "away/scene.tif")
    with pytest.raises((ValueError, OSError), match=r"scene|away"):
        open_cubes(away, cache_folder=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.vrt"))


def test_a_server_that_says_nothing_is_given_up(tmp_path):
    set_network_timeout(0.3)
    try:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/scene.tif"
            with pytest.raises(ConnectionError, match=r"scene\.tif has not answered within 0\.3 s"):
                open_cubes(url, cache_folder=tmp_path / "cache")
    finally:
        set_network_timeout()


def test_what_is_an_address_of_a_raster():
    assert raster_url("https:/host/a/scene.TIF") == "https://host/a/scene.TIF"
    assert raster_url("s3://bucket/scene.tif") == "s3://bucket/scene.tif"
    assert raster_url("https://host/scene.zarr") is None
    assert raster_url("folder/scene.tif") is None
