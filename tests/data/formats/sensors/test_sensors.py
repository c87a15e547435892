"""Products that are recognised by name: built after their guides, with right values."""

import h5py
import numpy as np
import pytest
import rasterio

from jaxhsi.data.formats.sensors import SENSORS
from jaxhsi.data.ingest.options import IngestOptions
from jaxhsi.data.ingest.pipeline import ingest
from jaxhsi.data.windows import read_window
from tests.data.cases.scenes import (
    check_ingest,
    from_counts,
    save_hdf5,
    scene,
    wavelengths,
)
from tests.helpers.sensor_products import CUBE, STORED, WAVES, save_prisma


def test_prisma_joins_its_detectors(tmp_path):
    scales = {"L2ScaleVnirMin": 0.0, "L2ScaleVnirMax": 1.0, "L2ScaleSwirMin": 0.0}
    place = {"Epsg_Code": 32632, "Product_ULcorner_easting": 500015.0}
    place |= {"Product_ULcorner_northing": 4999985.0, "Product_LRcorner_easting": 500585.0}
    place |= {"Product_LRcorner_northing": 4999295.0}
    path = save_prisma(tmp_path / "PRS_L2D_STD.he5", **scales, L2ScaleSwirMax=0.5, **place)
    bands = np.sort([*range(1, 10), *range(7, 16)])  # 7, 8 and 9 of both detectors
    expected = (np.round(CUBE * 65535) / 65535)[..., bands].astype(np.float32)
    is_swir = np.array([bands[:i].tolist().count(b) for i, b in enumerate(bands)]) > 0
    is_swir |= bands > 9
    expected[..., is_swir] *= 0.5
    cube = check_ingest(path, expected, waves=WAVES[bands])
    assert cube.georeference.crs == "EPSG:32632"
    assert cube.georeference.transform == (30.0, 0.0, 500000.0, 0.0, -30.0, 5000000.0)
    assert (cube.units, cube.history[1]) == ("reflectance", "recognised as a product of PRISMA")


def test_prisma_radiance_has_factors_of_its_own(tmp_path):
    factors = {"ScaleFactor_Vnir": 100.0, "ScaleFactor_Swir": 100.0, "Offset_Vnir": 2.0}
    path = save_prisma(tmp_path / "PRS_L1_STD.he5", "1", **factors)
    cube = ingest(path, tmp_path / "a.zarr")
    values = cube.array.read().result()
    first = np.round(CUBE[..., 1] * 65535) / 100 - 2
    np.testing.assert_allclose(values[..., 0], first, rtol=1e-5)
    np.testing.assert_allclose(values[..., -1], np.round(CUBE[..., -1] * 65535) / 100, rtol=1e-5)
    assert (cube.units, cube.georeference) == ("radiance", None)
    assert any("place on the ground not kept" in line for line in cube.history)


@pytest.mark.parametrize(
    ("level", "kind", "flags", "num_missing"),
    [("1", "SAT", (1, 2, 3, 4), 3), ("2C", "L2", (1, 2, 3, 4), 4)],
)
def test_prisma_error_matrices(tmp_path, level, kind, flags, num_missing):
    path = save_prisma(tmp_path / "PRS.he5", level)
    group = f"HDFEOS/SWATHS/PRS_L{level}_HCO/Data Fields"
    errors = np.zeros((24, 9, 20), np.uint8)
    for row, flag in enumerate(flags):
        errors[row, 4, 7] = flag
    with h5py.File(path, "a") as file:
        del file[f"{group}/VNIR_PIXEL_L2_ERR_MATRIX"]
        file[f"{group}/SWIR_PIXEL_{kind}_ERR_MATRIX"] = errors
        file[f"{group}/VNIR_Cube"][10, :, 3] = 0
        file[f"{group}/SWIR_Cube"][10, :, 3] = 0  # padding around the scene
        file[f"{group}/SWIR_Cube"][12, :, 3] = 0  # no light in the SWIR is a measurement
    cube = ingest(path, tmp_path / "a.zarr")
    _, valid = read_window(cube, 0, 0, *cube.shape[:2])
    expected = np.ones((24, 20), bool)
    expected[:4, 7] = [flag not in (1, 2, 4) if level == "1" else False for flag in flags]
    expected[10, 3] = False
    np.testing.assert_array_equal(valid, expected)
    assert (~valid).sum() == num_missing + 1
    cube = ingest(path, tmp_path / "b.zarr", options=IngestOptions(no_data=7.0))
    np.testing.assert_array_equal(read_window(cube, 0, 0, *cube.shape[:2])[1], expected)
    assert any("error matrix flags" in line for line in cube.history)


