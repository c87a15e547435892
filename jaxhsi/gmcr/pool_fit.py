"""Fit of a pool of components to the data, and its description length.

See `jaxhsi.gmcr.algorithm` for the objective and `jaxhsi.gmcr.component_pool` for the penalties.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxhsi.gmcr.component_pool import (
    ComponentPool,
    coefficient_penalty,
    component_penalties,
    encode,
    log_evidence,
)
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.sparse_coding import count_usage
from jaxhsi.linear_algebra import solve

_RELAXATION_SHARE = 0.7
"""Share of the refits after which the coefficient penalty has reached its plain value. Set by hand:
the last refits must happen under the plain penalty."""
_SHORT_REFITS = 4
"""Refits from components that nearly fit, e.g. after one was left out. Set by hand; fits that are
compared all get the same number."""
_SPECTRUM_DAMPING = 1e-3
"""Damping of the least-squares spectra, relative to the median power of a component: a component
that hardly occurs moves little. Set by hand."""
_LOW_PENALTY_FACTOR = 0.6
"""Factor of the coefficient penalty at the beginning of the third fit of `multi_start_fit`: below
1, so that a missing coefficient may appear first and make its imitation by others unneeded. Chosen
by hand; not tuned."""


class PoolFit(NamedTuple):
    """A pool fitted to the data.

    Attributes:
        pool: components, refitted.
        codes: concentrations of the data in noise units.
        description_length: of the data, see `fit_pool`.
        log_evidence: `component_pool.log_evidence` of each component.
    """

    pool: ComponentPool
    codes: Float[Array, "n p"]
    description_length: Float[Array, ""]
    log_evidence: Float[Array, " p"]


def fit_pool(
    x: Float[Array, "n c"],
    pool: ComponentPool,
    options: SolverOptions,
    num_refits: Int[Array, ""] | int,
    initial_penalty: Float[Array, ""] | float,
) -> PoolFit:
    """Alternate sparse codes and least-squares spectra; remove components that are not used.

    The description length of the result is

        ||X - C S||^2 + coefficient penalty * nnz(C) + evidence_factor * sum of component penalties.

    A penalty that starts high and falls to its plain value removes a small share of one component
    from the spectrum of another: such a share needs many small coefficients to compensate, which
    are forbidden meanwhile. A penalty that starts low removes a share that stands in for a
    coefficient which is missing elsewhere: the coefficient is present meanwhile.

    Args:
        x: spectra in noise units.
        pool: components to begin with.
        options: of the solver.
        num_refits: number of alternations.
        initial_penalty: factor of the coefficient penalty at first, above 0; 1 for the plain one.

    Returns:
        The fit, with codes that belong to its components.
    """

    def alternate(i: Array, carry: tuple) -> tuple:
        pool, _ = carry
        # Geometric: the penalty falls by the same ratio in every refit, whatever its start.
        share_left = jnp.maximum(0.0, 1 - i / (_RELAXATION_SHARE * num_refits))
        penalty_factor = initial_penalty**share_left
        codes = encode(x, pool, options, coefficient_penalty(pool) * penalty_factor)
        updated_pool = least_squares_components(x, codes, pool, options)
        # Under a raised penalty an unused component may be needed again later.
        updated_pool = updated_pool.keep_only((count_usage(codes) > 0) | (penalty_factor > 1))
        is_last = i == num_refits  # the codes must belong to the components: leave these
        return jax.tree.map(
            lambda new, old: jnp.where(is_last, old, new), updated_pool, pool
        ), codes

    initial_carry = pool, jnp.zeros((len(x), len(pool.active)), x.dtype)
    pool, codes = jax.lax.fori_loop(0, num_refits + 1, alternate, initial_carry)
    # Counted at the plain penalty, whatever the schedule was: fits stay comparable.
    penalty, usage_counts = coefficient_penalty(pool), count_usage(codes)
    squared_residual = jnp.sum((x - codes @ pool.components) ** 2)
    pool_penalties = jnp.where(pool.active, component_penalties(usage_counts, pool), 0.0)
    num_coefficients = jnp.sum(usage_counts)
    description_length = (
        squared_residual
        + penalty * num_coefficients
        + options.evidence_factor * jnp.sum(pool_penalties)
    )
    return PoolFit(pool, codes, description_length, log_evidence(codes, pool, penalty))


def least_squares_components(
    x: Float[Array, "n c"],
    codes: Float[Array, "n p"],
    pool: ComponentPool,
    options: SolverOptions,
) -> ComponentPool:
    """The pool with the spectra that fit the data best given the codes, normalised.

    Args:
        x: spectra in noise units.
        codes: their concentrations.
        pool: components before; the damping draws towards them.
        options: of the solver.

    Returns:
        The pool; fixed components stay.
    """
    code_gram = codes.T @ codes
    # Unused components would pull the median to zero.
    component_power = jnp.where(count_usage(codes) > 0, jnp.diagonal(code_gram), jnp.nan)
    damping = _SPECTRUM_DAMPING * jnp.nan_to_num(jnp.nanmedian(component_power), nan=1.0)
    # Damping draws towards the spectra before, not towards zero: nothing shrinks.
    damped_target = codes.T @ x + damping * pool.components
    component_rows = solve(code_gram + damping * jnp.eye(len(code_gram)), damped_target)
    return pool.replace_components(component_rows, options)


def refit_pool(x: Float[Array, "n c"], pool: ComponentPool, options: SolverOptions) -> PoolFit:
    """`fit_pool` with few refits under the plain penalty, for components that nearly fit."""
    return fit_pool(x, pool, options, _SHORT_REFITS, 1.0)


def multi_start_fit(x: Float[Array, "n c"], pool: ComponentPool, options: SolverOptions) -> PoolFit:
    """The best of four fits, each of which begins at the best before it.

    Their coefficient penalties begin at ``initial_penalty``, at ``second_pass_penalty`` of a
    spectrum's square, below the plain penalty, and at the plain one. The second does not depend on
    the noise: coefficients that compensate for errors of components grow with the spectra. Under
    noise that is not white it can be too high to recover what the first fit had; then the first
    fit stays.

    Args:
        x: spectra in noise units.
        pool: components to begin with.
        options: of the solver.

    Returns:
        The fit of the smallest description length.
    """
    median_power = jnp.median(jnp.sum(x**2, axis=1))
    second_penalty = options.second_pass_penalty * median_power / coefficient_penalty(pool)
    # Never below the plain penalty; that is what the third start is for.
    second_penalty = jnp.maximum(1.0, second_penalty)
    initial_penalties = jnp.stack(
        (options.initial_penalty, second_penalty, _LOW_PENALTY_FACTOR, 1.0)
    )

    def next_fit(i: Array, best: PoolFit) -> PoolFit:
        return better_of(
            fit_pool(x, best.pool, options, options.refits, initial_penalties[i]), best
        )

    return jax.lax.fori_loop(0, len(initial_penalties), next_fit, empty_fit(x, pool))


def empty_fit(x: Float[Array, "n c"], pool: ComponentPool) -> PoolFit:
    """A fit of infinite description length: every other fit is better."""
    num_slots = len(pool.active)
    codes = jnp.zeros((len(x), num_slots))
    return PoolFit(pool, codes, jnp.array(jnp.inf), jnp.zeros(num_slots))


def better_of(new: PoolFit, old: PoolFit) -> PoolFit:
    """The fit of smaller description length, the old one where both are equal."""
    is_better = new.description_length < old.description_length
    return jax.tree.map(lambda a, b: jnp.where(is_better, a, b), new, old)
