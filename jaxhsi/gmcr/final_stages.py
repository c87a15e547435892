"""What may follow the last phase of the solver: a restart, a given number, a library."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxhsi.gmcr.gates import initial_gate_logits
from jaxhsi.gmcr.model_selection import prune, reach_num_components
from jaxhsi.gmcr.nnls import nonnegative_least_squares
from jaxhsi.gmcr.noise_model import divide_by_noise, residual_noise_level, spectrum_deviations
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.pool_fit import (
    PoolFit,
    better_of,
    empty_fit,
    fit_pool,
    multi_start_fit,
    refit_pool,
)
from jaxhsi.gmcr.purest_spectra import purest_denoised_spectra, purest_pixels
from jaxhsi.gmcr.spectral_library import add_library
from jaxhsi.gmcr.state import State

_MIN_IMPROVEMENT = 1.0
"""Fall of chi-squared from which on a description is shorter: less is within rounding."""
_MAX_SEARCH_WORK = 20_000
"""Spectra times slots of tables that are searched from several starts, each as long as the last fit
of a phase. Set by hand: laboratory tables are below it; the thousands of spectra of images hold
pure ones, which one start meets, and each fit takes seconds."""
_MIN_SIGNAL_RATIOS = 10.0, 40.0
"""Signal-to-noise ratios of spectra that may be the purest: errors of direction of 0.1 and 0.025.
Set by hand on a chromatogram with noise of a ratio of 1,000 between bands, where both lead to
cosines of 1.000 and the phases end at 0.94."""
_DENSE_ROUNDS, _DENSE_STEPS = 400, 4
"""Alternations of `dense_refit`, and accelerated steps of each half. Set by hand: of the 80 tables
of dense mixtures, two more come out exact than without; 2,000 rounds change nothing."""
_NOISE_REFITS = 3
"""Alternations of a given number of components and the noise level that they leave. Set by hand;
the noise level changes little after the second."""


def pure_pixel_restart(options: SolverOptions, state: State, x: Float[Array, "n c"]) -> State:
    """The fit that begins at the purest spectra, if its description is shorter.

    Not for mixing that is not linear: what it adds looks like components there. Tables of up to
    `_MAX_SEARCH_WORK` are fitted from several choices of purest spectra, and longer, if nothing is
    negative: then mixtures fill a cone, whose corners these are.

    Args:
        options: of the solver.
        state: after the last phase.
        x: the whole table.

    Returns:
        The better of both states.
    """
    scale = spectrum_deviations(x, state.noise_level)
    own = refit_pool(x / scale, state.pool, options)
    if not is_searched(state, x) or not options.non_negative:
        # The same few refits for both, so that their lengths can be compared.
        best = refit_pool(x / scale, purest_pixels(own, options), options)
    else:
        best = _search_from_purest(x / scale, own, options)
    noise_level = residual_noise_level(x, scale * best.codes, best.pool.components)
    restarted = state._replace(pool=best.pool, noise_level=noise_level)
    is_better = best.description_length < own.description_length - _MIN_IMPROVEMENT
    return jax.tree.map(lambda new, old: jnp.where(is_better, new, old), restarted, state)


def is_searched(state: State, x: Float[Array, "n c"]) -> bool:
    """Whether a table and its pool are small enough for fits from several starts."""
    return len(x) * len(state.pool.active) <= _MAX_SEARCH_WORK


def _search_from_purest(
    x_noise_units: Float[Array, "n c"], own: PoolFit, options: SolverOptions
) -> PoolFit:
    """The best of the fits from each choice of purest spectra, of as many components."""
    pools = [purest_pixels(own, options)]
    pools += [purest_denoised_spectra(own, options, ratio) for ratio in _MIN_SIGNAL_RATIOS]
    rows = jnp.stack([pool.components for pool in pools])

    def next_fit(i: Array, best: PoolFit) -> PoolFit:
        start = own.pool._replace(components=rows[i])
        return better_of(multi_start_fit(x_noise_units, start, options), best)

    return jax.lax.fori_loop(0, len(rows), next_fit, empty_fit(x_noise_units, own.pool))


def dense_refit(options: SolverOptions, state: State, x: Float[Array, "n c"]) -> State:
    """The fit that begins where all concentrations are free to be used, non-negative.

    Sparse codes with few components a spectrum can end where no further exchange of one coefficient
    helps. Non-negative least squares of components and concentrations in turn, without a penalty,
    first reach what the rank of the table allows; then codes become sparse again.

    Args:
        options: of the solver; ``non_negative``.
        state: after the last phase, on a table whose noise is white.
        x: the whole table.

    Returns:
        The state with the components of that fit.
    """
    scale = spectrum_deviations(x, state.noise_level)
    x_noise_units = x / scale
    pool = state.pool
    support = jnp.broadcast_to(pool.active.astype(x.dtype), (len(x), len(pool.active)))
    band_support = jnp.broadcast_to(pool.active.astype(x.dtype), (x.shape[1], len(pool.active)))

    refit = partial(
        nonnegative_least_squares, num_steps=_DENSE_STEPS, non_negative=options.non_negative
    )

    def alternate(_: Array, factors: tuple[Array, Array]) -> tuple[Array, Array]:
        codes, rows = factors
        codes = refit(codes, x_noise_units @ rows.T, rows @ rows.T, support)
        columns = refit(rows.T, x_noise_units.T @ codes, codes.T @ codes, band_support)
        return codes, columns.T

    codes = jnp.zeros((len(x), len(pool.active)))
    rows = jax.lax.fori_loop(0, _DENSE_ROUNDS, alternate, (codes, pool.components))[1]
    fitted = multi_start_fit(x_noise_units, pool.replace_components(rows, options), options)
    return _with_fit(state, fitted, x, scale)


def _with_fit(
    state: State, fitted: PoolFit, x: Float[Array, "n c"], scale: Float[Array, "n 1"]
) -> State:
    """The state with the components of a fit, and with noise level and gates that follow."""
    noise_level = residual_noise_level(x, scale * fitted.codes, fitted.pool.components)
    logits = initial_gate_logits(fitted.log_evidence)
    return state._replace(pool=fitted.pool, noise_level=noise_level, gate_logits=logits)


def set_num_components(
    options: SolverOptions,
    state: State,
    x: Float[Array, "n c"],
    num_components: Int[Array, ""] | int,
) -> State:
    """The state with a given number of components and the noise level that these leave.

    Args:
        options: of the solver.
        state: after the last phase.
        x: the whole table.
        num_components: wanted; there may be fewer where the data do not hold as many.

    Returns:
        The state.
    """

    def alternate(_: Array, state: State) -> State:
        scale = spectrum_deviations(x, state.noise_level)
        own = refit_pool(x / scale, state.pool, options)
        # The noise level depends on the number of components: both are found in turn.
        start = reach_num_components(x / scale, own, num_components, options)
        best = multi_start_fit(x / scale, start.pool, options)
        # The long fit may leave a component unused; then the short one is the answer.
        has_lost = jnp.sum(best.pool.active) < jnp.sum(start.pool.active)
        fitted = jax.tree.map(lambda new, old: jnp.where(has_lost, old, new), best, start)
        return _with_fit(state, fitted, x, scale)

    return jax.lax.fori_loop(0, _NOISE_REFITS, alternate, state)


def identify_library(
    options: SolverOptions, state: State, x: Float[Array, "n c"], library: Float[Array, "l c"]
) -> State:
    """The state whose components that are in a library are its spectra, fixed.

    Weak components of the library, which the solver did not find without it, are added.

    Args:
        options: of the solver.
        state: after the last phase.
        x: the whole table.
        library: spectra, in the coordinates of x.

    Returns:
        The state, its pool enlarged by l slots.
    """
    x_noise_units = divide_by_noise(x, state.noise_level)
    # No refits: the components are compared as they are with the library.
    own = fit_pool(x_noise_units, state.pool, options, 0, 1.0)
    fitted = prune(x_noise_units, add_library(own, library, options), options)
    logits = initial_gate_logits(fitted.log_evidence)
    return state._replace(pool=fitted.pool, gate_logits=logits)
