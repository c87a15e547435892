"""How far components may be turned: nowhere where data settle them, by hand where they do not."""

import jax
import numpy as np
import pytest

from jaxhsi.gmcr import rotational_ambiguity as module
from jaxhsi.gmcr.fit import fit_components
from jaxhsi.gmcr.fitted_mixture import FittedMixture
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.rotation_cost import (
    rotation_cost,
    rotation_cost_and_gradient,
    rotation_problem,
)
from jaxhsi.gmcr.rotation_search import MAX_CHI2_RISE
from jaxhsi.gmcr.rotational_ambiguity import band_boundaries, rotational_ambiguity
from jaxhsi.gmcr.whitened_solution import whiten_solution
from tests.helpers.mixtures import make_mixture as small_mixtures

OPTIONS = SolverOptions(max_active=4, steps_per_phase=40, noise_refit_every=20)
BANDS = 12


def mixture(codes, rows, fixed=(False, False)) -> FittedMixture:
    codes, rows = np.asarray(codes, float), np.asarray(rows, float)
    return FittedMixture(codes, rows, rows, np.ones(rows.shape[1]), codes != 0, np.array(fixed))


def dense(strength: float = 1000.0) -> FittedMixture:
    """Two peaks apart, and concentrations that never fall below half of each other's."""
    rows = np.zeros((2, BANDS))
    rows[0, :7], rows[1, 5:] = 1.0, 1.0
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return mixture(strength * np.random.default_rng(0).uniform(0.5, 1.0, (30, 2)), rows)


def settled() -> FittedMixture:
    """The same with spectra and bands that only one of them has."""
    made = dense()
    codes = np.array(made.codes)
    codes[:5, 0] = codes[5:10, 1] = 0
    return mixture(codes, made.components_scaled)


def shares_and_angles(found):
    cosines = np.sum(found.boundary_spectra[:, 0] * found.boundary_spectra[:, 1], axis=1)
    return found.signal_share[:, 1] - found.signal_share[:, 0], cosines


def test_the_identity_costs_nothing():
    for made in (dense(), settled()):
        assert rotation_cost(rotation_problem(made), np.eye(2)[None]) == 0


def test_the_gradient_of_the_cost_is_that_of_its_values():
    random, step = np.random.default_rng(1), 1e-6
    for non_negative in (True, False):
        problem = rotation_problem(settled(), non_negative=non_negative)
        turn = np.eye(2) + 0.3 * random.normal(size=(2, 2))
        way = random.normal(size=(2, 2))
        low, high = rotation_cost(problem, np.stack([turn - step * way, turn + step * way]))
        cost, gradient = rotation_cost_and_gradient(problem, turn[None])
        assert cost == rotation_cost(problem, turn[None])
        slope = np.sum(gradient[0] * way)
        np.testing.assert_allclose((high - low) / (2 * step), slope, rtol=1e-4)


def test_a_singular_rotation_is_impossible():
    turned = np.array([[[1.0, 2.0], [2.0, 1.0]]])  # of negative determinant
    assert np.isinf(rotation_cost(rotation_problem(dense()), turned)[0])


def test_a_settled_answer_stays_and_another_does_not():
    shares, cosines = shares_and_angles(band_boundaries(settled()))
    assert (cosines > 0.9999).all()
    assert (shares < 0.02).all()
    assert (shares_and_angles(band_boundaries(dense()))[1] < 0.97).all()


def test_the_extremes_reach_as_far_as_one_spectrum_can_be_added():
    """s1 + t s2 is possible up to t = min c2 / c1."""
    made = dense()
    turn = np.eye(2)
    turn[0, 1] = np.min(made.codes[:, 1] / made.codes[:, 0])
    codes, rows = made.codes @ np.linalg.inv(turn), turn @ made.components_scaled
    total = np.sum((made.codes @ made.components_scaled) ** 2)
    by_hand = np.sum(codes[:, 0] ** 2) * np.sum(rows[0] ** 2) / total
    assert rotation_cost(rotation_problem(made), turn[None])[0] < 1e-3
    assert band_boundaries(made).signal_share[0, 1] > 0.97 * by_hand


def test_zeros_that_only_a_penalty_made_are_no_evidence():
    """Concentrations of a corner of what is possible: the truth is another corner."""
    made = dense()
    turn = np.eye(2)
    turn[0, 1] = np.min(made.codes[:, 1] / made.codes[:, 0])
    sparse_codes, rows = made.codes @ np.linalg.inv(turn), turn @ made.components_scaled
    found = band_boundaries(mixture(sparse_codes, rows))
    true_rows = made.components_scaled
    low, high = found.component_ranges[:, 0], found.component_ranges[:, 1]
    assert ((true_rows > low - 0.02) & (true_rows < high + 0.02)).all()
    low, high = found.concentration_ranges
    assert ((made.codes > low - 15) & (made.codes < high + 15)).mean() > 0.95


def test_a_known_component_does_not_turn():
    made = dense()._replace(fixed=np.array([True, False]))
    found = band_boundaries(made)
    both = np.tile(made.components_scaled[0], (2, 1))
    np.testing.assert_allclose(found.boundary_spectra[0], both, atol=1e-6)
    np.testing.assert_allclose(found.component_ranges[0], both, atol=1e-6)
    assert np.sum(found.boundary_spectra[1, 0] * found.boundary_spectra[1, 1]) < 0.99


@pytest.mark.parametrize("strength", [10, 300, 3000])
@pytest.mark.parametrize("non_negative", [True, False])
def test_all_extremes_are_as_good_and_hold_the_answer_between_them(strength, non_negative):
    made = dense(strength)
    found = band_boundaries(made, non_negative=non_negative)
    own = np.sum(made.codes**2, axis=0) / np.sum((made.codes @ made.components_scaled) ** 2)
    assert (found.chi2_rise <= MAX_CHI2_RISE * 1.001).all()
    assert (found.signal_share[:, 0] <= own * 1.001).all()
    assert (found.signal_share[:, 1] >= own * 0.999).all()
    np.testing.assert_allclose(np.linalg.norm(found.boundary_spectra, axis=-1), 1, rtol=1e-5)


@pytest.fixture(scope="module")
def solved():
    mixed = small_mixtures(2)
    solution = fit_components(jax.random.key(0), mixed.x, OPTIONS, restarts=1)
    return whiten_solution(solution, np.asarray(mixed.x))


def test_sparse_mixtures_are_settled(solved):
    found = rotational_ambiguity(solved)
    solution = solved.solution
    assert found.signal_share.shape == (3, 2)
    assert (shares_and_angles(found)[1] > 0.985).all()
    low, high = found.concentration_ranges
    assert ((low <= solution.concentrations) & (solution.concentrations <= high)).all()
    own = solution.components / np.linalg.norm(solution.components, axis=1, keepdims=True)
    low, high = np.swapaxes(found.component_ranges, 0, 1)
    assert ((low <= own) & (own <= high)).all()


def test_spectra_that_do_not_bound_the_search_are_respected(monkeypatch):
    monkeypatch.setattr(module, "_MAX_BOUNDING_SPECTRA", 8)
    made = dense()
    found = band_boundaries(made)
    assert (found.chi2_rise <= MAX_CHI2_RISE * 1.001).all()
    assert (shares_and_angles(found)[1] < 0.97).all()


def test_many_components_are_left_out(monkeypatch, solved):
    monkeypatch.setattr(module, "MAX_AMBIGUITY_COMPONENTS", 2)
    assert rotational_ambiguity(solved) is None
