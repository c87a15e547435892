"""The certainty of an answer: right where it is plain, doubtful where it is not."""

import chex
import jax
import numpy as np
import pytest

from jaxhsi.gmcr.diagnostics import assess_confidence
from jaxhsi.gmcr.fit import fit_components
from jaxhsi.gmcr.whitened_solution import whiten_solution
from jaxhsi.sharding import device_mesh
from tests.helpers.mixtures import OPTIONS, SyntheticMixture, make_mixture

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def mixed() -> SyntheticMixture:
    return make_mixture(2)


@pytest.fixture(scope="module")
def solution(mixed):
    return fit_components(KEY, mixed.x, OPTIONS)


def test_a_plain_answer_is_sure(solution, mixed):
    found = assess_confidence(whiten_solution(solution, mixed.x), OPTIONS)
    assert found.plausible_counts == (3, 3)
    assert (found.component_confidence > 0.99).all()
    assert (found.evidence_ratio > 10).all()
    assert (solution.restart_vote.component_counts == 3).all()
    assert (solution.restart_vote.agreement == 1).all()


def test_the_curve(solution, mixed):
    curve = assess_confidence(whiten_solution(solution, mixed.x), OPTIONS).count_curve
    assert curve.component_counts.tolist() == [1, 2, 3, 4, 5, 6]
    assert (np.diff(curve.mean_square_residual) < 0).all()
    assert curve.component_counts[curve.held_out_error.argmin()] == 3
    assert curve.component_counts[curve.description_lengths.argmin()] == 3
    assert curve.description_lengths[2] == curve.held_out_standard_error[2] == 0


def test_devices_that_do_not_divide_the_spectra_are_as_sure(solution, mixed):
    white = whiten_solution(solution, mixed.x)
    one, three = (
        assess_confidence(white, OPTIONS, count_radius=1, mesh=mesh)
        for mesh in (None, device_mesh(3))
    )
    assert three.plausible_counts == one.plausible_counts
    np.testing.assert_allclose(three.component_confidence, one.component_confidence, atol=1e-4)
    chex.assert_trees_all_close(three.count_curve, one.count_curve, rtol=1e-4, atol=0.1)


def test_a_spectrum_split_in_two_is_doubted(mixed, solution):
    """An answer of four whose last two say what one says as well."""
    codes = np.concatenate([solution.concentrations, np.zeros((40, 1))], 1).astype(np.float32)
    users = np.flatnonzero(codes[:, 2])[::2]
    codes[users, 3], codes[users, 2] = codes[users, 2], 0
    rows = solution.components[[0, 1, 2, 2]]
    four = solution._replace(
        components=rows,
        concentrations=codes,
        gate_probabilities=np.ones(4, np.float32),
        in_library=np.zeros(4, bool),
        restart_vote=solution.restart_vote._replace(
            component_counts=np.array([4, 3]),
            description_lengths=np.zeros(2),
            agreement=np.array([1, 1, 0.5, 0.5]),
        ),
    )
    found = assess_confidence(whiten_solution(four, mixed.x), OPTIONS, count_radius=1)
    assert found.plausible_counts.low == 3
    assert found.component_confidence[2:].max() <= 0.5 < found.component_confidence[:2].min()


def test_a_single_component_has_no_number_below():
    x = np.outer(np.arange(20, 60), np.abs(np.sin(np.arange(1, 51)))).astype(np.float32)
    x += np.random.default_rng(0).normal(size=x.shape).astype(np.float32)
    # as many candidates as three components take: nothing new is compiled for them
    solution = fit_components(KEY, x, OPTIONS, num_candidates=6, restarts=1)
    found = assess_confidence(whiten_solution(solution, x), OPTIONS)
    assert found.plausible_counts == (1, 1)
    assert found.count_curve.component_counts[0] == 1


def test_a_library_leaves_the_count_to_what_is_in_it(mixed):
    library = np.asarray(mixed.components[:2])
    found = fit_components(KEY, mixed.x, OPTIONS, library=library)
    sure = assess_confidence(whiten_solution(found, mixed.x), OPTIONS)
    assert len(found.restart_vote.agreement) == len(found.components) == 3
    assert (found.restart_vote.agreement == 1).all()
    assert sure.plausible_counts.low <= 3 <= sure.plausible_counts.high
    assert (sure.component_confidence > 0.99).all()


def test_fewer_than_one_restart_is_refused(mixed):
    with pytest.raises(ValueError, match="0 restarts"):
        fit_components(KEY, mixed.x, OPTIONS, restarts=0)
