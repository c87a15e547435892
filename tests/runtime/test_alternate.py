"""Number and spectra under each forward model; the wrong model is recognised; priors hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.data.mixtures import MixtureOptions, Mixtures, mixtures
from jaxhsi.gmcr import mixing, priors
from jaxhsi.gmcr.candidates import Options
from jaxhsi.gmcr.misfit import SUSPECT
from jaxhsi.runtime.alternate import judged, straightened, suspicion
from jaxhsi.runtime.solve import solve
from tests.gmcr.solved import cosines

OPTIONS = Options(most=4, steps=40, refresh=20)
KEY = jax.random.key(0)
BILINEAR = mixing.bilinear()


def made(kind: str, strength: float = 0.6) -> Mixtures:
    options = MixtureOptions(
        num_components=4, bands=64, max_mixed=3, snr_db=35.0, mixing=kind, strength=strength
    )
    return mixtures(jax.random.key(3), 48, options)


@pytest.fixture(scope="module")
def pairs() -> Mixtures:
    return made("bilinear")


@pytest.fixture(scope="module")
def linear(pairs):
    """The answer of the wrong model."""
    return solve(KEY, pairs.data, OPTIONS)


def own(concentrations, components):
    """A user's model: squares of what linear mixing gives."""
    return mixing.linear(concentrations, components) * (
        1 + OWN * mixing.linear(concentrations, components)
    )


OWN = 0.15

MODELS = {"bilinear": BILINEAR, "saturating": mixing.levelling()}


@pytest.mark.parametrize("kind", MODELS)
def test_number_and_spectra_are_found_with_the_right_model(kind):
    truth = made(kind, 0.4)
    linear_part = truth.concentrations @ truth.components
    size = float(jnp.sqrt(jnp.mean(linear_part**2)))
    model = MODELS[kind]
    found = solve(KEY, truth.data, OPTIONS, mixing=model)
    assert found.components.shape == (4, 64)
    assert cosines(found.components, truth.components).min() > 0.997
    judgement = judged(truth.data, found, model)
    assert judgement.curvature < SUSPECT
    assert 0.8 < judgement.total < 1.3
    assert found.parameters == pytest.approx(0.4 / size, rel=0.15)
    straight = straightened(truth.data, found, model)
    bent = ((truth.data - linear_part) ** 2).sum()
    assert ((straight - linear_part) ** 2).sum() < 0.1 * bent


def test_a_function_of_the_user_is_a_model():
    drawn = made("linear")
    clean = own(drawn.concentrations, drawn.components)
    noise = 0.01 * jax.random.normal(KEY, clean.shape)
    found = solve(KEY, clean + noise, OPTIONS, mixing=own)
    assert found.components.shape == (4, 64)
    assert cosines(found.components, drawn.components).min() > 0.998
    assert found.parameters == ()
    assert judged(clean + noise, found, own).curvature < SUSPECT


def test_the_wrong_model_is_recognised_by_its_residual(pairs, linear):
    wrong = judged(pairs.data, linear)
    assert wrong.curvature > 3 * SUSPECT
    assert "try another mixing" in suspicion(wrong, "linear")
    saturated = solve(KEY, pairs.data, OPTIONS, mixing=MODELS["saturating"])
    assert judged(pairs.data, saturated, MODELS["saturating"]).curvature > 3 * SUSPECT
    right = solve(KEY, pairs.data, OPTIONS, mixing=BILINEAR)
    assert suspicion(judged(pairs.data, right, BILINEAR), "bilinear") is None
    assert cosines(right.components, pairs.components).min() > (
        cosines(linear.components, pairs.components).min()
    )


def test_closure_gives_shares_and_components_of_their_own_size():
    drawn = made("linear")
    shares = drawn.concentrations / drawn.concentrations.sum(1, keepdims=True)
    pure = drawn.components * jnp.array([[1.0], [2.0], [3.0], [4.0]])
    data = shares @ pure + 0.003 * jax.random.normal(KEY, drawn.data.shape)
    found = solve(KEY, data, OPTIONS, priors=[priors.closure()])
    np.testing.assert_allclose(found.concentrations.sum(1), 1, atol=1e-4)
    sizes = np.linalg.norm(found.components, axis=1)
    np.testing.assert_allclose(np.sort(sizes), [1, 2, 3, 4], rtol=0.03)
    assert judged(data, found).total < 1.3
    # Where concentrations do not sum to one, that is told by the residual.
    wrong = solve(KEY, drawn.data, OPTIONS, priors=[priors.closure()])
    assert judged(drawn.data, wrong).total > 3


def test_known_spectra_stay_and_priors_may_depend_on_the_answer():
    drawn = made("linear")
    known = drawn.components[:1]

    def without_last_band(solution):
        masked = np.zeros(solution.components.shape, bool)
        masked[~solution.fixed, -1] = True
        return priors.zero_regions(components=jnp.asarray(masked))

    found = solve(KEY, drawn.data, OPTIONS, library=known, priors=[without_last_band])
    assert found.fixed.sum() == 1
    np.testing.assert_allclose(found.components[found.fixed], known, atol=1e-5)
    assert (found.components[~found.fixed, -1] == 0).all()
    assert cosines(found.components, drawn.components).min() > 0.98
