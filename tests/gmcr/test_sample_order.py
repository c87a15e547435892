"""The order of samples: smooth profiles against noise, and how many of them a table holds."""

import numpy as np
import pytest

from jaxhsi.gmcr.sample_order import samples_are_ordered, smooth_directions, von_neumann_ratio


def test_the_ratio_of_a_ramp_and_of_alternating_signs():
    ramp, alternating = np.arange(5.0) - 2, np.array([1.0, -1, 1, -1, 1])
    # 4 differences of 1 over 10; 4 of 2 squared over 5; both times 5 samples over 4 differences.
    ratios = von_neumann_ratio(np.stack([ramp, alternating], axis=1), (5,))
    np.testing.assert_allclose(ratios, [0.5, 4.0])


def test_the_step_between_two_runs_does_not_count():
    profile = np.repeat([0.0, 5.0], 4)[:, None]
    assert von_neumann_ratio(profile, (4, 4)) == 0
    assert von_neumann_ratio(profile, (8,)) > 0


@pytest.mark.parametrize("seed", range(3))
def test_components_are_counted_and_structure_that_is_not_smooth_is_none(seed):
    random = np.random.default_rng(seed)
    time, spectra = np.linspace(0, 1, 80)[:, None], random.random((4, 40))
    profiles = np.exp(-(((time - [0.3, 0.5, 0.7]) / 0.1) ** 2))
    flicker = random.normal(size=(80, 1))  # of the lamp, from sample to sample
    noise = random.normal(size=(80, 40))
    table = 100 * profiles @ spectra[:3] + noise
    assert smooth_directions(table, (80,)) == 3
    assert smooth_directions(table + 5 * flicker @ spectra[3:], (80,)) == 3
    assert smooth_directions(noise, (80,)) == 0


def test_a_table_in_an_order_is_told_from_a_shuffled_one():
    random = np.random.default_rng(0)
    time = np.linspace(0, 1, 40)[:, None]
    table = np.hstack([time, 1 - time]) @ random.random((2, 30)) + 0.01 * random.random((40, 30))
    assert samples_are_ordered(table)
    assert not samples_are_ordered(random.permuted(table, axis=0))
    assert not samples_are_ordered(table[:5])
