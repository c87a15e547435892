"""Labels: every format gives the same map, stems match cubes, wrong files are refused."""

import json
import logging
import tracemalloc

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from jaxhsi.data.cube import open_cube
from jaxhsi.data.labels.label_files import encode_classes, load_labels, open_labels
from jaxhsi.data.labels.label_map import SEARCH_BLOCK_PIXELS
from jaxhsi.data.labels.label_search import find_labels
from jaxhsi.data.zarr_writer import create_cube

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
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.TIFF"])
def test_pictures(tmp_path, mode, name):
    np.testing.assert_array_equal(load_labels(save_png(tmp_path / name, mode), (2, 3)), MAP)


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_tiff_of_wider_types(tmp_path, dtype):
    Image.fromarray((MAP * 10_000).astype(dtype)).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(load_labels(tmp_path / "a.tif", (2, 3)), MAP * 10_000)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32"])
def test_geotiff_with_overviews(tmp_path, dtype):
    import rasterio

    large = np.kron(MAP, np.ones((128, 128), int)).astype(dtype)
    profile = {"driver": "GTiff", "height": 256, "width": 384, "count": 1, "dtype": dtype}
    place = {"crs": "EPSG:32631", "transform": rasterio.Affine(2, 0, 5e5, 0, -2, 5e6)}
    tiles = {"tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate"}
    with rasterio.open(tmp_path / "a.tif", "w", **profile, **place, **tiles) as file:
        file.write(large, 1)
        file.build_overviews([2, 4])
    np.testing.assert_array_equal(load_labels(tmp_path / "a.tif", (256, 384)), large)


def test_pictures_beyond_pillows_limit(tmp_path, monkeypatch):
    path = save_png(tmp_path / "a.png", "L")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2)
    np.testing.assert_array_equal(load_labels(path, (2, 3)), MAP)
    assert Image.MAX_IMAGE_PIXELS == 2
    with pytest.raises(ValueError, match=r"a\.png cannot be read as an image.*exceeds limit"):
        load_labels(path, (1, 1))


def test_windows_are_parts_of_the_map(tmp_path):
    np.save(tmp_path / "a.npy", np.asfortranarray(MAP).astype(">i2"))
    scipy.io.savemat(tmp_path / "a.mat", {"gt": MAP * 1.0})
    save_png(tmp_path / "a.tif", "P")
    for name in ("a.npy", "a.mat", "a.tif"):
        labels = open_labels(tmp_path / name, (2, 3, 50))
        assert labels.shape == (2, 3)
        assert labels.class_values == (0, 1, 10, 14)
        assert labels.class_names == {}
        window = labels.read_labels(slice(1, 2), slice(0, 2))
        assert window.tolist() == [[14, 1]]
        assert window.dtype == np.int32
    assert open_labels(tmp_path / "a.npy", (2, 3), class_values={"leaf": 1}).class_names == {
        1: "leaf"
    }


@pytest.mark.parametrize("order", ["C", "F"])
def test_large_arrays_are_searched_in_constant_memory(tmp_path, order):
    labels = np.zeros((4096, 4096), np.int32, order=order)
    labels[4095, 4095], labels[2000, 7], labels[0, 4095] = 7, -3, 100_000
    np.save(tmp_path / "a.npy", labels)
    del labels
    tracemalloc.start()
    opened = open_labels(tmp_path / "a.npy", (4096, 4096))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert opened.class_values == (-3, 0, 7, 100_000)
    assert (
        peak < 20 * SEARCH_BLOCK_PIXELS
    )  # a few copies of one block; the file is 64 bytes a pixel of it
    assert opened.read_labels(slice(4094, None), slice(4095, None)).tolist() == [[0], [7]]


def test_measurements_are_no_classes(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(300 * 300, dtype=np.int32).reshape(300, 300))
    with pytest.raises(ValueError, match=r"a\.npy holds more than 65536 different values"):
        open_labels(tmp_path / "a.npy", (300, 300))


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
    (tmp_path / "a.doc").touch()
    with pytest.raises(ValueError, match=r"\.npy, \.mat, \.png, .*\.json, .*\.tif, ENVI"):
        load_labels(tmp_path / "a.doc", (2, 3))
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
    codes, classes = encode_classes(MAP, ignore_value=0)
    assert codes.tolist() == [[-1, 0, 1], [2, 0, -1]]
    assert classes == [1, 10, 14]
    codes, classes = encode_classes(MAP)  # without being told, 0 is a class
    assert codes.tolist() == [[0, 1, 2], [3, 1, 0]]
    assert classes == [0, 1, 10, 14]
    assert encode_classes(np.zeros((1, 2), int), ignore_value=0)[1] == []


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


