"""A store whose description was changed, or whose chunks lie elsewhere, is refused by name."""

import json
import shutil

import numpy as np
import pytest
import tensorstore as ts

from jaxhsi.data.cube import open_cube
from jaxhsi.data.ingest.resumable_writer import write_resumable_cube
from jaxhsi.data.zarr_writer import create_cube, cube_metadata
from jaxhsi.storage.checksums import DamagedFileError

SHAPE = (8, 8, 3)
VALUES = np.random.default_rng(0).integers(0, 2**16, SHAPE).astype(np.uint16)


@pytest.fixture
def store(tmp_path):
    """Four chunks, with wavelengths."""
    path = tmp_path / "a.zarr"
    options = {"chunk_shape": (4, 4, 3), "wavelengths": [400.0, 500.0, 600.0]}
    with create_cube(path, SHAPE, np.uint16, **options) as array:
        array.write(VALUES).result()
    return path


def sharded_store(path):
    """Two shards of two chunks each, of values that cannot be compressed: all are as long."""
    metadata = cube_metadata(SHAPE, "uint16", chunk_shape=(4, 4, 3), shard_shape=(4, 8, 3))
    with write_resumable_cube(path, metadata, (), bytes_per_pixel=6) as cube:
        for tile in cube.slab_tiles:
            cube.write_slab(VALUES[tile.slices], None)
        cube.finish({"statistics": {"pixels": 1}})
    return path


def swap(first, second):
    third = first.with_name("swapped")
    first.rename(third)
    second.rename(first)
    third.rename(second)


def test_whole_stores_open(store, tmp_path):
    for path in (store, sharded_store(tmp_path / "b.zarr")):
        np.testing.assert_array_equal(open_cube(path).array.read().result(), VALUES)
        shutil.copytree(path, tmp_path / "copy" / path.name)
        assert open_cube(tmp_path / "copy" / path.name).shape == SHAPE


def test_swapped_chunks_are_refused(store):
    swap(store / "reflectance/c/0/0/0", store / "reflectance/c/1/0/0")
    with pytest.raises(DamagedFileError, match=r"c/0/0/0 is damaged: it is not the chunk"):
        open_cube(store)


def test_swapped_shards_are_refused(tmp_path):
    path = sharded_store(tmp_path / "b.zarr")
    first, second = (path / f"reflectance/c/{row}/0/0" for row in (0, 1))
    assert first.stat().st_size == second.stat().st_size
    swap(first, second)
    with pytest.raises(DamagedFileError, match=r"c/0/0/0 is damaged: it is not the chunk"):
        open_cube(path)


def opened(path):
    """What a store holds, or the message by which it is refused."""
    try:
        cube = open_cube(path)
    except ValueError as error:
        return str(error)
    return cube.wavelengths.tolist(), cube.array.read().result().tolist()


@pytest.mark.parametrize(
    "name", ["zarr.json", "reflectance/zarr.json", "reflectance/checksums.json"]
)
def test_a_description_that_was_changed_is_never_another_answer(store, name):
    whole, expected = (store / name).read_bytes(), opened(store)
    for place in range(0, len(whole), 11):
        flipped = whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :]
        for content in (whole[:place], flipped):
            (store / name).write_bytes(content)
            answer = opened(store)
            assert answer == expected or "a.zarr" in answer, (place, answer)


def test_statistics_that_were_changed_are_refused(tmp_path):
    path = sharded_store(tmp_path / "b.zarr")
    metadata = json.loads((path / "reflectance/zarr.json").read_text())
    metadata["attributes"]["jaxhsi"]["statistics"]["pixels"] = 2
    (path / "reflectance/zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(DamagedFileError, match=r"zarr\.json is damaged: .*--overwrite"):
        open_cube(path)


def test_stores_without_checksums_open(tmp_path):
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path / "c.zarr")}}
    array = ts.open(spec, create=True, dtype=ts.uint16, shape=SHAPE).result()
    array.write(VALUES).result()
    assert open_cube(tmp_path / "c.zarr").shape == SHAPE
