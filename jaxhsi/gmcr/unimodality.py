"""The nearest curve with a single peak, by isotonic regression up and down."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class _Blocks(NamedTuple):
    """Neighbours that were pooled, in order; those from ``last + 1`` on hold nothing.

    Attributes:
        total: sum of each block.
        count: values of it.
        error: squared error of all blocks up to and with it.
        last: the newest.
    """

    total: Float[Array, " m"]
    count: Float[Array, " m"]
    error: Float[Array, " m"]
    last: Int[Array, ""]


def rising(
    values: Float[Array, " m"], taken: Int[Array, ""] | int
) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
    """Nearest rising curve of the first ``taken`` values, and the squared error up to each value.

    Neighbours that fall are pooled into their mean until none fall. Beyond ``taken`` the curve
    goes on as it ended.

    Source: Barlow et al. 1972 (pool adjacent violators); the errors of all prefixes from one pass,
    Stout 2008 (Comput. Stat. Data Anal. 53, 289).
    """
    squares = jnp.cumsum(values**2)
    places = jnp.arange(len(values))

    def falls(b: _Blocks) -> Array:
        here, before = b.last, jnp.maximum(b.last - 1, 0)
        return (here > 0) & (b.total[before] * b.count[here] > b.total[here] * b.count[before])

    def pool(b: _Blocks) -> _Blocks:
        total = b.total.at[b.last - 1].add(b.total[b.last])
        return b._replace(
            total=total.at[b.last].set(0.0),
            count=b.count.at[b.last - 1].add(b.count[b.last]).at[b.last].set(0.0),
            last=b.last - 1,
        )

    def add(b: _Blocks, i: Array) -> tuple[_Blocks, Array]:
        last = b.last + 1
        new = _Blocks(b.total.at[last].set(values[i]), b.count.at[last].set(1.0), b.error, last)
        new = jax.lax.while_loop(falls, pool, new)
        # The error is that of the squares less what the means explain.
        before = jnp.where(new.last > 0, new.error[jnp.maximum(new.last - 1, 0)], 0.0)
        explained = before + new.total[new.last] ** 2 / new.count[new.last]
        new = new._replace(error=new.error.at[new.last].set(explained))
        kept = jax.tree.map(lambda a, old: jnp.where(i < taken, a, old), new, b)
        return kept, squares[i] - explained

    zeros = jnp.zeros_like(values)
    blocks, errors = jax.lax.scan(add, _Blocks(zeros, zeros, zeros, jnp.array(-1)), places)
    block = jnp.searchsorted(jnp.cumsum(blocks.count), places, side="right")
    block = jnp.minimum(block, blocks.last)
    return (blocks.total / jnp.maximum(blocks.count, 1.0))[block], errors


def unimodal(values: Float[Array, " m"]) -> Float[Array, " m"]:
    """Nearest curve, in squares, that rises up to some place and falls from there on.

    Source: Bro and Sidiropoulos 1998 (J. Chemometrics 12, 223).
    """
    m = len(values)
    up = rising(values, m)[1]
    down = rising(values[::-1], m)[1][::-1]
    # The first `peak` values rise and the others fall.
    errors = jnp.concatenate([jnp.zeros(1), up]) + jnp.concatenate([down, jnp.zeros(1)])
    peak = jnp.argmin(errors)
    rise = rising(values, peak)[0]
    fall = rising(values[::-1], m - peak)[0][::-1]
    return jnp.where(jnp.arange(m) < peak, rise, fall)
