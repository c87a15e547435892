"""The number of components is bounded by the rank of the table, but for what few spectra hold."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.gmcr.component_count import bound_by_rank, description_length
from jaxhsi.gmcr.fit_phases import compiled_solver, purest_spectra_state, rank_estimate
from jaxhsi.gmcr.whitening import assume_white_noise
from jaxhsi.sharding import device_mesh
from tests.helpers.mixtures import OPTIONS, best_cosines

SLOTS, ROWS = 8, 40


def dense_mixture(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three components that nearly all mix in all spectra, and their spectra."""
    random = np.random.default_rng(seed)
    bands = np.arange(50)
    peaks = np.exp(-0.5 * ((bands - np.array([[10.0], [25.0], [40.0]])) / 3) ** 2) + 0.02
    components = peaks / np.linalg.norm(peaks, axis=1, keepdims=True)
    shares = random.dirichlet(np.full(3, 1.5), ROWS)
    shares[shares < 0.06] = 0
    table = 100 * shares @ components + 0.3 * random.normal(size=(ROWS, 50))
    return table.astype(np.float32), components.astype(np.float32)


def state_of_purest(table: np.ndarray, candidates: int):
    data = assume_white_noise(device_mesh(1), table)
    solver = compiled_solver(OPTIONS)
    estimate = rank_estimate(data.x_white)
    return solver, purest_spectra_state(solver, data, estimate, candidates, SLOTS), data


@pytest.mark.parametrize("candidates", [4, 5])
def test_mixtures_that_pass_for_components_go(candidates):
    table, components = dense_mixture(candidates)
    solver, state, data = state_of_purest(table, candidates)
    assert int(state.pool.active.sum()) == candidates
    bounded = bound_by_rank(solver, state, data)
    assert int(bounded.pool.active.sum()) == 3
    rows = bounded.pool.components[bounded.pool.active]
    assert best_cosines(rows, components).min() > 0.97
    longer = description_length(solver, state, state.pool, data)
    assert description_length(solver, state, bounded.pool, data) < longer


def test_as_many_as_the_rank_stay_as_they_are():
    table, _ = dense_mixture(0)
    solver, state, data = state_of_purest(table, 3)
    assert bound_by_rank(solver, state, data) is state


def test_components_that_shorten_the_description_stay_whatever_the_rank(monkeypatch):
    """Components of few spectra may lengthen no singular value beyond those of noise."""
    table, _ = dense_mixture(0)
    solver, state, data = state_of_purest(table, 3)
    low = rank_estimate(data.x_white)._replace(rank=jnp.array(2))
    monkeypatch.setattr("jaxhsi.gmcr.component_count.rank_estimate", lambda x: low)
    assert int(bound_by_rank(solver, state, data).pool.active.sum()) == 3


@pytest.mark.parametrize(("least_density", "count"), [(0.1, 3), (1.1, 4)])
def test_large_tables_are_bounded_where_their_mixtures_are_dense(monkeypatch, least_density, count):
    table, _ = dense_mixture(4)
    solver, state, data = state_of_purest(table, 4)
    monkeypatch.setattr("jaxhsi.gmcr.component_count.is_searched", lambda state, x: False)
    monkeypatch.setattr("jaxhsi.gmcr.component_count._MIN_DENSITY", least_density)
    bounded = bound_by_rank(solver, state, data)
    assert int(bounded.pool.active.sum()) == count
