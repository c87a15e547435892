import numpy as np
import pytest
from PIL import Image

from jaxhsi.data.cube import Cube
from jaxhsi.data.tiles import split_into_tiles, tile_with_halo
from jaxhsi.data.windows import read_window
from jaxhsi.report import label_pictures
from jaxhsi.report.palettes import cluster_colours
from jaxhsi.report.picture_panels import Legend, save_panels
from tests.helpers.cubes import make_cube


def seen(cube: Cube, tile: int = 64) -> np.ndarray:
    """The picture of a cube whose tiles were read, with some overlap."""
    colours = label_pictures.FalseColourPicture(cube)
    read = colours.recording_reader(read_window)
    for place in split_into_tiles(cube.shape[:2], (tile, tile)):
        read(cube, *tile_with_halo(place, cube.shape[:2], (tile, tile), 3))
    return colours.picture()


def test_cluster_map_paints_invalid_pixels_black():
    picture = label_pictures.colour_label_map(np.array([[0, 1], [-1, 2]]), 3)
    np.testing.assert_array_equal(picture[0, 0], cluster_colours(3)[0])
    np.testing.assert_array_equal(picture[1, 0], (0, 0, 0))


def test_false_colour_takes_the_bands_by_their_wavelengths(tmp_path):
    waves = np.array([460.0, 550.0, 640.0, 900.0])
    values = np.zeros((4, 4, 4), np.float32)
    values[0, :, 2] = 1  # a red row
    values[1, :, 3] = 50  # infrared alone stays dark
    red = seen(make_cube(tmp_path, "red", values, wavelengths=waves))
    assert red[0, 0].tolist() == [255, 0, 0]
    assert red[1, 0].tolist() == [0, 0, 0]


def test_false_colour_without_wavelengths_spreads_its_bands(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(8, 8, 9)).astype(np.float32) * [1, 10, 100, 1, 1, 1, 1, 1, 1]
    values = values.astype(np.float32)
    values[2, 3, 4] = np.nan
    cube = make_cube(tmp_path, "plain", values)
    picture = seen(cube)
    np.testing.assert_array_equal(picture, seen(cube, 3))
    assert picture[2, 3].tolist() == [0, 0, 0]
    assert picture.shape == (8, 8, 3)
    assert (picture.max((0, 1)) == 255).all()


def test_large_cubes_are_thinned(tmp_path):
    cube = make_cube(tmp_path, "wide", np.ones((3, 2500, 2), np.int16))
    assert label_pictures.subsampling_step(cube.shape) == 3
    assert seen(cube).shape == (1, 834, 3)


def test_reading_is_not_changed_by_watching(tmp_path):
    cube = make_cube(tmp_path, "one", np.random.default_rng(0).normal(size=(5, 6, 4)))
    values, valid = label_pictures.FalseColourPicture(cube).recording_reader(read_window)(
        cube, 1, 2, 3, 4
    )
    np.testing.assert_array_equal(values, read_window(cube, 1, 2, 3, 4)[0])
    assert valid.all()


def test_a_cube_without_valid_pixels_is_black(tmp_path):
    cube = make_cube(tmp_path, "none", np.full((4, 4, 3), np.nan, np.float32))
    assert seen(cube).max() == 0


@pytest.mark.parametrize("clusters", [1, 7, 30])
def test_pictures_hold_their_panels_and_legend(tmp_path, clusters):
    panel = label_pictures.colour_label_map(np.arange(12).reshape(3, 4) % clusters, clusters)
    entries = [(f"{k}: 1.0%", colour) for k, colour in enumerate(cluster_colours(clusters))]
    panels = [("one", panel), ("two", panel)]
    save_panels(tmp_path / "p.png", panels, [Legend("clusters", entries)], 0.001)
    picture = np.asarray(Image.open(tmp_path / "p.png"))
    shown = {tuple(c) for c in picture.reshape(-1, 3).tolist()}
    assert {tuple(c) for c in cluster_colours(clusters).tolist()} <= shown


@pytest.mark.parametrize("tile", [64, 1000])
def test_a_thinned_map_is_that_of_its_tiles(tile):
    labels = np.random.default_rng(0).integers(-1, 9, (2100, 70))
    thinned = label_pictures.SubsampledMap((2100, 70, 5), np.array(-1))
    for place in split_into_tiles(labels.shape, (tile, tile)):
        thinned.add(place.slices, labels[place.slices])
    np.testing.assert_array_equal(thinned.values, labels[::3, ::3])
