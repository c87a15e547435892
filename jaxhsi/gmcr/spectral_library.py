"""Which spectra that were found are those of a library, or of another answer, up to noise."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxhsi.gmcr.component_pool import Candidates, Options, free_price, shape
from jaxhsi.gmcr.model_selection import Fit
from jaxhsi.gmcr.sparse_coding import used
from jaxhsi.linear_algebra import inverse


def explained(fitted: Fit, known: Float[Array, "l c"], options: Options) -> Bool[Array, " p"]:
    """Components that differ from a known spectrum by no more than noise.

    To put the known spectrum l in the place of component s_j raises the squared residual by
    (1 - cos^2(l, s_j)) / [(C'C)^-1]_jj while all other spectra may adapt. A component that only
    differs from l by noise is raised by about c, less than its own price.

    Args:
        fitted: in noise units.
        known: unit rows in the frame of the pool, or zero.
        options: of the solver.
    """
    pool, codes = fitted.pool, fitted.codes
    gram = codes.T @ codes
    idle = jnp.where(used(codes) > 0, 1e-6 * jnp.trace(gram) / len(gram), 1.0)
    stiffness = 1 / jnp.diagonal(inverse(gram + jnp.diag(idle)))
    cosines = jnp.max(pool.components @ known.T, axis=1)
    raised = stiffness * (1 - cosines**2)
    return pool.alive & (raised < options.margin * free_price(used(codes), known.shape[1]))


def with_library(fitted: Fit, library: Float[Array, "l c"], options: Options) -> Candidates:
    """All spectra of the library, and of the components those that none of them explains.

    The price of a component that is in the library is saved: it is the library's spectrum then.

    Args:
        fitted: components found without the library, in noise units.
        library: known spectra, in the frame of the pool; those that are not present are left for
            `select.smallest` to drop.
        options: of the solver.
    """
    pool = fitted.pool
    known = shape(library, options, pool.frame)
    given = jnp.ones(len(known), bool)
    unknown = pool.keep(~explained(fitted, known, options))
    return Candidates(
        jnp.concatenate([known, unknown.components]),
        jnp.concatenate([given, unknown.alive]),
        jnp.concatenate([given, unknown.fixed]),
        pool.frame,
    )
