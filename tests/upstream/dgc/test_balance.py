"""The balanced loss by hand and its gradients, the running usage, and options that are refused."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxhsi.dgc.losses import mean_usage
from jaxhsi.upstream.dgc import balance
from jaxhsi.upstream.dgc import balance_rules as rules

EVEN = jnp.array([0.5, 0.5])
TERMS = jnp.array([2.0, 8.0])


def some_p(seed=0, n=40, k=3):
    return jax.nn.softmax(2 * jax.random.normal(jax.random.key(seed), (n, k)))


# The loss --------------------------------------------------------------------------------------


def test_fixed_weights_are_a_plain_sum():
    fixed = rules.fixed_weights([0.5, 3.0])
    weighing = fixed.weights(fixed.init(TERMS, EVEN), TERMS, EVEN)
    assert weighing.cluster_bonuses is None
    assert balance.balanced_loss(weighing, list(TERMS), some_p()) == 0.5 * 2 + 3 * 8


def test_no_gradient_goes_through_the_weights():
    famo = rules.famo_weights(0.02)

    def loss(terms):
        weighing = famo.weights(jnp.zeros(2), terms, EVEN)
        return balance.balanced_loss(weighing, list(terms), some_p())

    # w = c z / L with c = 1 / (0.5 / 2 + 0.5 / 8): 0.8 and 0.2
    np.testing.assert_allclose(jax.grad(loss)(TERMS), [0.8, 0.2], rtol=1e-6)


def test_priced_by_hand():
    p = jnp.array([[0.5, 0.5], [1.0, 0.0]])
    prices = jnp.log(jnp.array([1.0, 3.0]))
    assert balance.assignment_bonus_loss(p, prices) == pytest.approx(-math.log(2) / 2)
    assert balance.assignment_bonus_loss(p, prices, jnp.array([True, False])) == pytest.approx(
        -math.log(2)
    )
    assert balance.assignment_bonus_loss(p, jnp.zeros(2)) == 0


def test_small_prices_are_the_lagrangian_of_the_usage():
    p, prices = some_p(), 1e-3 * jnp.array([1.0, 0.0, 2.0])
    assert balance.assignment_bonus_loss(p, prices) == pytest.approx(
        float(-mean_usage(p) @ prices), rel=2e-3
    )


def test_gradient_of_a_price_is_that_of_a_cross_entropy_against_the_paid_assignment():
    logits = jax.random.normal(jax.random.key(1), (5, 3))
    prices = jnp.array([0.0, 2.0, 0.5])

    def loss(logits):
        return balance.assignment_bonus_loss(jax.nn.softmax(logits), prices)

    p = jax.nn.softmax(logits)
    np.testing.assert_allclose(
        jax.grad(loss)(logits), (p - jax.nn.softmax(logits + prices)) / 5, atol=1e-6
    )
    check_grads(loss, (logits,), order=1, modes=["rev"], rtol=1e-2)


def test_a_price_still_pulls_where_a_cluster_is_nearly_empty():
    """The product with the usage has no gradient there, whatever the price."""
    logits, prices = jnp.array([[12.0, 0.0]]), jnp.array([0.0, rules.MAX_BONUS])
    pull = jax.grad(lambda x: balance.assignment_bonus_loss(jax.nn.softmax(x), prices))(logits)[0]
    product = jax.grad(lambda x: -mean_usage(jax.nn.softmax(x)) @ prices)(logits)[0]
    assert pull[1] < -0.5
    assert abs(product[1]) < 1e-3


# Running usage ---------------------------------------------------------------------------------


def test_running_usage_is_a_mean_then_forgets():
    first, second = jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 1.0]])
    usage = balance.update_running_usage(EVEN, first, jnp.array(0), 4)
    np.testing.assert_allclose(usage, [1, 0])
    usage = balance.update_running_usage(usage, second, jnp.array(1), 4)
    np.testing.assert_allclose(usage, [0.5, 0.5])
    np.testing.assert_allclose(
        balance.update_running_usage(usage, first, jnp.array(9), 4), [0.625, 0.375]
    )
    empty = balance.update_running_usage(usage, first, jnp.array(9), 4, jnp.array([False]))
    np.testing.assert_allclose(empty, usage)


# Options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"min_share": 0.0}, "min_share 0.0"),
        ({"min_share": 1.5}, "min_share 1.5"),
        ({"averaging_batches": 0}, "averaging_batches 0"),
    ],
)
def test_numbers_without_meaning_are_refused(options, named):
    with pytest.raises(ValueError, match=named):
        balance.BalanceOptions(**options)


def test_a_floor_that_cannot_be_kept_is_refused():
    with pytest.raises(ValueError, match=r"at most 0\.125"):
        balance.build_balance(balance.BalanceOptions("share_floor", 0.2), [1.0], 8)
