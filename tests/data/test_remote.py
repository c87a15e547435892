"""Stores over the network and of other formats; servers that fail, blocks that are damaged."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts

from jaxhsi.data import cube as store
from jaxhsi.data import network_wait
from jaxhsi.data.cube import open_cube
from jaxhsi.data.network_wait import set_network_timeout
from jaxhsi.data.open import open_cubes
from jaxhsi.data.statistics import cube_statistics
from jaxhsi.data.store_url import store_spec, with_s3_endpoint
from jaxhsi.data.windows import read_window
from tests.helpers.cubes import SHAPE, VALUES, write_cube
from tests.helpers.servers import QUICK, file_server

WAVELENGTHS = np.arange(400.0, 405.0)
WHOLE = (0, 0, *SHAPE[:2])


@pytest.fixture
def quick(monkeypatch) -> None:
    monkeypatch.setattr(store, "TENSORSTORE_CONTEXT", QUICK)


@pytest.fixture
def served(tmp_path, quick):
    """A store of ours behind a server: its folder, its URL, and the faults."""
    folder = write_cube(
        tmp_path / "a.zarr", VALUES, chunk_shape=(4, 4, 5), wavelengths=np.arange(400.0, 405.0)
    )
    with file_server(tmp_path) as (url, faults):
        yield folder, f"{url}/a.zarr", faults


def foreign(path: Path, driver: str, values: np.ndarray = VALUES, **metadata) -> Path:
    spec = {
        "driver": driver,
        "kvstore": {"driver": "file", "path": str(path)},
        "metadata": metadata,
    }
    array = ts.open(spec, create=True, dtype=ts.dtype(values.dtype), shape=values.shape).result()
    array.write(values).result()
    return path


FOREIGN = {"zarr": {"chunks": [4, 4, 5]}, "n5": {"blockSize": [4, 3, 2]}}


@pytest.mark.parametrize("driver", FOREIGN)
def test_other_formats_by_path_url_and_pipeline(tmp_path, quick, driver):
    path = foreign(tmp_path / f"a.{driver}", driver, **FOREIGN[driver])
    pipeline = {"zarr": "zarr2", "n5": "n5"}[driver]
    with file_server(tmp_path) as (url, _):
        served = f"{url}/a.{driver}"
        for where in (path, f"file://{path}", served, f"{served}/", f"{served}/|{pipeline}:"):
            cube = open_cube(where)
            assert (cube.name, cube.shape) == ("a", SHAPE)
            np.testing.assert_array_equal(read_window(cube, 1, 2, 3, 4)[0], VALUES[1:4, 2:6])


def test_axes_that_are_named_may_stand_in_any_order(tmp_path):
    bands_first = np.moveaxis(VALUES, -1, 0)
    foreign(tmp_path / "a", "zarr3", bands_first, dimension_names=["wavelength", "lat", "lon"])
    foreign(tmp_path / "b", "n5", VALUES.transpose(1, 0, 2), axes=["x", "y", "c"])
    foreign(tmp_path / "c", "zarr3", VALUES, dimension_names=["u", "v", "w"])
    for name in "abc":
        cube = open_cube(tmp_path / name)
        np.testing.assert_array_equal(read_window(cube, *WHOLE)[0], VALUES)


def test_ours_over_http_keeps_everything(served):
    folder, url, _ = served
    (cube,) = open_cubes(url)
    assert (cube.name, cube.url) == ("a", url)
    np.testing.assert_array_equal(cube.wavelengths, open_cube(folder).wavelengths)
    values, _ = read_window(cube, -2, 3, 20, 20)
    np.testing.assert_array_equal(values, read_window(open_cube(folder), -2, 3, 20, 20)[0])


def test_shards_are_read_by_byte_ranges(tmp_path, quick):
    inner = {"chunk_shape": [2, 2, 5], "codecs": [{"name": "bytes"}]}
    grid = {"name": "regular", "configuration": {"chunk_shape": [8, 8, 5]}}
    shards = {"name": "sharding_indexed", "configuration": inner}
    foreign(tmp_path / "a.zarr", "zarr3", chunk_grid=grid, codecs=[shards])
    with file_server(tmp_path) as (url, _):
        values, _ = read_window(open_cube(f"{url}/a.zarr"), 3, 1, 6, 5)
    np.testing.assert_array_equal(values, VALUES[3:9, 1:6])


def test_a_broken_connection_is_tried_again(served):
    _, url, faults = served
    cube = open_cube(url)
    faults.drops = 3
    np.testing.assert_array_equal(read_window(cube, 0, 0, 4, 4)[0], VALUES[:4, :4])
    assert (faults.drops, faults.asked) == (0, 4)


def test_a_server_that_stays_broken_is_named_with_rows_and_block(served):
    _, url, faults = served
    cube = open_cube(url)
    faults.drops = 1000
    with pytest.raises(
        ConnectionError,
        match=r"http://127.*a\.zarr: rows 4\.\.5, columns 1\.\.3 cannot be read.*c/1/0/0.*3 retry",
    ):
        read_window(cube, 4, 1, 2, 3)
    assert faults.asked == 4


def test_a_server_that_is_not_there(quick):
    with pytest.raises(ConnectionError, match=r"http://127\.0\.0\.1:9/a does not answer"):
        open_cube("http://127.0.0.1:9/a")


def test_what_is_not_on_the_server(served):
    _, url, _ = served
    with pytest.raises(ValueError, match=r"none\.zarr does not open.*no zarr\.json, \.zarray"):
        open_cube(url.replace("a.zarr", "none.zarr"))
    with pytest.raises(ValueError, match=r"nope://a does not open.*nope"):
        open_cube("nope://a")


STALLED = """
import sys
import tensorstore as ts
from jaxhsi.data import cube
from jaxhsi.data.windows import read_window
retries = {"max_retries": 1, "initial_delay": "1ms", "max_delay": "2ms"}
cube.TENSORSTORE_CONTEXT = ts.Context({"http_request_retries": retries})
try:
    read_window(cube.open_cube(sys.argv[1]), 0, 0, 2, 2)
