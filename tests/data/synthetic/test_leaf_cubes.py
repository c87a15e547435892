import numpy as np
import pytest

from jaxhsi.data.synthetic.leaf_cubes import leaf_cubes
from jaxhsi.data.synthetic.leaf_scenes import LeafScene


def test_scenes_are_made_once_and_hold_what_was_rendered(tmp_path):
    cubes, labels = leaf_cubes(tmp_path, 64, [3, 4])
    assert [cube.name for cube in cubes] == ["leaf-0003", "leaf-0004"]
    values, truth = LeafScene(size=64, seed=4).window(0, 0, 64, 64)
    stored = cubes[1].array.read().result()
    np.testing.assert_array_equal(stored, values.astype(np.float16))
    np.testing.assert_array_equal(np.load(labels["leaf-0004"]), truth)
    np.testing.assert_allclose(cubes[1].wavelengths[[0, -1]], [400, 1000])
    [metadata] = tmp_path.glob("leaf-scenes-*-64/leaf-0004.zarr/zarr.json")
    before = metadata.stat().st_mtime_ns
    again, _ = leaf_cubes(tmp_path, 64, [4])
    assert again[0].shape == (64, 64, 301)
    assert metadata.stat().st_mtime_ns == before
    assert not list(tmp_path.rglob("*partial*"))


def test_impossible_sizes_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="size=32 is out of range"):
        leaf_cubes(tmp_path, 32, [0])
    assert not list(tmp_path.rglob("*.zarr"))


def test_labels_that_were_damaged_are_made_anew(tmp_path, caplog):
    _, labels = leaf_cubes(tmp_path, 64, [3])
    path = labels["leaf-0003"]
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"\x07")
    leaf_cubes(tmp_path, 64, [3])
    assert "leaf-0003.npy is damaged: the scene is rendered anew" in caplog.text
    assert path.read_bytes() == whole
