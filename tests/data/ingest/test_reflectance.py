"""Corrections: hand values, identities, and what cannot be carried out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxhsi.data.ingest.band_selection import find_bin_starts
from jaxhsi.data.ingest.reflectance import (
    CameraReference,
    ValueConversion,
    bin_bands,
    choose_stored_dtype,
    count_unusable_reference_values,
    to_float16,
    to_float32,
    to_reflectance,
)

RNG = np.random.default_rng(0)
DARK = RNG.uniform(5, 20, (7, 4)).astype(np.float32)
WHITE = DARK + RNG.uniform(100, 900, (7, 4)).astype(np.float32)
REFERENCE = CameraReference(dark=DARK, white=WHITE)
EVERY = slice(0, 7)


def test_white_is_one_dark_is_zero_and_half_way_a_half():
    rows = np.stack([WHITE, DARK, (WHITE + DARK) / 2])
    found = to_reflectance(rows, REFERENCE, EVERY)
    np.testing.assert_array_equal(found[0], 1)
    np.testing.assert_array_equal(found[1], 0)
    np.testing.assert_allclose(found[2], 0.5, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(gain=st.floats(0.5, 8.0), offset=st.floats(-50, 50))
def test_gain_and_offset_of_the_camera_cancel(gain, offset):
    values = RNG.uniform(20, 800, (3, 7, 4)).astype(np.float32)
    gain, offset = np.float32(gain), np.float32(offset)
    other = CameraReference(dark=DARK * gain + offset, white=WHITE * gain + offset)
    found = to_reflectance(values * gain + offset, other, EVERY)
    np.testing.assert_allclose(found, to_reflectance(values, REFERENCE, EVERY), atol=2e-5)


def test_columns_have_references_of_their_own():
    values = RNG.uniform(20, 800, (3, 7, 4)).astype(np.float32)
    whole = to_reflectance(values, REFERENCE, EVERY)
    part = to_reflectance(values[:, 2:5], REFERENCE, slice(2, 5))
    np.testing.assert_array_equal(part, whole[:, 2:5])
    spectrum = CameraReference(dark=DARK[:1], white=WHITE[:1])
    for column in range(7):
        found = to_reflectance(values[:, column : column + 1], spectrum, slice(column, column + 1))
        expected = (values[:, column] - DARK[0]) / (WHITE[0] - DARK[0])
        np.testing.assert_allclose(found[:, 0], expected, rtol=1e-6)


def test_white_not_above_dark_is_no_data_and_counted():
    white = WHITE.copy()
    white[2, 1], white[4, 3] = DARK[2, 1], DARK[4, 3] - 1
    reference = CameraReference(dark=DARK, white=white)
    found = to_reflectance(np.full((2, 7, 4), 50, np.float32), reference, EVERY)
    assert np.argwhere(np.isnan(found[0])).tolist() == [[2, 1], [4, 3]]
    assert count_unusable_reference_values(reference, None, np.arange(4)) == 2


def test_reference_that_leaves_no_whole_spectrum():
    swapped = CameraReference(dark=WHITE, white=DARK, name="white w.raw, dark d.raw")
    with pytest.raises(ValueError, match=r"w\.raw.*28 of 28.*swapped.*--bad_bands '0-3'"):
        count_unusable_reference_values(swapped, None, np.arange(4))
    white = WHITE.copy()
    white[:, 1] = DARK[:, 1]
    dead = CameraReference(dark=DARK, white=white)
    with pytest.raises(ValueError, match=r"7 of 28.*--bad_bands '11'"):
        count_unusable_reference_values(dead, None, np.arange(10, 14))
    assert (
        count_unusable_reference_values(dead, np.array([0, 2]), np.arange(4)) == 7
    )  # its bin has another band


def test_bins_by_hand():
    values = np.array([1, 3, 5, 7, 100], np.float32).reshape(1, 1, 5)
    assert bin_bands(values, np.array([0, 2, 4])).ravel().tolist() == [2, 6, 100]
    values[0, 0, [0, 4]] = np.nan, np.inf
    np.testing.assert_array_equal(bin_bands(values, np.array([0, 2, 4])).ravel(), [3, 6, np.nan])


@settings(max_examples=30, deadline=None)
@given(
    values=hnp.arrays(np.float32, (2, 3, 12), elements=st.floats(-100, 100, width=32)),
    size=st.sampled_from([1, 2, 3, 4, 6, 12]),
)
def test_bins_are_means_of_neighbours(values, size):
    starts = find_bin_starts(np.arange(12), size)
    expected = values.reshape(2, 3, 12 // size, size).mean(-1)
    np.testing.assert_allclose(bin_bands(values, starts), expected, rtol=1e-5, atol=1e-4)


def test_no_data_is_compared_in_the_stored_type():
    values = np.full((1, 2, 1), 2**24, np.int32)  # float32 cannot tell 2^24 from 2^24 + 1
    values[0, 1] += 1
    found = to_float32(values, 2.0**24 + 1)
    assert np.isnan(found).ravel().tolist() == [False, True]


def test_half_keeps_what_is_missing_and_refuses_what_is_too_large():
    values = np.array([1.5, np.nan, np.inf, -65504], np.float32).reshape(1, 2, 2)
    np.testing.assert_array_equal(to_float16(values), values)
    values[0, 0, 0] = 70000
    with pytest.raises(ValueError, match=r"70000 do not fit.*--scale.*--dtype float32"):
        to_float16(values)


def test_steps_in_their_order():
    values = RNG.integers(20, 800, (3, 7, 6)).astype(np.uint16)
    values[1, 2, 4] = 9999
    bands = np.array([1, 2, 4, 5])
    recipe = ValueConversion(
        dtype=np.dtype("float32"),
        band_indices=bands,
        bin_starts=np.array([0, 2]),
        no_data=9999.0,
        reference=REFERENCE,
        scale_factor=0.5,
        is_computed=True,
    )
    expected = values[..., bands].astype(float)
    expected[1, 2, 2] = np.nan
    expected = 0.5 * (expected - DARK) / (WHITE - DARK)
    expected = np.nanmean(expected.reshape(3, 7, 2, 2), axis=-1)
    found = recipe.apply(values[..., recipe.band_slice], EVERY)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert (recipe.num_bands, recipe.stored_no_data) == (2, None)


def test_values_that_stay_are_copied():
    values = RNG.integers(0, 2**16, (2, 3, 6)).astype(np.uint16)
    recipe = ValueConversion(dtype=values.dtype, band_indices=np.array([0, 3]), no_data=7.0)
    found = recipe.apply(values[..., recipe.band_slice], slice(0, 3))
    assert (found.dtype, recipe.stored_no_data) == (np.uint16, 7)
    np.testing.assert_array_equal(found, values[..., [0, 3]])


def test_type_of_the_store():
    assert choose_stored_dtype(np.dtype(">i2"), None, False) == np.dtype("int16")
    assert choose_stored_dtype(np.dtype("uint16"), None, True) == np.dtype("float32")
    assert choose_stored_dtype(np.dtype("uint16"), "float16", True) == np.dtype("float16")
    with pytest.raises(ValueError, match="complex64"):
        choose_stored_dtype(np.dtype("complex64"), "float32", True)
