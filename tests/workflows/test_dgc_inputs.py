"""What a configuration opens."""

import numpy as np
import pytest

from jaxhsi.config.dgc import DGCConfig
from jaxhsi.data.zarr_writer import create_cube
from jaxhsi.workflows.dgc_inputs import open_dgc_inputs


@pytest.fixture
def folder(tmp_path):
    """Two cubes of different sizes whose wavelengths are 8 nm apart, at a spacing of 10 nm."""
    for name, rows, shift in (("a", 5, 0), ("b", 7, 8)):
        waves = np.arange(500, 540, 10) + shift
        with create_cube(tmp_path / f"{name}.zarr", (rows, 6, 4), "uint8", wavelengths=waves) as c:
            c.write(np.ones((rows, 6, 4), np.uint8)).result()
    return tmp_path


def test_wavelengths_must_agree_within_the_tolerance(folder):
    with pytest.raises(ValueError, match=r"b\.zarr"):
        open_dgc_inputs(DGCConfig(data=str(folder)))
    cubes = open_dgc_inputs(DGCConfig(data=str(folder), tolerance=8.0)).train_cubes
    assert [cube.shape for cube in cubes] == [(5, 6, 4), (7, 6, 4)]


def test_a_tolerance_is_positive():
    with pytest.raises(ValueError, match=r"--tolerance -1\.0 is out of range"):
        DGCConfig(tolerance=-1.0)
