"""Number and spectra under each forward model; the wrong model is recognised; priors hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from jaxhsi.data.synthetic.mixture_options import MixtureOptions
from jaxhsi.data.synthetic.mixtures import Mixtures, mixtures
from jaxhsi.gmcr import mixing, priors
from jaxhsi.gmcr.fit import fit_components
from jaxhsi.gmcr.goodness_of_fit import NONLINEARITY_THRESHOLD, GoodnessOfFit, goodness_of_fit
from jaxhsi.gmcr.noise_covariance import white_noise
from jaxhsi.gmcr.noise_model import SignalDependentNoise
from jaxhsi.gmcr.nonlinear import fit_nonlinear, linearised
from jaxhsi.gmcr.solution import Solution
from jaxhsi.gmcr.whitened_solution import whiten_solution
from jaxhsi.report.gmcr_sentences import mixing_sentence
from tests.helpers.mixtures import OPTIONS, best_cosines

CANDIDATES = 8  # one size of pool, whatever the rank, so that less is compiled
KEY = jax.random.key(0)
BILINEAR = mixing.bilinear()


def made(kind: str, strength: float = 0.4) -> Mixtures:
    options = MixtureOptions(
        num_components=4, bands=64, max_mixed=3, snr_db=35.0, mixing=kind, strength=strength
    )
    return mixtures(jax.random.key(3), 48, options)


@pytest.fixture(scope="module")
def pairs() -> Mixtures:
    return made("bilinear")


def solved(data, **known) -> Solution:
    return fit_components(KEY, data, OPTIONS, num_candidates=CANDIDATES, **known)


@pytest.fixture(scope="module")
def right(pairs) -> Solution:
    return solved(pairs.data, mixing=BILINEAR)


def judge(data, fitted: Solution, model=mixing.linear) -> GoodnessOfFit:
    return goodness_of_fit(whiten_solution(fitted, linearised(data, fitted, model)), data)


def warning(fit: GoodnessOfFit, name: str) -> str | None:
    return mixing_sentence(float(fit.reduced_chi2), float(fit.nonlinearity_score), name)


def own(concentrations, components):
    """A user's model: squares of what linear mixing gives."""
    return mixing.linear(concentrations, components) * (
        1 + OWN * mixing.linear(concentrations, components)
    )


OWN = 0.15

SATURATING = mixing.detector_saturation()


def check_found(found: Solution, truth: Mixtures, model: mixing.ForwardModel):
    """Number, spectra, strength, residual, and what is left of the curvature."""
    linear_part = truth.concentrations @ truth.components
    size = float(jnp.sqrt(jnp.mean(linear_part**2)))
    assert found.components.shape == (4, 64)
    assert best_cosines(found.components, truth.components).min() > 0.997
    judgement = judge(truth.data, found, model)
    assert judgement.nonlinearity_score < NONLINEARITY_THRESHOLD
    assert 0.8 < judgement.reduced_chi2 < 1.3
    assert found.mixing_parameters == pytest.approx(0.4 / size, rel=0.15)
    straight = linearised(truth.data, found, model)
    bent = ((truth.data - linear_part) ** 2).sum()
    assert ((straight - linear_part) ** 2).sum() < 0.1 * bent


def test_number_and_spectra_are_found_where_pairs_interact(pairs, right):
    check_found(right, pairs, BILINEAR)


def test_number_and_spectra_are_found_where_a_detector_saturates():
    truth = made("detector_saturation")
    check_found(solved(truth.data, mixing=SATURATING), truth, SATURATING)


def test_a_function_of_the_user_is_a_model():
    drawn = made("linear")
    clean = own(drawn.concentrations, drawn.components)
    noise = 0.01 * jax.random.normal(KEY, clean.shape)
    found = solved(clean + noise, mixing=own)
    assert found.components.shape == (4, 64)
    assert best_cosines(found.components, drawn.components).min() > 0.998
    assert found.mixing_parameters == ()
    assert judge(clean + noise, found, own).nonlinearity_score < NONLINEARITY_THRESHOLD


