"""Labels in MATLAB structs, as MUUFL Gulfport keeps them, of both versions."""

import logging

import h5py
import numpy as np
import pytest
import scipy.io

from jaxhsi.data.labels.label_files import load_labels, open_labels
from jaxhsi.data.labels.label_search import find_labels
from tests.helpers.labelled_cubes import make_cubes

SIZE = (20, 16)
LABELS = np.random.default_rng(1).integers(1, 4, SIZE)
LABELS[:3] = -1  # as MUUFL marks pixels without a class


def struct_file(path, **fields):
    names = np.array(["trees", "grass", "road"], object)
    scene = {"labels": LABELS.astype(float), "Materials_Type": names}
    content = {"Data": np.zeros((*SIZE, 5)), "valid_mask": np.ones(SIZE, np.uint8), **fields}
    scipy.io.savemat(path, {"hsi": {**content, "sceneLabels": scene}})
    return path


def hdf5_file(path):
    with h5py.File(path, "w", userblock_size=512) as file:
        file["hsi/Data"] = np.zeros((5, *SIZE[::-1]))
        file["hsi/valid_mask"] = np.ones(SIZE[::-1], np.uint8)
        file["hsi/sceneLabels/labels"] = LABELS.T.astype(float)
    return path


@pytest.mark.parametrize("writer", [struct_file, hdf5_file])
@pytest.mark.parametrize("key", [None, "hsi/sceneLabels/labels", "hsi.sceneLabels.labels"])
def test_labels_in_structs(tmp_path, writer, key, caplog):
    path = writer(tmp_path / "scene.mat")
    with caplog.at_level(logging.INFO):
        label_map = open_labels(path, SIZE, key=key)
    np.testing.assert_array_equal(label_map.read_labels(slice(None), slice(None)), LABELS)
    assert label_map.class_values == (1, 2, 3)  # -1 is no class
    if writer is struct_file:
        assert label_map.class_names == {1: "trees", 2: "grass", 3: "road"}
    assert ("by its name" in caplog.text) == (key is None)


def test_several_maps_that_are_named_alike(tmp_path):
    path = struct_file(tmp_path / "scene.mat", gt=np.ones(SIZE))
    with pytest.raises(
        ValueError, match=r"3 arrays of the cube's shape.*hsi/gt.*name one|name one"
    ):
        load_labels(path, SIZE)
    assert (load_labels(path, SIZE, key="hsi/gt") == 1).all()


def test_a_struct_of_cube_and_labels_belongs_to_its_cube(tmp_path):
    (tmp_path / "truth").mkdir()
    path = struct_file(tmp_path / "truth" / "scene.mat")
    cubes = make_cubes(tmp_path, "scene", size=SIZE)
    assert find_labels(tmp_path / "truth", cubes) == {"scene": path}
