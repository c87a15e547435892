"""Labels: every format gives the same map, stems match cubes, wrong files are refused."""

import logging

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from jaxhsi.data.labels import encode_classes, find_labels, load_labels
from jaxhsi.data.store import open_cube
from jaxhsi.data.writing import create_cube

MAP = np.array([[0, 1, 10], [14, 1, 0]])


def save_png(path, mode):
    image = Image.fromarray(MAP.astype(np.uint8))
    if mode == "P":
        image = image.copy()
        image.putpalette([200, 10, 10] * 256)  # colours alike: the indices are what counts
    if mode == "I;16":
        image = Image.fromarray(MAP.astype(np.uint16))
    image.save(path)
    return path


@pytest.fixture
def cubes(tmp_path):
    """Two cubes of 2 x 3 pixels, named a and b."""
    for name in "ab":
        with create_cube(tmp_path / "stores" / f"{name}.zarr", (2, 3, 4), "uint8") as array:
            array.write(np.zeros((2, 3, 4), np.uint8)).result()
    return [open_cube(tmp_path / "stores" / f"{name}.zarr") for name in "ab"]


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_npy_and_mat(tmp_path, dtype):
    np.save(tmp_path / "a.npy", MAP.astype(dtype))
    scipy.io.savemat(tmp_path / "a.mat", {"gt": MAP.astype(dtype), "other": np.ones((3, 3))})
    with h5py.File(tmp_path / "new.mat", "w", userblock_size=512) as file:
        file["gt"] = MAP.astype(dtype).T
    for name in ("a.npy", "a.mat", "new.mat"):
        labels = load_labels(tmp_path / name, (2, 3, 50))
        np.testing.assert_array_equal(labels, MAP)
        assert labels.dtype == np.int32


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_png(tmp_path, mode):
    np.testing.assert_array_equal(load_labels(save_png(tmp_path / "a.png", mode), (2, 3)), MAP)


def test_mask_is_a_map_of_two_classes(tmp_path):
    np.save(tmp_path / "mask.npy", MAP > 0)
    np.testing.assert_array_equal(load_labels(tmp_path / "mask.npy", (2, 3)), MAP > 0)


def test_abundances_give_their_largest_row(tmp_path):
    abundances = np.eye(3)[:, np.array([2, 0, 1, 1, 2, 0])]  # six pixels, down the columns
    scipy.io.savemat(tmp_path / "a.mat", {"A": abundances})
    labels = load_labels(tmp_path / "a.mat", (2, 3), key="A")
    assert labels.tolist() == [[2, 1, 2], [0, 1, 0]]


def test_wrong_shape_names_both(tmp_path):
    np.save(tmp_path / "a.npy", MAP)
    with pytest.raises(ValueError, match=r"a\.npy has shape \(2, 3\), its cube has \(3, 2\)"):
        load_labels(tmp_path / "a.npy", (3, 2))
    scipy.io.savemat(tmp_path / "a.mat", {"gt": MAP})
    with pytest.raises(ValueError, match=r"0 arrays of the cube's shape \(3, 2\).*gt \(2, 3\)"):
        load_labels(tmp_path / "a.mat", (3, 2))


def test_key_of_labels_is_needed_where_there_is_choice(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"x": MAP, "y": MAP + 1})
    with pytest.raises(ValueError, match=r"2 arrays.*x \(2, 3\), y \(2, 3\)"):
        load_labels(tmp_path / "a.mat", (2, 3))
    np.testing.assert_array_equal(load_labels(tmp_path / "a.mat", (2, 3), key="y"), MAP + 1)
    with pytest.raises(ValueError, match="no key 'z'"):
        load_labels(tmp_path / "a.mat", (2, 3), key="z")


@pytest.mark.parametrize("values", [MAP + 0.5, np.where(MAP > 1, np.nan, MAP), MAP * 1e12])
def test_labels_are_whole_numbers(tmp_path, values):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(ValueError, match="not whole numbers"):
        load_labels(tmp_path / "a.npy", (2, 3))


