"""Rate constants of first order, the ambiguity that is named, and times that cannot be used."""

import numpy as np
import pytest

from jaxhsi.gmcr.kinetics import consecutive_profiles, fit_consecutive

TIMES = np.linspace(0.0, 60.0, 50)


def spectra() -> np.ndarray:
    wave = np.linspace(0, 1, 30)
    return np.exp(-0.5 * ((wave - np.array([[0.25], [0.5], [0.7]])) / 0.15) ** 2)


def table(rates, noise: float = 0.0) -> np.ndarray:
    clean = np.asarray(consecutive_profiles(np.array(rates), TIMES)) @ spectra()
    return clean + noise * np.random.default_rng(0).normal(size=clean.shape)


def test_profiles_are_those_of_bateman():
    first, second = 0.3, 0.05
    profiles = np.asarray(consecutive_profiles(np.array([first, second]), TIMES))
    a = np.exp(-first * TIMES)
    b = first / (second - first) * (a - np.exp(-second * TIMES))
    np.testing.assert_allclose(profiles, np.stack([a, b, 1 - a - b], axis=1), atol=2e-6)


def test_equal_rates_are_no_special_case():
    profiles = np.asarray(consecutive_profiles(np.array([0.1, 0.1]), TIMES))
    np.testing.assert_allclose(profiles[:, 1], 0.1 * TIMES * np.exp(-0.1 * TIMES), atol=2e-6)
    np.testing.assert_allclose(profiles.sum(axis=1), 1, atol=1e-6)


def test_rates_and_spectra_are_found_under_noise():
    found = fit_consecutive(table([0.3, 0.05], noise=0.005), TIMES)
    np.testing.assert_allclose(found.rates, [0.3, 0.05], rtol=0.03)
    np.testing.assert_allclose(found.components, spectra(), atol=0.03)
    assert found.residual_deviation == pytest.approx(0.005, rel=0.1)
    assert found.components.min() >= 0


def test_exchanged_rates_fit_as_well_where_spectra_may_be_negative():
    data = table([0.3, 0.05], noise=0.005)
    fast, slow = (
        fit_consecutive(data, TIMES, initial_rates=np.array(rates), non_negative=False)
        for rates in ([0.25, 0.06], [0.06, 0.25])
    )
    np.testing.assert_allclose(fast.rates, slow.rates[::-1], rtol=0.01)
    assert fast.residual_deviation == pytest.approx(slow.residual_deviation, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"times": TIMES[:-1]}, r"times has the shape \(49,\); give 50"),
        ({"times": TIMES - 5}, "count them from the beginning"),
        ({"num_steps": 0}, "num_steps 0 is no reaction"),
        ({"times": np.repeat([0.0, 1.0], 25)}, "2 times do not tell 3 species apart"),
        ({"initial_rates": np.array([1.0])}, "one for each step"),
    ],
)
def test_what_cannot_be_fitted_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit_consecutive(table([0.3, 0.05]), **{"times": TIMES, **arguments})
