"""Gates: closed forms against samples, the reference's selection, thresholds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from jaxhsi.gmcr import gates
from tests.upstream.gmcr.primitives import REFERENCE

GATE = {
    name[5:]: jnp.asarray(value) for name, value in REFERENCE.items() if name.startswith("gate/")
}


def test_hard_concrete_by_hand():
    """u = 1/2, logit 0: s = 1/2, and 0.5 * 1.2 - 0.1 = 0.5; far logits are exactly 0 and 1."""
    z = gates.hard_concrete(jnp.full(3, 0.5), jnp.array([0.0, -9.0, 9.0]))
    np.testing.assert_allclose(z, [0.5, 0.0, 1.0], atol=1e-7)
    assert z[1] == 0
    assert z[2] == 1


def test_samples_are_open_as_often_as_the_closed_form_says():
    logits = jnp.array([-3.0, -1.0, 0.0, 2.0])
    uniform = jax.random.uniform(jax.random.key(0), (20000, 4))
    share = (gates.hard_concrete(uniform, logits) > 0).mean(0)
    np.testing.assert_allclose(share, gates.open_probability(logits), atol=0.012)  # 3.4 sigma
    assert gates.expected_l0(logits) == pytest.approx(float(share.sum()), abs=0.03)


def test_open_probability_by_hand():
    """Logit 0.66 log(1 / 11) cancels the stretch: 1/2."""
    assert gates.open_probability(0.66 * jnp.log(jnp.array(1 / 11))) == pytest.approx(0.5)


@settings(max_examples=10, deadline=None)
@given(st.floats(-30, 30, width=32), st.floats(0, 1, width=32))
def test_hard_concrete_stays_in_range_and_has_a_gradient(logit, u):
    z, slope = jax.value_and_grad(lambda a: gates.hard_concrete(jnp.float32(u), a))(
        jnp.float32(logit)
    )
    assert 0 <= z <= 1
    assert np.isfinite(slope)
    assert slope >= 0


def test_hard_concrete_gradient():
    uniform = jnp.array([0.3, 0.5, 0.6])
    check_grads(
        lambda a: gates.hard_concrete(uniform, jnp.asarray(a)),
        (jnp.zeros(3),),
        1,
        eps=1e-2,
        rtol=1e-2,
    )


def test_expected_gate_by_hand():
    """sigmoid(log 3) = 3/4: 0.75 * 1.2 - 0.1 = 0.8."""
    z = gates.expected_gate(jnp.array([jnp.log(3.0), -3.0, 3.0]))
    np.testing.assert_allclose(z, [0.8, 0.0, 1.0], atol=1e-6)


def test_selection_agrees_with_the_reference():
    def chosen(energies):
        refined = energies + gates.langevin_noise(GATE["normal"])
        return gates.gumbel_pair(refined, GATE["gumbel"], 0.4), refined

    out, back, refined = jax.vjp(chosen, jnp.asarray(GATE["energies"]), has_aux=True)
    np.testing.assert_allclose(out, GATE["chosen"], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(-refined, GATE["refined"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(back(GATE["probe"])[0], GATE["gradient"], rtol=1e-4, atol=1e-6)


def test_langevin_dynamics_are_noise_and_a_shift_that_the_pair_ignores():
    assert (gates.langevin_noise(jnp.zeros(2)) == -1.6).all()  # 32 steps of 0.05
    assert (gates.langevin_noise(jnp.ones(2), steps=0) == 0).all()
    energies, zero = jnp.array([[0.3, -0.2]]), jnp.zeros((1, 2))
    shifted = energies + gates.langevin_noise(zero)
    first, second = (gates.gumbel_pair(e, zero, 0.5) for e in (energies, shifted))
    np.testing.assert_allclose(first, second, rtol=1e-5)
    assert first[0] == pytest.approx(1 / (1 + np.exp(1.0)), rel=1e-5)  # (-0.3 - 0.2) / 0.5


def test_thresholds():
    z = jnp.array([[0.4, 0.9999993, 1.0], [0.6, 0.1, 0.2]])
    assert gates.open_at_threshold(z).tolist() == [[0, 0, 1], [0, 0, 0]]
    assert gates.in_use(z).tolist() == [True, True, True]
    assert gates.in_use(z, 0.7).tolist() == [False, True, True]
