"""Non-negative least squares on a given support, by accelerated projected gradient steps."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_TINY = 1e-20
"""Guards the division by the Lipschitz constant of an empty support."""
_EIGENVALUE_MARGIN = 1e-5
"""Relative error of the largest eigenvalue in float32, which must not be underestimated."""


class _Momentum(NamedTuple):
    """State of the accelerated steps.

    Attributes:
        codes: c.
        image: c G.
        ahead: y, the point from which the next step is taken.
        ahead_image: y G.
        age: t of the momentum.
    """

    codes: Float[Array, "n k"]
    image: Float[Array, "n k"]
    ahead: Float[Array, "n k"]
    ahead_image: Float[Array, "n k"]
    age: Float[Array, "n 1"]


def nonnegative_least_squares(
    initial: Float[Array, "n k"],
    correlations: Float[Array, "n k"],
    gram: Float[Array, "k k"],
    support: Float[Array, "n k"],
    num_steps: int,
    *,
    non_negative: bool = True,
) -> Float[Array, "n k"]:
    """Accelerated steps towards min_c ||x - c S||^2 over c >= 0 on a support.

    With G = S S', b = x S' and f(c) = c G c' / 2 - b c', every row by itself: the gradient at a
    point y that the momentum carries beyond c,

        z = max(y - (y G - b) / L, 0) on the support,    L >= largest eigenvalue of G on it,

    and c = z if f(z) <= f(c); else c stays and the momentum is reset, so that the next step is a
    plain one, which cannot raise f. No spectrum's residual is thus larger than at the beginning. L
    is the smaller of two bounds, the largest eigenvalue of G and the largest row sum of |G| on the
    support. A step is one product (n, k) x (k, k): it needs neither the spectra nor their bands.
    For whitened spectra, S and x are the whitened ones.

    Args:
        initial: concentrations to begin with; negative ones and those off the support become 0.
        correlations: b, of each spectrum with each component.
        gram: G.
        support: 1 where a component may take part, 0 elsewhere.
        num_steps: number of steps; 0 gives `initial` on the support.
        non_negative: concentrations are not negative; otherwise they are only kept on the support.

    Returns:
        Concentrations.

    Source: Beck and Teboulle 2009 (SIAM J. Imaging Sciences 2, 183), FISTA; restarts by function
    values as in O'Donoghue and Candes 2015 (Foundations of Computational Mathematics 15, 715).

    >>> import jax.numpy as jnp
    >>> b = jnp.array([[2.0, -1.0]])
    >>> nonnegative_least_squares(jnp.zeros((1, 2)), b, jnp.eye(2), jnp.ones((1, 2)), 5).tolist()
    [[2.0, 0.0]]
    """
    step_size = 1 / _lipschitz_bound(gram, support)

    def project(c: Array) -> Array:
        return (jnp.maximum(c, 0.0) if non_negative else c) * support

    def step(state: _Momentum, _: None) -> tuple[_Momentum, None]:
        z = project(state.ahead - step_size * (state.ahead_image - correlations))
        z_image = jnp.matmul(z, gram, precision="highest")
        return _accept_or_reset(state, z, z_image, correlations), None

    c = project(initial)
    image = jnp.matmul(c, gram, precision="highest")
    first = _Momentum(c, image, c, image, jnp.ones((len(c), 1), c.dtype))
    return jax.lax.scan(step, first, length=num_steps)[0].codes


def _accept_or_reset(state: _Momentum, z: Array, z_image: Array, correlations: Array) -> _Momentum:
    """Rows of z where f falls, with their momentum; the rows before, without, elsewhere."""
    c, image, _, _, age = state
    # f(z) - f(c) from the difference itself: that of two values would be lost in rounding.
    mean_gradient = 0.5 * (z_image + image) - correlations
    rise = jnp.sum((z - c) * mean_gradient, axis=1, keepdims=True)
    falls = rise <= 0
    next_age = (1 + jnp.sqrt(1 + 4 * age**2)) / 2
    # Row by row: one that turns back must not slow down the others.
    momentum = jnp.where(falls, (age - 1) / next_age, 0.0)
    new, new_image = jnp.where(falls, z, c), jnp.where(falls, z_image, image)
    ahead, ahead_image = new + momentum * (new - c), new_image + momentum * (new_image - image)
    return _Momentum(new, new_image, ahead, ahead_image, jnp.where(falls, next_age, 1.0))


def _lipschitz_bound(
    gram: Float[Array, "k k"], support: Float[Array, "n k"]
) -> Float[Array, "n 1"]:
    """A bound of the largest eigenvalue of G on each support."""
    row_sums = support * (support @ jnp.abs(gram))
    # One number for all; the row sums may be smaller on a support of few components.
    largest_eigenvalue = jnp.linalg.eigvalsh(gram)[-1] * (1 + _EIGENVALUE_MARGIN)
    largest_sum = jnp.max(row_sums, axis=1, keepdims=True)
    # Both are upper bounds, so that the smaller one is safe and gives longer steps.
    return jnp.maximum(jnp.minimum(largest_sum, largest_eigenvalue), _TINY)
