"""Each prior by hand; projections that change nothing the second time; gradients of penalties."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from jaxhsi.gmcr import priors
from jaxhsi.gmcr.factors import Factors, ProximalContext, scale_to_sum

C = jnp.array([[1.0, -2.0], [0.5, 0.0], [0.2, 0.3]])
S = jnp.array([[1.0, -1.0, 2.0, 0.0], [0.0, 3.0, 1.0, 2.0]])
AROUND = ProximalContext(
    Factors(jnp.full((3, 1), 0.1), jnp.full((1, 1), 0.1)), jnp.ones((3, 2), bool)
)


def prox(prior, c=C, s=S, around=AROUND) -> Factors:
    return prior.proximal_step(Factors(c, s), around)


def test_no_negative_values_in_the_factor_that_is_named():
    c, s = prox(priors.non_negativity("concentrations"))
    assert c.tolist() == jnp.maximum(C, 0).tolist()
    assert s is S
    assert prox(priors.non_negativity("components")).components.min() == 0


def test_concentrations_sum_to_one_on_their_support():
    c, _ = prox(priors.closure())
    np.testing.assert_allclose(c, [[1, 0], [0.75, 0.25], [0.45, 0.55]], atol=1e-6)
    support = jnp.array([[True, True], [True, True], [True, False]])
    c, _ = prox(priors.closure(2.0), around=AROUND._replace(support=support))
    np.testing.assert_allclose(c[2], [2, 0], atol=1e-6)
    np.testing.assert_allclose(c.sum(1), 2, atol=1e-5)


def test_components_take_the_size_that_makes_concentrations_sum_to_one():
    shares = jnp.array([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]])
    given_ = Factors(shares * jnp.array([2.0, 5.0]), S)
    c, s = scale_to_sum(given_, 1.0)
    np.testing.assert_allclose(c, shares, atol=1e-4)
    np.testing.assert_allclose(c @ s, given_.concentrations @ S, atol=1e-4)


def test_one_peak_along_axis_or_samples():
    rows = jnp.array([[0.0, 5.0, 1.0, 3.0], [3.0, 2.0, 1.0, 0.0]])
    _, s = prox(priors.unimodality(), s=rows)
    np.testing.assert_allclose(s, [[0, 5, 2, 2], [3, 2, 1, 0]], atol=1e-5)
    prior = priors.unimodality("concentrations")
    c, _ = prox(prior, c=jnp.array([[2.0, 0], [0.0, 1], [1.0, 0]]))
    np.testing.assert_allclose(c, [[2, 0], [0.5, 1], [0.5, 0]], atol=1e-5)
    assert prior.couples_spectra


def test_peaks_of_each_run_and_of_some_components_alone():
    c = jnp.array([[2.0, 1], [0.0, 0], [1.0, 1], [3.0, 2], [0.0, 0], [1.0, 5]])
    prior = priors.unimodality("concentrations", run_lengths=(3, 3))
    found = prior.proximal_step(Factors(c, S), AROUND).concentrations
    np.testing.assert_allclose(found[:, 0], [2, 0.5, 0.5, 3, 0.5, 0.5], atol=1e-5)
    assert prior.frees_zeros
    one = priors.unimodality("concentrations", run_lengths=(3, 3), components=(True,))
    found = one.proximal_step(Factors(c, S), AROUND).concentrations
    np.testing.assert_allclose(found[:, 0], [2, 0.5, 0.5, 3, 0.5, 0.5], atol=1e-5)
    assert found[:, 1].tolist() == c[:, 1].tolist()


def test_concentrations_are_smooth_within_runs():
    c = jnp.array([[0.0], [1], [2], [9], [8], [7]])
    within = priors.smoothness(2.0, "concentrations", run_lengths=(3, 3))
    assert float(within.penalty(Factors(c, S))) == 0
    across = priors.smoothness(2.0, "concentrations")
    # Second differences 6 and -8 where the runs meet.
    assert float(across.penalty(Factors(c, S))) == pytest.approx(100)
    assert across.couples_spectra
    assert across.frees_zeros
    assert not priors.smoothness(2.0).frees_zeros


def test_small_values_become_zero_and_the_others_shrink():
    _, s = prox(priors.sparsity(5.0))
    np.testing.assert_allclose(s, [[0.5, -0.5, 1.5, 0], [0, 2.5, 0.5, 1.5]], atol=1e-6)


def test_zero_regions_and_known_values():
    c, s = prox(priors.selectivity(components=S > 1.5))
    assert s.tolist() == [[1, -1, 0, 0], [0, 0, 1, 0]]
    assert c is C
    nan = jnp.nan
    values = jnp.array([[nan, nan], [0.25, 0.75], [nan, nan]])
    c, s = prox(priors.equality(concentrations=values))
    assert c.tolist() == [C[0].tolist(), [0.25, 0.75], C[2].tolist()]
    assert priors.equality(components=S).fixes_scale


def test_penalties_by_hand():
    # Second differences of the rows: 5, -5 and -5, 3.
    assert float(priors.smoothness(2.0).penalty(Factors(C, S))) == pytest.approx(84)
    prior = priors.minimum_volume(2.0, eps=0.5, unit_rows=False)
    assert float(prior.penalty(Factors(C, jnp.eye(2)))) == pytest.approx(2 * np.log(1.5))
    scaled = priors.minimum_volume(1.0)
    close = Factors(C, jnp.array([[1.0, 0.0], [1.0, 0.1]]))
    assert scaled.penalty(close) < scaled.penalty(Factors(C, jnp.eye(2))) - 1
    np.testing.assert_allclose(
        scaled.penalty(close), scaled.penalty(Factors(C, 7 * close.components)), rtol=1e-5
    )


@pytest.mark.parametrize(
    "prior",
    [priors.smoothness(1.5), priors.smoothness(1.5, "concentrations"), priors.minimum_volume(0.7)],
    ids=["smooth components", "smooth concentrations", "volume"],
)
def test_penalties_have_gradients(prior):
    check_grads(
        lambda c, s: prior.penalty(Factors(c, s)),
        (C, S),
        1,
        ["rev"],
        eps=1e-2,
        atol=2e-2,
        rtol=2e-2,
    )


def test_together_penalties_add_and_steps_follow_each_other():
    both = priors.combine_priors(
        priors.smoothness(2.0), priors.minimum_volume(1.0), priors.closure()
    )
    parts = priors.smoothness(2.0).penalty, priors.minimum_volume(1.0).penalty
    f = Factors(C, S)
    np.testing.assert_allclose(both.penalty(f), sum(part(f) for part in parts), rtol=1e-6)
    assert both.fixes_scale
    assert both.concentration_sum == 1.0
    assert not both.couples_spectra
    rows = priors.combine_priors(priors.sparsity(5.0), priors.non_negativity("components"))
    assert prox(rows).components.tolist() == [[0.5, 0, 1.5, 0], [0, 2.5, 0.5, 1.5]]
    none = priors.combine_priors()
    assert none.penalty(f) == 0
    assert none.proximal_step(f, AROUND) is f


PROJECTIONS = {
    "non_negative": priors.non_negativity("components"),
    "closure": priors.closure(),
    "one_peak": priors.unimodality(),
    "zero_regions": priors.selectivity(components=S > 1),
    "known": priors.equality(components=jnp.where(S > 1, S, jnp.nan)),
}
COMPILED = {name: jax.jit(prior.proximal_step) for name, prior in PROJECTIONS.items()}


@pytest.mark.parametrize("name", PROJECTIONS)
@given(st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_a_projection_changes_nothing_the_second_time(name, seed):
    first, second = jax.random.split(jax.random.key(seed))
    drawn = Factors(jax.random.normal(first, C.shape), jax.random.normal(second, S.shape))
    once = COMPILED[name](drawn, AROUND)
    twice = COMPILED[name](once, AROUND)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), once, twice)
