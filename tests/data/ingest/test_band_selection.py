"""Lists of bands: what they name, how they are read back, and what is no such list."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from jaxhsi.data.ingest.band_selection import (
    bands_in_range,
    find_bin_starts,
    format_band_list,
    parse_band_list,
)


def test_bins_do_not_join_bands_across_a_gap():
    bands = np.array([2, 3, 4, 9, 10, 11, 12])  # bins of 3 in the file: 2-4, 5-7, 8-10, 11-13
    assert find_bin_starts(bands, 3).tolist() == [0, 3, 5]
    assert find_bin_starts(bands, 1).tolist() == list(range(7))


def test_list_of_bands():
    waves = np.arange(400.0, 500.0, 10.0)
    chosen = parse_band_list("0-2, 5 475-490nm", 10, waves)
    assert np.flatnonzero(chosen).tolist() == [0, 1, 2, 5, 8, 9]
    assert format_band_list(np.flatnonzero(chosen)) == "0-2, 5, 8-9"


@settings(max_examples=30, deadline=None)
@given(chosen=hnp.arrays(bool, 20).filter(np.any))
def test_ranges_are_read_back(chosen):
    np.testing.assert_array_equal(
        parse_band_list(format_band_list(np.flatnonzero(chosen)), 20), chosen
    )


@pytest.mark.parametrize("text", ["a", "1-", "-3", "3-1", "1.5", "1-2-3", "nm"])
def test_what_is_no_list_of_bands(text):
    with pytest.raises(ValueError, match="is no band; give indices"):
        parse_band_list(text, 10, np.arange(10.0))


def test_bands_that_are_not_there():
    with pytest.raises(ValueError, match=r"no band 10, they are 0\.\.9"):
        parse_band_list("3-10", 10)
    with pytest.raises(ValueError, match="no wavelengths"):
        parse_band_list("400-500nm", 10)
    with pytest.raises(ValueError, match=r"between 1 and 2 nm; the file has 400\.\.900"):
        bands_in_range(1.0, 2.0, np.array([400.0, 900.0]))
