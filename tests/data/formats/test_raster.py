"""GeoTIFF: windows, place on the ground, and what tags say of the bands."""

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio

from jaxhsi.data.formats import cube_shape, file_format, readable_files
from jaxhsi.data.formats.raster import open_raster, raster_shapes
from jaxhsi.data.ingest.pipeline import ingest

CUBE = np.random.default_rng(4).integers(0, 4000, (5, 70, 41)).astype(np.uint16)  # (C, H, W)
WHOLE = (slice(None),) * 3


def save(path: Path, values=CUBE, *, edit=None, **profile) -> Path:
    count, height, width = values.shape
    profile = {"driver": "GTiff", "dtype": values.dtype, **profile}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, "w", count=count, height=height, width=width, **profile) as file:
            file.write(values)
            if edit:
                edit(file)
    return path


LAYOUTS = [
    {},
    {"interleave": "pixel"},
    {"interleave": "band", "compress": "deflate"},
    {"tiled": True, "blockxsize": 16, "blockysize": 32, "compress": "lzw", "interleave": "pixel"},
    {"driver": "COG", "blocksize": 128},
    {"BIGTIFF": "YES"},
]


@pytest.mark.parametrize("profile", LAYOUTS)
@pytest.mark.parametrize("name", ["a.tif", "a.TIFF"])
def test_windows_of_any_layout(tmp_path, profile, name):
    path = save(tmp_path / name, **profile)
    with file_format(path).open_volume(path) as volume:
        assert (volume.shape, volume.layout, volume.path) == (CUBE.shape, "chw", path)
        np.testing.assert_array_equal(volume.read_slab(WHOLE), CUBE)
        for index in [np.s_[1:4, 13:57, 5:40], np.s_[:, 69:, :], np.s_[-2:, :3, -1:]]:
            np.testing.assert_array_equal(volume.read_slab(index), CUBE[index])
        assert volume.georeference is None  # and no warning
        assert (volume.wavelengths, volume.no_data, volume.scale_factor, volume.value_units) == (
            None,
        ) * 4
    assert cube_shape(path) == (70, 41, 5)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_types_are_kept(tmp_path, dtype):
    path = save(tmp_path / "a.tif", (CUBE % 200).astype(dtype), nodata=7)
    with open_raster(path) as volume:
        assert volume.read_slab(np.s_[:1, :1, :1]).dtype == dtype
        assert volume.no_data == 7.0


@pytest.mark.parametrize(
    ("crs", "metres"),
    [("EPSG:32633", 1.0), ("EPSG:4326", None), ("EPSG:2263", 0.30480060960121924)],
)
def test_place_on_the_ground(tmp_path, crs, metres):
    transform = rasterio.Affine(20.0, 1.0, 500000.0, 2.0, -10.0, 4.1e6)
    path = save(tmp_path / "a.tif", crs=crs, transform=transform)
    with open_raster(path) as volume:
        found = volume.georeference
    assert rasterio.CRS.from_string(found.crs) == rasterio.CRS.from_string(crs)
    assert found.transform == tuple(transform[:6])
    assert found.metres_per_unit == pytest.approx(metres)
    if metres:
        assert found.pixel_area == pytest.approx(202.0 * metres**2)


def test_grid_without_a_system(tmp_path):
    path = save(tmp_path / "a.tif", transform=rasterio.Affine(0.5, 0, 3, 0, -0.5, 9))
    with open_raster(path) as volume:
        assert volume.georeference.crs is None
        assert volume.georeference.pixel_area is None
        assert volume.georeference.transform == (0.5, 0, 3, 0, -0.5, 9)


NM = [450.0, 550.0, 650.0, 750.0, 850.0]


def describe(pattern):
    return lambda file: [file.set_band_description(i + 1, pattern(nm)) for i, nm in enumerate(NM)]


def tag(**tags):
    return lambda file: [
        file.update_tags(i + 1, **{name: value(nm) for name, value in tags.items()})
        for i, nm in enumerate(NM)
    ]


@pytest.mark.parametrize(
    "edit",
    [
        describe(lambda nm: f"{nm}"),
        describe(lambda nm: f"{nm:g} nm"),
        describe(lambda nm: f"{nm / 1000:g} Micrometers".lower()),
        describe(lambda nm: f"Band {nm // 100:g} ({nm / 1000:g} um)"),
        tag(wavelength=str),
        tag(WAVELENGTH=lambda nm: str(nm / 1000), wavelength_units=lambda _: "Micrometers"),
        lambda file: file.update_tags(wavelength="{" + ", ".join(map(str, NM)) + "}"),
        lambda file: file.update_tags(wavelengths=" ".join(map(str, NM)), wavelength_units="nm"),
    ],
)
def test_wavelengths_from_tags_and_descriptions(tmp_path, edit):
    with open_raster(save(tmp_path / "a.tif", edit=edit)) as volume:
        np.testing.assert_allclose(volume.wavelengths, NM)
        assert volume.notes == ()


