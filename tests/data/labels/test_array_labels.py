"""Labels among the named arrays of HDF5, NetCDF and .npz files; pictures that cannot be labels."""

import h5py
import numpy as np
import pytest
import xarray
from PIL import Image

from jaxhsi.data.labels.label_files import load_labels, open_labels

SIZE = (5, 6)
LABELS = np.random.default_rng(0).integers(0, 4, SIZE)


def save_arrays(path, **arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
        return path
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[f"maps/{name}"] = values
    return path


@pytest.mark.parametrize("name", ["a.npz", "a.h5", "a.nc"])
def test_the_array_of_labels_is_found_by_shape_and_name(tmp_path, name):
    other = np.ones(SIZE)
    arrays = {"elevation": other, "class_map": LABELS, "cube": np.ones((*SIZE, 3))}
    path = save_arrays(tmp_path / name, **arrays)
    np.testing.assert_array_equal(load_labels(path, SIZE), LABELS)
    prefix = "" if path.suffix == ".npz" else "maps/"
    np.testing.assert_array_equal(load_labels(path, SIZE, key=f"{prefix}elevation"), other)
    with pytest.raises(ValueError, match="has no array 'none'; its numeric arrays are"):
        load_labels(path, SIZE, key="none")
    with pytest.raises(ValueError, match=r"has 0 arrays of the cube's shape \(7, 6\)"):
        load_labels(path, (7, 6))


@pytest.mark.parametrize("engine", ["h5netcdf", "scipy"])
def test_fill_values_are_unlabelled(tmp_path, engine):
    values = LABELS.astype(np.int16)[None]
    values[0, 0, :3] = -99
    data = xarray.Dataset({"classes": (("time", "y", "x"), values)})
    data["classes"].attrs["_FillValue"] = np.int16(-99)
    data.to_netcdf(tmp_path / "a.nc", engine=engine)
    label_map = open_labels(tmp_path / "a.nc", SIZE)
    expected = LABELS.copy()
    expected[0, :3] = -1
    np.testing.assert_array_equal(label_map.read_labels(slice(None), slice(None)), expected)
    assert -99 not in label_map.class_values


def test_a_jpeg_is_refused(tmp_path):
    Image.fromarray(LABELS.astype(np.uint8)).save(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"is a JPEG.*save the labels as \.png"):
        load_labels(tmp_path / "a.jpg", SIZE)


def test_boxes_of_pascal_voc_are_refused_with_a_way_out(tmp_path):
    (tmp_path / "a.xml").write_text("<annotation><object><name>x</name></object></annotation>")
    with pytest.raises(ValueError, match="draw polygons, and export them as LabelMe"):
        load_labels(tmp_path / "a.xml", SIZE)
