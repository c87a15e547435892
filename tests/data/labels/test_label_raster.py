"""Labels in rasters: pixels without data have no class, the place on the ground counts."""

import logging
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

from jaxhsi.cluster_groups import make_grouping
from jaxhsi.data.exports import ClassMap, write_envi_classification, write_geotiff
from jaxhsi.data.georeference import Georeference
from jaxhsi.data.labels.label_files import load_labels, open_labels
from jaxhsi.data.labels.label_search import find_labels
from jaxhsi.data.zarr_writer import create_cube
from jaxhsi.storage.checksums import write_checked_json
from tests.helpers.labelled_cubes import make_cubes
from tests.helpers.rasters import PLACE, save_raster

SIZE = (40, 30)
LABELS = np.random.default_rng(0).integers(0, 5, SIZE)
MISSING = np.zeros(SIZE, bool)
MISSING[:6], MISSING[:, 25:] = True, True
EXPECTED = np.where(MISSING, -1, LABELS)
GROUND = Georeference("EPSG:32632", tuple(PLACE["transform"][:6]), 1.0)


def raster(path, no_data, dtype, **profile):
    values = np.where(MISSING, no_data, LABELS).astype(dtype)[None]
    profile = {"nodata": no_data, **PLACE, **profile}
    return save_raster(path, values, **profile)


def masked(path):
    return save_raster(
        path, LABELS.astype(np.uint8)[None], edit=lambda file: file.write_mask(~MISSING), **PLACE
    )


def ascii_grid(path):
    rows = [" ".join(map(str, row)) for row in np.where(MISSING, -9999, LABELS)]
    head = "ncols 30\nnrows 40\nxllcorner 500000\nyllcorner 4999600\ncellsize 10\n"
    path.write_text(f"{head}NODATA_value -9999\n" + "\n".join(rows) + "\n")
    return path


def esri_bil(path):
    np.where(MISSING, 255, LABELS).astype(np.uint8).tofile(path)
    path.with_suffix(".hdr").write_text(
        "BYTEORDER I\nLAYOUT BIL\nNROWS 40\nNCOLS 30\nNBANDS 1\nNBITS 8\nNODATA 255\n"
    )
    return path


WRITERS = {
    "255": lambda t: raster(t / "a.tif", 255, np.uint8),
    "0 is no data": lambda t: raster(t / "a.tif", 99, np.uint8),
    "float": lambda t: raster(t / "a.tif", -9999.0, np.float32),
    "NaN": lambda t: raster(t / "a.tif", np.nan, np.float32),
    "16 bits": lambda t: raster(t / "a.tif", 65535, np.uint16, compress="deflate", tiled=True),
    "-1": lambda t: raster(t / "a.tif", -1, np.int16, nodata=None),
    "ERDAS": lambda t: raster(t / "a.img", 255, np.uint8, driver="HFA"),
    "mask": lambda t: masked(t / "a.tif"),
    "ESRI ASCII grid": lambda t: ascii_grid(t / "a.asc"),
    "ESRI BIL": lambda t: esri_bil(t / "a.bil"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_pixels_without_data_are_unlabelled(tmp_path, writer):
    label_map = open_labels(WRITERS[writer](tmp_path), SIZE, place=GROUND)
    np.testing.assert_array_equal(label_map.read_labels(slice(None), slice(None)), EXPECTED)
    assert label_map.class_values == (0, 1, 2, 3, 4)


def envi(path, names="Unclassified, leaf, soil, panel, weed", extra=""):
    LABELS.astype(np.uint8).tofile(path)
    path.with_suffix(".hdr").write_text(
        "ENVI\nsamples = 30\nlines = 40\nbands = 1\nheader offset = 0\nfile type = ENVI "
        "Classification\ndata type = 1\ninterleave = bsq\nclasses = 5\nbyte order = 0\n"
        f"class names = {{ {names} }}\n{extra}"
    )
    return path


@pytest.mark.parametrize("given", ["plot.dat", "plot.hdr"])
def test_envi_classification(tmp_path, given, caplog):
    envi(tmp_path / "plot.dat")
    with caplog.at_level(logging.INFO):
        label_map = open_labels(tmp_path / given, SIZE)
    expected = np.where(LABELS == 0, -1, LABELS)
    np.testing.assert_array_equal(label_map.read_labels(slice(None), slice(None)), expected)
    assert label_map.class_names[4] == "weed"
    assert f'{(LABELS == 0).sum()} pixels are 0, "Unclassified": unlabelled' in caplog.text


def test_a_first_class_with_a_name_is_a_class(tmp_path):
    label_map = open_labels(envi(tmp_path / "a.dat", names="water, leaf, soil, panel, weed"), SIZE)
    assert label_map.class_values == (0, 1, 2, 3, 4)
    assert label_map.class_names[0] == "water"


def class_map(labels, georeference=GROUND):
    grouping = make_grouping({"leaf": [0], "soil": [1], "rust": [2], "sky": [3], "weed": [4]}, 5)
    colours = np.zeros((5, 3), np.uint8)
    return ClassMap(SIZE, lambda r, c: labels[r, c], grouping.group_names, colours, georeference)


def test_what_predict_writes_for_other_programs_is_read_again(tmp_path):
    write_geotiff(tmp_path / "a.tif", class_map(EXPECTED))
    write_envi_classification(tmp_path / "a.img", class_map(EXPECTED))
    tif = open_labels(tmp_path / "a.tif", SIZE, place=GROUND)
    np.testing.assert_array_equal(tif.read_labels(slice(None), slice(None)), EXPECTED)
    assert tif.class_names == {0: "leaf", 1: "soil", 2: "rust", 3: "sky", 4: "weed"}
    envi_map = open_labels(tmp_path / "a.img", SIZE, place=GROUND)
    values = envi_map.read_labels(slice(None), slice(None))
    np.testing.assert_array_equal(values, np.where(MISSING, -1, LABELS + 1))  # ENVI counts from 1
    assert [envi_map.class_names[v] for v in envi_map.class_values] == list(
        tif.class_names.values()
    )


def test_the_labels_folder_of_a_prediction(tmp_path):
    folder = tmp_path / "run" / "labels"
    folder.mkdir(parents=True)
    for name in ("a", "a-confidence"):
        with create_cube(
            folder / f"{name}.zarr", (*SIZE, 1), "int16", georeference=GROUND
        ) as array:
            array.write(EXPECTED.astype(np.int16)[..., None]).result()
    np.save(folder / "a.npy", EXPECTED.astype(np.int16))
    write_geotiff(folder / "a.tif", class_map(EXPECTED))
    write_envi_classification(folder / "a.img", class_map(EXPECTED))
    names = ["leaf", "soil", "x", "y", "z"]
    write_checked_json(tmp_path / "run" / "areas.json", {"names": names})
    cubes = make_cubes(tmp_path, "a", size=SIZE)
    assert find_labels(folder, cubes) == {"a": folder / "a.zarr"}
    for path in (folder / "a.zarr", folder / "a.npy"):
        np.testing.assert_array_equal(load_labels(path, SIZE), EXPECTED)
    assert open_labels(folder / "a.zarr", SIZE).class_names[1] == "soil"


def shifted(path, east=0.0, north=0.0, crs="EPSG:32632"):
    a, b, c, d, e, f = PLACE["transform"][:6]
    place = {"crs": crs, "transform": rasterio.Affine(a, b, c + east, d, e, f + north)}
    return save_raster(path, LABELS.astype(np.uint8)[None], **place)


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        ({"north": 40.0}, r"40 m to the north at the upper left corner, up to 4\.0 pixels"),
        ({"east": -20.0}, "20 m to the west"),
        ({"east": 5.0, "north": -30.0}, "30 m to the south and 5 m to the east"),
        ({"crs": "EPSG:32633"}, "m to the east at the upper left"),
    ],
)
def test_labels_elsewhere_are_refused_in_metres(tmp_path, offset, words):
    with pytest.raises(ValueError, match=words):
        load_labels(shifted(tmp_path / "a.tif", **offset), SIZE, place=GROUND)


