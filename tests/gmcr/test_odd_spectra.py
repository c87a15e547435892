import numpy as np
import pytest

from jaxhsi.gmcr.odd_spectra import dominant_value, far_values, size_ratios


def mixed(count: int = 40, num_bands: int = 50) -> np.ndarray:
    rng = np.random.default_rng(0)
    axis = np.linspace(0, 1, num_bands)
    pure = [np.exp(-(((axis - middle) / 0.1) ** 2)) for middle in (0.2, 0.5, 0.8)]
    return rng.dirichlet(np.ones(3), count) @ pure + 0.005 * rng.normal(size=(count, num_bands))


def test_nothing_is_odd_in_mixtures():
    assert not far_values(mixed()).any()
    assert (size_ratios(mixed()) == 1).all()


@pytest.mark.parametrize("value", [10.0, -10.0, 1e6])
def test_a_single_value_far_out(value):
    table = mixed()
    table[5, 30] = value
    assert np.argwhere(far_values(table)).tolist() == [[5, 30]]


def test_a_line_of_a_component_is_not_far_out():
    """Ten times all else, in two spectra: a rare material with a sharp line."""
    table = mixed()
    table[[5, 9], 30] += 10.0
    assert not far_values(table).any()


@pytest.mark.parametrize("factor", [0.1, 10.0, 1000.0, 1e-12, 1e12])
def test_a_copy_of_another_size_is_brought_to_that_of_the_others(factor):
    table = mixed()
    ratios = size_ratios(np.concatenate([table, factor * table[7:8]]))
    assert (ratios[:-1] == 1).all()
    assert 0.5 < ratios[-1, 0] / factor < 2


def test_a_weak_spectrum_of_the_same_noise_stays_weak():
    """A blank: brought to the size of the others it would be noise alone, as large as a signal."""
    blank = 0.005 * np.random.default_rng(1).normal(size=(1, 50))
    assert (size_ratios(np.concatenate([mixed(), blank])) == 1).all()


def test_sizes_of_an_elution_are_not_odd():
    time = np.linspace(-3, 3, 60)
    table = np.exp(-(time**2))[:, None] * mixed()[:1] + 1e-6
    assert (size_ratios(table) == 1).all()


def test_a_value_that_hides_all_other_spectra():
    table = mixed(8)
    assert dominant_value(table) is None
    assert dominant_value(table * np.geomspace(1, 1e4, 8)[:, None]) is None
    table[5, 30] = -1e30
    assert dominant_value(table) == (5, 30)


def test_a_spectrum_that_is_brought_to_the_size_of_the_others_hides_nothing():
    table = mixed()
    assert dominant_value(np.concatenate([table, 1e12 * table[7:8]])) is None
    assert dominant_value(np.concatenate([table[:8], 1e12 * table[7:8]])) == (
        8,
        int(table[7].argmax()),
    )