@pytest.mark.slow
def test_the_wrong_model_is_recognised_by_its_residual(pairs, right):
    linear = solved(pairs.data)
    wrong = judge(pairs.data, linear)
    assert wrong.nonlinearity_score > 3 * NONLINEARITY_THRESHOLD
    assert "try another --mixing" in warning(wrong, "linear")
    saturated = solved(pairs.data, mixing=SATURATING)
    assert judge(pairs.data, saturated, SATURATING).nonlinearity_score > 3 * NONLINEARITY_THRESHOLD
    assert warning(judge(pairs.data, right, BILINEAR), "bilinear") is None
    assert best_cosines(right.components, pairs.components).min() > (
        best_cosines(linear.components, pairs.components).min()
    )


NOISE = 0.003
SIZES = np.array([1.0, 2.0, 3.0, 4.0])


def shares_of_four() -> tuple[Array, Array, Array]:
    """Shares, components of these sizes, and data."""
    drawn = made("linear")
    shares = drawn.concentrations / drawn.concentrations.sum(1, keepdims=True)
    pure = drawn.components * SIZES[:, None].astype(np.float32)
    return shares, pure, shares @ pure + NOISE * jax.random.normal(KEY, drawn.data.shape)


def closed(data, shares, components, *given) -> Solution:
    """The answer under closure where the linear solver has come to these."""
    size, law = (
        jnp.linalg.norm(components, axis=1),
        SignalDependentNoise(2 * jnp.log(NOISE), jnp.zeros(())),
    )
    gates, fixed, white = jnp.ones(4), jnp.zeros(4, bool), white_noise(64)
    rows, codes = components / size[:, None], shares * size
    answer = Solution(rows, codes, law, gates, fixed, True, white)
    return fit_nonlinear(
        lambda *_: answer, data, mixing.linear, [*given, priors.closure()], OPTIONS
    )


def test_closure_gives_shares_and_components_of_their_own_size():
    shares, pure, data = shares_of_four()
    found = closed(data, shares, pure + 0.01)
    np.testing.assert_allclose(found.concentrations.sum(1), 1, atol=1e-4)
    assert (found.concentrations >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(found.components, axis=1), SIZES, rtol=0.01)
    np.testing.assert_allclose(found.concentrations, shares, atol=0.02)
    assert judge(data, found).reduced_chi2 < 1.3


def test_closure_leaves_a_simplex_as_large_as_it_was_and_minimum_volume_does_not():
    """A component beyond its true place explains the data as well; its size says nothing then."""
    shares, pure, data = shares_of_four()
    beyond = pure.at[2].set(1.1 * pure[2] - 0.1 * pure[0])
    moved = shares.at[:, 2].divide(1.1).at[:, 0].add(shares[:, 2] * (0.1 / 1.1))
    np.testing.assert_allclose(moved @ beyond, shares @ pure, atol=1e-4)

    def error(found: Solution) -> float:
        assert judge(data, found).reduced_chi2 < 1.3
        return float(np.abs(found.components[2] - pure[2]).max())

    alone = error(closed(data, moved, beyond))
    assert alone > 0.5 * float(jnp.abs(beyond[2] - pure[2]).max())
    volume = priors.minimum_volume(1e4, unit_rows=False)
    assert error(closed(data, moved, beyond, volume)) < 0.6 * alone


def test_data_that_are_not_closed_are_told_by_the_residual():
    drawn = made("linear")
    wrong = closed(drawn.data, drawn.concentrations, drawn.components)
    assert judge(drawn.data, wrong).reduced_chi2 > 3


@pytest.mark.slow
def test_known_spectra_stay_and_priors_may_depend_on_the_answer():
    drawn = made("linear")
    known = drawn.components[:1]

    def without_last_band(solution):
        masked = np.zeros(solution.components.shape, bool)
        masked[~solution.in_library, -1] = True
        return priors.selectivity(components=jnp.asarray(masked))

    found = solved(drawn.data, library=known, priors=[without_last_band])
    assert found.in_library.sum() == 1
    np.testing.assert_allclose(found.components[found.in_library], known, atol=1e-5)
    assert (found.components[~found.in_library, -1] == 0).all()
    assert best_cosines(found.components, drawn.components).min() > 0.98
