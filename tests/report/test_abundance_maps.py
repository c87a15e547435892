"""Maps of concentrations: the largest, on one scale, whatever their shape."""

import numpy as np
import pytest
from PIL import Image

from jaxhsi.report.abundance_maps import _colour_limits, draw_abundance_maps

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("shape", "count"), [((6, 9), 2), ((3, 60), 14), ((5, 5), 0)])
def test_a_picture_of_any_shape(tmp_path, shape, count):
    maps = [RNG.uniform(size=shape) for _ in range(count)]
    for each in maps:
        each[0, 0] = np.nan
    colours = RNG.integers(0, 255, (*shape, 3)).astype(np.uint8)
    names, shares = [f"component {i}" for i in range(count)], RNG.uniform(size=count)
    path = tmp_path / "pictures" / "c.png"
    draw_abundance_maps(path, colours, maps, RNG.uniform(0, 2, shape), names, shares)
    assert min(Image.open(path).size) > 100


def test_one_scale_begins_at_zero_or_at_what_is_negative():
    low, top = _colour_limits([np.array([[0.5, np.nan]]), np.array([[0.7, 1.0]])])
    assert low == 0
    assert 0.9 < top <= 1
    assert _colour_limits([np.array([[-1.0, 1.0]])])[0] < -0.9
    assert _colour_limits([np.full((1, 1), np.nan)]) == (0.0, 1.0)
