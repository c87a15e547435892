"""TIFF files with one page a band: equal pages are stacked, unequal ones named and refused."""

import json

import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image

from jaxhsi.data.formats import cube_shape
from jaxhsi.data.ingest.pipeline import ingest
from tests.helpers.rasters import PLACE, save_raster

CUBE = np.random.default_rng(2).integers(0, 4000, (60, 52, 14)).astype(np.uint16)  # (H, W, C)
PLANES = np.ascontiguousarray(CUBE.transpose(2, 0, 1))


def save_pillow(path, planes=PLANES, **options):
    first, *rest = [Image.fromarray(plane) for plane in planes]
    first.save(path, save_all=True, append_images=rest, **options)


WRITERS = {
    "tifffile": lambda path: tifffile.imwrite(path, PLANES),
    "tifffile, bands last": lambda path: tifffile.imwrite(path, CUBE),
    "tifffile, axes": lambda path: tifffile.imwrite(path, PLANES, metadata={"axes": "CYX"}),
    "tifffile, axes, bands last": lambda path: tifffile.imwrite(
        path, CUBE, metadata={"axes": "YXC"}
    ),
    "tifffile, big-endian": lambda path: tifffile.imwrite(path, PLANES, byteorder=">"),
    "tifffile, compressed": lambda path: tifffile.imwrite(path, PLANES, compression="zlib"),
    "tifffile, BigTIFF": lambda path: tifffile.imwrite(path, PLANES, bigtiff=True),
    "planes in one page": lambda path: tifffile.imwrite(
        path, PLANES, planarconfig="separate", photometric="minisblack"
    ),
    "ImageJ": lambda path: tifffile.imwrite(path, PLANES, imagej=True),
    "ImageJ slices": lambda path: tifffile.imwrite(
        path, PLANES, imagej=True, metadata={"axes": "ZYX"}
    ),
    "OME": lambda path: tifffile.imwrite(path, PLANES, ome=True, metadata={"axes": "CYX"}),
    "without notes": lambda path: tifffile.imwrite(path, PLANES, metadata=None),
    "Pillow": save_pillow,
    "Pillow, LZW": lambda path: save_pillow(path, compression="tiff_lzw"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_pages_are_stacked(tmp_path, writer):
    WRITERS[writer](tmp_path / "a.tif")
    assert cube_shape(tmp_path / "a.tif") == CUBE.shape
    cube = ingest(tmp_path / "a.tif", tmp_path / "a.zarr")
    np.testing.assert_array_equal(cube.array.read().result(), CUBE)


def test_axes_that_the_user_names(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((40, 40, 40), np.uint8))
    with pytest.raises(ValueError, match="--layout"):
        cube_shape(tmp_path / "a.tif")
    assert cube_shape(tmp_path / "a.tif", layout="hwc") == (40, 40, 40)
    save_pillow(tmp_path / "b.tif", CUBE)  # rows as pages, without a word of the writer
    cube = ingest(tmp_path / "b.tif", tmp_path / "b.zarr", layout="hwc")
    np.testing.assert_array_equal(cube.array.read().result(), CUBE)


def test_unequal_pages_are_named_and_chosen_by_key(tmp_path):
    """A camera's stack with a larger panchromatic page in front."""
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(np.ones((120, 104), np.uint16), metadata=None)
        for plane in PLANES:
            file.write(plane, metadata=None)
    with pytest.raises(ValueError, match=r"1: 120 x 104.*2-15: 60 x 52.*--key 2-15"):
        cube_shape(path)
    cube = ingest(path, tmp_path / "a.zarr", key="2-15")
    np.testing.assert_array_equal(cube.array.read().result(), CUBE)
    with pytest.raises(ValueError, match="holds 15 pages; --key '2-99' names none"):
        cube_shape(path, key="2-99")


def test_pages_of_other_types_or_with_colours_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.ones((20, 30), np.uint16), metadata=None)
        file.write(np.ones((20, 30), np.float32), metadata=None)
    with pytest.raises(ValueError, match=r"uint16; 2: 20 x 30, 1 band\(s\), float32"):
        cube_shape(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", np.ones((5, 20, 30, 3), np.uint8), photometric="rgb")
    with pytest.raises(ValueError, match=r"5 pages.*20 x 30, 3 band\(s\)"):
        cube_shape(tmp_path / "b.tif")


def test_a_stack_of_imagej_that_lists_its_first_image_alone(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, PLANES[0], metadata=None, description="ImageJ=1.53t\nimages=14\nslices=14\n"
    )
    with path.open("ab") as file:
        file.write(PLANES[1:].tobytes())
    with pytest.raises(ValueError, match=r"ImageJ stack of 14 images.*tifffile\.imwrite"):
        cube_shape(path)


def test_overviews_are_no_pages(tmp_path):
    save_raster(tmp_path / "a.tif", np.repeat(PLANES, 4, axis=1).repeat(4, axis=2), **PLACE)
    with rasterio.open(tmp_path / "a.tif", "r+") as file:
        file.build_overviews([2, 4])
    assert cube_shape(tmp_path / "a.tif") == (240, 208, 14)


def test_shape_in_the_note_of_tifffile(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", CUBE)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert json.loads(file.pages[0].description) == {"shape": list(CUBE.shape)}
