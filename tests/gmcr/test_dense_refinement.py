"""Dense concentrations: true ones where the sparse solution lacks some, and single peaks."""

import chex
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.gmcr import dense_refinement, priors
from jaxhsi.gmcr.concentration_priors import dense_concentrations
from jaxhsi.gmcr.dense_refinement import DenseProblem, refine_dense
from jaxhsi.gmcr.factors import Factors
from jaxhsi.sharding import device_mesh

NOISE = 0.003
PRIOR = priors.combine_priors(
    dense_concentrations(),
    priors.non_negativity("concentrations"),
    priors.non_negativity("components"),
)
FREE = jnp.zeros(3, bool)


@pytest.fixture(scope="module")
def truth() -> Factors:
    """Three overlapping elution peaks of overlapping spectra."""
    time, wave = np.linspace(0, 1, 50)[:, None], np.linspace(0, 1, 40)
    concentrations = np.exp(-0.5 * ((time - [0.3, 0.45, 0.62]) / 0.07) ** 2) * [1.0, 0.6, 0.8]
    components = np.exp(-0.5 * ((wave - np.array([[0.3], [0.45], [0.6]])) / 0.15) ** 2)
    components /= np.linalg.norm(components, axis=1, keepdims=True)
    return Factors(*(jnp.asarray(a, jnp.float32) for a in (concentrations, components)))


@pytest.fixture(scope="module")
def problem(truth) -> DenseProblem:
    noise = NOISE * np.random.default_rng(0).normal(size=(50, 40))
    spectra = truth.concentrations @ truth.components + jnp.asarray(noise, jnp.float32)
    return DenseProblem(spectra, jnp.full((50, 1), NOISE), None, PRIOR, (50,))


@pytest.fixture(scope="module")
def sparse(truth) -> Factors:
    """A solution as sparse codes leave it: small concentrations are zero, spectra are mixtures."""
    c, s = truth
    mixed = s.at[1].add(0.4 * s[0])
    length = jnp.linalg.norm(mixed[1])
    c = c.at[:, 0].add(-0.4 * c[:, 1]).at[:, 1].multiply(length)
    return Factors(jnp.where(c < 0.05, 0.0, c), mixed.at[1].divide(length))


def relative_error(found: Factors, truth: Factors) -> float:
    difference = found.concentrations - truth.concentrations
    return float(jnp.linalg.norm(difference) / jnp.linalg.norm(truth.concentrations))


@pytest.mark.slow
def test_starts_on_several_devices_end_where_those_of_one_do(problem, sparse, monkeypatch):
    for name, few in (("_START_ROUNDS", 20), ("_NUM_SWEEPS", 2)):
        monkeypatch.setattr(dense_refinement, name, few)
    # Of a length of its own, since compiled functions know the numbers.
    rows = slice(44)
    short = problem._replace(
        spectra=problem.spectra[rows],
        noise_deviations=problem.noise_deviations[rows],
        run_lengths=(44,),
    )
    start = sparse._replace(concentrations=sparse.concentrations[rows])
    one, three = (
        refine_dense(short._replace(mesh=mesh), start, FREE).factors
        for mesh in (None, device_mesh(3))
    )
    chex.assert_trees_all_close(three, one, atol=1e-4)


def test_concentrations_are_found_that_the_start_lacks(problem, truth, sparse):
    found = refine_dense(problem, sparse, FREE).factors
    assert relative_error(sparse, truth) > 0.1
    assert relative_error(found, truth) < 0.05
    # Zeros of the start are none of the result, where there is something.
    is_faint = (truth.concentrations > 0.01) & (truth.concentrations < 0.05)
    assert (found.concentrations[is_faint] > 0).mean() > 0.9
    steps = np.diff(np.asarray(found.concentrations), axis=0)
    signs = [np.sign(column[np.abs(column) > 1e-6]) for column in steps.T]
    assert all((np.diff(sign) <= 0).all() for sign in signs)


def test_two_peaks_stay_where_the_data_hold_two(problem, truth, sparse):
    c = truth.concentrations
    twice = truth._replace(concentrations=c.at[:, 0].add(jnp.roll(c[:, 0], 25)))
    spectra = problem.spectra + (twice.concentrations - c) @ truth.components
    found = refine_dense(problem._replace(spectra=spectra), sparse, FREE).factors
    assert relative_error(found, twice) < 0.1


def test_a_known_spectrum_stays_as_it_is(problem, truth):
    rows = truth.components.at[2].set(truth.components[2] + 0.1)
    fixed = jnp.array([True, False, False])
    prior = priors.combine_priors(
        PRIOR, priors.equality(components=jnp.full((3, 40), jnp.nan).at[0].set(rows[0]))
    )
    start = Factors(truth.concentrations, rows)
    found = refine_dense(problem._replace(prior=prior, run_lengths=None), start, fixed).factors
    np.testing.assert_allclose(found.components[0], rows[0], atol=1e-6)
    residual = problem.spectra - found.concentrations @ found.components
    assert float(jnp.sqrt(jnp.mean(residual**2))) == pytest.approx(NOISE, rel=0.1)
