"""One file a band: a folder or a list of them is one cube."""

import logging
import shlex

import numpy as np
import pytest
import rasterio
from PIL import Image

from jaxhsi.data.cube import open_cube
from jaxhsi.data.formats.band_files import band_name, list_band_files
from jaxhsi.data.ingest.pipeline import ingest
from jaxhsi.data.open import open_cubes
from jaxhsi.ingest import main
from tests.helpers.rasters import PLACE, save_raster

CUBE = np.random.default_rng(3).integers(1, 4000, (40, 30, 12)).astype(np.uint16)  # (H, W, C)


def save_bands(folder, names, suffix=".tif", **profile):
    for band, name in enumerate(names):
        save_raster(folder / f"{name}{suffix}", CUBE[None, :, :, band], **(PLACE | profile))
    return folder


NUMBERS = range(1, 13)
LAYOUTS = {
    "padded": [f"B{i:02d}" for i in NUMBERS],
    "not padded": [f"band{i}" for i in NUMBERS],
    "Sentinel-2": [
        f"T32TQM_20230815T101031_{b}_10m"
        for b in [
            "B01",
            "B02",
            "B03",
            "B04",
            "B05",
            "B06",
            "B07",
            "B08",
            "B8A",
            "B09",
            "B11",
            "B12",
        ]
    ],
    "Landsat": [f"LC08_L2SP_193027_20220720_02_T1_SR_B{i}" for i in NUMBERS],
    "wavelengths": [f"scene_{400 + 50 * i}nm" for i in NUMBERS],
    "plain numbers": [f"{i}" for i in NUMBERS],
    "spaces": [f"my field band {i}" for i in NUMBERS],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_is_one_cube_in_natural_order(tmp_path, layout):
    folder = save_bands(tmp_path / "scene", LAYOUTS[layout])
    [cube] = open_cubes(folder, cache_folder=tmp_path / "cache")
    np.testing.assert_array_equal(cube.array.read().result(), CUBE)
    assert cube.name == "scene"
    assert cube.georeference.crs == "EPSG:32632"
    assert cube.georeference.transform == tuple(PLACE["transform"][:6])
    if layout == "wavelengths":
        assert cube.wavelengths.tolist() == [400.0 + 50 * i for i in NUMBERS]
    ingest(folder, tmp_path / "a.zarr")
    np.testing.assert_array_equal(open_cube(tmp_path / "a.zarr").array.read().result(), CUBE)


def test_colours_by_wavelength(tmp_path):
    folder = save_bands(tmp_path / "scene", ["f_nir", "f_red", "f_blue", "f_Red-Edge", "f_green"])
    [cube] = open_cubes(folder, cache_folder=tmp_path / "cache")
    np.testing.assert_array_equal(cube.array.read().result(), CUBE[..., [2, 4, 1, 3, 0]])


def test_pictures_of_a_camera(tmp_path):
    (tmp_path / "balloons").mkdir()
    for band in NUMBERS:
        Image.fromarray(CUBE[..., band - 1]).save(tmp_path / f"balloons/balloons_ms_{band:02d}.png")
    [cube] = open_cubes(tmp_path / "balloons", cache_folder=tmp_path / "cache")
    np.testing.assert_array_equal(cube.array.read().result(), CUBE)


def test_masks_and_no_data_of_the_files(tmp_path):
    folder = save_bands(tmp_path / "scene", ["B1", "B2"], nodata=CUBE[3, 4, 0])
    [cube] = open_cubes(folder, cache_folder=tmp_path / "cache")
    assert cube.no_data == CUBE[3, 4, 0]
    valid = np.ones((40, 30), bool)
    valid[5:9] = False
    for band in (3, 4):
        save_raster(
            tmp_path / f"masked/B{band}.tif",
            CUBE[None, :, :, band],
            edit=lambda file: file.write_mask(valid),
            **PLACE,
        )
    [cube] = open_cubes(tmp_path / "masked", cache_folder=tmp_path / "cache")
    np.testing.assert_array_equal(np.isnan(cube.array.read().result()).any(-1), ~valid)


def test_a_changed_file_is_copied_anew(tmp_path):
    folder = save_bands(tmp_path / "scene", ["B1", "B2"])
    open_cubes(folder, cache_folder=tmp_path / "cache")
    save_raster(folder / "B2.tif", CUBE[None, :, :, 7], compress="deflate", **PLACE)
    [cube] = open_cubes(folder, cache_folder=tmp_path / "cache")
    np.testing.assert_array_equal(cube.array.read().result(), CUBE[..., [0, 7]])


def test_what_is_left_out_is_told(tmp_path):
    folder = save_bands(tmp_path / "scene", ["x_B1", "x_B2", "x_B3", "x_QA_PIXEL", "x_SCL"])
    assert [file.stem for file in list_band_files(folder)] == ["x_B1", "x_B2", "x_B3"]
    [cube] = open_cubes(folder, cache_folder=tmp_path / "cache")
    assert any("left out: x_QA_PIXEL.tif, x_SCL.tif" in line for line in cube.history)


def test_a_picture_in_true_colours_is_not_the_cube(tmp_path):
    names = [f"T32_{band}_10m" for band in ("B02", "B03", "B04", "B08", "B11")]
    folder = save_bands(tmp_path / "scene", names)
    save_raster(folder / "T32_TCI_10m.tif", (CUBE.transpose(2, 0, 1)[:3] % 256).astype(np.uint8))
    [cube] = open_cubes(folder, cache_folder=tmp_path / "cache")
    np.testing.assert_array_equal(cube.array.read().result(), CUBE[..., :5])
    assert any("left out: T32_TCI_10m.tif" in line for line in cube.history)
    save_raster(folder / "other.tif", CUBE.transpose(2, 0, 1)[:9], **PLACE)  # a cube of its own
    cubes = open_cubes([folder / "other.tif"], cache_folder=tmp_path / "cache")
    assert [cube.name for cube in cubes] == ["other"]


def test_a_list_of_files_in_the_order_given(tmp_path, capsys, caplog):
    folder = save_bands(tmp_path / "scene", ["late", "early", "middle"])
    files = [str(folder / f"{name}.tif") for name in ("early", "middle", "late")]
    with caplog.at_level(logging.INFO):
        assert main([*files, str(tmp_path / "a.zarr")]) == 0
    cube = open_cube(tmp_path / "a.zarr")
    np.testing.assert_array_equal(cube.array.read().result(), CUBE[..., [1, 2, 0]])
    assert "in the order given: early.tif, middle.tif, late.tif" in cube.history[1]
    save_raster(folder / "colours.tif", CUBE.transpose(2, 0, 1)[:3])
    assert main([*files, str(folder / "colours.tif"), str(tmp_path / "b.zarr")]) == 1
    assert "4 cubes do not fit into one store" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"values": CUBE[None, ::2, ::2, 2]},
            "different sizes .40 x 30: B1.tif, B2.tif; 20 x 15: B3",
        ),
        ({"values": CUBE[None, :, :, 2].astype(np.float32)}, "different types"),
        ({"crs": "EPSG:32633"}, "different coordinate systems"),
        (
            {"transform": rasterio.Affine(10.0, 0.0, 500010.0, 0.0, -10.0, 5e6)},
            "different places",
        ),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path, change, words):
    folder = save_bands(tmp_path / "scene", ["B1", "B2"])
    change = {"values": CUBE[None, :, :, 2], **PLACE, **change}
    save_raster(folder / "B3.tif", change.pop("values"), **change)
    with pytest.raises(ValueError, match=words) as error:
        open_cubes(folder, cache_folder=tmp_path / "cache")
    command = str(error.value).rpartition("jaxhsi ingest ")[2]
    assert main(shlex.split(command.replace("NAME.zarr", str(tmp_path / "a.zarr")))) == 0
    np.testing.assert_array_equal(
        open_cube(tmp_path / "a.zarr").array.read().result(), CUBE[..., :2]
    )


def test_several_scenes_in_a_folder(tmp_path):
    folder = save_bands(tmp_path / "scene", ["S_B02_10m", "S_B03_10m", "S_B02_20m", "S_B03_20m"])
    with pytest.raises(
        ValueError, match=r"several files of one band, S_B02_10m\.tif and S_B02_20m"
    ):
        open_cubes(folder, cache_folder=tmp_path / "cache")


def test_maps_with_names_of_plots_are_no_bands(tmp_path):
    folder = save_bands(tmp_path / "truth", ["plot1", "plot2"])
    assert list_band_files(folder) == []
    with pytest.raises(ValueError, match=r"holds no cube.*jaxhsi ingest"):
        open_cubes(folder, cache_folder=tmp_path / "cache")


def test_names():
    assert band_name("field") is None
    assert band_name("x_B08") < band_name("x_B8A") < band_name("x_B09")
    assert band_name("a_450.5nm").unit == "nm"
