"""Gates: closed forms against samples, the reference's selection, thresholds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from jaxhsi.gmcr import gates


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
