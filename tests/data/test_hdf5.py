"""HDF5 and NetCDF: the cube among the arrays, its wavelengths and attributes, damaged files."""

import os
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from jaxhsi.data.formats import cube_shape, file_format
from jaxhsi.data.formats.hdf5 import hdf5_shapes, open_hdf5
from jaxhsi.data.formats.volume import read_image_part, resolve_layout
from tests.helpers.netcdf import save_netcdf3, save_netcdf4

CUBE = np.random.default_rng(4).integers(0, 4000, (6, 7, 5)).astype(np.int16)
NM = np.array([450.0, 550.0, 650.0, 750.0, 850.0])
WHOLE = (slice(None),) * 3


def opened(path: Path, **options):
    return file_format(path).open_volume(path, **options)


def save_hdf5(path: Path, arrays: dict, **attributes) -> Path:
    """Attributes go to the first array."""
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
        for name, value in attributes.items():
            file[next(iter(arrays))].attrs[name] = value
    return path


NETCDF = [save_netcdf3, save_netcdf4]


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".he5", ".HDF", ".nc"])
def test_the_only_cube_is_found_in_any_group(tmp_path, suffix):
    arrays = {
        "swath/data/cube": CUBE,
        "swath/flags": CUBE[..., 0],
        "name": "text",
        "mask": CUBE > 0,
    }
    path = save_hdf5(tmp_path / f"a{suffix}", arrays)
    with opened(path) as volume:
        assert (volume.key, volume.shape) == ("swath/data/cube", CUBE.shape)
        assert volume.read_slab(WHOLE).dtype == np.int16
        np.testing.assert_array_equal(volume.read_slab(WHOLE), CUBE)
        np.testing.assert_array_equal(volume.read_slab(np.s_[1:3, :, 2:]), CUBE[1:3, :, 2:])
    assert hdf5_shapes(path) == {"swath/data/cube": CUBE.shape, "swath/flags": CUBE.shape[:2]}


def test_key_chooses_among_several(tmp_path):
    path = save_hdf5(tmp_path / "a.h5", {"a/x": CUBE, "b/x": CUBE + 1, "t": CUBE[0], "e": CUBE[:0]})
    with pytest.raises(ValueError, match=r"a\.h5 has several 3-D .*--key.*a/x \(6, 7, 5\), b/x"):
        opened(path).__enter__()
    for key in ("b/x", "/b/x"):
        with opened(path, key=key) as volume:
            np.testing.assert_array_equal(volume.read_slab(WHOLE), CUBE + 1)
    for key, message in (
        ("b", r"no numeric array 'b'; its numeric arrays are: a/x"),
        ("t", r"'t' has shape \(7, 5\); a cube has three"),
        ("e", r"'e' has shape \(0, 7, 5\)"),
    ):
        with pytest.raises(ValueError, match=message):
            opened(path, key=key).__enter__()
    path = save_hdf5(tmp_path / "b.h5", {"t": CUBE[0]})
    with pytest.raises(ValueError, match=r"b\.h5 has no 3-D array.*t \(7, 5\)"):
        opened(path).__enter__()


def test_wavelengths_beside_the_cube_come_before_others(tmp_path):
    arrays = {"vnir/cube": CUBE, "vnir/Wavelength": NM[:, None], "swir/wavelength": NM + 1000}
    with opened(save_hdf5(tmp_path / "a.h5", arrays)) as volume:
        np.testing.assert_array_equal(volume.wavelengths, NM)
    del arrays["vnir/Wavelength"]
    with opened(save_hdf5(tmp_path / "b.h5", arrays)) as volume:  # the only one
        np.testing.assert_array_equal(volume.wavelengths, NM + 1000)
    arrays["other/wl"] = NM
    with opened(save_hdf5(tmp_path / "c.h5", arrays)) as volume:
        assert volume.wavelengths is None
        assert volume.notes == ("wavelengths not kept, several vectors: other/wl, swir/wavelength",)
    with opened(save_hdf5(tmp_path / "d.h5", {"cube": CUBE, "wl": np.arange(4.0)})) as volume:
        assert volume.wavelengths is None
        assert volume.notes == (
            "wavelengths not kept: wl (4 values) fits no axis of cube (6, 7, 5)",
        )
    path = save_hdf5(tmp_path / "e.h5", {"cube": CUBE, "wl": NM[[0, 2, 1, 3, 4]]})
    with opened(path) as volume:
        np.testing.assert_array_equal(volume.wavelengths, NM[[0, 2, 1, 3, 4]])
        assert "wl does not run in one direction" in volume.notes[0]


