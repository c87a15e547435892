"""Constraints on single components: places, sizes, and what does not go with a table."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.gmcr.component_constraints import (
    ComponentConstraints,
    apply_constraints,
    check_constraints,
    constraint_prior,
)
from jaxhsi.gmcr.factors import Factors, ProximalContext
from jaxhsi.gmcr.noise_covariance import white_noise
from jaxhsi.gmcr.noise_model import SignalDependentNoise
from jaxhsi.gmcr.solution import Solution

S = np.array([[0.8, 0.6, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float32)
C = np.array([[1, 2, 0], [2, 0, 1], [0, 1, 3], [1, 1, 1], [3, 0, 2]], np.float32)
SPECTRA = C @ S


def solution(count: int = 3) -> Solution:
    return Solution(
        S[:count],
        C[:, :count],
        SignalDependentNoise(np.float32(-9), np.float32(0)),
        np.ones(count),
        np.zeros(count, bool),
        True,
        white_noise(4),
    )


def test_known_spectra_come_first_and_are_exact():
    known = np.array([[0, 0, 0, 5.0], [0, 0.1, 3.0, 0]])
    found = apply_constraints(solution(), SPECTRA, ComponentConstraints(spectra=known))
    unit = known / np.linalg.norm(known, axis=1, keepdims=True)
    np.testing.assert_allclose(found.components[:2], unit, rtol=1e-6)
    np.testing.assert_allclose(found.components[2], S[0])
    assert found.in_library.tolist() == [True, True, False]
    np.testing.assert_allclose(found.concentrations[:, 0], C[:, 2], atol=1e-5)


def test_a_known_spectrum_that_was_not_found_is_added():
    known = S[2:]
    found = apply_constraints(solution(2), SPECTRA, ComponentConstraints(spectra=S[[2, 0, 1]]))
    np.testing.assert_allclose(found.components, S[[2, 0, 1]], atol=1e-6)
    np.testing.assert_allclose(found.concentrations, C[:, [2, 0, 1]], atol=1e-5)
    one = apply_constraints(solution(3), SPECTRA, ComponentConstraints(spectra=known))
    np.testing.assert_allclose(one.concentrations, C[:, [2, 0, 1]], atol=1e-5)


def test_the_component_that_is_absent_where_it_must_be_takes_the_place():
    absent = (C[:, [2]] == 0).astype(bool)
    found = apply_constraints(solution(), SPECTRA, ComponentConstraints(absent=absent))
    np.testing.assert_allclose(found.components[0], S[2])
    assert not found.concentrations[absent[:, 0], 0].any()


def test_components_have_the_size_of_known_concentrations():
    amounts = np.full((5, 1), np.nan)
    amounts[[0, 3]] = 10 * C[[0, 3], 1:2]
    constraints = ComponentConstraints(concentrations=amounts)
    found = apply_constraints(solution(), SPECTRA, constraints)
    np.testing.assert_allclose(found.components[0], S[1] / 10, rtol=1e-5)
    np.testing.assert_allclose(found.concentrations[:, 0], 10 * C[:, 1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.concentrations @ found.components, SPECTRA, atol=1e-4)
    prior = constraint_prior(constraints, None, found)
    assert prior.fixes_scale
    assert prior.frees_zeros


def test_the_prior_holds_absences_and_amounts():
    amounts = np.full((5, 1), np.nan)
    amounts[0] = 7
    absent = np.zeros((5, 2), bool)
    absent[4, 1] = True
    constraints = ComponentConstraints(absent=absent, concentrations=amounts)
    prior = constraint_prior(constraints, None, solution())
    context = ProximalContext(Factors(jnp.zeros(()), jnp.zeros(())), jnp.ones((5, 3), bool))
    factors = Factors(jnp.asarray(C + 1), jnp.asarray(S))
    held = prior.proximal_step(factors, context).concentrations
    expected = C + 1
    expected[0, 0], expected[4, 1] = 7, 0
    np.testing.assert_allclose(held, expected)


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        (ComponentConstraints(spectra=np.ones((1, 3))), "known has 3 bands and the spectra 4"),
        (ComponentConstraints(absent=np.zeros((4, 1), bool)), "absent has 4 rows and the table 5"),
        (ComponentConstraints(absent=np.ones((5, 1), bool)), "component 1 in no sample"),
        (ComponentConstraints(spectra=np.zeros((1, 4))), "a spectrum that is all zero"),
        (ComponentConstraints(spectra=np.ones((3, 4))), "num_components 2 are fewer than the 3"),
        (
            ComponentConstraints(
                absent=np.eye(5, 1, dtype=bool), concentrations=np.full((5, 1), 2.0)
            ),
            "has 2 of component 1 in sample 1, where absent says there is none",
        ),
    ],
)
def test_constraints_that_do_not_go_with_the_table_are_refused(constraints, message):
    with pytest.raises(ValueError, match=message):
        check_constraints(constraints, 5, 4, 2)


def test_absences_of_more_components_than_were_found_are_refused():
    constraints = ComponentConstraints(absent=np.zeros((5, 4), bool))
    with pytest.raises(ValueError, match="absent speaks of 4 components and 3 were found"):
        apply_constraints(solution(), SPECTRA, constraints)
