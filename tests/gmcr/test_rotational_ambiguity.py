"""How far components may be turned: nowhere where data settle them, by hand where they do not."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.gmcr import rotational_ambiguity as module
from jaxhsi.gmcr.fit import fit_components
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.rotational_ambiguity import (
    MAX_CHI2_RISE,
    FittedMixture,
    band_boundaries,
    chi2_rise,
    log_contribution,
    rotational_ambiguity,
)
from jaxhsi.gmcr.whitened_solution import whiten_solution
from tests.helpers.mixtures import make_mixture as small_mixtures

OPTIONS = SolverOptions(max_active=4, steps_per_phase=40, noise_refit_every=20)
RANDOM = np.random.default_rng(0)
BANDS = 12


def mixture(codes, rows, fixed=(False, False)) -> FittedMixture:
    codes, rows = jnp.asarray(codes, jnp.float32), jnp.asarray(rows, jnp.float32)
    return FittedMixture(codes, rows, rows, codes != 0, jnp.asarray(fixed))


def dense(strength: float = 1000.0) -> FittedMixture:
    """Two peaks apart, and concentrations that never fall below half of each other's."""
    rows = np.zeros((2, BANDS))
    rows[0, :7], rows[1, 5:] = 1.0, 1.0
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return mixture(strength * RANDOM.uniform(0.5, 1.0, (30, 2)), rows)


def settled() -> FittedMixture:
    """The same with spectra and bands that only one of them has."""
    made = dense()
    codes = np.array(made.codes)
    codes[:5, 0] = codes[5:10, 1] = 0
    return mixture(codes, made.components_scaled)


def test_the_identity_changes_nothing():
    for made in (dense(), settled()):
        assert chi2_rise(jnp.eye(2), made, non_negative=True) == 0
    made = dense()
    power = jnp.exp(log_contribution(jnp.eye(2), made, jnp.array(0)))
    np.testing.assert_allclose(power, jnp.sum(made.codes[:, 0] ** 2), rtol=1e-5)


def test_the_rise_by_hand():
    """T adds a tenth of the second spectrum to the first: c2 loses a tenth of c1."""
    codes = [[100.0, 5.0], [0.0, 50.0]]
    made = mixture(codes, np.eye(2, 4))
    turn = jnp.array([[1.0, 0.1], [0.0, 1.0]])
    # c2 of the first spectrum becomes 5 - 10; nothing else is impossible
    np.testing.assert_allclose(chi2_rise(turn, made, non_negative=True), 25.0, rtol=1e-4)
    # zeros are to stay: the other way c1 of the second spectrum becomes -5, in a spectrum (1, 0)
    np.testing.assert_allclose(chi2_rise(turn.T, made, non_negative=False), 25.0, rtol=1e-4)


def test_a_settled_answer_stays_and_another_does_not():
    fast, free = band_boundaries(settled()), band_boundaries(dense())
    angle = [
        jnp.sum(found.boundary_spectra[:, 0] * found.boundary_spectra[:, 1], axis=1)
        for found in (fast, free)
    ]
    assert (angle[0] > 0.9999).all()
    assert (angle[1] < 0.97).all()
    assert (fast.signal_share[:, 1] - fast.signal_share[:, 0] < 0.01).all()


def test_the_extremes_reach_as_far_as_one_spectrum_can_be_added():
    """s1 + t s2 is possible up to t = min c2 / c1."""
    made = dense()
    most = float(jnp.min(made.codes[:, 1] / made.codes[:, 0]))
    turn = jnp.eye(2).at[0, 1].set(most)
    total = jnp.sum((made.codes @ made.components_scaled) ** 2)
    by_hand = float(jnp.exp(log_contribution(turn, made, jnp.array(0))) / total)
    assert chi2_rise(turn, made, non_negative=True) < 1e-3
    assert float(band_boundaries(made).signal_share[0, 1]) > 0.97 * by_hand


def test_a_known_component_does_not_turn():
    made = dense()._replace(fixed=jnp.array([True, False]))
    found = band_boundaries(made)
    np.testing.assert_allclose(
        found.boundary_spectra[0], jnp.tile(made.components_scaled[0], (2, 1)), atol=1e-6
    )
    assert jnp.sum(found.boundary_spectra[1, 0] * found.boundary_spectra[1, 1]) < 0.99


@settings(max_examples=5, deadline=None)
@given(st.floats(10, 3000), st.booleans())
def test_all_extremes_are_as_good_and_hold_the_answer_between_them(strength, non_negative):
    made = dense(strength)
    found = jax.device_get(band_boundaries(made, non_negative))
    own = np.sum(np.asarray(made.codes) ** 2, axis=0)
    own = own / float(jnp.sum((made.codes @ made.components_scaled) ** 2))
    assert (found.chi2_rise <= MAX_CHI2_RISE * 1.001).all()
    assert (found.signal_share[:, 0] <= own * 1.001).all()
    assert (found.signal_share[:, 1] >= own * 0.999).all()
    np.testing.assert_allclose(np.linalg.norm(found.boundary_spectra, axis=-1), 1, rtol=1e-5)


def test_the_gradient_of_the_rise_is_that_of_its_values():
    made, step = dense(10.0), 1e-2
    turn = jnp.eye(2) + jnp.asarray(RANDOM.normal(size=(2, 2)) * 0.3, jnp.float32)
    way = jnp.asarray(RANDOM.normal(size=(2, 2)), jnp.float32)
    low, high = (float(chi2_rise(turn + s * step * way, made, non_negative=True)) for s in (-1, 1))
    slope = float(jnp.sum(jax.grad(chi2_rise)(turn, made, True) * way))
    np.testing.assert_allclose((high - low) / (2 * step), slope, rtol=0.05)


def test_sparse_mixtures_are_settled():
    mixed = small_mixtures(2)
    solution = fit_components(jax.random.key(0), mixed.x, OPTIONS, restarts=1)
    found = rotational_ambiguity(whiten_solution(solution, mixed.x))
    assert found.signal_share.shape == (3, 2)
    own = (solution.concentrations**2).sum(0) / np.sum(
        (solution.concentrations @ solution.components) ** 2
    )
    assert (found.signal_share[:, 0] <= own * 1.001).all()
    assert (found.signal_share[:, 1] >= own * 0.999).all()
    assert (
        np.sum(found.boundary_spectra[:, 0] * found.boundary_spectra[:, 1], axis=1) > 0.995
    ).all()


def test_many_components_are_left_out(monkeypatch):
    mixed = small_mixtures(2)
    solution = fit_components(jax.random.key(0), mixed.x, OPTIONS, restarts=1)
    monkeypatch.setattr(module, "MAX_AMBIGUITY_COMPONENTS", 2)
    assert rotational_ambiguity(whiten_solution(solution, mixed.x)) is None