def save_emit(path):
    arrays = {
        "reflectance": CUBE,
        "sensor_band_parameters/wavelengths": WAVES,
        "sensor_band_parameters/fwhm": np.full(16, 8.4),
        "sensor_band_parameters/good_wavelengths": (np.arange(16) != 9).astype(float),
        "location/lat": np.zeros((24, 20)),
        "location/lon": np.zeros((24, 20)),
        "location/glt_x": TABLE[1] + 1,
        "location/glt_y": TABLE[0] + 1,
    }
    root = {"geotransform": [-117.0, 0.5, 0, 34.0, 0, -0.5], "spatial_ref": 'GEOGCS["WGS 84"]'}
    return save_hdf5(path, arrays, {"": root, "reflectance": {"_FillValue": np.float32(-9999)}})


# The map is the cube turned by a quarter, with a margin of one pixel without source.
TABLE = np.pad(
    np.indices((24, 20)).transpose(0, 2, 1), ((0, 0), (1, 1), (1, 1)), constant_values=-1
)


def test_emit_in_sensor_geometry_and_on_the_map(tmp_path):
    path = save_emit(tmp_path / "EMIT_L2A_RFL_001_x.nc")
    good = np.delete(np.arange(16), 9)
    cube = check_ingest(path, CUBE[..., good], waves=WAVES[good])
    assert cube.georeference is None
    assert any("--orthorectify" in line for line in cube.history)
    (tmp_path / "map").mkdir()
    path = save_emit(tmp_path / "map" / path.name)
    valid = np.zeros((22, 26), bool)
    valid[1:-1, 1:-1] = True
    on_map = np.zeros((22, 26, 15), np.float32)
    on_map[1:-1, 1:-1] = CUBE.transpose(1, 0, 2)[..., good]
    cube = check_ingest(path, on_map, waves=WAVES[good], valid=valid, orthorectify=True)
    assert cube.georeference.transform == (0.5, 0.0, -117.0, 0.0, -0.5, 34.0)
    np.save(tmp_path / "a.npy", CUBE)
    options = IngestOptions(orthorectify=True)
    with pytest.raises(ValueError, match=r"no geolocation table; drop --orthorectify"):
        ingest(tmp_path / "a.npy", tmp_path / "a.zarr", layout="hwc", options=options)


def test_neon(tmp_path):
    data, meta = "SERC/Reflectance/Reflectance_Data", "SERC/Reflectance/Metadata"
    place = "UTM, 1.000, 1.000, 368000.00, 4307000.0, 1.0, 1.0, 18, North, WGS-84, units=Meters, 0"
    arrays = {
        data: STORED,
        f"{meta}/Ancillary_Imagery/Weather_Quality_Indicator": np.zeros((24, 20, 3), np.uint8),
        f"{meta}/Coordinate_System/Map_Info": place,
        f"{meta}/Coordinate_System/EPSG Code": "32618",
        f"{meta}/Spectral_Data/Wavelength": WAVES,
        f"{meta}/Spectral_Data/FWHM": np.full(16, 5.8),
    }
    attributes = {"Data_Ignore_Value": -9999.0, "Scale_Factor": 10000.0}
    attributes |= {"Dimension_Labels": "Line, Sample, Wavelength", "Interleave": "BSQ"}
    attributes |= {"Band_Window_1_Nanometers": np.array([1340.0, 1445.0])}
    path = save_hdf5(tmp_path / "NEON.h5", arrays, {data: attributes})
    cube = check_ingest(path, from_counts(STORED), waves=WAVES)
    assert cube.georeference.crs == "EPSG:32618"
    assert any("--bad_bands '1340-1445nm'" in line for line in cube.history)


def test_tanager(tmp_path):
    key = "HDFEOS/GRIDS/HYP/Data Fields/surface_reflectance"
    structure = "UpperLeftPointMtrs=(500000.0,5000000.0)\nLowerRightMtrs=(500600.0,4999280.0)\n"
    good = (np.arange(16) != 3).astype(np.uint8)
    arrays = {key: CUBE.transpose(2, 0, 1)}
    arrays |= {"HDFEOS INFORMATION/StructMetadata.0": structure + "ZoneCode=32\n"}
    attributes = {"wavelengths": WAVES, "fwhm": np.full(16, 5.0), "good_wavelengths": good}
    path = save_hdf5(tmp_path / "a_ortho_sr_hdf5.h5", arrays, {key: attributes})
    kept = np.delete(np.arange(16), 3)
    cube = check_ingest(path, CUBE[..., kept], waves=WAVES[kept])
    assert cube.georeference.crs == "EPSG:32632"
    assert cube.georeference.transform == (30.0, 0.0, 500000.0, 0.0, -30.0, 5000000.0)


