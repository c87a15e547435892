"""The contract of `jaxhsi.base.Algorithm`, for every method."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import pytest

from jaxhsi.base import Algorithm
from jaxhsi.gmcr.algorithm import gated
from jaxhsi.gmcr.amortised import amortised
from jaxhsi.gmcr.amortised_data import draw_batch
from jaxhsi.gmcr.noise_model import SignalDependentNoise
from jaxhsi.gmcr.options import AmortisedOptions
from jaxhsi.upstream.gmcr.algorithm import joint, joint_algorithm
from jaxhsi.upstream.gmcr.options import JointOptions
from tests.helpers.dgc_method import batch, first_state, method
from tests.helpers.mixtures import make_mixture
from tests.helpers.scenes import BANDS
from tests.helpers.upstream_method import upstream_method


class Case(NamedTuple):
    """A method with a state, a batch and what it is asked to predict."""

    algorithm: Algorithm
    state: Any
    batch: Any
    predict_arguments: tuple


def default_dgc() -> Case:
    algorithm, windows = method(), batch(0, 2)
    return Case(algorithm, first_state(algorithm), windows, tuple(windows))


def upstream_dgc() -> Case:
    algorithm, windows = upstream_method(), batch(0, 2)
    state = algorithm.init(jax.random.key(0), jnp.zeros((1, BANDS)))
    return Case(algorithm, state, windows, tuple(windows))


def gated_solver() -> Case:
    algorithm, mixture = gated(), make_mixture(rows=24, bands=20)
    state = algorithm.init(jax.random.key(0), mixture.x, 4, 6)
    return Case(algorithm, state, mixture.x, (mixture.x,))


def amortised_networks() -> Case:
    options = AmortisedOptions(hidden_width=8, batch_size=16, training_steps=4, steps_per_call=2)
    algorithm, mixture = amortised(options), make_mixture(rows=24, bands=20)
    noise = SignalDependentNoise(jnp.log(jnp.float32(0.01)), jnp.float32(1.0))
    state = algorithm.init(jax.random.key(0), mixture.components, mixture.codes, noise, mixture.x)
    batch = draw_batch(options, jax.random.key(1), state.params.dictionary, state.mixture_bank)
    return Case(algorithm, state, batch, (mixture.x,))


def upstream_gmcr() -> Case:
    method = joint(5, JointOptions(pool_sizes=(3,), batch_size=4))
    spectra = jax.random.uniform(jax.random.key(1), (4, 5))
    return Case(joint_algorithm(method), method.init(jax.random.key(0)), spectra, (spectra,))


METHODS: tuple[Callable[[], Case], ...] = tuple(
    map(cache, (default_dgc, upstream_dgc, gated_solver, amortised_networks, upstream_gmcr))
)
every_method = pytest.mark.parametrize("make", METHODS, ids=lambda make: make.__wrapped__.__name__)


def copied(tree: Any) -> Any:
    return jax.tree.map(jnp.copy, tree)


@every_method
def test_a_step_keeps_the_structure_shapes_and_dtypes_of_the_state(make):
    case = make()
    state, _ = jax.eval_shape(case.algorithm.step, jax.random.key(0), case.state, case.batch)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, jax.eval_shape(lambda: case.state))


@every_method
def test_a_step_is_traced_once_and_its_state_may_be_donated(make):
    case, traces = make(), []

    def counted(*arguments):
        traces.append(1)
        return case.algorithm.step(*arguments)

    step, state = jax.jit(counted, donate_argnums=1), copied(case.state)
    for number in range(3):
        state, _ = step(jax.random.key(number), state, case.batch)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, case.state)
    assert len(traces) == 1


@every_method
def test_a_step_and_a_prediction_are_pure(make):
    case = make()
    before, step = copied(case.state), jax.jit(case.algorithm.step)
    predict = jax.jit(case.algorithm.predict)
    chex.assert_trees_all_equal(
        *(step(jax.random.key(0), case.state, case.batch) for _ in range(2))
    )
    chex.assert_trees_all_equal(*(predict(case.state, *case.predict_arguments) for _ in range(2)))
    chex.assert_trees_all_equal(case.state, before)


@every_method
def test_a_step_works_under_vmap_and_scan(make):
    """Both are lowered and not run: what they compute is what one step computes."""
    case = make()
    keys = jax.random.split(jax.random.key(0), 2)
    states = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), case.state)
    side_by_side = jax.jit(jax.vmap(case.algorithm.step, in_axes=(0, 0, None)))
    mapped, _ = side_by_side.lower(keys, states, case.batch).out_info
    chex.assert_trees_all_equal_shapes(mapped, states)

    def body(batch: Any, state: Any, key: jax.Array) -> tuple:
        return case.algorithm.step(key, state, batch)

    @jax.jit
    def in_a_row(keys, state, batch):
        return jax.lax.scan(partial(body, batch), state, keys)

    last, _ = in_a_row.lower(keys, case.state, case.batch).out_info
    chex.assert_trees_all_equal_shapes(last, case.state)
