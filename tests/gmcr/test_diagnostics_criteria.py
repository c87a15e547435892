"""How sure a number is: plausible neighbours, held-out entries, confidence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.gmcr.component_pool import free_component_penalty
from jaxhsi.gmcr.diagnostics import (
    CHANCE_GAIN_FACTOR,
    CountCurve,
    bi_cross_validation_error,
    component_confidence,
    plausible_interval,
)
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.pool_fit import PoolFit, refit_pool
from jaxhsi.gmcr.restarts import UNCERTAIN_GAIN_FACTOR
from tests.helpers.mixtures import make_mixture, pool_from_rows

OPTIONS = SolverOptions(max_active=4)
BANDS = 50
PRICE = float(free_component_penalty(jnp.ones(()), BANDS))
SURE, NOISE = (
    2 * UNCERTAIN_GAIN_FACTOR * PRICE,
    (OPTIONS.evidence_factor - CHANCE_GAIN_FACTOR) * PRICE,
)


def curve(lengths, held_out=None) -> CountCurve:
    """Of 2 to 5 components; 3 is the answer."""
    held = [4.0, 2.0, 2.1, 2.2] if held_out is None else held_out
    zero = np.zeros(4)
    return CountCurve(np.arange(2, 6), zero, np.array(held), zero, np.array(lengths))


@pytest.mark.parametrize(
    ("lengths", "held", "expected"),
    [
        ([SURE, 0.0, 2 * NOISE, 4 * NOISE], None, (3, 3)),
        ([0.5 * SURE - 1, 0.0, 2 * NOISE, 4 * NOISE], None, (2, 3)),
        ([SURE, 0.0, NOISE - 1, 4 * NOISE], None, (3, 4)),
        ([SURE, 0.0, NOISE - 1, 1.5 * NOISE], None, (3, 5)),
        ([SURE, 0.0, 2 * NOISE, 2.5 * NOISE], None, (3, 3)),
        ([SURE, 0.0, 2 * NOISE, 4 * NOISE], [2.0, 2.0, 2.1, 2.2], (2, 3)),
    ],
)
def test_numbers_next_to_the_answer(lengths, held, expected):
    assert plausible_interval(curve(lengths, held), 3, BANDS, OPTIONS) == expected


@pytest.fixture(scope="module")
def errors():
    """Of held-out entries, with 1, 2, 3 of three true components, and a fourth of noise."""
    mixed = make_mixture(3, rows=60)
    seen = jnp.arange(BANDS) % 2 == 0
    noise = jnp.abs(jnp.asarray(np.random.default_rng(1).normal(size=(1, BANDS)), jnp.float32))
    rows = jnp.concatenate([mixed.components, noise])
    hidden = jax.jit(bi_cross_validation_error, static_argnums=4)

    def error(count: int) -> float:
        pool = pool_from_rows(rows[:count], 4)
        return float(jnp.mean(hidden(mixed.x[:30], mixed.x[30:], seen[None], pool, OPTIONS)))

    return [error(count) for count in (1, 2, 3, 4)]


def test_held_out_entries_are_predicted_best_by_the_true_number(errors):
    assert errors[0] > errors[1] > 10 * errors[2]
    assert errors[3] > 0.99 * errors[2]


def test_held_out_entries_are_predicted_nearly_to_the_noise(errors):
    """Two coefficients of 25 bands and three spectra of 30 rows are all that is estimated."""
    assert 0.9 < errors[2] < 1.6


def test_hidden_bands_are_not_looked_at():
    mixed = make_mixture(4)
    seen = jnp.arange(BANDS) < 25
    pool = pool_from_rows(mixed.components, 3)
    shifted = mixed.x[20:] + jnp.where(seen, 0.0, 1000.0)
    plain = bi_cross_validation_error(mixed.x[:20], mixed.x[20:], seen[None], pool, OPTIONS)
    moved = bi_cross_validation_error(mixed.x[:20], shifted, seen[None], pool, OPTIONS)
    left = jnp.sqrt(moved) - 1000  # what was added stays in the error
    assert jnp.abs(left).max() < 5
    assert plain.max() < 5


def test_choices_of_bands_share_a_fit_and_give_their_mean_error():
    mixed = make_mixture(4)
    seen = jnp.arange(BANDS) < 25
    pool = pool_from_rows(mixed.components, 3)

    def errors(*choices):
        args = mixed.x[:20], mixed.x[20:], jnp.stack(choices), pool, OPTIONS
        return np.asarray(bi_cross_validation_error(*args))

    by_hand = (errors(seen) + errors(~seen)) / 2
    np.testing.assert_allclose(errors(seen, ~seen), by_hand, rtol=1e-4)


@settings(deadline=None)  # the first call compiles
@given(st.floats(-3, 5), st.floats(0.01, 3), st.floats(0, 1))
def test_confidence_rises_with_evidence_and_never_exceeds_agreement(worth, more, share):
    pool = pool_from_rows(jnp.eye(2, 5), 2)
    fitted = PoolFit(pool, jnp.zeros((3, 2)), jnp.zeros(()), jnp.array([worth, worth + more]))
    low, high = component_confidence(fitted, jnp.full(2, share, jnp.float32))
    assert 0 <= low <= high <= share + 1e-6


def test_what_the_refit_of_the_truth_is_worth_is_beyond_doubt():
    mixed = make_mixture(5)
    fitted = refit_pool(mixed.x, pool_from_rows(mixed.components, 3), OPTIONS)
    assert component_confidence(fitted, jnp.ones(3)).min() > 0.99
