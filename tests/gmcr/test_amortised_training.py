"""Streams of spectra through the trained networks."""

from functools import partial
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.gmcr.amortised import Info, predict
from jaxhsi.gmcr.amortised_training import train_amortised, unmix_stream
from jaxhsi.gmcr.mixing import UnmixedSpectra
from jaxhsi.gmcr.noise_model import SignalDependentNoise
from jaxhsi.gmcr.options import AmortisedOptions
from jaxhsi.sharding import device_mesh

LAW = SignalDependentNoise(np.log(0.01), 1.0)
OPTIONS = AmortisedOptions(hidden_width=4, batch_size=16, training_steps=4, steps_per_call=2)


class Solution(NamedTuple):
    components: np.ndarray
    concentrations: np.ndarray
    noise_level: SignalDependentNoise


@pytest.fixture(scope="module")
def solution() -> Solution:
    random = np.random.default_rng(0)
    codes = random.uniform(1, 10, (20, 3)) * (random.uniform(size=(20, 3)) < 0.6)
    return Solution(np.abs(random.normal(size=(3, 16))), codes, LAW)


@pytest.fixture(scope="module")
def trained(solution):
    calls = []
    spectra = (solution.concentrations @ solution.components).astype(np.float32)
    method, state = train_amortised(
        jax.random.key(0), solution, spectra, OPTIONS, lambda step, info: calls.append((step, info))
    )
    return method, state, calls


def total(params, x):
    """A stand-in whose answer shows the rows that it saw."""
    return UnmixedSpectra(x * params, x.sum(1, keepdims=True), jnp.ones((1, x.shape[1])), x[:, :1])


def test_training_reports_and_counts(trained):
    _, state, calls = trained
    assert [step for step, _ in calls] == [2, 4]
    assert all(np.isfinite(info.loss) for _, info in calls)
    assert int(state.step) == 4


def test_training_on_devices_that_do_not_divide_the_batch_is_the_same(trained, solution):
    spectra = (solution.concentrations @ solution.components).astype(np.float32)
    _, state = train_amortised(jax.random.key(0), solution, spectra, OPTIONS, mesh=device_mesh(3))
    chex.assert_trees_all_close(state.params, trained[1].params, atol=1e-5)
    assert all(len(leaf.devices()) == 1 for leaf in jax.tree.leaves(state))


def test_stream_is_the_whole_at_once(trained, solution):
    method, state, _ = trained
    x = np.abs(np.random.default_rng(1).normal(size=(11, 16))).astype(np.float32)
    traced_once = jax.jit(chex.assert_max_traces(predict, n=1), static_argnums=0)
    unmix = partial(traced_once, OPTIONS)
    parts = list(unmix_stream(unmix, state, [x[:5], x[5:10], x[10:]]))
    assert [len(part.concentrations) for part in parts] == [5, 5, 1]
    whole = method.predict(state, jnp.asarray(x))
    for name in ("reconstruction", "concentrations", "gates"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_allclose(joined, getattr(whole, name), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(parts[0].components, whole.components)


@pytest.mark.parametrize("lengths", [[4, 4], [3, 1, 2], [2, 7], [0, 3, 0, 4], [1]])
def test_blocks_of_any_length_compile_once(lengths):
    x = np.arange(2 * sum(lengths), dtype=np.float32).reshape(-1, 2)
    blocks = np.split(x, np.cumsum(lengths)[:-1])
    shapes = set()

    def seen(params, x):
        shapes.add(x.shape)
        return total(params, x)

    found = list(unmix_stream(seen, 3.0, blocks))
    assert [len(f.gates) for f in found] == lengths
    np.testing.assert_array_equal(np.concatenate([f.reconstruction for f in found]), 3 * x)
    # Without a spectrum so far there is no length yet, and a row of padding is unmixed.
    assert len(shapes) == (2 if lengths[0] == 0 else 1)


def test_only_two_blocks_are_in_flight():
    read = []

    def blocks():
        for number in range(10):
            read.append(number)
            yield np.full((2, 3), number, np.float32)

    stream = unmix_stream(total, 1.0, blocks())
    for number in range(8):
        assert next(stream).reconstruction[0, 0] == number
        assert len(read) == number + 2


def test_no_blocks_no_answers():
    assert list(unmix_stream(total, 1.0, [])) == []


@pytest.mark.parametrize("wrong", [np.ones((2, 4)), np.ones(3)])
def test_blocks_that_do_not_fit_are_named(wrong):
    stream = unmix_stream(total, 1.0, [np.ones((2, 3)), wrong])
    with pytest.raises(ValueError, match="block 1"):
        list(stream)


def test_solutions_that_cannot_be_learnt(solution):
    key = jax.random.key(0)
    none = Solution(np.zeros((0, 16)), np.zeros((20, 0)), LAW)
    with pytest.raises(ValueError, match="no components"):
        train_amortised(key, none, None, OPTIONS)
    with pytest.raises(ValueError, match="0 values"):
        train_amortised(key, solution._replace(concentrations=np.zeros((20, 3))), None, OPTIONS)
    with pytest.raises(ValueError, match=r"\(3, 16\) do not belong"):
        train_amortised(key, solution, np.ones((3, 16), np.float32), OPTIONS)


def test_a_loss_that_is_not_finite_stops(solution, monkeypatch):
    def diverged(options, key, state, mesh):
        return state, Info(*np.full(4, np.nan))

    monkeypatch.setattr("jaxhsi.gmcr.amortised_training.epoch", diverged)
    with pytest.raises(FloatingPointError, match="after 2 steps"):
        train_amortised(jax.random.key(0), solution, None, OPTIONS)
