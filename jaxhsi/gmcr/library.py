"""Which spectra of a library are among the components that were found without it."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxhsi.gmcr.candidates import Candidates, Options, price, shape
from jaxhsi.gmcr.coding import used
from jaxhsi.gmcr.select import Fit


def with_library(fitted: Fit, library: Float[Array, "l c"], options: Options) -> Candidates:
    """All spectra of the library, and of the components those that none of them explains.

    To put the library's spectrum l in the place of component s_j raises the squared residual by
    (1 - cos^2(l, s_j)) / [(C'C)^-1]_jj while all other spectra may adapt. A component that only
    differs from l by noise is raised by about c, less than its own price, which is saved; then l
    explains it.

    Args:
        fitted: components found without the library, in noise units.
        library: known spectra, in the frame of the pool; those that are not present are left for
            `select.smallest` to drop.
        options: of the solver.
    """
    pool, codes = fitted.pool, fitted.codes
    known = shape(library, options, pool.frame)
    gram = codes.T @ codes
    idle = jnp.where(used(codes) > 0, 1e-6 * jnp.trace(gram) / len(gram), 1.0)
    stiffness = 1 / jnp.diagonal(jnp.linalg.inv(gram + jnp.diag(idle)))
    cosines = jnp.max(pool.components @ known.T, axis=1)
    raised = stiffness * (1 - cosines**2)
    explained = raised < options.margin * price(used(codes), pool)
    given = jnp.ones(len(known), bool)
    unknown = pool.keep(~explained)
    return Candidates(
        jnp.concatenate([known, unknown.components]),
        jnp.concatenate([given, unknown.alive]),
        jnp.concatenate([given, unknown.fixed]),
        pool.frame,
    )
