"""Fits from several draws of the gates: side by side where there are several devices."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Event
from typing import TypeVar

import jax
from jax.sharding import Mesh
from jaxtyping import Array

from jaxhsi.gmcr.component_count import bound_by_rank
from jaxhsi.gmcr.fit_phases import FitCallbacks, restore_state, run_phases
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.restarts import RestartFit
from jaxhsi.gmcr.sharded_solver import move_fit, sharded_solver
from jaxhsi.gmcr.solver import Solver
from jaxhsi.gmcr.state import State
from jaxhsi.gmcr.whitening import WhitenedData
from jaxhsi.precision import with_float32_products

_RESTART_KEY_OFFSET = 1 << 20
"""Added to the number of a restart before it is folded into the key, beyond any number of steps."""

_Fit = TypeVar("_Fit")


class _Interruption(Exception):
    """Another restart has failed, or the user has stopped the fit."""


def restart_meshes(mesh: Mesh, num_restarts: int) -> list[Mesh]:
    """Devices of each restart: equal parts of all, taken in turn by restarts beyond their number.

    A restart needs nothing of another, so that more devices for each are slower than more restarts
    at once. Of devices of several processes each sees its own alone: there all share each restart.

    Args:
        mesh: devices.
        num_restarts: how many there are.

    >>> from jaxhsi.sharding import device_mesh
    >>> [own.size for own in restart_meshes(device_mesh(1), 3)]
    [1, 1, 1]
    """
    num_parts = 1 if mesh.is_multi_process else min(num_restarts, mesh.size)
    part_size = mesh.size // num_parts
    starts = range(0, num_parts * part_size, part_size)
    parts = [Mesh(mesh.devices[i : i + part_size], mesh.axis_names) for i in starts]
    return [parts[i % num_parts] for i in range(num_restarts)]


def fit_restarts(
    key: Array,
    first_state: State,
    data: WhitenedData,
    options: SolverOptions,
    callbacks: FitCallbacks,
    meshes: Sequence[Mesh],
) -> list[RestartFit]:
    """State and data of every restart after its phases; the first may resume a checkpoint.

    Args:
        key: of the random gates.
        first_state: all begin at it.
        data: the table.
        options: of the solver.
        callbacks: of the fit; files belong to the first restart.
        meshes: devices of each restart, see `restart_meshes`.
    """
    stop_event = Event()

    def fit_restart(i: int) -> RestartFit:
        own_mesh, solver = meshes[i], sharded_solver(options, meshes[i])
        own_callbacks = _restart_callbacks(callbacks, i, meshes, stop_event)
        # A copy for each: the solver uses up its state.
        state, own_data = move_fit(own_mesh, first_state, data)
        own_key = key
        if i == 0:
            state, own_data = restore_state(state, own_data, callbacks, own_mesh)
        else:
            # Far from the keys of epochs, which fold in step numbers.
            own_key = jax.random.fold_in(key, _RESTART_KEY_OFFSET + i)
        return run_phases(solver, own_key, state, own_data, options, own_callbacks, own_mesh)

    return _map_restarts(fit_restart, meshes, stop_event)


def compare_starts(
    restart_fits: Sequence[RestartFit],
    options: SolverOptions,
    meshes: Sequence[Mesh],
    *,
    is_count_free: bool,
) -> list[RestartFit]:
    """Each restart after the purest spectra were tried as a start, and fewer components.

    Args:
        restart_fits: of `fit_restarts`.
        options: of the solver.
        meshes: devices of each restart.
        is_count_free: the number of components is not given.
    """

    def compare(i: int) -> RestartFit:
        state, own_data = restart_fits[i]
        solver = sharded_solver(options, meshes[i])
        return _best_of_starts(solver, state, own_data, is_count_free), own_data

    return _map_restarts(compare, meshes, Event())


def _best_of_starts(solver: Solver, state: State, data: WhitenedData, is_count_free: bool) -> State:
    """The state after the purest spectra were tried as a start, and fewer components."""
    state = solver.pure_pixel_restart(state, data.x_white)
    if not is_count_free:
        return state
    bounded = bound_by_rank(solver, state, data)
    return state if bounded is state else solver.pure_pixel_restart(bounded, data.x_white)


def _restart_callbacks(
    callbacks: FitCallbacks, i: int, meshes: Sequence[Mesh], stop_event: Event
) -> FitCallbacks:
    """Callbacks of a restart; those beside the first are silent, which is called by one thread."""
    num_at_once = len(set(meshes))
    if num_at_once == 1:
        return callbacks.of_restart(i, len(meshes))
    if i % num_at_once:
        return FitCallbacks(on_progress=partial(_stop_if_set, stop_event))
    own = callbacks.of_restart(i, len(meshes))
    stage_name = f"components, restart {i + 1} of {len(meshes)}, {num_at_once} at once"
    return replace(own, on_progress=partial(callbacks.on_progress, stage_name))


def _stop_if_set(stop_event: Event, *_: object) -> None:
    if stop_event.is_set():
        raise _Interruption


def _map_restarts(
    fit_restart: Callable[[int], _Fit], meshes: Sequence[Mesh], stop_event: Event
) -> list[_Fit]:
    """``fit_restart(i)`` of all: one after the other on the same devices, at once on others.

    Those of the first devices run in the calling thread, which signals interrupt.
    """
    by_mesh = [[i for i, own in enumerate(meshes) if own == mesh] for mesh in dict.fromkeys(meshes)]

    def fit_in_turn(numbers: list[int]) -> dict[int, _Fit]:
        return {i: fit_restart(i) for i in numbers}

    if len(by_mesh) == 1:
        return list(fit_in_turn(by_mesh[0]).values())
    with ThreadPoolExecutor(len(by_mesh) - 1) as executor:
        try:
            # A precision that is set belongs to its thread.
            fit_in_thread = with_float32_products(fit_in_turn)
            others = [executor.submit(fit_in_thread, numbers) for numbers in by_mesh[1:]]
            fits = fit_in_turn(by_mesh[0])
            for other in others:
                fits |= other.result()
        except BaseException:
            stop_event.set()
            raise
    return [fits[i] for i in range(len(meshes))]
