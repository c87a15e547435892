"""Inverses and solutions that may be mapped: no large batch of matrices is handed to LAPACK.

XLA's CPU backend of jaxlib 0.10 spreads a batched LAPACK call over its thread pool and blocks a
thread of that pool until it is done. As many such calls as there are threads, begun at the same
time, wait for each other for ever; ``vmap``, ``lax.map(..., batch_size=...)`` and independent loops
under ``jit`` all lead there. Here, small matrices are inverted in chunks below the size from which
a call is spread, and others one after the other.
"""

import jax
import jax.numpy as jnp
from jax.custom_batching import sequential_vmap
from jaxtyping import Array, Float

LAPACK_PARALLEL_COST = 200_000
"""From this number of operations on, batch size times k^3, jaxlib 0.10 spreads a batched call over
threads (`kMinWorkPerTask` in its lapack_kernels.cc)."""


def _in_chunks(a: Float[Array, "n k k"]) -> Float[Array, "n k k"]:
    """Inverses of so few matrices at a time that no call is spread over threads."""
    count, size = a.shape[0], a.shape[-1]
    chunk = min(count, max(1, (LAPACK_PARALLEL_COST - 1) // size**3))
    missing = -count % chunk
    identity = jnp.broadcast_to(jnp.eye(size, dtype=a.dtype), (missing, size, size))
    chunks = jnp.concatenate([a, identity]).reshape(-1, chunk, size, size)
    return jax.lax.map(jnp.linalg.inv, chunks).reshape(-1, size, size)[:count]


@sequential_vmap
def inverse_batch(a: Float[Array, "n k k"]) -> Float[Array, "n k k"]:
    """Inverses of many small matrices by LU: in chunks on CPUs, all at once elsewhere.

    The results are those of ``jnp.linalg.inv``, to the last digit. Not differentiable in reverse.

    >>> import jax.numpy as jnp
    >>> inverse_batch(jnp.array([[[2.0, 1.0], [1.0, 1.0]]])).round(4).tolist()
    [[[1.0, -1.0], [-1.0, 2.0]]]
    """
    return jax.lax.platform_dependent(a, cpu=_in_chunks, default=jnp.linalg.inv)


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
