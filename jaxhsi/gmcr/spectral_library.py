"""Fitted components that equal given spectra (of a library, or of another restart) up to noise."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxhsi.gmcr.component_pool import ComponentPool, free_component_penalty, normalise_components
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.pool_fit import PoolFit
from jaxhsi.gmcr.sparse_coding import count_usage
from jaxhsi.linear_algebra import inverse

_UNUSED_RIDGE = 1e-6
"""Ridge on the Gram matrix of the codes, relative to its mean: codes may be nearly dependent.
Chosen by hand; not tuned."""


def explained_by(
    pool_fit: PoolFit, reference_spectra: Float[Array, "l c"], options: SolverOptions
) -> Bool[Array, " p"]:
    """Components that differ from one of the reference spectra by no more than noise.

    Putting the reference l in the place of component s_j raises the squared residual by
    (1 - cos^2(l, s_j)) / [(C'C)^-1]_jj while all other spectra may adapt. For a component that
    differs from l by noise alone this is about c, less than the component's own penalty.

    Args:
        pool_fit: fitted pool, in noise units.
        reference_spectra: unit rows in the coordinates of the pool, or zero rows.
        options: ``evidence_factor`` scales the penalty.

    Returns:
        A mask over the slots of the pool.
    """
    pool, codes = pool_fit.pool, pool_fit.codes
    gram = codes.T @ codes
    usage_counts = count_usage(codes)
    # Unused components would make the matrix singular.
    ridge = jnp.where(usage_counts > 0, _UNUSED_RIDGE * jnp.trace(gram) / len(gram), 1.0)
    stiffness = 1 / jnp.diagonal(inverse(gram + jnp.diag(ridge)))
    # The nearest of the reference spectra decides.
    best_cosine = jnp.max(pool.components @ reference_spectra.T, axis=1)
    residual_rise = stiffness * (1 - best_cosine**2)
    penalties = free_component_penalty(usage_counts, reference_spectra.shape[1])
    return pool.active & (residual_rise < options.evidence_factor * penalties)


def add_library(
    pool_fit: PoolFit, library: Float[Array, "l c"], options: SolverOptions
) -> ComponentPool:
    """Pool of all library spectra, fixed, and of the components that none of them explains.

    A component that equals a library spectrum saves its penalty: the library spectrum replaces it.

    Args:
        pool_fit: components that were fitted without the library, in noise units.
        library: given spectra, in the coordinates of the pool; those that are absent from the data
            are left for `model_selection.prune` to remove.
        options: of the solver.

    Returns:
        A pool of l + p slots.
    """
    pool = pool_fit.pool
    library_rows = normalise_components(library, options, pool.whitener)
    in_library = jnp.ones(len(library_rows), bool)
    # Both would share one spectrum, and each alone would look dispensable.
    others = pool.keep_only(~explained_by(pool_fit, library_rows, options))
    return ComponentPool(
        jnp.concatenate([library_rows, others.components]),
        jnp.concatenate([in_library, others.active]),
        jnp.concatenate([in_library, others.fixed]),
        pool.whitener,
    )
