"""Restarts side by side: on devices of their own, with the answer of one device, and stopped."""

from functools import partial
from threading import get_ident

import jax
import numpy as np
import pytest

from jaxhsi.gmcr import restart_fits
from jaxhsi.gmcr.fit import fit_components
from jaxhsi.gmcr.fit_phases import FitCallbacks
from jaxhsi.gmcr.restart_fits import fit_restarts, restart_meshes
from jaxhsi.gmcr.state import State
from jaxhsi.gmcr.whitening import WhitenedData
from jaxhsi.sharding import device_mesh
from tests.helpers.mixtures import OPTIONS, make_mixture

KEY = jax.random.key(0)
NOTHING = State(*(None,) * len(State._fields)), WhitenedData(None, None, None, None, None)
"""A state and a table that no one looks at."""


@pytest.mark.parametrize(
    ("devices", "restarts", "sizes", "different"),
    [(1, 3, 1, 1), (8, 1, 8, 1), (8, 5, 1, 5), (8, 3, 2, 3), (2, 5, 1, 2)],
)
def test_restarts_have_devices_of_their_own(devices, restarts, sizes, different):
    meshes = restart_meshes(device_mesh(devices), restarts)
    assert len(meshes) == restarts
    assert {mesh.size for mesh in meshes} == {sizes}
    assert len(set(meshes)) == different
    taken = [device for mesh in set(meshes) for device in mesh.devices]
    assert len(taken) == len(set(taken))


@pytest.mark.slow
def test_restarts_at_once_are_those_one_after_the_other():
    mixed, steps = make_mixture(2), []
    fit = partial(fit_components, KEY, mixed.x, OPTIONS, restarts=2)
    one = fit()
    two = fit(mesh=device_mesh(2), on_epoch=lambda step, info: steps.append((step, get_ident())))
    np.testing.assert_array_equal(
        one.restart_vote.component_counts, two.restart_vote.component_counts
    )
    np.testing.assert_allclose(
        *(each.restart_vote.description_lengths for each in (one, two)), atol=0.1
    )
    np.testing.assert_allclose(two.components, one.components, atol=1e-4)
    np.testing.assert_allclose(two.concentrations, one.concentrations, atol=1e-2)
    assert {thread for _, thread in steps} == {get_ident()}  # callbacks need no lock
    assert [step for step, _ in steps] == list(range(20, 20 * len(steps) + 1, 20))


def test_a_stop_ends_all_restarts(monkeypatch):
    ended = []

    def run_phases(solver, key, state, data, options, callbacks, mesh):
        if mesh.devices[0] == jax.devices()[0]:
            raise KeyboardInterrupt
        try:
            while True:
                callbacks.on_progress(0)
        finally:
            ended.append(mesh.devices[0])

    monkeypatch.setattr(restart_fits, "run_phases", run_phases)
    monkeypatch.setattr(restart_fits, "move_fit", lambda mesh, state, data: (state, data))
    meshes = restart_meshes(device_mesh(3), 3)
    with pytest.raises(KeyboardInterrupt):
        fit_restarts(KEY, *NOTHING, OPTIONS, FitCallbacks(), meshes)
    assert sorted(ended, key=lambda device: device.id) == jax.devices()[1:3]


def test_an_error_of_any_restart_is_that_of_the_fit(monkeypatch):
    def run_phases(solver, key, state, data, options, callbacks, mesh):
        if mesh.devices[0] == jax.devices()[1]:
            raise FloatingPointError("step 20 is not finite")
        return state, data

    monkeypatch.setattr(restart_fits, "run_phases", run_phases)
    monkeypatch.setattr(restart_fits, "move_fit", lambda mesh, state, data: (state, data))
    with pytest.raises(FloatingPointError, match="step 20"):
        fit_restarts(KEY, *NOTHING, OPTIONS, FitCallbacks(), restart_meshes(device_mesh(2), 2))
