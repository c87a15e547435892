"""Bands and pixels without measurements: left out or told, never a void cube without a word."""

import numpy as np
import pytest

from jaxhsi.data.cube import open_cube
from jaxhsi.data.ingest import empty_bands
from jaxhsi.data.ingest.options import IngestOptions
from jaxhsi.data.ingest.pipeline import ingest, plan_ingest
from jaxhsi.data.open import open_cubes
from jaxhsi.ingest import main
from tests.data.cases.scenes import check_ingest, counts, save_hdf5, scene, wavelengths

CUBE, WAVES = scene(), wavelengths(12)
KEPT = np.delete(np.arange(12), [5, 6])


def with_empty_bands(missing, dtype=np.float32) -> np.ndarray:
    stored = (CUBE if dtype == np.float32 else counts(CUBE)).astype(dtype)
    stored[..., [5, 6]] = missing
    stored[:4] = missing  # outside of the swath
    return stored


@pytest.mark.parametrize(("missing", "dtype"), [(np.nan, np.float32), (-32768, np.int16)])
@pytest.mark.parametrize("sampled", [True, False])
def test_empty_bands_are_left_out(tmp_path, missing, dtype, sampled, monkeypatch):
    if not sampled:  # the sample sees nothing, the copy does
        monkeypatch.setattr(empty_bands, "MIN_SAMPLE_PIXELS", 10**9)
        monkeypatch.setattr(empty_bands, "sample_windows", lambda shape: ())
    stored = with_empty_bands(missing, dtype)
    marks = {"cube": {"_FillValue": missing}} if dtype == np.int16 else {}
    path = save_hdf5(tmp_path / "a.h5", {"cube": stored, "wavelength": WAVES}, marks)
    valid = np.arange(24)[:, None].repeat(20, 1) >= 4
    expected = stored[..., KEPT].astype(np.float32)
    cube = check_ingest(path, expected, waves=WAVES[KEPT], valid=valid)
    line = "bands without measurements in (nearly) all pixels: 5-6, dropped"
    assert line in cube.history


def test_share_of_valid_pixels_and_exit_code(tmp_path, capsys):
    path = save_hdf5(tmp_path / "a.h5", {"cube": with_empty_bands(np.nan), "wavelength": WAVES})
    assert main([str(path), str(tmp_path / "a.zarr")]) == 0
    assert "24 x 20 x 10 float32, 83.3 % valid pixels" in capsys.readouterr().out
    assert main([str(path), str(tmp_path / "b.zarr"), "--keep_bands"]) == 1
    error = capsys.readouterr().err
    assert "no pixel has a value in every band" in error
    assert "drop --keep_bands" in error
    assert not (tmp_path / "b.zarr").exists()


def test_no_valid_pixel_at_all(tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.full((24, 20, 12), np.nan, np.float32))
    arguments = [str(tmp_path / "a.npy"), str(tmp_path / "a.zarr"), "--layout", "hwc"]
    assert main(arguments) == 1
    assert "every pixel holds the no-data value, NaN or an infinity" in capsys.readouterr().err


def test_bands_that_miss_many_pixels_are_named(tmp_path, caplog):
    stored = CUBE.copy()
    stored[:, 6:, 7] = np.nan
    path = save_hdf5(tmp_path / "a.h5", {"cube": stored, "wavelength": WAVES})
    with caplog.at_level("WARNING"):
        cube = ingest(path, tmp_path / "a.zarr")
    assert "bands 7 are missing in up to 70.0% of the pixels" in caplog.text
    assert "--bad_bands '7'" in cube.history[-1]
    main([str(path), str(tmp_path / "b.zarr"), "--bad_bands", "7"])
    assert open_cube(tmp_path / "b.zarr").statistics["valid"] == 24 * 20


@pytest.mark.parametrize("fill", [-9999.0, 0.0, -0.01])
def test_an_undeclared_border_is_told_with_the_option_that_helps(tmp_path, fill, capsys):
    border = np.arange(20)[None, :].repeat(24, 0) < 5
    stored = CUBE.copy()
    stored[border] = fill
    path = save_hdf5(tmp_path / "a.h5", {"cube": stored, "wavelength": WAVES})
    assert main([str(path), str(tmp_path / "a.zarr")]) == 0
    said = capsys.readouterr().err
    option = f"--no_data {fill:g}"
    assert f"25.0% of the pixels hold {fill:g} in every band" in said
    assert option in said
    assert main([str(path), str(tmp_path / "b.zarr"), *option.split()]) == 0
    assert open_cube(tmp_path / "b.zarr").statistics["valid"] == 24 * 15


def test_constant_bands_are_told_and_kept(tmp_path, caplog):
    stored = CUBE.copy()
    stored[..., [0, 1]] = -0.01
    path = save_hdf5(tmp_path / "a.h5", {"cube": stored, "wavelength": WAVES})
    check_ingest(path, stored, waves=WAVES)
    assert "bands 0-1 hold one value (-0.01) in all pixels; --bad_bands '0-1'" in caplog.text


def test_a_copy_that_is_used_again_tells_what_is_odd_in_it(tmp_path, caplog):
    stored = CUBE.copy()
    stored[:6] = 0
    path = save_hdf5(tmp_path / "a.h5", {"cube": stored, "wavelength": WAVES})
    for _ in range(2):
        caplog.clear()
        open_cubes(path, cache_folder=tmp_path / "cache")
        assert caplog.text.count("25.0% of the pixels hold 0 in every band") == 1
    [cube] = open_cubes(path, cache_folder=tmp_path / "cache", no_data=0.0)
    assert cube.statistics["valid"] == 18 * 20


def test_bands_of_a_run_are_chosen_by_their_wavelengths(tmp_path):
    path = save_hdf5(tmp_path / "a.h5", {"cube": CUBE, "wavelength": WAVES})
    wanted = tuple((WAVES[KEPT] + 3.0).tolist())
    check_ingest(path, CUBE[..., KEPT], waves=WAVES[KEPT], matching_wavelengths=wanted)
    options = IngestOptions(matching_wavelengths=(*wanted, 3000.0))
    with pytest.raises(ValueError, match=r"no band of its own at each wavelength \(3000 nm\)"):
        plan_ingest(path, tmp_path / "b.zarr", options=options)
    empty = save_hdf5(tmp_path / "b.h5", {"cube": with_empty_bands(np.nan), "wavelength": WAVES})
    options = IngestOptions(matching_wavelengths=tuple(WAVES.tolist()))
    with pytest.raises(ValueError, match="bands 5-6 are asked for and left out: bands without"):
        plan_ingest(empty, tmp_path / "b.zarr", options=options)
