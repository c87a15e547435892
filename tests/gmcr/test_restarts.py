"""The vote of restarts."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxhsi.gmcr.component_pool import ComponentPool
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.pool_fit import PoolFit
from jaxhsi.gmcr.restarts import (
    MAX_RESTARTS,
    counts_within_tolerance,
    default_num_restarts,
    length_tolerance,
    majority_restart,
    nearest_in_span,
    shared_components,
)
from jaxhsi.gmcr.solution import RestartVote


@pytest.mark.parametrize(
    ("counts", "lengths", "winner"),
    [
        ([16], [0.0], 0),
        ([17, 16, 16], [0.0, 400.0, 390.0], 2),  # most say 16, on a small gain
        ([17, 16, 16], [0.0, 5000.0, 5000.0], 0),  # what they say is far from the shortest
        ([16, 17], [0.3, 0.0], 0),  # less than 1 says nothing: the first
        ([16, 17], [30.0, 0.0], 1),  # no majority: the shortest
        ([15, 15, 15, 16, 17], [900.0, 900.0, 900.0, 0.0, 100.0], 3),  # outvoted, but too long
    ],
)
def test_who_wins(counts, lengths, winner):
    assert majority_restart(np.array(counts), np.array(lengths), 500.0) == winner


@given(st.lists(st.tuples(st.integers(1, 5), st.floats(0, 3000)), min_size=1, max_size=6))
def test_the_winner_is_near_the_shortest(answers):
    counts, lengths = (np.array(part) for part in zip(*answers, strict=True))
    best = majority_restart(counts, lengths.astype(float), 500.0)
    assert lengths[best] <= lengths.min() + 500


def test_numbers_that_are_near():
    far = length_tolerance(50)
    opinions = RestartVote(np.array([3, 4, 5]), np.array([0.0, -0.5 * far, far]), np.ones(3))
    assert counts_within_tolerance(opinions, 50).tolist() == [3, 4]


@pytest.mark.parametrize(
    ("spectra", "slots", "expected"),
    [(64, 32, MAX_RESTARTS), (256, 96, 3), (1024, 320, 1), (3, 8, MAX_RESTARTS)],
)
def test_large_tables_take_one_restart(spectra, slots, expected):
    assert default_num_restarts(spectra, slots) == expected


def test_what_lies_in_the_span_of_others():
    components = jnp.array([[1.0, 0.0, 0.0, 0.0], [0.6, 0.8, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    rows = jnp.array([[0.0, 1.0, 0.0, 0.0], [0.0, 0.6, 0.8, 0.0], [0.0, 0.0, 0.0, 0.0]])
    nearest = np.asarray(nearest_in_span(rows, components))
    np.testing.assert_allclose(nearest, [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]], atol=1e-6)


def test_rotations_of_one_subspace_agree_but_one_component_less_does_not():
    """A restart whose components are mixtures of the selected one's, and one that lacks one."""
    random = np.random.default_rng(0)
    spectra = np.abs(random.normal(size=(3, 40)))
    codes = jnp.asarray(random.uniform(500, 1000, (30, 3)), jnp.float32)

    def pool(rows):
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        every = jnp.ones(len(rows), bool)
        return ComponentPool(jnp.asarray(unit, jnp.float32), every, ~every, None)

    def shared(selected, other):
        fit = PoolFit(pool(selected), codes, jnp.zeros(()), jnp.zeros(3))
        return np.asarray(shared_components(fit, pool(other), SolverOptions())).tolist()

    turned = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.5], [0.5, 0.0, 1.0]]) @ spectra
    assert shared(spectra, turned) == [True, True, True]
    assert shared(spectra, np.roll(spectra[:2], 1, axis=0)) == [True, True, False]
    # The third is a sum of two others, and yet a restart with those two does not have it.
    third = np.stack([spectra[0], spectra[1], spectra[0] + spectra[1]])
    assert shared(third, spectra[:2]) == [True, True, False]
