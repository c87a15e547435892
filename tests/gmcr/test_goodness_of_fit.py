"""The test of the mixing: silent on linear data, cut off at zero or not, and not on curved data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.gmcr import mixing, priors
from jaxhsi.gmcr.factor_refinement import RefinedFactors, refine_factors
from jaxhsi.gmcr.factors import Factors
from jaxhsi.gmcr.goodness_of_fit import (
    NONLINEARITY_THRESHOLD,
    clipping_bias,
    residual_statistics,
)
from jaxhsi.gmcr.noise_covariance import noise_whitener, white_noise
from jaxhsi.gmcr.noise_model import SignalDependentNoise
from jaxhsi.gmcr.solution import Solution
from jaxhsi.gmcr.whitened_solution import WhitenedSolution, whiten_solution

SEEDS, ROWS, BANDS, COUNT = 16, 480, 40, 3
LINEAR = mixing.parameter_free(mixing.linear)
PRIOR = priors.combine_priors(
    priors.non_negativity("concentrations"), priors.non_negativity("components")
)


def solution_of(factors: Factors, **noise) -> Solution:
    noise_model = white_noise(BANDS)._replace(**noise)
    concentrations, components = map(np.asarray, factors)
    return Solution(
        components,
        concentrations,
        SignalDependentNoise(jnp.zeros(()), jnp.zeros(())),
        jnp.ones(COUNT),
        jnp.zeros(COUNT, bool),
        True,
        noise_model,
    )


def whitened(x, factors: Factors, deviation) -> WhitenedSolution:
    solution = solution_of(factors)
    return WhitenedSolution(solution, solution, x, deviation, None)


@pytest.fixture(scope="module")
def truths() -> Factors:
    """Seeds of one to three of three components with many faint values."""
    random = np.random.default_rng(0)
    shape = (SEEDS, ROWS, COUNT)
    components = np.abs(random.normal(size=(SEEDS, COUNT, BANDS))) / BANDS**0.5
    present = random.permuted(
        np.broadcast_to(np.arange(COUNT), shape) < random.integers(1, 4, (SEEDS, ROWS, 1)), axis=2
    )
    concentrations = present * random.uniform(1, 5, shape)
    return Factors(jnp.asarray(concentrations, jnp.float32), jnp.asarray(components, jnp.float32))


def scores(truths: Factors, *, curvature: float, limit: float, counts_clipping: bool) -> np.ndarray:
    """Nonlinearity scores of linear fits to data at 10 dB, or curved, or cut off at a limit."""
    clean = truths.concentrations @ truths.components
    clean = clean - curvature * clean**2
    deviations = jnp.sqrt(jnp.mean(clean**2, axis=2, keepdims=True) / 10)
    x = clean + deviations * jax.random.normal(jax.random.key(1), clean.shape)
    x = jnp.maximum(x, limit)
    fitted = jax.vmap(
        lambda x, deviation, c, s: (
            refine_factors(
                x, deviation, RefinedFactors(Factors(c, s), ()), LINEAR, PRIOR, 4
            ).factors
        )
    )(x, deviations, *truths)
    found = []
    for i in range(SEEDS):
        factors = Factors(fitted.concentrations[i], fitted.components[i])
        bias = None
        if counts_clipping:
            bias = clipping_bias(whitened(x[i], factors, deviations[i]), np.asarray(x[i]))
        refined = RefinedFactors(factors, ())
        found.append(residual_statistics(x[i], deviations[i], refined, LINEAR, bias))
    return np.array([float(fit.nonlinearity_score) for fit in found])


def test_linear_data_have_the_score_of_noise(truths):
    linear = scores(truths, curvature=0.0, limit=-np.inf, counts_clipping=True)
    # Means of 16 chi-squared variables of three degrees of freedom over 3: 1, give or take 0.2.
    assert 0.5 < linear.mean() < 1.6
    assert linear.max() < NONLINEARITY_THRESHOLD


def test_noise_that_is_cut_off_at_zero_is_no_curved_mixing(truths):
    taken_for_curved = scores(truths, curvature=0.0, limit=0.0, counts_clipping=False)
    assert taken_for_curved.mean() > 2
    linear = scores(truths, curvature=0.0, limit=0.0, counts_clipping=True)
    assert 0.5 < linear.mean() < 1.6
    assert linear.max() < NONLINEARITY_THRESHOLD


@pytest.mark.parametrize("limit", [-np.inf, 0.0])
def test_curved_data_are_recognised_whether_cut_off_or_not(truths, limit):
    curved = scores(truths, curvature=0.2, limit=limit, counts_clipping=True)
    assert (curved > NONLINEARITY_THRESHOLD).mean() > 0.9


def test_the_excess_of_noise_that_is_cut_off_is_its_mean(truths):
    """Of uneven bands and an offset too: the mean of what was measured above what was meant."""
    factors = jax.tree.map(lambda a: a[0], truths)
    ratios, random = np.linspace(0.5, 1.5, BANDS), np.random.default_rng(2)
    ratios /= np.sqrt((ratios**2).mean())
    solution = solution_of(factors, band_deviations=ratios, offset=np.full(BANDS, 0.1))
    meant = np.asarray(factors.concentrations @ factors.components) + 0.1
    deviation = 0.3
    draws = [
        np.maximum(meant + deviation * ratios * random.normal(size=meant.shape), 0.0)
        for _ in range(60)
    ]
    white = whiten_solution(solution, draws[0].astype(np.float32))
    white = white._replace(noise_deviation=jnp.full((ROWS, 1), deviation))
    bias = clipping_bias(white, draws[0])
    whitener = noise_whitener(solution.noise_model, BANDS)
    expected = whitener.transform(np.mean(draws, axis=0) - meant) / deviation
    assert expected.mean(axis=0).max() > 0.05
    # Of 60 x 480 draws of deviation 1.
    np.testing.assert_allclose(bias.mean(axis=0), expected.mean(axis=0), atol=0.025)


def test_data_that_are_not_cut_off_have_no_excess(truths):
    factors = jax.tree.map(lambda a: a[0], truths)
    x = np.random.default_rng(3).normal(size=(ROWS, BANDS)).astype(np.float32)
    assert clipping_bias(whitened(x, factors, np.ones((ROWS, 1))), x) is None