def test_a_small_offset_is_told(tmp_path, caplog):
    path = shifted(tmp_path / "a.tif", east=2.0)
    with caplog.at_level(logging.INFO):
        np.testing.assert_array_equal(load_labels(path, SIZE, place=GROUND), LABELS)
    assert "lies 2 m to the east from its cube, below half a pixel" in caplog.text


def test_the_remedy_for_labels_elsewhere_works(tmp_path):
    """The command that the error names puts the labels on the grid of the cube."""
    larger = np.zeros((1, 60, 50), np.uint8)
    larger[0, 4:44, 3:33] = LABELS + 1
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(10, 0, 499970, 0, -10, 5000040)}
    save_raster(tmp_path / "labels.tif", larger, **place)
    save_raster(tmp_path / "CUBE.tif", np.zeros((3, *SIZE), np.uint8), **PLACE)
    with pytest.raises(ValueError, match=r"rio warp labels\.tif new\.tif") as error:
        load_labels(tmp_path / "labels.tif", SIZE, place=GROUND)
    command = str(error.value).split(": ")[-1].split()
    assert command[0] == "rio"
    rio = shutil.which("rio", path=str(Path(sys.executable).parent)) or "rio"
    subprocess.run([rio, *command[1:]], cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_array_equal(load_labels(tmp_path / "new.tif", SIZE, place=GROUND), LABELS + 1)


def test_cubes_without_a_place_take_labels_with_one(tmp_path):
    path = shifted(tmp_path / "a.tif", north=400.0)
    for place in (None, Georeference(None, (0.5, 0.0, 0.0, 0.0, -0.5, 0.0), 1.0)):
        np.testing.assert_array_equal(load_labels(path, SIZE, place=place), LABELS)


def test_rasters_that_are_no_labels(tmp_path):
    colours = save_raster(tmp_path / "a.tif", np.zeros((3, *SIZE), np.uint8), **PLACE)
    with pytest.raises(ValueError, match="has 3 bands; labels have one"):
        load_labels(colours, SIZE)
    halves = save_raster(tmp_path / "b.tif", (LABELS + 0.5).astype(np.float32)[None], **PLACE)
    with pytest.raises(ValueError, match="not whole numbers"):
        load_labels(halves, SIZE)
    with pytest.raises(ValueError, match=r"shape \(40, 30\), its cube has \(20, 30\)"):
        load_labels(shifted(tmp_path / "c.tif"), (20, 30))
