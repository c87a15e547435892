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

    By Gauss-Jordan sweeps, which need no pivots where the matrix is definite: k passes over an
    array of the size of ``a``, for all matrices at once.

    Args:
        a: symmetric, positive definite; others give infinities or wrong numbers.

    Returns:
        The inverses, symmetric up to rounding.

    Source: Goodnight 1979 (The American Statistician 33, 149), the sweep operator.

    >>> import jax.numpy as jnp
    >>> inverse_small(jnp.array([[2.0, 1.0], [1.0, 1.0]])).round(4).tolist()
    [[1.0, -1.0], [-1.0, 2.0]]
    """
    size = a.shape[-1]
    place = jnp.arange(size)

    def sweep(pivot: Array, b: Array) -> Array:
        column = jax.lax.dynamic_index_in_dim(b, pivot, b.ndim - 1, keepdims=True)
        row = jax.lax.dynamic_index_in_dim(b, pivot, b.ndim - 2, keepdims=True)
        own = jax.lax.dynamic_index_in_dim(row, pivot, b.ndim - 1, keepdims=True)
        in_row, in_column = (place == pivot)[:, None], place == pivot
        scaled = row / own
        others = jnp.where(in_column, -column / own, b - column * scaled)
        return jnp.where(in_row, jnp.where(in_column, 1 / own, scaled), others)

    return jax.lax.fori_loop(0, size, sweep, a)


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
