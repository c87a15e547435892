"""Fits of a number of components that is given, or that the rank of the table allows.

The phases of the solver search for the number; what is here comes after them, on a compiled solver.
"""

from collections.abc import Iterator

import jax.numpy as jnp

from jaxhsi.gmcr.component_pool import ComponentPool
from jaxhsi.gmcr.final_stages import is_searched
from jaxhsi.gmcr.fit_phases import purest_spectra_state, rank_estimate
from jaxhsi.gmcr.initialisation import RankEstimate
from jaxhsi.gmcr.noise_model import divide_by_noise
from jaxhsi.gmcr.pool_fit import PoolFit
from jaxhsi.gmcr.sample_order import smooth_directions
from jaxhsi.gmcr.solver import Solver
from jaxhsi.gmcr.sparse_coding import count_usage
from jaxhsi.gmcr.state import State
from jaxhsi.gmcr.whitening import WhitenedData
from jaxhsi.processes import gather_array

_MAX_COUNT_RATIO = 2
"""Times a given number of components, up to which the solver's own components are a useful start.

Set by hand: images hold tens of weak components (shading, mixed pixels); dropping the weakest of
them one by one does not lead to the few that were asked for. See `fit_given_number`.
"""
_MIN_DENSITY = 0.1
"""Share of concentrations that are not zero, from which on a large table is fitted with as many
components as its rank. Set by hand: where spectra hold few of many components, none passes for a
mixture of others, and these fits take longer than all phases (N = 256, 1 % of concentrations)."""


def fit_given_number(
    solver: Solver, state: State, data: WhitenedData, num_components: int
) -> State:
    """The state with a given number of components, by the shorter description of two.

    One begins at the state's own components, the other at as many pure spectra. The second is the
    only one where the data hold far more components than are asked for, as images do.

    Args:
        solver: compiled.
        state: after the last phase.
        data: the table.
        num_components: wanted; there may be fewer where no spectrum would use more.
    """
    if _active_count(state.pool) == num_components:
        return state
    return _shorter_of_starts(solver, state, data, num_components, rank_estimate(data.x_white))


def _shorter_of_starts(
    solver: Solver, state: State, data: WhitenedData, num_components: int, estimate: RankEstimate
) -> State:
    count, slots = _active_count(state.pool), len(state.gate_logits)
    starts = [state] if count <= _MAX_COUNT_RATIO * num_components else []
    starts += [purest_spectra_state(solver, data, estimate, num_components, slots)]
    fitted = [solver.set_num_components(start, data.x_white, num_components) for start in starts]
    # One fit needs no comparison, each of which would compile a program of its own.
    best = fitted[0]
    if len(fitted) > 1:
        best = min(fitted, key=lambda each: description_length(solver, state, each.pool, data))
    return _with_fit_of(state, best)


def bound_by_rank(solver: Solver, state: State, data: WhitenedData) -> State:
    """The state without components that the rank of the table does not call for.

    Mixtures of k components span k dimensions. Phases that begin at more spectra than that may end
    at more, none of which can be left out without fitting the others anew: where nearly all
    components mix in all spectra, a mixture of two of them passes for a third. So the fit of as
    many components as singular values stand above the noise is refined and compared. If its
    description is longer, components that few spectra hold are below that edge; then components
    are removed one at a time, while the description becomes shorter.

    Args:
        solver: compiled.
        state: after the last phase.
        data: the table.

    Returns:
        The state of the shortest description, all under the noise level of the given one.
    """
    estimate = rank_estimate(data.x_white)
    rank = int(estimate.rank)
    if _active_count(state.pool) <= max(rank, 1):
        return state
    described = solver.describe(state, data.x_white)
    if not is_searched(state, data.x_white) and _density(described) < _MIN_DENSITY:
        return state
    best, shortest = state, float(described.description_length)
    for fewest in _fits_of_rank(solver, state, data, estimate):
        if description_length(solver, state, fewest.pool, data) < shortest:
            return fewest
    while (number := _active_count(best.pool) - 1) > rank:
        fewer = solver.set_num_components(best, data.x_white, number)
        length = description_length(solver, state, fewer.pool, data)
        if length >= shortest or _active_count(fewer.pool) > number:
            break
        best, shortest = _with_fit_of(state, fewer), length
    return best


def bound_by_order(
    solver: Solver, state: State, data: WhitenedData, run_lengths: tuple[int, ...]
) -> State:
    """The state without components that no order of the samples calls for.

    Noise is white along samples in an order, and what it makes of the lamp or the detector is no
    component: there are as many as directions of the table that are smooth along the samples.

    Args:
        solver: compiled.
        state: after the last phase.
        data: the table.
        run_lengths: of the runs of samples.
    """
    x_noise_units = divide_by_noise(data.x_white, state.noise_level)
    num_smooth = max(smooth_directions(gather_array(x_noise_units), run_lengths), 1)
    if _active_count(state.pool) <= num_smooth:
        return state
    return fit_given_number(solver, state, data, num_smooth)


def _fits_of_rank(
    solver: Solver, state: State, data: WhitenedData, estimate: RankEstimate
) -> Iterator[State]:
    """Fits of as many components as the rank, each better and longer to reach than the last."""
    rank = int(estimate.rank)
    if rank < 1:
        return
    fewest = _shorter_of_starts(solver, state, data, rank, estimate)
    yield fewest
    # In whitened coordinates, what is non-negative is not seen band by band.
    if is_searched(state, data.x_white) and data.whitener is None:
        yield solver.dense_refit(fewest, data.x_white)


def description_length(
    solver: Solver, state: State, pool: ComponentPool, data: WhitenedData
) -> float:
    """Description length of a table by a pool, under the noise level of a state."""
    described = solver.describe(state._replace(pool=pool), data.x_white)
    return float(described.description_length)


def _density(pool_fit: PoolFit) -> float:
    """Share of concentrations of active components that are not zero; 0 where none is active."""
    usage_counts = count_usage(pool_fit.codes)
    num_active = max(_active_count(pool_fit.pool), 1)  # of few bands the fit may keep none
    return float(jnp.sum(usage_counts)) / (len(pool_fit.codes) * num_active)


def _active_count(pool: ComponentPool) -> int:
    return int(jnp.sum(pool.active))


def _with_fit_of(state: State, fitted: State) -> State:
    return state._replace(
        pool=fitted.pool, noise_level=fitted.noise_level, gate_logits=fitted.gate_logits
    )
