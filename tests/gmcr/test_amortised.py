"""Networks that learn a solver's answer, against least squares and against the truth."""

from functools import partial
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.gmcr.amortised import amortised, epoch, unmix
from jaxhsi.gmcr.amortised_data import make_dictionary
from jaxhsi.gmcr.networks import gated_least_squares
from jaxhsi.gmcr.noise_model import SignalDependentNoise
from jaxhsi.gmcr.options import AmortisedOptions

BANDS, COUNT = 32, 6
LAW = SignalDependentNoise(
    jnp.log(jnp.float32(0.01)), jnp.float32(1.0)
)  # a hundredth of the mean square
OPTIONS = AmortisedOptions(
    hidden_width=8, batch_size=64, training_steps=40, steps_per_call=20, learning_rate=1e-2
)
METHOD = amortised(OPTIONS)
UNMIX = jax.jit(partial(unmix, OPTIONS))


class Case(NamedTuple):
    x: jax.Array
    clean: jax.Array
    concentrations: jax.Array
    components: jax.Array


def case(seed: int, n: int, components: jax.Array | None = None) -> Case:
    """One to three of six components at 1 to 10, with 20 dB of white noise."""
    random = np.random.default_rng(seed)
    if components is None:
        components = np.abs(np.linalg.qr(random.normal(size=(BANDS, COUNT)))[0].T)
    present = random.permuted(np.arange(COUNT) < random.integers(1, 4, (n, 1)), axis=1)
    codes = present * random.uniform(1, 10, (n, COUNT))
    clean = codes @ components
    noise = random.normal(size=clean.shape) * np.sqrt(0.01 * np.mean(clean**2, 1))[:, None]
    return Case(*(jnp.asarray(a, jnp.float32) for a in (clean + noise, clean, codes, components)))


def error(reconstruction, clean) -> float:
    return float(np.sum((np.asarray(reconstruction) - clean) ** 2))


@pytest.fixture(scope="module")
def known() -> Case:
    return case(0, 48)


@pytest.fixture(scope="module")
def start(known):
    return jax.jit(METHOD.init)(
        jax.random.key(0), known.components, known.concentrations, LAW, known.x
    )


@pytest.fixture(scope="module")
def compiled_epoch():
    return partial(jax.jit(chex.assert_max_traces(epoch, n=1), static_argnums=0), OPTIONS)


@pytest.fixture(scope="module")
def trained(start, compiled_epoch):
    state, infos = start, []
    for call in range(2):
        state, info = compiled_epoch(jax.random.key(call), state)
        infos.append(info)
    return state, infos


def test_new_spectra_are_unmixed_better_than_by_least_squares(trained, known):
    new = case(1, 400, known.components)
    found = UNMIX(trained[0].params, new.x)
    plain = new.x @ np.linalg.pinv(known.components) @ known.components
    assert error(found.reconstruction, new.clean) < 0.75 * error(plain, new.clean)
    exact = np.all((np.asarray(found.concentrations) > 0) == (new.concentrations > 0), axis=1)
    assert exact.mean() > 0.8
    miss = np.asarray(found.concentrations) - new.concentrations
    assert np.sqrt(np.mean(miss**2) / np.mean(new.concentrations**2)) < 0.1


def test_training_lowers_the_loss_and_counts_its_steps(trained, compiled_epoch):
    """On the same draws, which the first call saw with networks that were still at their start."""
    state, infos = trained
    _, again = compiled_epoch(jax.random.key(0), state)
    assert again.loss < infos[0].loss
    assert int(state.step) == OPTIONS.training_steps


def test_parts_of_the_answer_belong_together(trained, known):
    found = UNMIX(trained[0].params, known.x)
    np.testing.assert_allclose(
        found.reconstruction, found.concentrations @ found.components, rtol=1e-5, atol=1e-5
    )
    assert np.all(np.asarray(found.concentrations) >= 0)
    assert set(np.unique(found.gates)) <= {0.0, 1.0}
    assert not np.any(np.asarray(found.concentrations)[np.asarray(found.gates) == 0])
    chex.assert_tree_all_finite(trained[0].params)


def test_a_spectrum_does_not_depend_on_its_company(trained, known):
    one = UNMIX(trained[0].params, known.x[3:4])
    all_ = UNMIX(trained[0].params, known.x)
    np.testing.assert_allclose(one.concentrations[0], all_.concentrations[3], rtol=1e-4)


def test_the_unit_of_the_data_does_not_matter(known):
    """Noise of a fixed signal-to-noise ratio: all in data units scales with the data."""
    init = jax.jit(METHOD.init)
    small = init(jax.random.key(0), known.components, known.concentrations, LAW)
    big = init(jax.random.key(0), known.components, 1000 * known.concentrations, LAW)
    a = UNMIX(small.params, known.x).concentrations
    b = UNMIX(big.params, 1000 * known.x).concentrations
    np.testing.assert_allclose(1000 * a, b, rtol=1e-3, atol=1e-2)


def test_an_empty_spectrum_has_nothing_in_it(trained):
    found = UNMIX(trained[0].params, jnp.zeros((2, BANDS)))
    assert not np.any(found.concentrations)
    assert np.all(np.isfinite(found.reconstruction))


