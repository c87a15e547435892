"""Files with one array (H, W) a band."""

import numpy as np
import pytest

from jaxhsi.data.ingest.pipeline import ingest
from tests.data.cases.scenes import check_ingest, save_hdf5, scene

CUBE = scene(24, 20, 5)


@pytest.mark.parametrize(
    ("names", "waves"),
    [
        (["Oa1_radiance", "Oa2_radiance", "Oa10_radiance", "Oa11_radiance", "Oa12_radiance"], None),
        (["g/B2", "g/B3", "g/B8", "g/B8A", "g/B11"], None),
        (["Rrs_412", "Rrs_443", "Rrs_490", "Rrs_555", "Rrs_670"], [412, 443, 490, 555, 670]),
    ],
)
def test_bands_are_stacked_in_the_order_of_their_numbers(tmp_path, names, waves):
    arrays = {name: CUBE[..., i] for i, name in enumerate(names)} | {"mask": CUBE[..., 0]}
    cube = check_ingest(save_hdf5(tmp_path / "a.nc", arrays), CUBE, waves=waves)
    assert "5 arrays of one band each stacked" in cube.history


def test_wavelengths_and_marks_of_the_arrays(tmp_path):
    stored = np.round(CUBE * 1000).astype(np.int16)
    stored[:4] = -1
    arrays = {f"band_{i}": stored[..., i] for i in range(5)}
    marks = {f"band_{i}": {"wavelength": 500.0 + 10 * i, "_FillValue": -1} for i in range(5)}
    valid = np.arange(24)[:, None].repeat(20, 1) >= 4
    waves = 500 + 10 * np.arange(5)
    path = save_hdf5(tmp_path / "a.h5", arrays, marks)
    check_ingest(path, stored.astype(np.float32), waves=waves, valid=valid)


def test_two_arrays_are_no_stack(tmp_path):
    path = save_hdf5(tmp_path / "a.h5", {"band_1": CUBE[..., 0], "band_2": CUBE[..., 1]})
    with pytest.raises(ValueError, match="no 3-D array"):
        ingest(path, tmp_path / "a.zarr")


@pytest.mark.parametrize("divides", [False, True])
def test_each_array_has_a_factor_of_its_own(tmp_path, divides):
    """As in the radiances of OLCI, and as products that divide write it."""
    stored = np.round(CUBE * 10000).astype(np.int16)
    factors, offsets = np.linspace(1e-4, 2e-4, 5), np.linspace(0, 0.4, 5)
    arrays = {f"Oa{i:02d}_radiance": stored[..., i] for i in range(5)}
    marks = {}
    for i, name in enumerate(arrays):
        marks[name] = {"scale_factor": 1 / factors[i] if divides else factors[i]}
        marks[name] |= {"add_offset": offsets[i]}
    path = save_hdf5(tmp_path / "a.h5", arrays, marks)
    check_ingest(path, stored * factors + offsets)
