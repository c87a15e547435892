"""What may follow the last phase of the solver: a restart, a given number, a library."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxhsi.gmcr.gates import initial_gate_logits
from jaxhsi.gmcr.model_selection import prune, purest_pixels, reach_num_components
from jaxhsi.gmcr.noise_model import divide_by_noise, residual_noise_level, spectrum_deviations
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.pool_fit import fit_pool, multi_start_fit, refit_pool
from jaxhsi.gmcr.spectral_library import add_library
from jaxhsi.gmcr.state import State

_MIN_IMPROVEMENT = 1.0
"""Fall of chi-squared from which on a description is shorter: less is within rounding."""
_NOISE_REFITS = 3
"""Alternations of a given number of components and the noise level that they leave. Set by hand;
the noise level changes little after the second."""


def pure_pixel_restart(options: SolverOptions, state: State, x: Float[Array, "n c"]) -> State:
    """The fit that begins at the purest spectra, if its description is shorter.

    Not for mixing that is not linear: what it adds looks like components there.

    Args:
        options: of the solver.
        state: after the last phase.
        x: the whole table.

    Returns:
        The better of both states.
    """
    scale = spectrum_deviations(x, state.noise_level)
    own = refit_pool(x / scale, state.pool, options)
    # The same few refits for both, so that their lengths can be compared.
    pure = refit_pool(x / scale, purest_pixels(own, options), options)
    noise_level = residual_noise_level(x, scale * pure.codes, pure.pool.components)
    restarted = state._replace(pool=pure.pool, noise_level=noise_level)
    is_better = pure.description_length < own.description_length - _MIN_IMPROVEMENT
    return jax.tree.map(lambda new, old: jnp.where(is_better, new, old), restarted, state)


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
        noise_level = residual_noise_level(x, scale * fitted.codes, fitted.pool.components)
        logits = initial_gate_logits(fitted.log_evidence)
        return state._replace(pool=fitted.pool, noise_level=noise_level, gate_logits=logits)

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
