"""A truth comes to the units and the order of the table, and is left alone where it has them."""

import numpy as np
import pytest

from jaxhsi.data.tables.truth import GroundTruth
from jaxhsi.data.tables.truth_units import match_units

RNG = np.random.default_rng(0)
PURE = np.abs(RNG.normal(size=(3, 30))).astype(np.float32)
AMOUNTS = RNG.dirichlet(np.ones(3) * 0.5, 20).astype(np.float32)
CLEAN = AMOUNTS @ PURE
DATA = CLEAN + RNG.normal(0, 0.02, CLEAN.shape).astype(np.float32)


def test_what_fits_is_left_alone():
    truth = GroundTruth(PURE, AMOUNTS, CLEAN)
    matched = match_units(truth, DATA)
    assert matched.notes == ()
    assert matched.concentrations is AMOUNTS
    assert matched.clean is CLEAN


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 0, 2]])
def test_scales_and_order_are_found(order):
    scaled = 100 * PURE * np.array([[1.0], [5], [0.2]], np.float32)
    matched = match_units(GroundTruth(scaled, 7 * AMOUNTS[:, order]), DATA)
    np.testing.assert_allclose(matched.concentrations @ scaled, CLEAN, atol=0.06)
    is_other = order != [0, 1, 2]
    assert len(matched.notes) == 1 + is_other
    assert ("another order" in matched.notes[0]) == is_other
    assert "were multiplied by" in matched.notes[-1]


def test_noise_free_data_are_scaled_by_one_number():
    matched = match_units(GroundTruth(PURE, None, 1000 * CLEAN), DATA)
    np.testing.assert_allclose(matched.clean, CLEAN, atol=0.02)
    assert "noise-free data are in other units" in matched.notes[0]
