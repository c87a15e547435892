"""Upstream's gates against the reference, and that their stated defects are real."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.upstream.gmcr import gates
from tests.helpers.reference import REFERENCE

GATE = {
    name[5:]: jnp.asarray(value) for name, value in REFERENCE.items() if name.startswith("gate/")
}
C = jnp.array([[1.0, 2.0], [0.5, 0.0]])
S = jnp.array([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]])


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


def test_the_gate_enters_as_in_the_reference():
    """Its sum over (concentration z) (component z), with the array of (n, p, c)."""
    z = jnp.array([[0.5, 1.0], [0.25, 0.0]])
    expected = ((C * z)[..., None] * (S * z[..., None])).sum(1)
    np.testing.assert_allclose(gates.gated_mixture(C, z, S), expected)
    assert (gates.gated_mixture(C, jnp.array([1.0, 0.0]), S) == C[:, :1] @ S[:1]).all()
