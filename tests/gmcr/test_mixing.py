"""Forward models: linear mixing, gates that enter squared, saturation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxhsi.gmcr import mixing

C = jnp.array([[1.0, 2.0], [0.5, 0.0]])
S = jnp.array([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]])


def test_linear_by_hand():
    assert mixing.linear(C, S).tolist() == [[1, 2, 4], [0.5, 0, 1]]
    own = jnp.stack([S, 2 * S])
    assert mixing.linear(C, own).tolist() == [[1, 2, 4], [1, 0, 2]]


def test_the_gate_enters_as_in_the_reference():
    """Its sum over (concentration z) (component z), with the array of (n, p, c)."""
    z = jnp.array([[0.5, 1.0], [0.25, 0.0]])
    expected = ((C * z)[..., None] * (S * z[..., None])).sum(1)
    np.testing.assert_allclose(mixing.gated(C, z, S), expected)
    np.testing.assert_allclose(mixing.gated(C, z, S, squared=False), (C * z) @ S)
    assert (mixing.gated(C, jnp.array([1.0, 0.0]), S) == C[:, :1] @ S[:1]).all()


def test_saturation_is_linear_for_little_light_absorbed_and_bounded_for_much():
    model = mixing.saturating(0.01)
    weak = 1e-3 * C
    # First order: a share 1 / (1 + s) of the absorbance.
    np.testing.assert_allclose(model(weak, S), weak @ S / 1.01, rtol=1e-2, atol=1e-7)
    assert model(100 * C, S).max() == pytest.approx(np.log10(101), rel=1e-5)
    assert model(C, S)[0, 0] == pytest.approx(np.log10(1.01 / 0.11), rel=1e-5)  # A = 1
    assert mixing.gated(C, jnp.zeros(2), S, model) == pytest.approx(0, abs=1e-6)


def test_saturation_has_a_gradient():
    model = jax.jit(mixing.saturating(0.05))
    check_grads(
        lambda c: model(jnp.asarray(c), S), (C,), 1, ["rev"], eps=1e-2, rtol=1e-2, atol=1e-2
    )


def test_no_stray_light_is_linear_mixing():
    with pytest.raises(ValueError, match=r"stray 0.*linear"):
        mixing.saturating(0.0)
