import numpy as np
import pytest

from jaxhsi.data.far_pixels import far_spectra, limited_reader, typical_spectra
from jaxhsi.data.spectra_sample import SpectraSample
from jaxhsi.data.windows import read_window
from tests.helpers.cubes import SHAPE, VALUES, make_cube


def test_nothing_is_far_where_a_rare_material_is_bright():
    sample = np.random.default_rng(0).random((2000, 6))
    sample[::100] *= 10
    assert not far_spectra(sample).any()


@pytest.mark.parametrize("value", [1e3, -1e6, 1e30])
def test_one_pixel_far_from_all_others(value):
    sample = np.random.default_rng(0).random((4096, 6)).astype(np.float32)
    sample[77, 3] = value
    assert np.flatnonzero(far_spectra(sample)).tolist() == [77]


def test_equal_spectra_are_not_far():
    assert not far_spectra(np.ones((50, 3))).any()


def test_a_limited_reader_takes_what_is_beyond_as_missing(tmp_path):
    values = VALUES.copy()
    values[4, 5, 2] = -1e30
    cube = make_cube(tmp_path, "odd", values)
    window, valid = limited_reader(read_window, 100.0)(cube, 0, 0, *SHAPE[:2])
    assert np.argwhere(~valid).tolist() == [[4, 5]]
    assert (window[4, 5] == 0).all()
    np.testing.assert_array_equal(window[valid], values[valid])


def test_values_that_float32_cannot_square_are_an_error(tmp_path):
    cube = make_cube(tmp_path, "huge", VALUES * np.float32(1e30))
    spectra = VALUES.reshape(-1, SHAPE[2]) * np.float32(1e30)
    sample = SpectraSample(spectra, np.zeros((len(spectra), 3), int), 0, len(spectra))
    with pytest.raises(ValueError, match=r"huge: values reach .*another unit"):
        typical_spectra([cube], sample)
