"""Rules of balance by hand, and a collapse that a floor on the usage prevents."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.dgc.losses import mean_usage
from jaxhsi.upstream.dgc import balance
from jaxhsi.upstream.dgc import balance_rules as rules
from jaxhsi.upstream.dgc.losses import minimised_usage_entropy, usage_entropy

EVEN = jnp.array([0.5, 0.5])
TERMS = jnp.array([2.0, 8.0])


def some_p(seed=0, n=40, k=3):
    return jax.nn.softmax(2 * jax.random.normal(jax.random.key(seed), (n, k)))


# Floors ----------------------------------------------------------------------------------------


def test_share_floor_by_hand():
    floor = rules.share_floor([1.0], 0.1, 10)
    usage = jnp.array([0.95, 0.05])
    duals = floor.init(jnp.ones(1), usage)
    weighing = floor.weights(duals, jnp.ones(1), usage)
    assert weighing.term_weights == (1.0,)
    np.testing.assert_allclose(weighing.cluster_bonuses, [0, math.log(2)], rtol=1e-6)
    duals = floor.update(duals, jnp.ones(1), jnp.ones(1), usage)
    np.testing.assert_allclose(duals, [0, math.log(2) / 10], rtol=1e-6)
    duals = floor.update(duals, jnp.ones(1), jnp.ones(1), jnp.array([0.5, 0.5]))
    np.testing.assert_allclose(duals, [0, 0])


def test_the_price_alone_lifts_a_cluster_back_to_its_floor():
    """Where the batch has the running usage, sum_i p_ik exp(price_k) / n is the floor."""
    p = some_p() * jnp.array([1.0, 1.0, 0.01])
    p = p / p.sum(1, keepdims=True)
    floor = rules.share_floor([1.0], 0.1, 10)
    prices = floor.weights(jnp.zeros(3), jnp.ones(1), mean_usage(p)).cluster_bonuses
    assert (p[:, 2] * jnp.exp(prices[2])).mean() == pytest.approx(0.1, rel=1e-5)


def test_entropy_floor_by_hand():
    least = 0.6
    floor = rules.entropy_floor([1.0], least, 10)
    usage = jnp.array([0.9, 0.1])
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    dual = floor.init(jnp.ones(1), usage)
    weighing = floor.weights(dual, jnp.ones(1), usage)
    np.testing.assert_allclose(
        weighing.cluster_bonuses, -(least - entropy) * jnp.log(usage), rtol=1e-5
    )
    dual = floor.update(dual, jnp.ones(1), jnp.ones(1), usage)
    assert dual == pytest.approx((least - entropy) / 10, rel=1e-5)
    assert floor.update(dual, jnp.ones(1), jnp.ones(1), EVEN) < dual
    assert (floor.weights(jnp.array(0.0), jnp.ones(1), EVEN).cluster_bonuses == 0).all()


def test_prices_of_the_entropy_floor_are_the_gradient_of_the_entropy():
    usage = jnp.array([0.7, 0.2, 0.1])
    slope = jax.grad(lambda u: -(u * jnp.log(u)).sum())(usage)
    prices = (
        rules.entropy_floor([1.0], 5.0, 10)
        .weights(jnp.array(1.0), jnp.ones(1), usage)
        .cluster_bonuses
    )
    ratio = (prices - prices[0]) / jnp.maximum(slope - slope[0], 1e-9)
    np.testing.assert_allclose(ratio[1:], ratio[1], rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 20), st.floats(0.01, 1.0))
def test_entropy_of_the_least_shares(k, part):
    share = part / k
    usage = np.array([share] * (k - 1) + [1 - (k - 1) * share])
    assert rules.floor_entropy(share, k) == pytest.approx(-(usage * np.log(usage)).sum(), abs=1e-9)


@pytest.mark.parametrize("kind", ["share_floor", "entropy_floor"])
def test_one_dead_cluster_has_a_bounded_price_however_long(kind):
    rule = balance.build_balance(balance.BalanceOptions(kind, 0.05, 1), [1.0], 3)
    usage = jnp.array([0.5, 0.5, 0.0])
    state = rule.init(jnp.ones(1), usage)
    for _ in range(50):
        state = rule.update(state, jnp.ones(1), jnp.ones(1), usage)
    prices = rule.weights(state, jnp.ones(1), usage).cluster_bonuses
    assert prices.max() <= rules.MAX_BONUS + 1e-3
    assert jnp.isfinite(balance.assignment_bonus_loss(some_p(), prices))


def descend(rule: rules.Balance, steps: int = 800, horizon: int = 10):
    """Usage over the steps, of 64 pixels with a logit each, under upstream's term for collapse."""

    def loss(logits, state, usage):
        p = jax.nn.softmax(logits)
        terms = [minimised_usage_entropy(p)]
        return balance.balanced_loss(
            rule.weights(state, jnp.array(terms), usage), terms, p
        ), jnp.array(terms)

    def step(carry, number):
        logits, state, usage = carry
        gradient, before = jax.grad(loss, has_aux=True)(logits, state, usage)
        logits = logits - 0.05 * len(logits) * gradient
        p = jax.nn.softmax(logits)
        usage = balance.update_running_usage(usage, p, number, horizon)
        state = rule.update(state, before, loss(logits, state, usage)[1], usage)
        return (logits, state, usage), mean_usage(p)

    start = 0.5 * jax.random.normal(jax.random.key(0), (64, 3))
    carry = (start, rule.init(jnp.ones(1), jnp.ones(3)), jnp.full(3, 1 / 3))
    return jax.jit(lambda c: jax.lax.scan(step, c, jnp.arange(steps)))(carry)[1]