@pytest.mark.parametrize(
    "edit",
    [
        describe(lambda nm: f"Band {nm // 100 - 3:g}"),
        describe(lambda nm: f"{nm // 100 - 3:g}"),  # 1, 2, 3, ...: numbers of the bands
        describe(lambda nm: "blue"),
        lambda file: file.set_band_description(1, "450 nm"),
    ],
)
def test_descriptions_that_are_no_wavelengths(tmp_path, edit):
    with open_raster(save(tmp_path / "a.tif", edit=edit)) as volume:
        assert volume.wavelengths is None


def test_wavelengths_out_of_order_or_of_another_number(tmp_path):
    path = save(tmp_path / "a.tif", edit=lambda file: file.update_tags(wavelength="1,2,4,3,5"))
    with open_raster(path) as volume:
        np.testing.assert_array_equal(volume.wavelengths, [1000, 2000, 4000, 3000, 5000])
        assert "does not run in one direction" in volume.notes[0]
    path = save(tmp_path / "b.tif", edit=lambda file: file.update_tags(wavelength="1,2,3"))
    with open_raster(path) as volume:
        assert volume.wavelengths is None
        assert "wavelength not kept, it has 3 values and there are 5 bands" in volume.notes


def set_scales(scales, offsets=(0.0,) * 5):
    def edit(file):
        file.scales, file.offsets, file.units = scales, offsets, ["reflectance"] * 5

    return edit


def test_scales_and_offsets(tmp_path):
    path = save(tmp_path / "a.tif", edit=set_scales([1e-4] * 5))
    with open_raster(path) as volume:
        assert (volume.scale_factor, volume.value_units) == (1e-4, "reflectance")
        np.testing.assert_array_equal(volume.read_slab(WHOLE), CUBE)  # as stored
    scales, offsets = [1e-4] * 4 + [1.0], [0.0] * 4 + [3.0]
    cube = ingest(save(tmp_path / "b.tif", edit=set_scales(scales, offsets)), tmp_path / "b.zarr")
    expected = CUBE.transpose(1, 2, 0) * np.array(scales) + np.array(offsets)
    np.testing.assert_allclose(cube.array.read().result(), expected, rtol=1e-6)
    path = save(tmp_path / "c.tif", edit=set_scales([2.75e-5] * 5, [-0.2] * 5))
    with open_raster(path) as volume:
        assert (volume.scale_factor, volume.offset) == (2.75e-5, -0.2)


@pytest.mark.parametrize("profile", LAYOUTS[:5])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.95])
def test_truncated_files_are_refused_before_reading(tmp_path, profile, kept):
    path = save(tmp_path / "a.tif", **profile)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ValueError, match=r"a\.tif .*truncated.*copy"):
        open_raster(path).__enter__()


def test_damage_in_the_middle(tmp_path):
    path = save(tmp_path / "a.tif", compress="deflate", interleave="band")
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 400] = b"\xff" * 400
    path.write_bytes(raw)
    with open_raster(path) as volume, pytest.raises(ValueError, match=r"a\.tif cannot be read"):
        volume.read_slab(WHOLE)


def test_other_content_and_options(tmp_path):
    path = tmp_path / "a.tif"
    path.write_text("this is text, " * 99)
    with pytest.raises(ValueError, match=r"a\.tif cannot be read as a TIFF"):
        raster_shapes(path)
    with pytest.raises(ValueError, match="drop --key x"):
        open_raster(save(path), key="x").__enter__()
    path = save(tmp_path / "c.tif", CUBE.astype(np.complex64))
    with pytest.raises(ValueError, match=r"c\.tif holds complex64 values"):
        open_raster(path).__enter__()


def test_single_bands_are_left_for_labels(tmp_path):
    path = save(tmp_path / "labels.tif", CUBE[:1])
    assert raster_shapes(path) == {"": (70, 41)}
    assert raster_shapes(save(tmp_path / "cube.tif")) == {"": (5, 70, 41)}
    assert [path.name for path in readable_files(tmp_path)] == ["cube.tif", "labels.tif"]


def test_without_rasterio_says_what_to_install(tmp_path, monkeypatch):
    path = save(tmp_path / "a.tif")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxhsi\[io\]'"):
        raster_shapes(path)
