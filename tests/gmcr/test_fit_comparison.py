"""Answers that simpler methods beat are not given without a word."""

import jax
import numpy as np
import pytest

from jaxhsi.gmcr.fit import fit_components
from jaxhsi.gmcr.fit_comparison import compare_fit, fit_warnings
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.whitened_solution import whiten_solution
from tests.helpers.mixtures import make_mixture as small_mixtures

OPTIONS = SolverOptions(max_active=4, steps_per_phase=40, noise_refit_every=20)


@pytest.fixture(scope="module")
def solved():
    mixed = small_mixtures(2)
    spectra = np.asarray(mixed.x)
    return fit_components(jax.random.key(0), spectra, OPTIONS, restarts=1), spectra


def comparison_of(solution, spectra):
    return compare_fit(whiten_solution(solution, spectra))


def test_a_right_answer_is_not_warned_of(solved):
    solution, spectra = solved
    comparison = comparison_of(solution, spectra)
    reconstruction = solution.concentrations @ solution.components
    assert fit_warnings(comparison) == ()
    assert comparison.factorisation < 1.3 * comparison.own
    assert comparison.least_squares <= comparison.own * 1.001
    assert np.sum((spectra - reconstruction) ** 2) < 0.2 * np.sum(spectra**2)


def test_wrong_concentrations_are_worse_than_least_squares(solved):
    solution, spectra = solved
    wrong = solution._replace(concentrations=0.5 * np.asarray(solution.concentrations))
    warning = fit_warnings(comparison_of(wrong, spectra))[-1]
    assert "do not trust" in warning


def test_what_obeys_more_is_compared_with_the_mean_alone(solved):
    solution, spectra = solved
    for factor, count in ((0.9, 0), (300, 1)):
        other = solution._replace(concentrations=factor * np.asarray(solution.concentrations))
        comparison = compare_fit(whiten_solution(other, spectra), is_told_more=True)
        assert len(fit_warnings(comparison)) == count


def test_worse_than_the_mean_is_said(solved):
    solution, spectra = solved
    wrong = solution._replace(concentrations=300 * np.asarray(solution.concentrations))
    comparison = comparison_of(wrong, spectra)
    assert comparison.r2 < 0
    assert "worse than their mean" in fit_warnings(comparison)[0]


def test_no_component_makes_the_fit_worse(solved):
    """A component that only raises the residual is dropped before anything is reported."""
    from jaxhsi.gmcr.metrics import variance_share

    solution, spectra = solved
    shares = variance_share(spectra, solution.concentrations, solution.components)
    assert (shares > 0).all()
