"""Axes by evidence: names, wavelengths, and lengths only where they leave no doubt."""

import numpy as np
import pytest
import scipy.io

from jaxhsi.data.ingest.pipeline import ingest
from jaxhsi.ingest import main
from tests.data.cases.scenes import check_ingest, save_hdf5, scene, wavelengths
from tests.helpers.netcdf import save_netcdf3, save_netcdf4

CUBE, WAVES = scene(), wavelengths(12)
FRAMES = CUBE.transpose(0, 2, 1)  # lines x bands x samples, as a push-broom camera records


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (0, 2, 1)])
def test_wavelengths_that_fit_one_axis_decide(tmp_path, order):
    stored = CUBE.transpose(order)
    arrays = {"recording/frames": stored, "recording/wavelength": WAVES}
    units = {"recording/wavelength": {"units": "nm"}}
    check_ingest(save_hdf5(tmp_path / "a.h5", arrays, units), CUBE, waves=WAVES)
    scipy.io.savemat(tmp_path / "a.mat", {"frames": stored, "wl": WAVES[:, None]})
    check_ingest(tmp_path / "a.mat", CUBE, waves=WAVES)


def test_wavelengths_that_fit_two_axes_do_not_decide(tmp_path):
    square = scene(12, 20, 12)
    path = save_hdf5(tmp_path / "a.h5", {"cube": square, "wavelength": WAVES})
    with pytest.raises(ValueError, match=r"--layout hwc .*--layout chw .* or --layout hcw"):
        ingest(path, tmp_path / "a.zarr")
    check_ingest(path, square, waves=WAVES, layout="hwc")


def test_wavelengths_that_fit_no_axis_are_told(tmp_path):
    path = save_hdf5(tmp_path / "a.h5", {"cube": CUBE, "wavelength": WAVES[:7]})
    cube = check_ingest(path, CUBE)
    assert any("wavelength (7 values) fits no axis" in line for line in cube.history)
    assert any("no wavelengths in the file" in line for line in cube.history)


@pytest.mark.parametrize("save", [save_netcdf3, save_netcdf4])
@pytest.mark.parametrize(
    "names",
    [
        ("y", "x", "wavelength"),
        ("downtrack", "crosstrack", "bands"),
        ("number_of_lines", "pixels_per_line", "wavelength_3d"),
        ("latitude", "longitude", "spectral_channel"),
        ("nRows", "nCols", "nBands"),
    ],
)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (0, 2, 1), (1, 0, 2), (2, 1, 0)])
def test_names_of_axes_come_first(tmp_path, save, names, order):
    axes = [names[axis] for axis in order]
    check_ingest(save(tmp_path / "a.nc", CUBE.transpose(order), axes), CUBE)


def test_names_in_an_attribute_of_the_cube(tmp_path):
    labels = {"cube": {"Dimension_Labels": "Line, Wavelength, Sample"}}
    check_ingest(save_hdf5(tmp_path / "a.h5", {"cube": FRAMES}, labels), CUBE)


def test_axes_of_length_one_are_left_out(tmp_path):
    stored = CUBE.transpose(2, 0, 1)[None]
    path = save_netcdf4(tmp_path / "a.nc", stored, ["time", "band", "lat", "lon"])
    cube = check_ingest(path, CUBE)
    assert "axes of length one of (1, 12, 24, 20) left out" in cube.history
    np.save(tmp_path / "b.npy", CUBE[..., None])
    check_ingest(tmp_path / "b.npy", CUBE)


@pytest.mark.parametrize("shape", [(63, 60, 70), (30, 48, 24), (48, 48, 32), (50, 160, 55)])
def test_lengths_alone_leave_doubt(tmp_path, shape, capsys):
    frames = scene(*shape).transpose(0, 2, 1)
    np.save(tmp_path / "a.npy", frames)
    assert main([str(tmp_path / "a.npy"), str(tmp_path / "a.zarr")]) == 1
    assert "--layout hcw" in capsys.readouterr().err
    assert main([str(tmp_path / "a.npy"), str(tmp_path / "a.zarr"), "--layout", "hcw"]) == 0
    check_ingest(tmp_path / "a.npy", scene(*shape), layout="hcw")


@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ((24, 77, 30), (0, 2, 1)),  # lines x bands x samples, which looks like bands last
        ((20, 77, 72), (0, 1, 2)),  # few lines, which looks like bands first
    ],
)
def test_values_speak_against_lengths(tmp_path, shape, order):
    cube = scene(*shape)
    np.save(tmp_path / "a.npy", cube.transpose(order))
    with pytest.raises(ValueError, match=r"by its values rather axis [12] than axis"):
        ingest(tmp_path / "a.npy", tmp_path / "a.zarr")


def test_an_array_among_others(tmp_path):
    arrays = {
        "cube": FRAMES,
        "quality": np.zeros((24, 20, 3), np.uint8),
        "rgb": CUBE[..., :3],
        "wavelength": WAVES,
    }
    cube = check_ingest(save_hdf5(tmp_path / "a.h5", arrays), CUBE, waves=WAVES)
    assert any("quality (24, 20, 3), rgb (24, 20, 3)" in line for line in cube.history)