def test_units_of_wavelengths(tmp_path):
    path = save_hdf5(tmp_path / "a.h5", {"wl": NM / 10, "cube": CUBE}, units="nm")
    with opened(path) as volume:  # 45..85 nm, as stated: not micrometres
        np.testing.assert_allclose(volume.wavelengths, NM / 10)


@pytest.mark.parametrize("save", NETCDF)
@pytest.mark.parametrize("bands", [0, 1, 2])
def test_names_of_axes_tell_the_bands(tmp_path, save, bands):
    axes = ["y", "x"]
    axes.insert(bands, "bands")
    stored = np.moveaxis(CUBE, -1, bands)
    path = save(tmp_path / "a.nc", stored, axes, NM, units="W m-2", _FillValue=np.int16(-9))
    with opened(path) as volume:
        layout, shape = resolve_layout(volume)
        assert (layout, shape) == (("chw", "hcw", "hwc")[bands], CUBE.shape)
        part = np.s_[1:5, 3:, 2:4]
        np.testing.assert_array_equal(read_image_part(volume, layout, *part), CUBE[part])
        np.testing.assert_array_equal(read_image_part(volume, layout, *WHOLE), CUBE)
        np.testing.assert_array_equal(volume.wavelengths, NM)
        assert (volume.no_data, volume.value_units, volume.scale_factor) == (-9.0, "W m-2", None)
    assert cube_shape(path) == CUBE.shape


@pytest.mark.parametrize("save", NETCDF)
def test_scales_and_offsets(tmp_path, save):
    path = save(tmp_path / "a.nc", CUBE, ["y", "x", "band"], scale_factor=1e-4, add_offset=0.0)
    with opened(path) as volume:
        assert volume.scale_factor == pytest.approx(1e-4, rel=1e-6)  # NetCDF 3 keeps it in single
        np.testing.assert_array_equal(volume.read_slab(WHOLE), CUBE)  # as stored
    path = save(tmp_path / "b.nc", CUBE, ["y", "x", "band"], add_offset=2.5, missing_value=np.nan)
    with opened(path) as volume:
        assert (volume.scale_factor, volume.offset, volume.no_data) == (None, 2.5, None)


@pytest.mark.parametrize("save", NETCDF)
@pytest.mark.parametrize("kept", [0.0, 0.05, 0.5, 0.97])
def test_truncated_files(tmp_path, save, kept):
    path = save(tmp_path / "a.nc", np.ones((30, 31, 5)), ["y", "x", "band"])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ValueError, match=r"a\.nc cannot be read as .*truncated"):
        opened(path).__enter__()


def test_files_do_not_stay_open(tmp_path):
    """Neither as an open file nor mapped, where the system tells."""
    path = save_netcdf3(tmp_path / "a.nc", CUBE, ["y", "x", "band"])
    with opened(path) as volume:
        kept = volume.read_slab(WHOLE)
    process = Path("/proc/self")
    if (process / "fd").is_dir():
        held = {os.path.realpath(entry) for entry in (process / "fd").iterdir()}
        assert str(path.resolve()) not in held
        assert str(path.resolve()) not in (process / "maps").read_text()
    path.unlink()
    np.testing.assert_array_equal(kept, CUBE)


def test_damaged_chunk_and_other_content(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset("cube", data=CUBE, chunks=(2, 7, 5), fletcher32=True)
        start = made.id.get_chunk_info(1).byte_offset
    with path.open("r+b") as raw:
        raw.seek(start)
        raw.write(b"\xff" * 8)
    with open_hdf5(path) as volume:
        np.testing.assert_array_equal(volume.read_slab(np.s_[:2, :, :]), CUBE[:2])
        with pytest.raises(ValueError, match=r"a\.h5 cannot be read"):
            volume.read_slab(WHOLE)
    path.write_text("this is text, " * 99)
    with pytest.raises(ValueError, match=r"a\.h5 cannot be read as an HDF5 file"):
        opened(path).__enter__()


def test_without_h5py_says_what_to_install(tmp_path, monkeypatch):
    path = save_hdf5(tmp_path / "a.h5", {"cube": CUBE})
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxhsi\[io\]'"):
        opened(path).__enter__()
