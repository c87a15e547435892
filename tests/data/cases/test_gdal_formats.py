"""What programs of geographic information write, from the command line: values, place, no data."""

import numpy as np
import pytest
import rasterio

from jaxhsi.data.cube import open_cube
from jaxhsi.data.open import open_cubes
from jaxhsi.ingest import main
from tests.helpers.rasters import PLACE, save_raster

SHAPE = (64, 72, 6)
VALUES = np.random.default_rng(5).integers(1, 9999, SHAPE).astype(np.uint16)
PLANES = VALUES.transpose(2, 0, 1)

DRIVERS = {
    "erdas.img": {"driver": "HFA"},
    "erdas_packed.img": {"driver": "HFA", "compressed": "YES"},
    "s2.jp2": {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES"},
    "pci.pix": {"driver": "PCIDSK"},
    "cloud.tif": {"driver": "COG", "compress": "deflate"},
    "big.tif": {"driver": "GTiff", "BIGTIFF": "YES", "tiled": True, "compress": "zstd"},
    "gdal.bsq": {"driver": "ENVI", "interleave": "bsq"},
    "gdal.bil": {"driver": "ENVI", "interleave": "bil"},
}


@pytest.mark.parametrize("name", DRIVERS)
def test_formats_of_gdal(tmp_path, name):
    try:
        source = save_raster(tmp_path / name, PLANES, **PLACE, **DRIVERS[name])
    except rasterio.errors.RasterioError as error:
        pytest.skip(f"this GDAL does not write it: {error}")
    assert main([str(source), str(tmp_path / "a.zarr")]) == 0
    cube = open_cube(tmp_path / "a.zarr")
    np.testing.assert_array_equal(cube.array.read().result(), VALUES)
    assert rasterio.CRS.from_user_input(cube.georeference.crs).to_epsg() == 32632
    assert cube.georeference.transform == tuple(PLACE["transform"][:6])
    assert cube.georeference.pixel_area == 100.0


def test_a_virtual_raster_of_single_bands(tmp_path):
    for band, plane in enumerate(PLANES, 1):
        save_raster(tmp_path / f"B{band:02d}.tif", plane[None], **PLACE)
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{band}"><SimpleSource><SourceFilename '
        f'relativeToVRT="1">B{band:02d}.tif</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand>"
        for band in range(1, 7)
    )
    source = tmp_path / "stack.vrt"
    source.write_text(
        f'<VRTDataset rasterXSize="72" rasterYSize="64"><SRS>EPSG:32632</SRS><GeoTransform>500000,'
        f"10,0,5000000,0,-10</GeoTransform>{bands}</VRTDataset>"
    )
    assert main([str(source), str(tmp_path / "a.zarr")]) == 0
    cube = open_cube(tmp_path / "a.zarr")
    np.testing.assert_array_equal(cube.array.read().result(), VALUES)
    assert cube.georeference.transform == tuple(PLACE["transform"][:6])


def test_a_changed_source_of_a_virtual_raster_is_copied_anew(tmp_path):
    for band, plane in enumerate(PLANES[:2], 1):
        save_raster(tmp_path / f"B{band}.tif", plane[None], **PLACE)
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{band}"><SimpleSource><SourceFilename '
        f'relativeToVRT="1">B{band}.tif</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand>"
        for band in (1, 2)
    )
    source = tmp_path / "stack.vrt"
    source.write_text(f'<VRTDataset rasterXSize="72" rasterYSize="64">{bands}</VRTDataset>')
    open_cubes(source, cache_folder=tmp_path / "cache")
    save_raster(tmp_path / "B2.tif", PLANES[5][None], compress="deflate", **PLACE)
    [cube] = open_cubes(source, cache_folder=tmp_path / "cache")
    np.testing.assert_array_equal(cube.array.read().result(), VALUES[..., [0, 5]])


@pytest.mark.parametrize("given", ["field.bil", "field.hdr"])
@pytest.mark.parametrize("layout", ["BIL", "BIP", "BSQ"])
def test_esri_headers(tmp_path, given, layout):
    axes = {"BIL": (0, 2, 1), "BIP": (0, 1, 2), "BSQ": (2, 0, 1)}[layout]
    VALUES.transpose(axes).astype("<u2").tofile(tmp_path / "field.bil")
    (tmp_path / "field.hdr").write_text(
        f"BYTEORDER      I\nLAYOUT         {layout}\nNROWS          64\nNCOLS          72\n"
        "NBANDS         6\nNBITS          16\nPIXELTYPE      UNSIGNEDINT\nULXMAP         500005\n"
        "ULYMAP         4999995\nXDIM           10\nYDIM           10\nNODATA         65535\n"
    )
    assert main([str(tmp_path / given), str(tmp_path / "a.zarr")]) == 0
    cube = open_cube(tmp_path / "a.zarr")
    np.testing.assert_array_equal(cube.array.read().result(), VALUES)
    assert cube.no_data == 65535.0
    assert cube.georeference.transform == tuple(PLACE["transform"][:6])


def test_an_erdas_image_beside_an_envi_header_is_still_read_as_erdas(tmp_path):
    source = save_raster(tmp_path / "a.img", PLANES, driver="HFA", **PLACE)
    (tmp_path / "a.hdr").write_text("ENVI\nsamples = 3\nlines = 3\nbands = 3\ndata type = 1\n")
    assert main([str(source), str(tmp_path / "a.zarr")]) == 0
    cube = open_cube(tmp_path / "a.zarr")
    np.testing.assert_array_equal(cube.array.read().result(), VALUES)


def test_files_that_nothing_reads(tmp_path, capsys):
    (tmp_path / "a.xyz").write_text("some text")
    assert main([str(tmp_path / "a.xyz"), str(tmp_path / "a.zarr")]) == 1
    assert "no reader for '.xyz'; supported are" in capsys.readouterr().err
    (tmp_path / "b.img").write_bytes(b"0" * 100)
    assert main([str(tmp_path / "b.img"), str(tmp_path / "b.zarr")]) == 1
    assert "has no ENVI header beside it" in capsys.readouterr().err