def test_files_that_are_no_labels(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        load_labels(tmp_path / "none.png", (2, 3))
    (tmp_path / "a.tif").touch()
    with pytest.raises(ValueError, match=r"\.npy, \.mat, \.png"):
        load_labels(tmp_path / "a.tif", (2, 3))
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(tmp_path / "rgb.png")
    with pytest.raises(ValueError, match="is a RGB picture"):
        load_labels(tmp_path / "rgb.png", (2, 3))
    np.save(tmp_path / "c.npy", MAP * 1j)
    with pytest.raises(ValueError, match="complex128"):
        load_labels(tmp_path / "c.npy", (2, 3))
    with pytest.raises(ValueError, match="drop the key 'x'"):
        load_labels(tmp_path / "c.npy", (2, 3), key="x")


@pytest.mark.parametrize("kept", [0, 20, 45])
def test_truncated_png(tmp_path, kept):
    path = save_png(tmp_path / "a.png", "L")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"a\.png cannot be read as an image"):
        load_labels(path, (2, 3))


def test_encode_by_hand():
    codes, classes = encode_classes(MAP, ignore=0)
    assert codes.tolist() == [[-1, 0, 1], [2, 0, -1]]
    assert classes == [1, 10, 14]
    codes, classes = encode_classes(MAP)  # without being told, 0 is a class
    assert codes.tolist() == [[0, 1, 2], [3, 1, 0]]
    assert classes == [0, 1, 10, 14]
    assert encode_classes(np.zeros((1, 2), int), ignore=0)[1] == []


@given(
    labels=arrays(np.int32, array_shapes(min_dims=2, max_dims=2), elements=st.integers(-5, 5)),
    ignore=st.none() | st.integers(-6, 6),
)
def test_classes_of_codes_are_the_labels(labels, ignore):
    codes, classes = encode_classes(labels, ignore)
    known = codes >= 0
    np.testing.assert_array_equal(known, np.full(labels.shape, True) & (labels != ignore))
    np.testing.assert_array_equal(np.array(classes, int)[codes[known]], labels[known])
    assert sorted(set(codes[known].tolist())) == list(range(len(classes)))


def test_one_cube_takes_any_file(tmp_path, cubes):
    path = save_png(tmp_path / "truth.png", "L")
    assert find_labels(path, cubes[:1]) == {"a": path}
    with pytest.raises(ValueError, match=r"truth\.png; cubes: a, b"):
        find_labels(path, cubes)


def test_folder_is_matched_by_stem(tmp_path, cubes, caplog):
    folder = tmp_path / "labels"
    folder.mkdir()
    a, other = save_png(folder / "a.png", "L"), save_png(folder / "zzz.png", "L")
    (folder / "notes.txt").touch()
    with caplog.at_level(logging.WARNING):
        assert find_labels(folder, cubes) == {"a": a}
    assert "no labels for the cubes: b" in caplog.text
    assert f"match no cube: {other.name}" in caplog.text
    np.save(folder / "a.npy", MAP)
    with pytest.raises(ValueError, match=r"several label files for cube a: a\.npy, a\.png"):
        find_labels(folder, cubes)


def test_labels_beside_the_cubes(tmp_path, cubes):
    folder = tmp_path / "mixed"
    folder.mkdir()
    np.save(folder / "a.npy", np.zeros((2, 3, 4)))
    scipy.io.savemat(folder / "b.mat", {"cube": np.zeros((2, 3, 4)), "gt": MAP})
    save_png(folder / "a.png", "L")
    found = find_labels(folder, cubes)
    assert {name: file.name for name, file in found.items()} == {"a": "a.png", "b": "b.mat"}
    np.testing.assert_array_equal(load_labels(found["b"], cubes[1].shape), MAP)


def test_no_match_is_an_error(tmp_path, cubes):
    with pytest.raises(FileNotFoundError, match="no labels at"):
        find_labels(tmp_path / "none", cubes)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="label files: none; cubes: a, b"):
        find_labels(tmp_path / "empty", cubes)


def test_salinas_truth(shared_data):
    labels = load_labels(shared_data / "salinasA/SalinasA_gt.mat", (83, 86, 204))
    codes, classes = encode_classes(labels, ignore=0)
    assert classes == [1, 10, 11, 12, 13, 14]
    assert (codes < 0).sum() == 1790  # unlabelled pixels, from the description of the data


def test_jasper_truth(shared_data):
    path = shared_data / "jasper/jasperRidge2_R198.mat"
    labels = load_labels(path, (100, 100, 198), key="A")
    abundances = scipy.io.loadmat(path)["A"]
    assert labels[3, 2] == abundances[:, 203].argmax()
    assert set(np.unique(labels)) == {0, 1, 2, 3}