def test_pace_oci_level_1b(tmp_path):
    parts = {"blue": slice(0, 6), "red": slice(5, 12), "SWIR": slice(12, 16)}
    arrays = {
        f"observation_data/rhot_{n}": CUBE[..., s].transpose(2, 0, 1) for n, s in parts.items()
    }
    arrays |= {f"sensor_band_parameters/{n}_wavelength": WAVES[s] for n, s in parts.items()}
    arrays |= {f"geolocation_data/{n}": np.zeros((24, 20)) for n in ("latitude", "longitude")}
    bands = np.sort([*range(16), 5])
    path = save_hdf5(tmp_path / "PACE_OCI.20240601T000000.L1B.V3.nc", arrays)
    check_ingest(path, CUBE[..., bands], waves=WAVES[bands])


@pytest.mark.parametrize(
    ("prefix", "band"),
    [
        ("ENMAP01-____L2A-DT0000051064", "bandID"),
        ("DESIS-HSI-L2A-DT0485529167_001", "band"),
    ],
)
@pytest.mark.parametrize("offset", [0.0, 0.25])
def test_metadata_beside_a_tiff(tmp_path, prefix, band, offset):
    stored = STORED.copy()
    stored[..., 8] = -32768  # water vapour
    stored[:5] = -32768
    path = tmp_path / f"{prefix}-SPECTRAL_IMAGE.TIF"
    profile = {"driver": "GTiff", "height": 24, "width": 20, "count": 16, "dtype": "int16"}
    profile |= {"crs": "EPSG:32632", "transform": rasterio.Affine(30, 0, 5e5, 0, -30, 5e6)}
    with rasterio.open(path, "w", nodata=-32768, **profile) as file:
        file.write(stored.transpose(2, 0, 1))
    tags = "wavelengthCenterOfBand", "gainOfBand", "offsetOfBand"
    rows = "".join(
        f"<{band}><{tags[0]}>{nm}</{tags[0]}><{tags[1]}>0.0001</{tags[1]}>"
        f"<{tags[2]}>{offset}</{tags[2]}></{band}>"
        for nm in WAVES
    )
    xml = f"<level_X><specific><bands>{rows}</bands></specific></level_X>"
    (tmp_path / f"{prefix}-METADATA.XML").write_text(xml)
    kept, valid = np.delete(np.arange(16), 8), np.arange(24)[:, None].repeat(20, 1) >= 5
    expected = from_counts(stored[..., kept]) + np.float32(offset)
    cube = check_ingest(path, expected, waves=WAVES[kept], valid=valid)
    assert (cube.georeference.crs, cube.units) == ("EPSG:32632", "reflectance")


def save_envi(path, values):
    values.transpose(0, 2, 1).tofile(path)
    lines, samples, bands = values.shape
    code = {"float32": 4, "int16": 2}[values.dtype.name]
    fields = f"lines = {lines}\nsamples = {samples}\nbands = {bands}\ndata type = {code}\n"
    fields += "interleave = bil\nbyte order = 0\nheader offset = 0\nwavelength units = nm\n"
    waves = ", ".join(str(nm) for nm in wavelengths(bands))
    header = path.with_name(f"{path.name}.hdr")
    header.write_text(f"ENVI\n{fields}wavelength = {{{waves}}}\n")
    return path


@pytest.mark.parametrize("name", ["f130503t01p00r11_rfl_img", "ang20190706t235120_rfl_v2_img"])
def test_aviris_marks_missing_pixels_by_its_guide(tmp_path, name):
    values = CUBE.copy()
    values[:, :6] = -9999
    valid = np.arange(20)[None, :].repeat(24, 0) >= 6
    cube = check_ingest(save_envi(tmp_path / name, values), values, waves=WAVES, valid=valid)
    assert "-9999 taken for missing, as its guide says" in cube.history[2]


def test_hyperion_leaves_out_bands_that_are_not_calibrated(tmp_path):
    values = scene(24, 20, 242)
    path = save_envi(tmp_path / "EO1H0280342016290110K7.L1R", values)
    kept = np.r_[7:57, 76:224]
    check_ingest(path, values[..., kept], waves=wavelengths(242)[kept])


def test_every_sensor_cites_its_guide():
    assert len({sensor.name for sensor in SENSORS}) == len(SENSORS)
    assert all(len(sensor.guide) > 10 for sensor in SENSORS)
