"""Inverses that may be mapped: no batch of matrices is handed to LAPACK.

XLA's CPU backend of jaxlib 0.10 spreads a batched LAPACK call over its thread pool and blocks a
thread of that pool until it is done. As many such calls as there are threads, begun at the same
time, wait for each other for ever; ``vmap``, ``lax.map(..., batch_size=...)`` and independent loops
under ``jit`` all lead there. On GPUs, batches of small factorisations are slow besides. Here, many
small matrices are inverted by array operations, and larger ones one after the other.
"""

import jax
import jax.numpy as jnp
from jax.custom_batching import sequential_vmap
from jaxtyping import Array, Float


def inverse_small(a: Float[Array, "*n k k"]) -> Float[Array, "*n k k"]:
    """Inverses of symmetric positive definite matrices of a few rows each.

    A = L D L' by elimination without pivots, which definite matrices do not need; the same row
    operations on the identity leave L^-1, and A^-1 = (L^-1)' D^-1 L^-1. Whatever rounding does, the
    result is symmetric and its diagonal is positive, as the elimination of components requires
    where two of them are nearly the same. k passes over arrays of the size of ``a``, for all
    matrices at once.

    Args:
        a: symmetric, positive definite; others give wrong numbers.

    Source: Golub and Van Loan 2013, Matrix Computations, section 4.1.

    >>> import jax.numpy as jnp
    >>> inverse_small(jnp.array([[2.0, 1.0], [1.0, 1.0]])).round(4).tolist()
    [[1.0, -1.0], [-1.0, 2.0]]
    """
    size = a.shape[-1]
    row_index = jnp.arange(size)[:, None]

    def eliminate(pivot: Array, rows: Array) -> Array:
        pivot_row = jax.lax.dynamic_index_in_dim(rows, pivot, rows.ndim - 2)
        column = jax.lax.dynamic_index_in_dim(rows, pivot, rows.ndim - 1)
        pivot_value = jax.lax.dynamic_index_in_dim(pivot_row, pivot, rows.ndim - 1)
        factor = jnp.where(row_index > pivot, column / pivot_value, 0.0)
        return rows - factor * pivot_row

    identity = jnp.broadcast_to(jnp.eye(size, dtype=a.dtype), a.shape)
    rows = jax.lax.fori_loop(0, size, eliminate, jnp.concatenate([a, identity], axis=-1))
    least = jnp.finfo(a.dtype).eps * jnp.max(jnp.abs(a), axis=(-2, -1))[..., None]
    pivots = jnp.maximum(jnp.diagonal(rows[..., :size], axis1=-2, axis2=-1), least)
    lower = rows[..., size:]
    return jnp.einsum("...ka,...kb->...ab", lower / pivots[..., None], lower, precision="highest")


@jax.custom_jvp
def inverse(a: Float[Array, "k k"]) -> Float[Array, "k k"]:
    """Inverse of a square matrix by LU; under ``vmap`` one matrix after the other.

    Derivatives are those of the equation d(A^-1) = -A^-1 dA A^-1.

    >>> import jax, jax.numpy as jnp
    >>> jax.vmap(inverse)(jnp.array([[[2.0]], [[4.0]]])).ravel().tolist()
    [0.5, 0.25]
    """
    return _inverse(a)


_inverse = sequential_vmap(jnp.linalg.inv)


@inverse.defjvp
def _inverse_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    result = inverse(*primals)
    return result, -result @ tangents[0] @ result


solve = sequential_vmap(jnp.linalg.solve)
"""x with a x = b, for b of shape (k, m), by LU; under ``vmap`` one system after the other.

For ill-conditioned systems it leaves a smaller residual than a product with `inverse`. Not
differentiable in reverse.
"""

cholesky = sequential_vmap(jnp.linalg.cholesky)
"""Lower Cholesky factor; under ``vmap`` one after the other. Not differentiable in reverse."""
