"""Runs of samples: lengths that fit the table, borders that nothing crosses."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.gmcr.run_noise import run_noise_ratios
from jaxhsi.gmcr.sample_runs import check_run_lengths, map_profiles, within_runs


def test_lengths_that_do_not_add_up_are_refused():
    assert check_run_lengths([3, 4], 7) == (3, 4)
    with pytest.raises(ValueError, match=r"runs 3,4 are 7 samples together and the table has 8"):
        check_run_lengths([3, 4], 8)
    with pytest.raises(ValueError, match=r"runs 3,0,5 hold an empty one"):
        check_run_lengths([3, 0, 5], 8)


def test_differences_do_not_cross_the_border_of_two_runs():
    assert within_runs((2, 3), 2).tolist() == [False, False, True]
    assert within_runs((5,), 1).all()


def test_profiles_of_runs_of_any_length_are_mapped_in_their_places():
    values = jnp.arange(14.0).reshape(7, 2)
    mapped = map_profiles(lambda profile: profile - profile[0], values, (2, 3, 2))
    expected = [0, 2, 0, 2, 4, 0, 2]
    np.testing.assert_array_equal(mapped, np.stack([expected, expected], axis=1))


def test_noise_of_runs_is_measured_where_they_differ():
    random = np.random.default_rng(0)
    signal = random.random((90, 3)) @ random.random((3, 40))
    deviations = np.repeat([0.01, 0.01, 0.06], 30)[:, None]
    ratios = run_noise_ratios(signal + deviations * random.normal(size=(90, 40)), (30, 30, 30))
    assert ratios[60] / ratios[0] == pytest.approx(6, rel=0.15)
    assert np.prod(ratios[[0, 30, 60]]) == pytest.approx(1, rel=1e-4)
    alike = signal + 0.01 * random.normal(size=(90, 40))
    assert (run_noise_ratios(alike, (30, 30, 30)) == 1).all()
