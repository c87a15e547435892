"""The default solver: steps, epochs, phases, restarts, and the exact number on small mixtures."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.gmcr.algorithm import State, converged, end_phase, epoch
from jaxhsi.gmcr.gates import open_probability
from jaxhsi.gmcr.initialisation import estimate_rank
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.solver import Solver, build_solver
from tests.helpers.mixtures import OPTIONS, SyntheticMixture, best_cosines, make_mixture

SLOTS, TRIED = 8, 6
RUN = build_solver(OPTIONS)
# Whether a coefficient stays is decided by a threshold, so that rounding grows from step to step:
# what an epoch is, is compared over a few of them.
SHORT_OPTIONS = SolverOptions(max_active=4, steps_per_phase=40, noise_refit_every=2)
SHORT_RUN = build_solver(SHORT_OPTIONS)


def traced_once(function):
    """The function compiled under the options; it fails where it is traced a second time."""
    return partial(jax.jit(chex.assert_max_traces(function, n=1), static_argnums=0), OPTIONS)


@pytest.fixture(scope="module")
def mixed() -> SyntheticMixture:
    return make_mixture(2)


@pytest.fixture(scope="module")
def compiled() -> Solver:
    return RUN._replace(
        init=jax.jit(RUN.init, static_argnums=3),
        step=jax.jit(RUN.step),
        epoch=traced_once(epoch),
        end_phase=traced_once(end_phase),
        predict=jax.jit(RUN.predict),
    )


@pytest.fixture(scope="module")
def start(mixed, compiled) -> State:
    return compiled.init(mixed.x, jax.jit(estimate_rank)(mixed.x), TRIED, SLOTS)


@pytest.fixture(scope="module")
def ended(mixed, compiled, start) -> tuple[State, list]:
    """Two phases, and what each epoch told."""
    state, infos = start, []
    for phase in range(2):
        for part in range(OPTIONS.steps_per_phase // OPTIONS.noise_refit_every):
            state, info = compiled.epoch(jax.random.key(100 + 10 * phase + part), state, mixed.x)
            infos.append(info)
        state = compiled.end_phase(state, mixed.x)
    return state, infos


def test_the_start_holds_spectra_of_the_data(start, mixed):
    assert start.pool.active.tolist() == [True] * TRIED + [False] * (SLOTS - TRIED)
    rows = start.pool.components[:TRIED]
    np.testing.assert_allclose(jnp.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    unit = mixed.x / jnp.linalg.norm(mixed.x, axis=1, keepdims=True)
    assert jnp.max(rows @ unit.T, axis=1).min() > 0.99
    assert (open_probability(start.gate_logits[:TRIED]) > 0.5).all()
    assert not converged(start)


def test_an_epoch_is_its_steps_and_a_new_noise_law(compiled, start, mixed):
    key, state = jax.random.key(3), start
    after, told = jax.jit(SHORT_RUN.epoch)(jax.random.key(3), start, mixed.x)
    step = jax.jit(SHORT_RUN.step)
    for number in range(SHORT_OPTIONS.noise_refit_every):
        state, info = step(jax.random.fold_in(key, number), state, mixed.x)
    chex.assert_trees_all_close(after.pool, state.pool, atol=2e-3)  # sums in another order
    chex.assert_trees_all_close(after.gate_logits, state.gate_logits, atol=1e-2)
    chex.assert_trees_all_close(told, info, rtol=1e-2)
    assert after.step == SHORT_OPTIONS.noise_refit_every
    assert after.noise_level.log_variance != state.noise_level.log_variance


def test_pressure_falls_to_the_margin(ended):
    """From 4 in the first phase and from 2 in the second; settled after 70 % of its steps."""
    pressures = [float(info.evidence_factor) for info in ended[1]]
    left = 1 - 20 / (0.7 * 40)
    expected = [1.2 * (4 / 1.2) ** left, 1.2, 1.2 * (2 / 1.2) ** left, 1.2]
    np.testing.assert_allclose(pressures, expected, rtol=1e-4)


def test_the_number_is_found(ended, mixed):
    """Three of six candidates stay; the residual is noise of deviation 1, less what was fitted."""
    state, infos = ended
    spectra, bands = mixed.x.shape
    fitted = (3 * bands + int((mixed.codes > 0).sum())) / (spectra * bands)
    assert int(state.pool.active.sum()) == 3
    assert state.component_counts.tolist() == [3, 3]
    assert converged(state)
    assert best_cosines(state.pool.components, mixed.components).min() > 0.999
    assert infos[-1].loss == pytest.approx(0.5 * (1 - fitted), abs=0.02)
    assert infos[-1].num_active == 3
    np.testing.assert_allclose(np.exp(state.noise_level.log_variance / 2), 1.0, atol=0.1)


def test_concentrations_are_those_of_the_data(ended, compiled, mixed):
    state = ended[0]
    order = np.argmax(np.asarray(mixed.components @ state.pool.components.T), axis=1)
    codes = np.asarray(compiled.predict(state, mixed.x))
    np.testing.assert_allclose(codes[:, order], mixed.codes, atol=5)
    assert not np.delete(codes, order, axis=1).any()


def test_a_phase_that_describes_the_data_less_shortly_leaves_nothing_behind(ended, compiled, mixed):
    state = ended[0]
    lost = state._replace(
        pool=state.pool.keep_only(jnp.arange(SLOTS) == jnp.argmax(state.pool.active))
    )
    after = compiled.end_phase(lost, mixed.x)
    assert after.component_counts.tolist() == [3, 3]
    assert best_cosines(after.pool.components, mixed.components).min() > 0.999
    nothing_kept = lost._replace(previous_pool=jax.tree.map(jnp.zeros_like, state.previous_pool))
    assert int(compiled.end_phase(nothing_kept, mixed.x).component_counts[0]) == 1


def test_a_phase_that_added_or_lost_something_is_not_the_last(ended):
    state = ended[0]
    assert not converged(state._replace(num_added=jnp.int32(1)))
    assert not converged(state._replace(component_counts=jnp.array([3, 4], jnp.int32)))
    assert not converged(state._replace(phase=jnp.int32(1)))
    assert not converged(state._replace(noise_drift=jnp.float32(0.1)))


def test_restarts_under_vmap_are_their_members(compiled, start, mixed):
    keys = jax.random.split(jax.random.key(4), 2)
    states, infos = jax.jit(jax.vmap(SHORT_RUN.epoch, (0, None, None)))(keys, start, mixed.x)
    epoch = jax.jit(SHORT_RUN.epoch)
    for i, key in enumerate(keys):
        alone, info = epoch(key, start, mixed.x)
        np.testing.assert_allclose(states.gate_logits[i], alone.gate_logits, atol=1e-3)
        np.testing.assert_allclose(infos.loss[i], info.loss, rtol=1e-3)


def test_a_large_pool_takes_every_second_step_of_a_phase(mixed):
    options = SolverOptions(max_active=4, steps_per_phase=40, noise_refit_every=10)
    solver = build_solver(options)
    state = solver.init(mixed.x, estimate_rank(mixed.x), TRIED, 192)
    for count in (20, 40):
        state, info = jax.jit(solver.epoch)(jax.random.key(0), state, mixed.x)
        assert state.step == count
    assert info.evidence_factor == pytest.approx(options.evidence_factor)
