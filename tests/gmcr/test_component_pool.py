"""What components cost and gain: closed forms against refitting by brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.gmcr.component_pool import (
    ComponentPool,
    coefficient_penalty,
    component_gains,
    component_penalties,
    encode,
    free_component_penalty,
    log_evidence,
    normalise_components,
)
from jaxhsi.gmcr.options import SolverOptions

YES = jnp.ones(2, bool)


def pool(components, alive=None, fixed=None) -> ComponentPool:
    count = len(components)
    alive = jnp.ones(count, bool) if alive is None else jnp.asarray(alive)
    fixed = jnp.zeros(count, bool) if fixed is None else jnp.asarray(fixed)
    return ComponentPool(jnp.asarray(components, jnp.float32), alive, fixed)


def test_prices_by_hand():
    """Nine users, 16 bands: (3 + 4)^2; a fixed one of two pays 2 (log 3 + 2)."""
    assert free_component_penalty(jnp.float32(9.0), 16) == 49
    found = component_penalties(jnp.full(2, 9.0), pool(jnp.eye(2, 16), fixed=[False, True]))
    np.testing.assert_allclose(found, [49, 2 * (np.log(3) + 2)], rtol=1e-6)


def test_the_price_is_what_the_best_spectrum_gains_on_noise():
    """The largest singular value of white noise, squared: within a tenth of the price."""
    random = np.random.default_rng(0)
    gained = [np.linalg.norm(random.normal(size=(40, 90)), 2) ** 2 for _ in range(20)]
    assert np.mean(gained) == pytest.approx(
        float(free_component_penalty(jnp.float32(40.0), 90)), rel=0.1
    )


def test_shape_makes_unit_rows():
    rows = jnp.array([[3.0, -4.0], [0.0, 0.0]])
    np.testing.assert_allclose(normalise_components(rows, SolverOptions()), [[1, 0], [0, 0]])
    np.testing.assert_allclose(
        normalise_components(rows, SolverOptions(non_negative=False)), [[0.6, -0.8], [0, 0]]
    )


def test_fixed_and_empty_slots_do_not_change():
    before = pool(jnp.eye(3), alive=[True, True, False], fixed=[True, False, False])
    before = before.keep_only(jnp.ones(3, bool))
    after = before.replace_components(jnp.full((3, 3), 2.0), SolverOptions())
    np.testing.assert_allclose(after.components[0], [1, 0, 0])
    np.testing.assert_allclose(after.components[1], np.full(3, 3**-0.5), rtol=1e-6)
    np.testing.assert_allclose(after.components[2], 0)


def test_what_is_not_kept_is_empty():
    kept = pool(jnp.eye(2)).keep_only(jnp.array([False, True]))
    assert kept.active.tolist() == [False, True]
    assert not kept.components[0].any()


def test_gains_are_those_of_refitting():
    """Without component j: all spectra refitted, or all concentrations; the smaller gain."""
    random = np.random.default_rng(2)
    s = np.abs(random.normal(size=(3, 12)))
    s /= np.linalg.norm(s, axis=1, keepdims=True)
    codes = random.uniform(1, 9, (20, 3)) * (random.random((20, 3)) < 0.7)
    x = codes @ s
    found = component_gains(*(jnp.asarray(a, jnp.float32) for a in (codes, s)), jnp.ones(3, bool))
    for j in range(3):
        rest = [i for i in range(3) if i != j]
        spectra = np.linalg.lstsq(codes[:, rest], x)[0]
        mixes = np.linalg.lstsq(s[rest].T, x.T)[0]
        left = ((x - codes[:, rest] @ spectra) ** 2).sum(), ((x - mixes.T @ s[rest]) ** 2).sum()
        assert found[j] == pytest.approx(min(left), rel=1e-2)


def test_a_component_that_nobody_uses_gains_nothing():
    codes = jnp.array([[5.0, 0.0], [7.0, 0.0]])
    assert component_gains(codes, jnp.eye(2, 8), YES)[1] == 0


def test_twins_gain_little_each():
    """The same spectrum twice: either does without the other."""
    twins = jnp.tile(jnp.eye(1, 8), (2, 1))
    alone = component_gains(jnp.array([[50.0, 0.0]]), twins, jnp.array([True, False]))[0]
    assert component_gains(jnp.array([[25.0, 25.0]]), twins, YES)[0] < 1e-3 * alone


def test_evidence_by_hand():
    """One component, 4 users of amount 30 in 25 bands: log((3600 - 4 cost) / (2 + 5)^2)."""
    one = pool(jnp.eye(1, 25))
    codes, cost = jnp.full((4, 1), 30.0), coefficient_penalty(one)
    expected = np.log((3600 - 4 * float(cost)) / 49)
    np.testing.assert_allclose(log_evidence(codes, one, cost), [expected], rtol=1e-4)


def test_codes_of_a_pool_leave_dead_slots_out():
    half = pool(jnp.eye(2), alive=[True, False])
    found = jax.jit(encode, static_argnums=2)(
        jnp.full((3, 2), 20.0), half, SolverOptions(), coefficient_penalty(half)
    )
    np.testing.assert_allclose(found, [[20.0, 0.0]] * 3, rtol=2e-4)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_active": 0}, "max_active 0 is out of range"),
        ({"max_phases": 1}, "max_phases 1 cannot show convergence"),
        ({"initial_penalty": 0.5}, "initial_penalty 0.5 is out of range"),
        ({"second_pass_penalty": 6.0}, "second_pass_penalty 6.0 is no share"),
        (
            {"steps_per_phase": 90, "noise_refit_every": 20},
            "noise_refit_every 20 does not divide steps_per_phase 90",
        ),
        ({"evidence_factor_start": 1.0}, "fall to evidence_factor 1.2"),
        ({"evidence_factor": -1.0}, "above 0"),
    ],
)
def test_options_that_cannot_work_are_refused(options, told):
    with pytest.raises(ValueError, match=told):
        SolverOptions(**options)
