"""The refinement: the least-squares answer, parameters, priors in effect, and the misfit."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.gmcr import mixing, priors
from jaxhsi.gmcr.factor_refinement import (
    RefinedFactors,
    refine_factors,
    refinement_on,
    tangent_complement,
)
from jaxhsi.gmcr.factors import Factors
from jaxhsi.gmcr.goodness_of_fit import residual_statistics
from jaxhsi.sharding import device_mesh

LINEAR = mixing.parameter_free(mixing.linear)
NOISE = 0.01
PLAIN = priors.combine_priors(
    priors.non_negativity("concentrations"), priors.non_negativity("components")
)


@pytest.fixture(scope="module")
def truth() -> Factors:
    random = np.random.default_rng(0)
    axis = np.linspace(0, 1, 40)
    components = np.exp(-(((axis - np.array([[0.25], [0.5], [0.8]])) / 0.25) ** 2))
    components /= np.linalg.norm(components, axis=1, keepdims=True)
    present = random.permuted(np.arange(3) < random.integers(1, 3, (30, 1)), axis=1)
    return Factors(
        *(
            jnp.asarray(a, jnp.float32)
            for a in (present * random.uniform(1, 3, (30, 3)), components)
        )
    )


@pytest.fixture(scope="module")
def noise() -> jnp.ndarray:
    return NOISE * jax.random.normal(jax.random.key(1), (30, 40))


def fit(x, start: Factors, *given, sweeps: int = 10) -> Factors:
    prior = priors.combine_priors(PLAIN, *given)
    held = RefinedFactors(start, ())
    return refine_factors(x, jnp.full((len(x), 1), NOISE), held, LINEAR, prior, sweeps).factors


def test_linear_mixing_ends_where_no_change_helps(truth, noise):
    """Gradient zero inside, pointing out at zero; and zeros of concentrations stay."""
    x = mixing.linear(*truth) + noise
    c, s = fit(x, Factors(1.1 * truth.concentrations, truth.components + 0.05), sweeps=40)
    assert ((c != 0) <= (truth.concentrations != 0)).all()
    residual = x - c @ s
    inside = np.asarray(s > 0)
    slope = np.asarray(c.T @ residual)
    scale = np.abs(np.asarray(c.T @ x)).max()
    assert np.abs(slope[inside]).max() < 1e-3 * scale
    assert slope[~inside].max(initial=-1) < 1e-3 * scale
    np.testing.assert_allclose(np.linalg.norm(s, axis=1), 1, rtol=1e-5)
    cosine = (s * truth.components).sum(1)
    assert cosine.min() > 0.999


def test_parameters_and_factors_are_found_together(truth, noise):
    model = mixing.bilinear()
    x = mixing.bilinear_mixing(0.5, *truth) + noise
    start = RefinedFactors(
        truth._replace(components=truth.components + 0.03), model.initial_parameters(30, 3)
    )
    sigma = jnp.full((30, 1), NOISE)
    found = refine_factors(x, sigma, start, model, PLAIN)
    assert found.parameters == pytest.approx(0.5, rel=0.15)
    judged = residual_statistics(x, sigma, found, model)
    assert judged.reduced_chi2 == pytest.approx(1, abs=0.15)
    assert judged.spectrum_chi2.shape == (30,)
    assert np.mean(judged.band_chi2) == pytest.approx(float(judged.reduced_chi2), rel=1e-4)
    assert judged.nonlinearity_score < 6
    on_devices = refinement_on(device_mesh(4))(x, sigma, start, model, PLAIN)  # 30 spectra
    chex.assert_trees_all_close(on_devices, found, atol=2e-3)
    wrong = residual_statistics(x, sigma, RefinedFactors(fit(x, truth), ()), LINEAR)
    assert wrong.nonlinearity_score > 20
    assert wrong.reduced_chi2 > judged.reduced_chi2


PARAMETERS = {"polynomial": jnp.array([0.3]), "detector_saturation": 0.3, "stray_light": 0.03}


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_model_is_fitted_down_to_the_noise(truth, noise, name):
    model, sigma = mixing.FORWARD_MODELS[name](), jnp.full((30, 1), NOISE)
    x = model.mix(jnp.asarray(PARAMETERS[name]), *truth) + noise
    start = RefinedFactors(
        truth._replace(components=truth.components + 0.02), model.initial_parameters(30, 3)
    )
    judged = residual_statistics(x, sigma, refine_factors(x, sigma, start, model, PLAIN), model)
    assert judged.reduced_chi2 == pytest.approx(1, abs=0.2)
    assert judged.nonlinearity_score < 6


def test_noise_alone_has_no_curvature(truth):
    sigma = jnp.full((30, 1), NOISE)
    curvatures = []
    for seed in range(8):
        x = mixing.linear(*truth) + NOISE * jax.random.normal(jax.random.key(seed), (30, 40))
        curvatures.append(
            float(
                residual_statistics(x, sigma, RefinedFactors(truth, ()), LINEAR).nonlinearity_score
            )
        )
    assert 0.3 < np.mean(curvatures) < 2.2


def test_off_tangent_takes_away_all_that_the_factors_can_do(truth):
    outside = tangent_complement(truth, jnp.ones((30, 1)))
    random = np.random.default_rng(2)
    moved_c = jnp.asarray(random.normal(size=(30, 3)), jnp.float32) @ truth.components
    moved_s = truth.concentrations @ jnp.asarray(random.normal(size=(3, 40)), jnp.float32)
    assert jnp.abs(outside(moved_c + moved_s)).max() < 1e-4
    other = jnp.asarray(random.normal(size=(30, 40)), jnp.float32)
    np.testing.assert_allclose(outside(outside(other)), outside(other), atol=1e-5)


def test_each_prior_changes_the_answer_in_its_way(truth, noise):
    x = mixing.linear(*truth) + 5 * noise
    free = fit(x, truth)

    def roughness(s):
        return float((jnp.diff(s, 2, axis=1) ** 2).sum())

    smooth = fit(x, truth, priors.smoothness(1e6)).components
    assert roughness(smooth) < 0.3 * roughness(free.components)
    sparse = fit(x, truth, priors.sparsity(2e4)).components
    assert (sparse == 0).sum() > (free.components == 0).sum() + 10
    peaks = fit(x, truth, priors.unimodality()).components
    turns = [np.diff(np.sign(d[np.abs(d) > 1e-5])) for d in np.diff(np.asarray(peaks), axis=1)]
    assert all((t <= 0).all() for t in turns)
    given = jnp.full((30, 3), jnp.nan).at[0].set(truth.concentrations[0])
    held = fit(x, truth, priors.equality(concentrations=given)).concentrations
    np.testing.assert_allclose(held[0], truth.concentrations[0], rtol=1e-5)
    error = [float(((s - truth.components) ** 2).sum()) for s in (free.components, smooth, peaks)]
    assert error[1] < error[0]
    assert error[2] < error[0]


def test_minimum_volume_draws_components_together(truth, noise):
    full = truth._replace(concentrations=truth.concentrations + 0.3)  # nothing is zero for sure
    dense = mixing.linear(*full) + noise
    volume = priors.minimum_volume(1.0).penalty
    free, drawn = fit(dense, full), fit(dense, full, priors.minimum_volume(3000.0))
    assert volume(drawn) < volume(free) - 0.01


def test_residuals_count_where_their_noise_is_white(truth):
    """At the end the gradient of the whitened residual is zero; that of the plain one is not."""
    bands = np.arange(40)
    covariance = 0.8 ** np.abs(bands[:, None] - bands)
    whiten = jnp.asarray(np.linalg.inv(np.linalg.cholesky(covariance)).T, jnp.float32)
    drawn = np.random.default_rng(4).multivariate_normal(np.zeros(40), covariance, 30)
    x = mixing.linear(*truth) + NOISE * jnp.asarray(drawn, jnp.float32)
    sigma = jnp.full((30, 1), NOISE)
    (c, s), _ = refine_factors(x, sigma, RefinedFactors(truth, ()), LINEAR, PLAIN, 40, whiten)
    inside = np.asarray(c > 0)

    def slope(metric) -> float:
        values = np.asarray((x - c @ s) @ metric @ s.T)[inside]
        return float(np.abs(values).max() / np.abs(np.asarray(x @ metric @ s.T)).max())

    assert slope(whiten @ whiten.T) < 1e-4
    assert slope(jnp.eye(40)) > 1e-3
