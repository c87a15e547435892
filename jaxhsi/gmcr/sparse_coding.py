"""Sparse concentrations of spectra in a given pool, by backward elimination.

Everything here is in noise units: spectra divided by their noise deviation, so that the gain of
a coefficient, the fall of the squared residual, is chi-squared of one degree where it is noise.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxhsi.linear_algebra import inverse_small, solve

CLOSED = 1e-3
"""Gates up to this are closed: their spectra take no part."""
_RIDGE = 0.02
_JITTER = 1e-4  # less loses the inverse in float32 where components are nearly the same
_NEVER = -1e30


def coefficient_price(slots: Float[Array, ""]) -> Float[Array, ""]:
    """Least gain of a coefficient that is kept, 2 (log(p + 1) + 2) for p open spectra.

    The best of p coefficients of pure noise gains about 2 log p; the margin keeps the false ones
    below one in a few spectra.
    """
    return 2 * (jnp.log(slots + 1.0) + 2)


def sparse_codes(
    x: Float[Array, "n c"],
    components: Float[Array, "p c"],
    gates: Float[Array, " p"],
    price: Float[Array, ""],
    *,
    most: int = 12,
    ridge: float = 0.1,
    non_negative: bool = True,
) -> Float[Array, "n p"]:
    """Concentrations C of few components per spectrum, small in ||x - C S||^2 + price nnz(C).

    Two rounds of: choose the ``most`` most promising components of each spectrum, solve for them,
    drop the least useful until each that is left gains at least ``price``. The first round
    chooses by the ridge solution (G + diag(ridge (1 / z - 1) + 0.02))^-1, which fades components
    whose gate z closes; the second keeps what was found and adds the best correlations with the
    residual.

    Args:
        x: spectra in noise units.
        components: unit rows, or zero where there is none.
        gates: in [0, 1]; those up to 1e-3 are closed.
        price: least gain of a coefficient.
        most: components of a spectrum at most.
        ridge: how strongly a half-closed gate damps its component.
        non_negative: no negative concentrations.
    """
    is_open = gates > CLOSED
    s = components * is_open[:, None]
    damping = jnp.where(is_open, ridge * (1 / jnp.maximum(gates, CLOSED) - 1), 0.0)
    gram, match = s @ s.T, x @ s.T
    dense = solve(gram + jnp.diag(damping + jnp.where(is_open, _RIDGE, 1.0)), match.T).T
    most = min(most, components.shape[0])

    def size(values: Array) -> Array:
        return values if non_negative else jnp.abs(values)

    def once(_: Array, held: tuple) -> tuple:
        score, _ = held
        score = jnp.where(is_open, score, _NEVER)
        codes = _eliminate(gram, match, damping, score, price, most, non_negative)
        left = size(match - codes @ gram) - 0.5 * jnp.sqrt(price)
        return jnp.where(codes != 0, -_NEVER, left), codes

    return jax.lax.fori_loop(0, 2, once, (size(dense), jnp.zeros_like(dense)))[1]


def _eliminate(
    gram: Float[Array, "p p"],
    match: Float[Array, "n p"],
    damping: Float[Array, " p"],
    score: Float[Array, "n p"],
    price: Float[Array, ""],
    most: int,
    non_negative: bool,
) -> Float[Array, "n p"]:
    """Solve for the best scored components of each spectrum; drop the least useful one by one.

    With A = inverse of the active Gram matrix, dropping j raises the squared residual by
    c_j^2 / A_jj and leaves c - A_j c_j / A_jj and A - A_j A_j' / A_jj.
    """
    top, chosen = jax.lax.top_k(score, most)
    active = top > 0
    pairs = active[:, :, None] & active[:, None, :]
    small = jnp.where(pairs, gram[chosen[:, :, None], chosen[:, None, :]], 0.0)
    diagonal = jnp.where(active, damping[chosen] + _JITTER, 1.0)
    small = small + diagonal[:, :, None] * jnp.eye(most)
    inverted = inverse_small(small)
    # No diagonal of an inverse is less than the reciprocal of the matrix's own; rounding errors
    # are, where components are nearly the same.
    least_own = 1 / jnp.diagonal(small, axis1=1, axis2=2)
    targets = jnp.take_along_axis(match, chosen, 1) * active
    codes = jnp.einsum("nij,nj->ni", inverted, targets)
    # One step of iterative refinement: at high signal-to-noise ratios the rounding of the inverse
    # alone would exceed the noise.
    residual = targets - jnp.einsum("nij,nj->ni", small, codes, precision="highest")
    codes = codes + jnp.einsum("nij,nj->ni", inverted, residual)

    def drop(_: Array, held: tuple) -> tuple:
        inverted, codes, active = held
        own = jnp.maximum(jnp.diagonal(inverted, axis1=1, axis2=2), least_own)
        gain = codes**2 / own
        if non_negative:  # negatives go first, the most negative before the others
            gain = jnp.where(codes > 0, gain, codes - 1e3)
        gain = jnp.where(active, gain, jnp.inf)
        least = jnp.argmin(gain, axis=1)[:, None]
        dropped = jnp.take_along_axis(gain, least, 1) < price
        column = jnp.take_along_axis(inverted, least[:, :, None], 2)[:, :, 0]
        own = jnp.take_along_axis(own, least, 1)
        step = jnp.where(dropped, jnp.take_along_axis(codes, least, 1) / own, 0.0)
        gone = (jnp.arange(most) == least) & dropped
        scaled = jnp.where(dropped, column / own, 0.0)
        inverted = inverted - scaled[:, :, None] * column[:, None, :]
        return inverted, jnp.where(gone, 0.0, codes - step * column), active & ~gone

    _, codes, active = jax.lax.fori_loop(0, most, drop, (inverted, codes, active))
    codes = jnp.where(active, jnp.maximum(codes, 0) if non_negative else codes, 0.0)
    return jnp.zeros_like(match).at[jnp.arange(len(match))[:, None], chosen].set(codes)


def used(codes: Float[Array, "n p"]) -> Float[Array, " p"]:
    """Number of spectra that use each component."""
    return jnp.sum(codes != 0, axis=0, dtype=jnp.float32)
