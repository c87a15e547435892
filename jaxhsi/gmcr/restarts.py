"""Selection of a restart: a vote among those that describe the table about as shortly."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxhsi.gmcr.component_pool import ComponentPool, free_component_penalty
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.pool_fit import PoolFit
from jaxhsi.gmcr.solution import RestartVote
from jaxhsi.gmcr.spectral_library import explained_by
from jaxhsi.gmcr.state import State
from jaxhsi.gmcr.whitening import MIN_ROW_NORM, WhitenedData, to_scaled, to_white
from jaxhsi.normalisation import unit_rows

UNCERTAIN_GAIN_FACTOR = 2.0
"""Times its price: what a component may save and yet be none, where noise is not quite as taken.
Chosen by hand; not tuned."""
MAX_RESTARTS = 5
"""Restarts of a small table. Set by hand; an odd number leaves fewer ties."""
SAME_COSINE = 0.99
"""Cosine of whitened spectra above which two restarts have the same component. Set by hand: below,
a plot shows the difference."""
_MAX_WORK = 75_000
"""Spectra times slots of the pool, over all restarts, for fits of seconds; set by hand."""

RestartFit = tuple[State, WhitenedData]
DescribeFit = Callable[[State, Array], PoolFit]


def default_num_restarts(num_spectra: int, num_slots: int) -> int:
    """Restarts that a table of this size can afford: `MAX_RESTARTS` for small ones, 1 for large.

    Args:
        num_spectra: of the table.
        num_slots: of the pool.

    >>> default_num_restarts(64, 32), default_num_restarts(256, 96), default_num_restarts(1024, 320)
    (5, 3, 1)
    """
    # The time of a fit grows with both.
    return max(1, min(MAX_RESTARTS, _MAX_WORK // (num_spectra * num_slots)))


class SelectedRestart(NamedTuple):
    """Which restart is selected, with number of components and description length of all."""

    best_index: int
    component_counts: Int[np.ndarray, " r"]
    description_lengths: Float[np.ndarray, " r"]


def select_restart(describe: DescribeFit, restart_fits: Sequence[RestartFit]) -> SelectedRestart:
    """The restart with the number of components that most restarts agree on.

    Restarts whose description is longer than the shortest by `length_tolerance` have no vote. Of
    the others, the most common number wins, then the shortest description: a component that only
    some draws of the gates lead to is not counted on a small gain. Estimates of the noise differ
    between restarts; all are compared under that of the first.

    Args:
        describe: of the solver, compiled.
        restart_fits: state and data of each restart, on the same spectra.
    """
    # Description lengths under different noise models cannot be compared.
    (reference, data), *other_fits = restart_fits
    if not other_fits:
        return SelectedRestart(0, np.array([int(reference.pool.active.sum())]), np.zeros(1))
    pools = [_pool_in_coordinates(fit, data) for fit in restart_fits]
    pool_fits = [describe(reference._replace(pool=pool), data.x_white) for pool in pools]
    description_lengths = np.array([float(fitted.description_length) for fitted in pool_fits])
    component_counts = np.array([int(fitted.pool.active.sum()) for fitted in pool_fits])
    tolerance = length_tolerance(data.x_white.shape[1])
    return SelectedRestart(
        majority_restart(component_counts, description_lengths, tolerance),
        component_counts,
        description_lengths,
    )


def restart_agreement(
    describe: DescribeFit,
    selected_fit: RestartFit,
    other_fits: Sequence[RestartFit],
    options: SolverOptions,
) -> Float[np.ndarray, " p"]:
    """Share of the restarts, itself among them, that have each component of the selected one.

    What it is to have one, see `shared_components`.

    Args:
        describe: of the solver, compiled.
        selected_fit: state and data of the restart that was selected.
        other_fits: of the others that have a vote, see `have_vote`: one that ended far from
            the shortest description says nothing of the components.
        options: of the solver.
    """
    state, data = selected_fit
    if not other_fits:
        return np.ones(len(state.pool.active), np.float32)
    selected_pool_fit = describe(state, data.x_white)
    by_others = [
        shared_components(selected_pool_fit, _pool_in_coordinates(fit, data), options)
        for fit in other_fits
    ]
    by_itself = np.ones(len(selected_pool_fit.pool.active), bool)
    return np.mean([by_itself, *jax.device_get(by_others)], axis=0, dtype=np.float32)


def shared_components(
    pool_fit: PoolFit, other: ComponentPool, options: SolverOptions
) -> Bool[Array, " p"]:
    """Components of a fit that another restart has.

    It has a component if one of its own explains it down to the noise, or is the same but for
    `SAME_COSINE`: where spectra are strong, differences far above the noise are still small.
    Of a restart with as many components or more, combinations are taken too: it may split the same
    subspace into other components of equal fit, and how far these may be from each other is told by
    `rotational_ambiguity`. One with fewer has no say in that: one too many may be a combination of
    the others.

    Args:
        pool_fit: fitted pool, in noise units.
        other: of the other restart, in the same coordinates.
        options: of the solver.
    """
    pool, spectra = pool_fit.pool, other.components
    if int(other.active.sum()) >= int(pool.active.sum()):
        spectra = nearest_in_span(pool.components, spectra)
    is_same = jnp.max(pool.components @ spectra.T, axis=1) > SAME_COSINE
    return _explained(pool_fit, spectra, options) | is_same


def nearest_in_span(
    rows: Float[Array, "p c"], components: Float[Array, "q c"]
) -> Float[Array, "p c"]:
    """The combination of components that is nearest to each row, of length 1 (zero for none)."""
    basis = np.asarray(components, np.float64)
    basis = basis[np.any(basis != 0, axis=1)]
    projected = np.asarray(rows, np.float64) @ np.linalg.pinv(basis) @ basis
    return jnp.asarray(unit_rows(projected, MIN_ROW_NORM), jnp.float32)


def length_tolerance(num_bands: int) -> float:
    """Difference of description lengths, in units of chi-squared, that does not decide.

    It is what a component may save and yet be none, see `diagnostics.plausible_interval`.
    """
    return UNCERTAIN_GAIN_FACTOR * float(free_component_penalty(jnp.ones(()), num_bands))


def have_vote(
    description_lengths: Float[np.ndarray, " r"], max_difference: float
) -> Bool[np.ndarray, " r"]:
    """Restarts that describe the data about as shortly as any.

    Args:
        description_lengths: of the restarts.
        max_difference: from the shortest, see `length_tolerance`.
    """
    return description_lengths <= description_lengths.min() + max_difference


def counts_within_tolerance(restart_vote: RestartVote, num_bands: int) -> Int[np.ndarray, " r"]:
    """Numbers of components of the restarts that have a vote."""
    voting = have_vote(restart_vote.description_lengths, length_tolerance(num_bands))
    return restart_vote.component_counts[voting]


def majority_restart(
    component_counts: Int[np.ndarray, " r"],
    description_lengths: Float[np.ndarray, " r"],
    max_difference: float,
) -> int:
    """The restart that wins: by the most common number, then by length, then by order.

    Args:
        component_counts: number of components of each restart.
        description_lengths: in units of chi-squared; a difference of less than 1 decides nothing.
        max_difference: from the shortest, for a restart to have a vote.

    >>> majority_restart(np.array([17, 16, 16]), np.array([0.0, 400.0, 390.0]), 500.0)
    2
    >>> majority_restart(np.array([17, 16, 16]), np.array([0.0, 5000.0, 5000.0]), 500.0)
    0
    """
    has_vote = have_vote(description_lengths, max_difference)
    votes = (component_counts == component_counts[:, None]) @ has_vote.astype(int)
    # Rounded: a difference within rounding must not decide between equal restarts.
    return int(np.lexsort((np.round(description_lengths), -votes, ~has_vote))[0])


_explained = partial(jax.jit, static_argnames="options")(explained_by)


def _pool_in_coordinates(restart_fit: RestartFit, data: WhitenedData) -> ComponentPool:
    """The pool of a restart in the whitened coordinates of another's data."""
    state, own_data = restart_fit
    if jax.tree.all(jax.tree.map(np.array_equal, own_data.noise_model, data.noise_model)):
        return state.pool  # to the last digit: a resumed run is to select the same
    scaled_rows = np.asarray(to_scaled(state.pool.components, own_data.whitener))
    white_rows = jnp.asarray(
        unit_rows(to_white(scaled_rows, data.whitener), MIN_ROW_NORM), jnp.float32
    )
    return state.pool._replace(components=white_rows, whitener=data.whitener)
