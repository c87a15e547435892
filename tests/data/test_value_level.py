"""Units of cubes by the magnitude of their values."""

import numpy as np
import pytest

from jaxhsi.data.memory_cube import cube_from_array
from jaxhsi.data.value_level import check_value_levels, value_level
from tests.data.cases.scenes import scene
from tests.helpers.cubes import make_cube

CUBE = scene(40, 36, 12)


def test_level_is_the_typical_magnitude(tmp_path):
    measured = value_level(cube_from_array(CUBE))
    deviation = CUBE.reshape(-1, 12).std(0, ddof=1)
    expected = np.median(CUBE.reshape(-1, 12).mean(0) + deviation)
    assert measured == pytest.approx(expected, rel=1e-5)
    sampled = value_level(make_cube(tmp_path, "a", CUBE))  # no statistics: by a few windows
    assert sampled == pytest.approx(expected, rel=0.2)
    assert value_level(cube_from_array(np.full((4, 5, 3), np.nan, np.float32))) is None


@pytest.mark.parametrize("exposure", [0.2, 1.0, 5.0])
def test_exposure_is_no_other_unit(exposure):
    check_value_levels(
        "the run", value_level(cube_from_array(CUBE)), [cube_from_array(CUBE * exposure)]
    )


@pytest.mark.parametrize("factor", [100, 10000, 1 / 10000])
def test_other_units_are_refused_with_the_scale_that_helps(factor):
    level = value_level(cube_from_array(CUBE))
    other = cube_from_array(CUBE * np.float32(factor), "other")
    with pytest.raises(ValueError, match=rf"other .* give --scale {1 / factor:g};"):
        check_value_levels("the run", level, [other])
    check_value_levels("the run", None, [other])  # a run of an earlier version
