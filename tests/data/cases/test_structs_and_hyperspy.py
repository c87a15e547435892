"""Cubes in MATLAB structs and in the files of HyperSpy."""

import h5py
import numpy as np
import pytest
import scipy.io

from jaxhsi.data.formats.mat import load_mat, mat_shapes, mat_tree_shapes
from tests.data.cases.scenes import check_ingest, scene, wavelengths

CUBE, WAVES = scene(), wavelengths(12)


def save_struct_v5(path):
    info = {"wavelength": WAVES[:, None], "description": "CASI"}
    hsi = {
        **{"Data": CUBE.astype(float), "RGB": CUBE[..., :3].astype(float), "info": info},
        "valid_mask": np.ones((24, 20), np.uint8),
        "names": np.array(["trees", "grass"], object),
    }
    scipy.io.savemat(path, {"hsi": hsi})
    return path


def save_struct_v73(path):
    with h5py.File(path, "w", userblock_size=512) as file:
        file["hsi/Data"], file["hsi/RGB"] = CUBE.T, CUBE[..., :3].T
        file["hsi/info/wavelength"] = WAVES[None]
        file["hsi/valid_mask"] = np.ones((20, 24), np.uint8)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")
    return path


@pytest.mark.parametrize("save", [save_struct_v5, save_struct_v73])
@pytest.mark.parametrize("key", [None, "hsi/Data", "hsi.Data", "Data"])
def test_structs(tmp_path, save, key):
    path = save(tmp_path / "a.mat")
    check_ingest(path, CUBE, waves=WAVES, key=key)
    assert mat_shapes(path) == {}  # no variable is an array itself
    assert mat_tree_shapes(path)["hsi/info/wavelength"] in ((12, 1), (12,))
    np.testing.assert_array_equal(load_mat(path, "hsi/valid_mask"), np.ones((24, 20)))


@pytest.mark.parametrize("suffix", ["hspy", "h5"])
@pytest.mark.parametrize("axis_name", ["Wavelength", "Energy", ""])
@pytest.mark.parametrize("uniform", [True, False])
def test_axes_of_hyperspy(tmp_path, suffix, axis_name, uniform):
    path = tmp_path / f"a.{suffix}"
    with h5py.File(path, "w") as file:
        group = file.create_group("Experiments/map")
        group["data"] = CUBE
        axes = (
            ("y", 24, 0.5, 0.0, "um", True),
            ("x", 20, 0.5, 0.0, "um", True),
            (axis_name, 12, 4.0, 400.0, "nm", False),
        )
        for i, (name, size, scale, offset, units, navigate) in enumerate(axes):
            axis = group.create_group(f"axis-{i}")
            axis.attrs.update({"name": name, "size": size, "units": units, "navigate": navigate})
            if navigate or uniform:
                axis.attrs.update({"scale": scale, "offset": offset})
            else:
                axis["axis"] = offset + scale * np.arange(size)
    cube = check_ingest(path, CUBE, waves=400 + 4.0 * np.arange(12))
    assert cube.georeference.crs is None
    assert cube.georeference.pixel_area == pytest.approx(0.25e-12)  # 0.5 um pixels


def save_icvl(path, bands):
    """As the data set of ICVL is delivered: rad, rgb and bands, in version 7.3."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file["rad"], file["rgb"] = CUBE.T, CUBE[..., :3].T
        file["bands"] = np.asarray(bands, np.float64)[:, None]
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")
    return path


def test_bands_of_icvl_are_wavelengths(tmp_path):
    waves = np.linspace(400, 700, 12)
    check_ingest(save_icvl(tmp_path / "a.mat", waves), CUBE, waves=waves)


@pytest.mark.parametrize("bands", [np.arange(3, 15) * 2, np.r_[400:406, 300:306]])
def test_other_vectors_called_bands_are_none(tmp_path, bands):
    check_ingest(save_icvl(tmp_path / "a.mat", bands), CUBE, layout="hwc")


@pytest.mark.parametrize("name", ["valid_mask", "validMask", "is_valid"])
def test_a_mask_beside_the_cube_is_applied(tmp_path, name):
    valid = np.ones((24, 20), bool)
    valid[3:6, 4:9] = False
    arrays = {"cube": CUBE, "wavelengths": WAVES, name: valid.astype(np.uint8)}
    scipy.io.savemat(tmp_path / "a.mat", arrays)
    cube = check_ingest(tmp_path / "a.mat", CUBE, waves=WAVES, valid=valid)
    assert f"pixels where {name} is 0 are not valid" in cube.history


def test_a_mask_without_a_meaning_is_told(tmp_path):
    arrays = {"cube": CUBE, "wavelengths": WAVES, "mask": np.ones((24, 20), np.uint8)}
    scipy.io.savemat(tmp_path / "a.mat", arrays)
    cube = check_ingest(tmp_path / "a.mat", CUBE, waves=WAVES)
    assert any("mask: not applied" in line for line in cube.history)