except ConnectionError as error:
    print(error)
"""


def test_a_server_that_goes_silent_is_given_up(served):
    _, url, faults = served
    faults.stall = 20.0
    patience = {
        "TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS": "1",
        "TENSORSTORE_CURL_LOW_SPEED_LIMIT_BYTES": "1000000",
    }
    done = subprocess.run(
        [sys.executable, "-c", STALLED, url],
        env=os.environ | patience,
        capture_output=True,
        text=True,
        timeout=15,
    )
    assert "rows 0..1, columns 0..1 cannot be read" in done.stdout, done.stderr


def test_a_missing_block_is_an_error_and_not_zeros(served):
    folder, url, _ = served
    (folder / "reflectance/c/1/0/0").unlink()
    cube = open_cube(url)
    np.testing.assert_array_equal(read_window(cube, 0, 0, 4, 4)[0], VALUES[:4, :4])
    with pytest.raises(ValueError, match=r"a\.zarr: rows 3\.\.4, columns 0\.\.0.*damaged.*c/1/0/0"):
        read_window(cube, 3, 0, 2, 1)


@pytest.mark.parametrize("position", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_a_flipped_bit_is_never_read_as_data(tmp_path, position):
    folder = write_cube(tmp_path / "a.zarr", VALUES)
    block = folder / "reflectance/c/0/0/0"
    stored = bytearray(block.read_bytes())
    stored[int(position * (len(stored) - 1))] ^= 4
    block.write_bytes(stored)
    # The end of a block is compared when the store is opened, the rest when it is read.
    at_reading = r"rows 2\.\.3, columns 1\.\.4.*damaged.*c/0/0/0"
    with pytest.raises(
        ValueError, match=rf"a\.zarr(: {at_reading}|/reflectance/c/0/0/0 is damaged)"
    ):
        read_window(open_cube(folder), 2, 1, 2, 4)


@pytest.fixture
def bucket(monkeypatch, tmp_path, quick):
    """A bucket of an S3 server on this machine, found through the usual variables."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port()).replace("0.0.0.0", "127.0.0.1")
    chosen = {
        "AWS_ENDPOINT_URL": url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "anyone",
        "AWS_SECRET_ACCESS_KEY": "anything",
    }
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="scenes")
    yield client
    server.stop()


def test_ours_from_s3(bucket, tmp_path):
    folder = write_cube(
        tmp_path / "a.zarr", VALUES, chunk_shape=(4, 4, 5), wavelengths=np.arange(400.0, 405.0)
    )
    for file in (path for path in folder.rglob("*") if path.is_file()):
        key = f"days/one/{file.relative_to(tmp_path)}"
        bucket.upload_file(str(file), "scenes", key)
    for url in ("s3://scenes/days/one/a.zarr", "s3://scenes/days/one/a.zarr/|zarr3:"):
        (cube,) = open_cubes(url)
        assert (cube.name, cube.shape, cube.wavelengths[0]) == ("a", SHAPE, 400.0)
        np.testing.assert_array_equal(read_window(cube, 1, 2, 3, 4)[0], VALUES[1:4, 2:6])
    kept, local = (
        cube_statistics(c, cache_folder=tmp_path / "k") for c in (cube, open_cube(folder))
    )
    np.testing.assert_array_equal(kept.mean, local.mean)
    with pytest.raises(ValueError, match="does not open"):
        open_cube("s3://scenes/days/two/a.zarr")
    bucket.delete_object(Bucket="scenes", Key="days/one/a.zarr/reflectance/c/0/0/0")
    with pytest.raises(ValueError, match=r"s3://scenes.*rows 0\.\.1.*missing or damaged"):
        read_window(open_cube("s3://scenes/days/one/a.zarr"), 0, 0, 2, 2)


def test_an_endpoint_in_a_spec_is_kept(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://one:1/")
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    found = store_spec("s3://scenes/a.zarr")["kvstore"]
    assert (found["endpoint"], found["aws_region"]) == ("http://one:1", "us-east-1")
    assert found["path"] == "a.zarr/"
    own = {"driver": "s3", "bucket": "scenes", "path": "a/", "endpoint": "http://two:2"}
    assert with_s3_endpoint({"driver": "zarr3", "kvstore": own})["kvstore"] == own
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert "endpoint" not in store_spec("s3://scenes/a.zarr")["kvstore"]


def test_a_silent_server_is_waited_for_with_a_word_and_given_up(served, monkeypatch, caplog):
    _, url, faults = served
    cube = open_cube(url)
    faults.stall = 3.0
    monkeypatch.setattr(network_wait, "_FIRST_MESSAGE_SECONDS", 0.1)
    set_network_timeout(0.5)
    start = time.monotonic()
    try:
        with (
            caplog.at_level(logging.INFO, logger="jaxhsi"),
            pytest.raises(ConnectionError, match=r"a\.zarr has not answered within 0\.5 s"),
        ):
            read_window(cube, 0, 0, 4, 4)
    finally:
        set_network_timeout()
    assert time.monotonic() - start < 2.0
    assert "is given up after" in caplog.text
