"""Masks that a raster carries: pixels become invalid, never a spectral band."""

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from jaxhsi.data.formats.raster import open_raster
from jaxhsi.data.ingest.pipeline import ingest
from tests.helpers.rasters import PLACE, save_raster

CUBE = np.random.default_rng(1).integers(1, 4000, (4, 40, 30)).astype(np.uint16)
VALID = np.ones((40, 30), bool)
VALID[:9], VALID[20:25, 3:8] = False, False


def save_alpha(path, opaque=65535, *, colour=True, name=None, **profile):
    alpha = np.where(VALID, opaque, 0).astype(np.uint16)[None]

    def begin(file):
        colours = [ColorInterp.undefined] * 4 + [ColorInterp.alpha]
        if colour:
            file.colorinterp = colours
        if name:
            file.set_band_description(5, name)

    return save_raster(path, np.concatenate([CUBE, alpha]), begin=begin, **profile)


def save_inner_mask(path):
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        return save_raster(path, CUBE, edit=lambda file: file.write_mask(VALID), **PLACE)


def save_mask_beside(path):
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False):
        save_raster(path, CUBE, edit=lambda file: file.write_mask(VALID), **PLACE)
    assert path.with_name(path.name + ".msk").is_file()
    return path


def save_masks_of_bands(path):
    """A VRT whose bands come from files with masks of their own."""
    sources = []
    for band, values in enumerate(CUBE, 1):
        mask = VALID.copy()
        mask[:9] = band != 2  # row 0..8 are missing in band 2 alone
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
            sources.append(
                save_raster(
                    path.with_name(f"m{band}.tif"),
                    values[None],
                    edit=lambda f, m=mask: f.write_mask(m),
                )
            )
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{i}"><SimpleSource><SourceFilename '
        f'relativeToVRT="1">{s.name}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
        f'<MaskBand><VRTRasterBand dataType="Byte"><SimpleSource><SourceFilename '
        f'relativeToVRT="1">{s.name}</SourceFilename><SourceBand>mask,1</SourceBand></SimpleSource>'
        "</VRTRasterBand></MaskBand></VRTRasterBand>"
        for i, s in enumerate(sources, 1)
    )
    path = path.with_suffix(".vrt")
    path.write_text(f'<VRTDataset rasterXSize="30" rasterYSize="40">{bands}</VRTDataset>')
    return path


WRITERS = {
    "alpha": save_alpha,
    "alpha of 255": lambda path: save_alpha(path, 255),
    "alpha by name": lambda path: save_alpha(path, colour=False, name="Alpha"),
    "tiled alpha": lambda path: save_alpha(path, tiled=True, blockxsize=16, blockysize=16),
    "mask inside": save_inner_mask,
    "mask beside": save_mask_beside,
    "masks of bands": save_masks_of_bands,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_masks_make_pixels_invalid(tmp_path, writer):
    source = WRITERS[writer](tmp_path / "a.tif")
    cube = ingest(source, tmp_path / "a.zarr")
    values = cube.array.read().result()
    assert values.shape == (40, 30, 4)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values[VALID], CUBE.transpose(1, 2, 0)[VALID])
    assert np.isnan(values[~VALID]).all()
    assert any("not valid" in line for line in cube.history)


def test_a_no_data_value_keeps_whole_numbers(tmp_path):
    def begin(file):
        file.colorinterp = [ColorInterp.undefined] * 4 + [ColorInterp.alpha]

    alpha = np.where(VALID, 255, 0).astype(np.uint16)[None]
    source = save_raster(
        tmp_path / "a.tif", np.concatenate([CUBE, alpha]), begin=begin, nodata=9999
    )
    cube = ingest(source, tmp_path / "a.zarr")
    values = cube.array.read().result()
    assert (values.dtype, cube.no_data) == (np.uint16, 9999.0)
    assert (values[~VALID] == 9999).all()
    np.testing.assert_array_equal(values[VALID], CUBE.transpose(1, 2, 0)[VALID])


def test_no_data_values_that_differ_among_bands(tmp_path):
    for band, no_data in enumerate((0, 7)):
        values = np.where(VALID, CUBE[band], no_data)[None].astype(np.uint16)
        save_raster(tmp_path / f"{band}.tif", values, nodata=no_data)
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{band + 1}"><NoDataValue>{value}</NoDataValue>'
        f'<SimpleSource><SourceFilename relativeToVRT="1">{band}.tif</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        for band, value in enumerate((0, 7))
    )
    source = tmp_path / "a.vrt"
    source.write_text(f'<VRTDataset rasterXSize="30" rasterYSize="40">{bands}</VRTDataset>')
    cube = ingest(source, tmp_path / "a.zarr")
    invalid = ~VALID | (CUBE[1] == 7)
    np.testing.assert_array_equal(np.isnan(cube.array.read().result()).all(-1), invalid)
    assert any("differ among the bands" in line for line in cube.history)


def test_a_near_infrared_band_declared_as_alpha_stays_a_band(tmp_path):
    """As GDAL declares the fourth band of every 8-bit raster."""
    values = (CUBE % 256).astype(np.uint8)
    source = save_raster(tmp_path / "a.tif", values, **PLACE)
    with rasterio.open(source) as file:
        assert file.colorinterp[3] == ColorInterp.alpha
    with open_raster(source) as volume:
        assert volume.shape == (4, 40, 30)
        assert volume.read_mask is None
        assert "taken as a spectral band" in volume.notes[0]
        np.testing.assert_array_equal(volume.read_slab(np.s_[3:4, :, :])[0], values[3])


def test_bands_after_an_alpha_band(tmp_path):
    """Alpha in the middle: the bands around it are read, by the right numbers."""
    alpha = np.where(VALID, 255, 0).astype(np.uint16)[None]
    values = np.concatenate([CUBE[:2], alpha, CUBE[2:]])

    def begin(file):
        file.colorinterp = [
            ColorInterp.alpha if b == 3 else ColorInterp.undefined for b in range(1, 6)
        ]

    with open_raster(save_raster(tmp_path / "a.tif", values, begin=begin)) as volume:
        np.testing.assert_array_equal(volume.read_slab((slice(None),) * 3), CUBE)
        np.testing.assert_array_equal(
            volume.read_mask(slice(5, 30), slice(2, 20)), VALID[5:30, 2:20]
        )