@pytest.mark.parametrize("count", [1, 40])
def test_any_number_of_components(count):
    """One, and more than there are bands (40 > 32) or spectra (40 > 5)."""
    random = np.random.default_rng(count)
    components = jnp.asarray(np.abs(random.normal(size=(count, BANDS))), jnp.float32)
    codes = jnp.zeros((5, count)).at[:, 0].set(jnp.arange(1.0, 6.0))
    method = amortised(AmortisedOptions(hidden_width=2, batch_size=8))
    init, predict = jax.jit(method.init), jax.jit(method.predict)
    state = init(jax.random.key(0), components, codes, LAW, codes @ components)
    found = predict(state, codes @ components)
    assert found.concentrations.shape == (5, count)
    chex.assert_tree_all_finite(found)
    if count < BANDS:
        np.testing.assert_allclose(found.concentrations, codes, atol=0.02)


def test_half_precision_products_stay_close(trained, known):
    half = amortised(AmortisedOptions(hidden_width=8, product_dtype="bfloat16"))
    new = case(2, 100, known.components)
    a = UNMIX(trained[0].params, new.x).reconstruction
    b = jax.jit(half.predict)(trained[0], new.x).reconstruction
    assert b.dtype == jnp.float32
    assert error(b, np.asarray(a)) < 0.1 * error(new.x, new.clean)


def test_negative_concentrations_where_they_are_wanted(known):
    method = amortised(AmortisedOptions(hidden_width=8, non_negative=False))
    codes = known.concentrations * np.random.default_rng(0).choice([-1, 1], (len(known.x), COUNT))
    state = jax.jit(method.init)(jax.random.key(0), known.components, codes, LAW)
    found = np.asarray(jax.jit(method.predict)(state, codes @ known.components).concentrations)
    assert (found < 0).any()
    np.testing.assert_allclose(found, codes, atol=0.1)


@pytest.mark.parametrize(
    ("components", "codes", "message"),
    [
        (np.zeros((0, 4)), np.zeros((3, 0)), "0 components"),
        (np.ones((2, 4)), np.ones((0, 2)), "one spectrum at least"),
    ],
)
def test_what_is_no_solution_is_refused(components, codes, message):
    a, b = jnp.asarray(components, jnp.float32), jnp.asarray(codes, jnp.float32)
    with pytest.raises(ValueError, match=message):
        METHOD.init(jax.random.key(0), a, b, LAW)


def test_fit_behind_open_gates_is_least_squares(known):
    """Of 0 and 1 gates, after as many steps as are open, from any start."""
    gates = jnp.asarray([[1.0, 0, 1, 1, 0, 0]])
    gram = jnp.asarray(known.components @ known.components.T)
    matched = jnp.asarray(known.x[:1] @ known.components.T)
    found = gated_least_squares(gram, matched, jnp.full((1, COUNT), 2.0), gates, 3)
    expected = np.zeros(COUNT)
    expected[[0, 2, 3]] = np.linalg.lstsq(known.components[jnp.asarray([0, 2, 3])].T, known.x[0])[0]
    np.testing.assert_allclose(found[0], expected, rtol=1e-3, atol=1e-3)


def test_fit_by_hand():
    """One component, G = 4, b = 8: a = 2; half open 1.75 y = 4, a = y / 2."""
    gram, matched = jnp.full((1, 1), 4.0), jnp.full((2, 1), 8.0)
    found = gated_least_squares(gram, matched, jnp.zeros((2, 1)), jnp.asarray([[1.0], [0.5]]), 2)
    np.testing.assert_allclose(found[:, 0], [2.0, 2 / 1.75], rtol=1e-5)


def test_gradient_of_the_fit(known):
    gram = jnp.asarray(known.components @ known.components.T)
    matched = jnp.asarray(known.x[:3] @ known.components.T)
    gates = jnp.asarray(np.random.default_rng(0).uniform(0.3, 0.9, (3, COUNT)), jnp.float32)

    def total(gates):
        return jnp.sum(gated_least_squares(gram, matched, matched, gates, COUNT))

    slope, way = jax.grad(total)(gates), jnp.ones_like(gates)
    numeric = (total(gates + 5e-3 * way) - total(gates - 5e-3 * way)) / 1e-2
    np.testing.assert_allclose(jnp.sum(slope * way), numeric, rtol=2e-2)
    solved = jax.grad(lambda g: jnp.sum(gated_least_squares(gram, 0 * matched, matched * 0, g, 3)))(
        gates
    )
    assert np.all(np.isfinite(solved))  # nothing to fit: 0 / 0 in no gradient


def test_ridge_is_the_reciprocal_of_the_mean_square_concentration():
    """Orthogonal unit components, concentrations 3 and 0, noise deviation 1: lambda = 1 / 4.5."""
    law = SignalDependentNoise(jnp.float32(0.0), jnp.float32(0.0))
    book = make_dictionary(jnp.eye(2, 4), jnp.asarray([[3.0, 0.0], [0.0, 3.0]]), law)
    np.testing.assert_allclose(book.ridge_inverse, np.eye(2) / (1 + 1 / 4.5), rtol=1e-5)