@given(
    labels=arrays(np.int32, array_shapes(min_dims=2, max_dims=2), elements=st.integers(-5, 5)),
    classes=st.sets(st.integers(-7, 7), min_size=1),
)
def test_codes_of_windows_are_those_of_the_map(labels, classes):
    whole, kept = encode_classes(labels, class_values=sorted(classes))
    assert kept == sorted(classes)
    half = labels.shape[0] // 2
    parts = [encode_classes(part, class_values=kept)[0] for part in (labels[:half], labels[half:])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    expected = [[kept.index(v) if v in kept else -1 for v in row] for row in labels.tolist()]
    assert whole.tolist() == expected


def test_one_cube_takes_any_file(tmp_path, cubes):
    path = save_png(tmp_path / "truth.png", "L")
    assert find_labels(path, cubes[:1]) == {"a": path}
    with pytest.raises(ValueError, match=r"truth\.png; cubes: a, b"):
        find_labels(path, cubes)


@pytest.fixture
def scenes(tmp_path):
    """Two cubes of 2 x 3 pixels with longer names."""
    for name in ("Scene-01", "Scene-02"):
        with create_cube(tmp_path / "stores" / f"{name}.zarr", (2, 3, 4), "uint8") as array:
            array.write(np.zeros((2, 3, 4), np.uint8)).result()
    return [open_cube(tmp_path / "stores" / f"Scene-{n}.zarr") for n in ("01", "02")]


def test_names_that_nearly_match_are_suggested(tmp_path, scenes, caplog):
    folder = tmp_path / "labels"
    folder.mkdir()
    save_png(folder / "scene_02.png", "L")
    with pytest.raises(ValueError, match=r"scene_02\.png \(did you mean cube Scene-02\?\)"):
        find_labels(folder, scenes)
    with pytest.raises(ValueError, match="name the label file itself"):
        find_labels(folder, scenes[:1])
    first = save_png(folder / "Scene-01.tif", "L")
    with caplog.at_level(logging.WARNING):
        assert find_labels(folder, scenes) == {"Scene-01": first}
    assert "no labels for the cubes: Scene-02" in caplog.text
    assert "match no cube: scene_02.png (did you mean cube Scene-02?)" in caplog.text


def test_one_file_for_several_cubes(tmp_path, scenes, caplog):
    path = save_png(tmp_path / "Scene-01.png", "L")
    with caplog.at_level(logging.WARNING):
        assert find_labels(path, scenes) == {"Scene-01": path}
    assert "no labels for the cubes: Scene-02" in caplog.text


@pytest.mark.parametrize("photo", ["a.png", "a.tif"])
def test_pictures_of_labelme_files_are_passed_over(tmp_path, cubes, photo):
    folder = tmp_path / "labels"
    folder.mkdir()
    save_png(folder / photo, "L")
    content = {"shapes": [], "imageHeight": 2, "imageWidth": 3, "imagePath": photo}
    (folder / "a.json").write_text(json.dumps(content))
    assert find_labels(folder, cubes) == {"a": folder / "a.json"}
    (folder / "a.json").write_text(json.dumps(content | {"imagePath": "other.png"}))
    with pytest.raises(ValueError, match=r"several label files for cube a: a\.json, a\."):
        find_labels(folder, cubes)


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
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(folder / "b.tif")  # colours: an image
    assert find_labels(folder, cubes) == found
    np.testing.assert_array_equal(load_labels(found["b"], cubes[1].shape), MAP)


def test_no_match_is_an_error(tmp_path, cubes):
    with pytest.raises(FileNotFoundError, match="no labels at"):
        find_labels(tmp_path / "none", cubes)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="label files: none; cubes: a, b"):
        find_labels(tmp_path / "empty", cubes)


def test_salinas_truth(shared_data):
    labels = load_labels(shared_data / "salinasA/SalinasA_gt.mat", (83, 86, 204))
    codes, classes = encode_classes(labels, ignore_value=0)
    assert classes == [1, 10, 11, 12, 13, 14]
    assert (codes < 0).sum() == 1790  # unlabelled pixels, from the description of the data


def test_jasper_truth(shared_data):
    path = shared_data / "jasper/jasperRidge2_R198.mat"
    labels = load_labels(path, (100, 100, 198), key="A")
    abundances = scipy.io.loadmat(path)["A"]
    assert labels[3, 2] == abundances[:, 203].argmax()
    assert set(np.unique(labels)) == {0, 1, 2, 3}
