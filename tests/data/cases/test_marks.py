"""Missing values, scale and offset under the names that products use."""

import numpy as np
import pytest

from tests.data.cases.scenes import check_ingest, counts, from_counts, save_hdf5, scene, wavelengths
from tests.helpers.netcdf import save_netcdf3, save_netcdf4

WAVES = wavelengths(12)
STORED = counts(scene())
STORED[:, 14:] = -9999
VALID = np.arange(20)[None, :].repeat(24, 0) < 14


@pytest.mark.parametrize(
    "mark",
    [
        *("Data_Ignore_Value", "_FillValue", "missing_value", "NoData", "NODATA_VALUE"),
        *("no data value", "FillValue", "nodata"),
    ],
)
@pytest.mark.parametrize("value", [np.float64(-9999), np.array([-9999], np.int16), "-9999"])
def test_missing_values(tmp_path, mark, value):
    arrays = {"cube": STORED, "wavelength": WAVES}
    path = save_hdf5(tmp_path / "a.h5", arrays, {"cube": {mark: value}})
    check_ingest(path, STORED.astype(np.float32), valid=VALID, waves=WAVES)


@pytest.mark.parametrize(
    "scale",
    [
        {"Scale_Factor": 10000.0},  # NEON: to divide by
        {"scale_factor": 1e-4},  # CF: to multiply by
        {"Reflectance Scale Factor": 10000},
        {"ScaleFactor": "0.0001"},
        {"slope": 1e-4, "intercept": 0.0},
    ],
)
def test_scales_that_divide_and_that_multiply(tmp_path, scale):
    attributes = {"cube": {"_FillValue": -9999, **scale}}
    path = save_hdf5(tmp_path / "a.h5", {"cube": STORED, "wavelength": WAVES}, attributes)
    check_ingest(path, from_counts(STORED), valid=VALID, waves=WAVES)
    raw = tmp_path / "raw"
    raw.mkdir()
    stored = save_hdf5(raw / "a.h5", {"cube": STORED, "wavelength": WAVES}, attributes)
    check_ingest(stored, STORED.astype(np.float32), valid=VALID, waves=WAVES, raw=True)


@pytest.mark.parametrize("save", [save_netcdf3, save_netcdf4])
def test_offset(tmp_path, save):
    axes, marks = ["y", "x", "band"], {"scale_factor": 1e-4, "add_offset": 0.25}
    path = save(tmp_path / "a.nc", STORED, axes, _FillValue=np.int16(-9999), **marks)
    check_ingest(path, from_counts(STORED) + 0.25, valid=VALID)


def test_two_marks_of_missing_values(tmp_path):
    stored, valid = STORED.copy(), VALID.copy()
    stored[:3], valid[:3] = -1, False
    attributes = {"cube": {"_FillValue": -9999, "missing_value": -1}}
    path = save_hdf5(tmp_path / "a.h5", {"cube": stored, "wavelength": WAVES}, attributes)
    check_ingest(path, stored.astype(np.float32), valid=valid, waves=WAVES)


def test_marks_beside_the_cube(tmp_path):
    arrays = {"p/cube": STORED, "p/wavelength": WAVES, "p/scale_factor": 10000.0}
    path = save_hdf5(tmp_path / "a.h5", arrays, {"p": {"nodata": -9999, "gain": 2.0}})
    check_ingest(path, from_counts(STORED), valid=VALID, waves=WAVES)


def test_marks_that_are_not_used_are_told(tmp_path):
    attributes = {"cube": {"saturation_offset": 3.0, "gain": 4.0, "valid_range": [0, 10000]}}
    path = save_hdf5(tmp_path / "a.h5", {"cube": counts(scene()), "wavelength": WAVES}, attributes)
    cube = check_ingest(path, counts(scene()).astype(np.float32), waves=WAVES)
    [line] = [line for line in cube.history if "not used" in line]
    assert all(name in line for name in ("saturation_offset = 3.0", "gain = 4.0", "valid_range"))


BAND_SCALES, BAND_OFFSETS = np.linspace(1e-4, 3e-4, 12), np.linspace(0, 0.2, 12)


@pytest.mark.parametrize("as_arrays", [False, True])
def test_one_factor_a_band(tmp_path, as_arrays):
    stored = counts(scene())
    arrays = {"cube": stored, "wavelength": wavelengths(12)}
    marks = {"scale_factor": BAND_SCALES} if as_arrays else {}
    attributes = {} if as_arrays else {"scale_factor": BAND_SCALES, "add_offset": BAND_OFFSETS}
    path = save_hdf5(tmp_path / "a.h5", arrays | marks, {"cube": attributes})
    expected = stored * BAND_SCALES + (0 if as_arrays else BAND_OFFSETS)
    check_ingest(path, expected, waves=wavelengths(12))


def test_factors_of_another_number_than_bands_are_told(tmp_path):
    arrays = {"cube": counts(scene()), "wavelength": wavelengths(12)}
    attributes = {"cube": {"scale_factor": BAND_SCALES[:5]}}
    path = save_hdf5(tmp_path / "a.h5", arrays, attributes)
    cube = check_ingest(path, arrays["cube"].astype(np.float32), waves=wavelengths(12))
    assert any("scale_factor = a list" in line for line in cube.history)


@pytest.mark.parametrize("fill_value", [-1, 65535])
def test_integers_that_netcdf_calls_unsigned(tmp_path, fill_value):
    values = counts(scene()).astype(np.uint16) + 40_000
    values[2, 3] = 65535
    valid = np.ones((24, 20), bool)
    valid[2, 3] = False
    attributes = {"_Unsigned": "true", "_FillValue": fill_value}
    arrays = {"cube": values.view(np.int16), "wavelength": wavelengths(12)}
    path = save_hdf5(tmp_path / "a.h5", arrays, {"cube": attributes})
    check_ingest(path, values.astype(np.float32), waves=wavelengths(12), valid=valid)


def test_several_missing_values(tmp_path):
    values = counts(scene())
    values[0], values[1] = -9999, -8888
    valid = np.arange(24)[:, None].repeat(20, 1) > 1
    attributes = {"missing_value": np.array([-9999, -8888], np.int16)}
    arrays = {"cube": values, "wavelength": wavelengths(12)}
    path = save_hdf5(tmp_path / "a.h5", arrays, {"cube": attributes})
    check_ingest(path, values.astype(np.float32), waves=wavelengths(12), valid=valid)


def test_valid_ranges_are_told(tmp_path):
    arrays = {"cube": scene(), "wavelength": wavelengths(12)}
    path = save_hdf5(tmp_path / "a.h5", arrays, {"cube": {"valid_min": 0, "valid_max": 1}})
    cube = check_ingest(path, scene(), waves=wavelengths(12))
    assert any("not used: valid_max = 1, valid_min = 0" in line for line in cube.history)
