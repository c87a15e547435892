"""The vote of restarts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxhsi.gmcr.restarts import (
    MAX_RESTARTS,
    counts_within_tolerance,
    default_num_restarts,
    length_tolerance,
    majority_restart,
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