def entropies(usage):
    return jax.vmap(lambda u: usage_entropy(u[None]))(usage)


def test_fixed_weights_collapse():
    usage = descend(rules.fixed_weights([1.0]))
    assert usage[-1].max() > 0.98
    assert entropies(usage)[-1] < 0.1


def test_the_floor_on_shares_holds_through_the_same_loss():
    least = descend(rules.share_floor([1.0], 0.1, 10))[-200:].min(1)
    assert least.min() > 0.05
    assert 0.07 < least.mean() < 0.15  # and no more than that is asked for


def test_the_floor_on_entropy_holds_through_the_same_loss():
    least = rules.floor_entropy(0.1, 3)
    reached = entropies(descend(rules.entropy_floor([1.0], least, 10)))[-200:]
    assert reached.min() > 0.9 * least
    assert reached.mean() < 1.2 * least


# Weights of terms ------------------------------------------------------------------------------


def test_uncertainty_by_hand_and_at_its_optimum():
    rule = rules.uncertainty_weights(0.1)
    s = rule.init(TERMS, EVEN)
    np.testing.assert_allclose(rule.weights(s, TERMS, EVEN).term_weights, [0.5, 0.5])
    s = rule.update(s, TERMS, TERMS, EVEN)
    np.testing.assert_allclose(s, [0.05, 0.35], rtol=1e-6)
    for _ in range(400):
        s = rule.update(s, TERMS, TERMS, EVEN)
    np.testing.assert_allclose(s, jnp.log(TERMS), atol=1e-3)
    np.testing.assert_allclose(rule.weights(s, TERMS, EVEN).term_weights, 0.5 / TERMS, rtol=1e-3)


def test_uncertainty_descends_its_own_objective():
    def objective(s):
        return (jnp.exp(-s) * TERMS + s).sum() / 2

    s = jnp.array([0.3, -0.2])
    moved = rules.uncertainty_weights(1.0).update(s, TERMS, TERMS, EVEN)
    np.testing.assert_allclose(s - moved, jax.grad(objective)(s), rtol=1e-5)


def test_famo_by_hand():
    rule = rules.famo_weights(1.0, decay=0.0)
    before, after = jnp.array([2.0, 8.0]), jnp.array([1.0, 8.0])
    x = rule.update(jnp.zeros(2), before, after, EVEN)
    # J = diag(z) - z z' = [[1, -1], [-1, 1]] / 4 at z = (1, 1) / 2, d = (log 2, 0)
    np.testing.assert_allclose(x, [-math.log(2) / 4, math.log(2) / 4], rtol=1e-5)
    weights = rule.weights(x, after, EVEN).term_weights
    assert weights.sum() == pytest.approx(1)
    z = jax.nn.softmax(x)
    np.testing.assert_allclose(weights[0] / weights[1], z[0] * 8 / z[1], rtol=1e-5)
