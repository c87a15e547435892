"""Pools that begin at the purest spectra of a fit, where sparse concentrations are reached from.

A fit by sparse codes may end where each component is a mixture. Spectra that hold one component
alone, at the edges of an elution or in pure pixels, are corners of the cone that mixtures fill.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxhsi.gmcr.component_pool import ComponentPool
from jaxhsi.gmcr.initialisation import successive_projection
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.pool_fit import PoolFit


def purest_pixels(pool_fit: PoolFit, options: SolverOptions) -> ComponentPool:
    """The pool with each component replaced by the fitted spectrum in which its share is largest.

    Where concentrations are determined only up to a rotation, as under an offset that all spectra
    share, sparse concentrations are reached from these pure pixels.

    Args:
        pool_fit: fitted pool.
        options: of the solver.

    Returns:
        The pool at the purest fitted spectra.
    """
    codes, pool = pool_fit.codes, pool_fit.pool
    code_sizes = jnp.abs(codes)
    # Shares rather than amounts: the strongest spectrum need not be the purest.
    code_shares = code_sizes / jnp.maximum(jnp.sum(code_sizes, axis=1, keepdims=True), 1e-9)
    # The fitted spectrum, not the measured one: noise and spikes stay out.
    pure_spectra = codes[jnp.argmax(code_shares, axis=0)] @ pool.components
    return pool.replace_components(pure_spectra, options)


def purest_denoised_spectra(
    pool_fit: PoolFit, options: SolverOptions, min_signal_ratio: Float[Array, ""] | float
) -> ComponentPool:
    """The pool with its components replaced by as many of the purest fitted spectra.

    They are chosen by `initialisation.successive_projection` among the fitted spectra, which hold
    no noise beyond the span of the components. Spectra of a chromatogram's edges are the purest and
    the weakest; those of few deviations of noise point anywhere.

    Args:
        pool_fit: fitted pool.
        options: of the solver.
        min_signal_ratio: least length of a fitted spectrum, in noise units, over the square root of
            the number of components, which is the error of its direction.

    Returns:
        The pool at these spectra.
    """
    codes, pool = pool_fit.codes, pool_fit.pool
    fitted = codes @ pool.components
    least = min_signal_ratio * jnp.sqrt(jnp.sum(pool.active))
    is_strong = jnp.linalg.norm(fitted, axis=1) > least
    purest = successive_projection(fitted * is_strong[:, None], len(pool.active))
    place = jnp.cumsum(pool.active) - 1  # the first to the first active slot, and so on
    return pool.replace_components(fitted[purest[place]], options)
