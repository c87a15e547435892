"""A vote over the answers of restarts, among those that describe the table about as shortly."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxhsi.gmcr.algorithm import State
from jaxhsi.gmcr.component_pool import ComponentPool, free_component_penalty
from jaxhsi.gmcr.model_confidence import UNCERTAIN_GAIN_FACTOR
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.pool_fit import PoolFit
from jaxhsi.gmcr.solution import RestartVote
from jaxhsi.gmcr.spectral_library import explained_by
from jaxhsi.gmcr.whitening import WhitenedData, to_scaled, to_white, unit_rows

MAX_RESTARTS = 5
_MAX_WORK = 75_000  # spectra times slots of the pool, over all restarts

RestartFit = tuple[State, WhitenedData]
DescribeFit = Callable[[State, Array], PoolFit]


def default_num_restarts(num_spectra: int, num_slots: int) -> int:
    """Restarts of a table: five for 64 spectra and 32 slots, one from 75,000 values on."""
    return max(1, min(MAX_RESTARTS, _MAX_WORK // (num_spectra * num_slots)))


class SelectedRestart(NamedTuple):
    """Which restart wins, and components and length of the description of all."""

    best_index: int
    component_counts: Int[np.ndarray, " r"]
    description_lengths: Float[np.ndarray, " r"]


def select_restart(describe: DescribeFit, restart_fits: Sequence[RestartFit]) -> SelectedRestart:
    """The answer that restarts agree on.

    Those whose description is longer than the shortest by what a component beyond doubt would save
    have no vote. Of the others the most common number wins, then the shortest description: a
    component that only some draws of the gates lead to is not counted on a small gain. All are
    judged where the first one found the noise to be white, and under its noise law: what
    differs is what they take for components.

    Args:
        describe: of the solver, compiled.
        restart_fits: state and ground of each restart, on the same spectra.
    """
    (judge, ground), *others = restart_fits
    if not others:
        return SelectedRestart(0, np.array([int(judge.pool.active.sum())]), np.zeros(1))
    fits = [
        describe(judge._replace(pool=_pool_in_coordinates(each, ground)), ground.x_white)
        for each in restart_fits
    ]
    lengths = np.array([float(fitted.description_length) for fitted in fits])
    counts = np.array([int(fitted.pool.active.sum()) for fitted in fits])
    best = majority_restart(counts, lengths, length_tolerance(ground.x_white.shape[1]))
    return SelectedRestart(best, counts, lengths)


def restart_agreement(
    describe: DescribeFit,
    selected_fit: RestartFit,
    other_fits: Sequence[RestartFit],
    options: SolverOptions,
) -> Float[np.ndarray, " p"]:
    """Share of the restarts, itself among them, that hold each component of the answer to noise."""
    state, ground = selected_fit
    if not other_fits:
        return np.ones(len(state.pool.active), np.float32)
    fitted = describe(state, ground.x_white)
    held = [
        _explained(fitted, _pool_in_coordinates(other, ground).components, options)
        for other in other_fits
    ]
    own = np.ones(len(fitted.pool.active), bool)
    return np.mean([own, *jax.device_get(held)], axis=0, dtype=np.float32)


def length_tolerance(num_bands: int) -> float:
    """By how much a description may be longer than another and yet be as good."""
    return UNCERTAIN_GAIN_FACTOR * float(free_component_penalty(jnp.ones(()), num_bands))


def counts_within_tolerance(restart_vote: RestartVote, num_bands: int) -> Int[np.ndarray, " r"]:
    """Numbers of components of the restarts that describe the data about as shortly as any."""
    return restart_vote.component_counts[
        restart_vote.description_lengths
        <= restart_vote.description_lengths.min() + length_tolerance(num_bands)
    ]


def majority_restart(
    component_counts: Int[np.ndarray, " r"],
    description_lengths: Float[np.ndarray, " r"],
    max_difference: float,
) -> int:
    """The restart that wins: most common number among the near, then length, then its order.

    A difference of less than 1 says nothing.
    """
    close = description_lengths <= description_lengths.min() + max_difference
    votes = (component_counts == component_counts[:, None]) @ close.astype(int)
    return int(np.lexsort((np.round(description_lengths), -votes, ~close))[0])


_explained = partial(jax.jit, static_argnames="options")(explained_by)


def _pool_in_coordinates(found: RestartFit, ground: WhitenedData) -> ComponentPool:
    """The pool of an answer in the frame of another's ground."""
    state, own = found
    if jax.tree.all(jax.tree.map(np.array_equal, own.noise_model, ground.noise_model)):
        return state.pool  # to the last digit: a resumed run is to choose the same
    rows: Float[np.ndarray, "p c"] = np.asarray(to_scaled(state.pool.components, own.whitener))
    unit = jnp.asarray(unit_rows(to_white(rows, ground.whitener))[0], jnp.float32)
    return state.pool._replace(components=unit, whitener=ground.whitener)
