"""Selection of the smallest set of components that describes the data: prune, add, count.

Sets are compared by their description length in units of chi-squared, see
`jaxhsi.gmcr.algorithm` for the objective and `jaxhsi.gmcr.component_pool` for the penalties.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxhsi.gmcr.component_pool import (
    ComponentPool,
    coefficient_penalty,
    free_component_penalty,
    normalise_components,
)
from jaxhsi.gmcr.noise_covariance import NoiseWhitener
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.pool_fit import PoolFit, better_of, empty_fit, multi_start_fit, refit_pool

_MAX_SEARCHES = 20
"""Searches for a further component in the residual at most; each begins at another spectrum. Set by
hand: each costs five products with the table."""
_POWER_ITERATIONS = 5
"""Power iterations of a search. The component is refitted afterwards; a rough one is enough. Chosen
by hand; not tuned."""
_MIN_RELATIVE_POWER = 0.1
"""Amounts below this share of the largest one's square do not take part in the power iterations.
Chosen by hand; not tuned."""


def prune(x: Float[Array, "n c"], pool: ComponentPool, options: SolverOptions) -> PoolFit:
    """Fit a pool, then remove components while that decreases the description length.

    The last component stays.

    Args:
        x: spectra in noise units.
        pool: components to begin with.
        options: of the solver.

    Returns:
        The pruned fit.
    """

    def remove_one(carry: tuple) -> tuple:
        best, _ = carry
        # The fit itself competes: without an improvement it comes back and the loop ends.
        candidate = backward_step(x, best, options, best)
        return candidate, candidate.description_length < best.description_length

    initial = multi_start_fit(x, pool, options), jnp.array(True)
    return jax.lax.while_loop(lambda carry: carry[1], remove_one, initial)[0]


def backward_step(
    x: Float[Array, "n c"], pool_fit: PoolFit, options: SolverOptions, best_fit: PoolFit
) -> PoolFit:
    """The best of a given fit and of the fits without one of the weakest components.

    Args:
        x: spectra in noise units.
        pool_fit: fit from which one component is removed; a single component stays.
        options: ``prune_candidates`` is the number of components that are tried, those of least
            evidence first.
        best_fit: fit to compare with; `empty_fit` makes the removal unconditional.

    Returns:
        The fit of the smallest description length.
    """
    pool = pool_fit.pool
    # Slots without a component sort last, so that only active ones are tried.
    weakest_first = jnp.argsort(jnp.where(pool.active, pool_fit.log_evidence, jnp.inf))

    def without(i: Array, best: PoolFit) -> PoolFit:
        # The refit decides: the closed-form evidence ranks candidates but ignores how others adapt.
        others = pool.keep_only(jnp.arange(len(pool.active)) != weakest_first[i])
        return better_of(refit_pool(x, others, options), best)

    # One fewer than there are: a pool without components describes nothing.
    num_tried = jnp.minimum(options.prune_candidates, jnp.sum(pool.active) - 1)
    return jax.lax.fori_loop(0, num_tried, without, best_fit)


def remove_component(x: Float[Array, "n c"], pool_fit: PoolFit, options: SolverOptions) -> PoolFit:
    """The fit without one of the weakest components, even if the description length grows."""
    return backward_step(x, pool_fit, options, empty_fit(x, pool_fit.pool))


def reach_num_components(
    x: Float[Array, "n c"],
    pool_fit: PoolFit,
    num_components: Int[Array, ""] | int,
    options: SolverOptions,
) -> PoolFit:
    """The fit with components removed or added, one at a time, up to a given number.

    Removed is the component whose loss lengthens the description least; added is the one that
    shortens it most. There may be fewer in the end: where no spectrum would use another component,
    or all slots are taken.

    Args:
        x: spectra in noise units.
        pool_fit: fit to begin with.
        num_components: number wanted.
        options: of the solver.

    Returns:
        The fit.
    """
    remove_one = partial(remove_component, x, options=options)
    add_one = partial(forward_step, x, options=options)
    # Removing comes first: an addition to a pool that is too large would be removed again.
    reduced_fit = _repeat_while(lambda count: count > num_components, remove_one, pool_fit)
    return _repeat_while(lambda count: count < num_components, add_one, reduced_fit)


def _repeat_while(
    is_wrong: Callable[[Array], Array],
    change_fit: Callable[[PoolFit], PoolFit],
    initial_fit: PoolFit,
) -> PoolFit:
    """Change a fit while its number of components is wrong and the last change altered it."""

    def is_unfinished(carry: tuple) -> Array:
        current_count, former_count = (
            jnp.sum(active) for active in (carry[0].pool.active, carry[1])
        )
        return is_wrong(current_count) & (current_count != former_count)

    def apply(carry: tuple) -> tuple:
        return change_fit(carry[0]), carry[0].pool.active

    # As if there had been none before, so that the first change is always applied.
    no_slots = jnp.zeros_like(initial_fit.pool.active)
    return jax.lax.while_loop(is_unfinished, apply, (initial_fit, no_slots))[0]


def forward_step(x: Float[Array, "n c"], pool_fit: PoolFit, options: SolverOptions) -> PoolFit:
    """The fit with the best component of the residual added, even if its gain is below its penalty.

    Searches begin at the spectra of the largest residuals.

    Args:
        x: spectra in noise units.
        pool_fit: fit to extend; without a free slot it is only refitted.
        options: of the solver.

    Returns:
        The fit.
    """
    pool, penalty = pool_fit.pool, coefficient_penalty(pool_fit.pool)
    residual = x - pool_fit.codes @ pool.components
    # Large residuals are the likeliest to hold a component that is missing.
    _, start_rows = jax.lax.top_k(jnp.sum(residual**2, axis=1), min(_MAX_SEARCHES, len(x)))

    def search(start_row: Array) -> tuple[Array, Array]:
        spectrum, amounts = _rank_one_fit(
            residual, residual[start_row], penalty, options, pool.whitener
        )
        return spectrum, _net_gain(amounts, penalty, x.shape[1], options)

    candidate_spectra, net_gains = jax.lax.map(search, start_rows)
    # Added whatever its gain is: a given number is asked for.
    best_spectrum = candidate_spectra[jnp.argmax(net_gains)]
    return refit_pool(x, _fill_free_slot(pool, best_spectrum, jnp.array(True)), options)


class _Search(NamedTuple):
    """State of `add_components`.

    Attributes:
        residual: what the components found so far leave.
        tried: spectra at which a search has begun.
        pool: with the components added so far.
    """

    residual: Float[Array, "n c"]
    tried: Bool[Array, " n"]
    pool: ComponentPool


def add_components(
    x: Float[Array, "n c"], pool_fit: PoolFit, options: SolverOptions
) -> ComponentPool:
    """The pool with every component of the residual whose gain exceeds its penalty.

    Components are found one at a time by sparse rank-one fits of the residual. Each begins at the
    spectrum of the largest residual that was not tried yet.

    Args:
        x: spectra in noise units.
        pool_fit: fit to extend.
        options: of the solver.

    Returns:
        The pool, not yet refitted.
    """
    pool, penalty = pool_fit.pool, coefficient_penalty(pool_fit.pool)

    def attempt(_: Array, state: _Search) -> _Search:
        residual_power = jnp.sum(state.residual**2, axis=1)
        # Powers are not negative, so that a spectrum that was tried is not chosen again.
        start_row = jnp.argmax(jnp.where(state.tried, -1.0, residual_power))
        spectrum, amounts = _rank_one_fit(
            state.residual, state.residual[start_row], penalty, options, pool.whitener
        )
        is_significant = _net_gain(amounts, penalty, x.shape[1], options) > 0
        # Without a free slot the residual must keep what cannot be stored.
        is_significant &= ~state.pool.active.all()
        # Deflation: the next search must not find the same component again.
        residual = state.residual - is_significant * jnp.outer(amounts, spectrum)
        extended_pool = _fill_free_slot(state.pool, spectrum, is_significant)
        return _Search(residual, state.tried.at[start_row].set(True), extended_pool)

    residual = x - pool_fit.codes @ pool.components
    initial = _Search(residual, jnp.zeros(len(x), bool), pool)
    return jax.lax.fori_loop(0, min(_MAX_SEARCHES, len(x)), attempt, initial).pool


def _net_gain(
    amounts: Float[Array, " n"], penalty: Array, num_bands: int, options: SolverOptions
) -> Float[Array, ""]:
    """Gain of a new component with these amounts, less its penalties."""
    usage_count = jnp.sum(amounts != 0).astype(amounts.dtype)
    chi2_gain = jnp.sum(amounts**2) - usage_count * penalty
    component_penalty = options.evidence_factor * free_component_penalty(usage_count, num_bands)
    return jnp.where(usage_count > 0, chi2_gain - component_penalty, -jnp.inf)


def _fill_free_slot(
    pool: ComponentPool, spectrum: Float[Array, " c"], is_wanted: Bool[Array, ""]
) -> ComponentPool:
    """The pool with a spectrum in its first free slot, if it is wanted and there is one."""
    # The first False; a full pool gives slot 0, which the next line refuses.
    free_slot = jnp.argmin(pool.active)
    is_wanted &= ~pool.active[free_slot]
    extended_components = pool.components.at[free_slot].set(spectrum)
    return pool._replace(
        components=jnp.where(is_wanted, extended_components, pool.components),
        active=jnp.where(is_wanted, pool.active.at[free_slot].set(True), pool.active),
    )


def _rank_one_fit(
    residual: Float[Array, "n c"],
    start_spectrum: Float[Array, " c"],
    penalty: Array,
    options: SolverOptions,
    whitener: NoiseWhitener | None,
) -> tuple[Float[Array, " c"], Float[Array, " n"]]:
    """Sparse rank-one fit of the residual by power iterations: a spectrum and its amounts."""

    def project(spectrum: Array) -> Array:
        amounts = residual @ spectrum
        return jnp.maximum(amounts, 0) if options.non_negative else amounts

    def power_iteration(_: Array, spectrum: Array) -> Array:
        amounts = project(spectrum)
        # Small amounts are noise or other components, and would blur the direction.
        power_threshold = jnp.maximum(penalty, _MIN_RELATIVE_POWER * jnp.max(amounts**2))
        amounts = jnp.where(amounts**2 > power_threshold, amounts, 0.0)
        updated_spectrum = normalise_components((amounts @ residual)[None], options, whitener)[0]
        # With nothing above the threshold the update is zero: the direction stays.
        return jnp.where(jnp.any(amounts != 0), updated_spectrum, spectrum)

    initial_spectrum = normalise_components(start_spectrum[None], options, whitener)[0]
    spectrum = jax.lax.fori_loop(0, _POWER_ITERATIONS, power_iteration, initial_spectrum)
    amounts = project(spectrum)
    return spectrum, jnp.where(amounts**2 > penalty, amounts, 0.0)
