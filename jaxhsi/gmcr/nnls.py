"""Concentrations of single spectra brought to their least squares by projected gradient steps."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_TINY = 1e-20


def projected_steps(
    start: Float[Array, "n k"],
    matched: Float[Array, "n k"],
    gram: Float[Array, "k k"],
    support: Float[Array, "n k"],
    steps: int,
    *,
    non_negative: bool = True,
) -> Float[Array, "n k"]:
    """So many accelerated steps towards min_c ||x - c S||^2 over c >= 0 on a support.

    With G = S S', b = x S' and f(c) = c G c' / 2 - b c', every row by itself: the gradient at a
    point y that momentum t carries beyond c,

        z = max(y - (y G - b) / L, 0) on the support,    L >= largest eigenvalue of G on it,

    and c = z if f(z) <= f(c); else c stays and the momentum begins anew, so that the next step is
    a plain one, which cannot rise. No spectrum's residual is thus larger than where it began. L is
    the least of two bounds, the largest eigenvalue of G and the largest sum of a row of |G| on
    the support. A step is one product (n, k) x (k, k): spectra are not needed, nor are their
    bands. For spectra in a frame where noise is white, S and x are those in the frame.

    Args:
        start: concentrations to begin with; negative ones and those off the support become 0.
        matched: b.
        gram: G.
        support: 1 where a component may take part, 0 elsewhere.
        steps: how many; 0 gives `start` on the support.
        non_negative: concentrations are not negative; else they are only kept on the support.

    Source: Beck and Teboulle 2009 (SIAM J. Imaging Sciences 2, 183), FISTA; restarts by function
    values as in O'Donoghue and Candes 2015 (Foundations of Computational Mathematics 15, 715).
    """
    length = 1 / _lipschitz(gram, support)

    def project(c: Array) -> Array:
        return (jnp.maximum(c, 0.0) if non_negative else c) * support

    def step(held: tuple, _: None) -> tuple[tuple, None]:
        c, image, ahead, ahead_image, t = held
        z = project(ahead - length * (ahead_image - matched))
        z_image = jnp.matmul(z, gram, precision="highest")
        # f(z) - f(c) from the difference itself: that of two values would drown in rounding.
        rise = jnp.sum((z - c) * (0.5 * (z_image + image) - matched), axis=1, keepdims=True)
        falls = rise <= 0
        later = (1 + jnp.sqrt(1 + 4 * t**2)) / 2
        carry = jnp.where(falls, (t - 1) / later, 0.0)
        kept, kept_image = jnp.where(falls, z, c), jnp.where(falls, z_image, image)
        ahead, ahead_image = kept + carry * (kept - c), kept_image + carry * (kept_image - image)
        return (kept, kept_image, ahead, ahead_image, jnp.where(falls, later, 1.0)), None

    c = project(start)
    image = jnp.matmul(c, gram, precision="highest")
    held = (c, image, c, image, jnp.ones((len(c), 1), c.dtype))
    return jax.lax.scan(step, held, length=steps)[0][0]


def _lipschitz(gram: Float[Array, "k k"], support: Float[Array, "n k"]) -> Float[Array, "n 1"]:
    """A bound of the largest eigenvalue of G on each support."""
    rows = support * (support @ jnp.abs(gram))
    largest = jnp.linalg.eigvalsh(gram)[-1] * (1 + 1e-5)  # which float32 may miss by a little
    return jnp.maximum(jnp.minimum(jnp.max(rows, axis=1, keepdims=True), largest), _TINY)
