"""The smallest set: what is fitted, left out and added."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.gmcr.component_pool import ComponentPool, coefficient_penalty, free_component_penalty
from jaxhsi.gmcr.model_selection import (
    add_components,
    backward_step,
    forward_step,
    prune,
    reach_num_components,
)
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.pool_fit import empty_fit, fit_pool, least_squares_components, refit_pool
from jaxhsi.gmcr.purest_spectra import purest_pixels
from tests.helpers.mixtures import SyntheticMixture, best_cosines, make_mixture, pool_from_rows

OPTIONS = SolverOptions(max_active=4, refits=6)
SLOTS = 6
FIT = jax.jit(fit_pool, static_argnums=2)
SMALLEST, GROW = (jax.jit(f, static_argnums=2) for f in (prune, add_components))


@pytest.fixture(scope="module")
def mixed() -> SyntheticMixture:
    return make_mixture()


def near(components, seed: int = 5):
    """Spectra a few degrees off the given ones."""
    random = np.random.default_rng(seed)
    return jnp.abs(components + 0.03 * jnp.asarray(random.normal(size=components.shape)))


def test_a_fit_finds_spectra_and_codes(mixed):
    found = FIT(mixed.x, pool_from_rows(near(mixed.components), SLOTS), OPTIONS, 20, 30.0)
    assert best_cosines(found.pool.components, mixed.components).min() > 0.999
    order = np.argmax(np.asarray(mixed.components @ found.pool.components.T), axis=1)
    np.testing.assert_allclose(np.asarray(found.codes)[:, order], mixed.codes, atol=5)
    assert abs(int((found.codes != 0).sum()) - int((mixed.codes != 0).sum())) <= 1


def test_the_length_of_a_description_by_hand():
    """Two spectra 30 e1 and one component e1: no residual, two coefficients, one spectrum."""
    x, one = jnp.zeros((2, 9)).at[:, 0].set(30.0), pool_from_rows(jnp.eye(1, 9), 1)
    found = FIT(x, one, OPTIONS, 0, 1.0)
    price = 2 * coefficient_penalty(one) + OPTIONS.evidence_factor * free_component_penalty(
        jnp.float32(2.0), 9
    )
    np.testing.assert_allclose(found.description_length, price, rtol=1e-4)


def test_least_squares_by_hand():
    """Amounts 3 and 1 of spectra e1 and e2, known exactly: they come back."""
    truth = jnp.eye(2, 5)
    codes = jnp.array([[3.0, 0.0], [3.0, 1.0], [0.0, 1.0]])  # the start pulls by 1 / 1000
    found = least_squares_components(
        codes @ truth, codes, pool_from_rows(jnp.full((2, 5), 1.0), 2), OPTIONS
    )
    np.testing.assert_allclose(found.components, truth, atol=5e-3)


def test_a_mixture_among_the_candidates_is_left_out(mixed):
    rows = jnp.concatenate([mixed.components, mixed.components[:1] + mixed.components[1:2]])
    found = SMALLEST(mixed.x, pool_from_rows(rows, SLOTS), OPTIONS)
    assert int(found.pool.active.sum()) == 3
    assert best_cosines(found.pool.components, mixed.components).min() > 0.999


def test_what_is_left_out_shortens_the_description(mixed):
    rows = jnp.concatenate([near(mixed.components), near(mixed.components, 6)])
    whole = FIT(
        mixed.x, pool_from_rows(rows, SLOTS), OPTIONS, OPTIONS.refits, OPTIONS.initial_penalty
    )
    assert (
        SMALLEST(mixed.x, pool_from_rows(rows, SLOTS), OPTIONS).description_length
        <= whole.description_length + 1e-3
    )


@pytest.mark.parametrize("share", [-0.1, -0.05, 0.05])
def test_what_a_component_holds_of_another_goes_where_coefficients_are_dearer(share):
    """Ten times stronger spectra: traces that small coefficients make up for, as large as others'
    true ones under more noise."""
    strong = make_mixture(4)
    x = strong.x + 9 * strong.codes @ strong.components
    traced = strong.components.at[0].add(share * strong.components[1])
    pool, true = pool_from_rows(jnp.maximum(traced, 0), SLOTS), int((strong.codes > 0).sum())
    left = SMALLEST(x, pool, SolverOptions(max_active=4, refits=6, second_pass_penalty=0.0))
    assert int((left.codes != 0).sum()) > true + 10
    assert int((SMALLEST(x, pool, OPTIONS).codes != 0).sum()) <= true + 1


def test_the_last_component_stays():
    noise = jnp.asarray(np.abs(np.random.default_rng(0).normal(size=(12, 20))), jnp.float32)
    found = SMALLEST(50 * noise[:1] + noise, pool_from_rows(noise[:1], 2), OPTIONS)
    assert int(found.pool.active.sum()) == 1


def test_a_missing_component_is_added(mixed):
    without = FIT(mixed.x, pool_from_rows(mixed.components[:2], SLOTS), OPTIONS, 0, 1.0)
    grown = GROW(mixed.x, without, OPTIONS)
    assert int(grown.active.sum()) == 3
    assert best_cosines(grown.components, mixed.components[2:])[0] > 0.85
    found = FIT(mixed.x, grown, OPTIONS, 20, 30.0)
    assert best_cosines(found.pool.components, mixed.components).min() > 0.99


def test_noise_is_not_added(mixed):
    complete = FIT(mixed.x, pool_from_rows(mixed.components, SLOTS), OPTIONS, 6, 1.0)
    assert int(GROW(mixed.x, complete, OPTIONS).active.sum()) == 3


def test_a_full_pool_takes_no_more(mixed):
    without = FIT(mixed.x, pool_from_rows(mixed.components[:2], 2), OPTIONS, 0, 1.0)
    np.testing.assert_array_equal(
        GROW(mixed.x, without, OPTIONS).components, without.pool.components
    )


def test_fixed_spectra_are_fitted_around(mixed):
    start = pool_from_rows(near(mixed.components), SLOTS)
    fixed = ComponentPool(start.components, start.active, jnp.arange(SLOTS) == 0)
    found = FIT(mixed.x, fixed, OPTIONS, 3, 1.0)
    np.testing.assert_array_equal(found.pool.components[0], start.components[0])
    assert best_cosines(found.pool.components[1:], mixed.components[1:]).min() > 0.998


def test_one_less_and_one_more_of_the_answer(mixed):
    """The truth is the shortest: a component less costs much, one more does not pay its price."""
    answer = jax.jit(refit_pool, static_argnums=2)(
        mixed.x, pool_from_rows(mixed.components, SLOTS), OPTIONS
    )
    less = jax.jit(backward_step, static_argnums=2)(
        mixed.x, answer, OPTIONS, empty_fit(mixed.x, answer.pool)
    )
    more = jax.jit(forward_step, static_argnums=2)(mixed.x, answer, OPTIONS)
    assert [int(f.pool.active.sum()) for f in (less, answer, more)] == [2, 3, 4]
    price = float(free_component_penalty(jnp.ones(()), 50))
    assert less.description_length > answer.description_length + 10 * price
    assert answer.description_length < more.description_length < answer.description_length + price
    assert jnp.sum((mixed.x - more.codes @ more.pool.components) ** 2) < jnp.sum(
        (mixed.x - answer.codes @ answer.pool.components) ** 2
    )


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_given_number_is_reached_from_above_and_from_below(mixed, number):
    """The three components are found among whatever number is asked for, as far as it goes."""
    numbered = jax.jit(reach_num_components, static_argnums=3)
    rows = near(mixed.components)
    for given in (jnp.concatenate([rows, near(mixed.components, 6)]), rows[:1]):
        start = jax.jit(refit_pool, static_argnums=2)(
            mixed.x, pool_from_rows(given, SLOTS), OPTIONS
        )
        found = numbered(mixed.x, start, number, OPTIONS)
        assert int(found.pool.active.sum()) == number
        closest = np.sort(best_cosines(found.pool.components, mixed.components))[::-1]
        assert (closest[: min(number, 3)] > 0.9).all()


def test_a_number_beyond_what_spectra_would_use_is_not_reached(mixed):
    """Without noise, nothing is left for a fourth component, and the search for it ends."""
    x = mixed.codes @ mixed.components
    start = jax.jit(refit_pool, static_argnums=2)(
        x, pool_from_rows(mixed.components, SLOTS), OPTIONS
    )
    found = jax.jit(reach_num_components, static_argnums=3)(x, start, 5, OPTIONS)
    assert int(found.pool.active.sum()) == 3


def test_nothing_is_added_where_no_slot_is_free(mixed):
    full = refit_pool(mixed.x, pool_from_rows(mixed.components, 3), OPTIONS)
    assert int(forward_step(mixed.x, full, OPTIONS).pool.active.sum()) == 3


def test_the_purest_spectra_by_hand():
    """Of e1 and e2, the third spectrum holds most of the one, the second most of the other."""
    pool = pool_from_rows(jnp.eye(2, 5), 3)
    codes = jnp.array([[1.0, 1.0, 0.0], [1.0, 3.0, 0.0], [8.0, 2.0, 0.0]])
    fitted = empty_fit(codes @ pool.components, pool)._replace(codes=codes)
    rows = purest_pixels(fitted, OPTIONS).components
    expected = jnp.array([[8.0, 2.0], [1.0, 3.0]]) / jnp.sqrt(jnp.array([[68.0], [10.0]]))
    np.testing.assert_allclose(rows[:2, :2], expected, rtol=1e-6)
    assert not rows[2].any()


def test_the_corner_leaves_fractions_right_under_an_offset_that_all_spectra_share():
    """Spectra that sum to one over an offset fit as well with turned components."""
    random = np.random.default_rng(0)
    pure = np.abs(random.normal(size=(3, 60))) ** 3 + 1.0
    grid = [(i, j, 5 - i - j) for i in range(6) for j in range(6 - i) if i * j * (5 - i - j) == 0]
    fractions = np.array(grid) / 5
    x = jnp.asarray(40 * fractions @ pure + random.normal(size=(len(grid), 60)), jnp.float32)
    turned = np.maximum(pure - 0.27 * np.roll(pure, 1, axis=0), 0)
    sizes = np.linalg.norm(pure, axis=1)

    def error(found) -> float:
        order = np.argmax(np.asarray(found.pool.components) @ (pure / sizes[:, None]).T, axis=0)
        share = np.asarray(found.codes)[:, order] / sizes
        return float(np.sqrt(np.mean((share / share.sum(1, keepdims=True) - fractions) ** 2)))

    off = refit_pool(x, pool_from_rows(turned, 5), OPTIONS)
    corner = refit_pool(x, purest_pixels(off, OPTIONS), OPTIONS)
    assert corner.description_length < off.description_length - 10
    assert error(corner) < 0.02 < error(off)
