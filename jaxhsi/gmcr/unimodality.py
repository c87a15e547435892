"""The nearest curve with a single peak, by isotonic regression up and down."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class _Blocks(NamedTuple):
    """Pooled neighbours, in order; places from ``last + 1`` on hold nothing.

    Attributes:
        total: sum of each block.
        count: number of values of each block.
        error: squared values explained by all blocks up to and including each.
        last: index of the newest block.
    """

    total: Float[Array, " m"]
    count: Float[Array, " m"]
    error: Float[Array, " m"]
    last: Int[Array, ""]


def isotonic_regression(
    values: Float[Array, " m"], prefix_length: Int[Array, ""] | int
) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
    """Nearest rising curve of the first values, and the squared error of each prefix.

    Neighbours that fall are pooled into their mean until none fall (pool adjacent violators).
    Beyond ``prefix_length`` the curve goes on as it ended.

    Args:
        values: y_1..y_m.
        prefix_length: number of values, from the first on, that the curve is fitted to.

    Returns:
        The curve, and the squared error of the fit of the first i values for each i.

    Source: Barlow et al. 1972 (pool adjacent violators); the errors of all prefixes from one pass,
    Stout 2008 (Comput. Stat. Data Anal. 53, 289).
    """
    squares = jnp.cumsum(values**2)
    places = jnp.arange(len(values))

    def append(blocks: _Blocks, i: Array) -> tuple[_Blocks, Array]:
        last = blocks.last + 1
        total, count = blocks.total.at[last].set(values[i]), blocks.count.at[last].set(1.0)
        new = _Blocks(total, count, blocks.error, last)
        new = jax.lax.while_loop(_last_block_falls, _pool_last_two, new)
        # The error is the sum of squares less what the means explain.
        before = jnp.where(new.last > 0, new.error[jnp.maximum(new.last - 1, 0)], 0.0)
        explained = before + new.total[new.last] ** 2 / new.count[new.last]
        new = new._replace(error=new.error.at[new.last].set(explained))
        is_fitted = i < prefix_length
        result = jax.tree.map(lambda a, old: jnp.where(is_fitted, a, old), new, blocks)
        return result, squares[i] - explained

    zeros = jnp.zeros_like(values)
    empty = _Blocks(zeros, zeros, zeros, jnp.array(-1))
    blocks, errors = jax.lax.scan(append, empty, places)
    block_index = jnp.searchsorted(jnp.cumsum(blocks.count), places, side="right")
    block_index = jnp.minimum(block_index, blocks.last)
    return (blocks.total / jnp.maximum(blocks.count, 1.0))[block_index], errors


def _last_block_falls(blocks: _Blocks) -> Array:
    """Whether the mean of the newest block is below that of the block before it."""
    last, before = blocks.last, jnp.maximum(blocks.last - 1, 0)
    total, count = blocks.total, blocks.count
    # Cross-multiplied means: no division by an empty block.
    return (last > 0) & (total[before] * count[last] > total[last] * count[before])


def _pool_last_two(blocks: _Blocks) -> _Blocks:
    """The newest block merged into the one before it."""
    last = blocks.last
    total = blocks.total.at[last - 1].add(blocks.total[last])
    count = blocks.count.at[last - 1].add(blocks.count[last])
    return blocks._replace(
        total=total.at[last].set(0.0), count=count.at[last].set(0.0), last=last - 1
    )


def unimodal_regression(values: Float[Array, " m"]) -> Float[Array, " m"]:
    """Nearest curve, in squares, that rises up to some place and falls from there on.

    Args:
        values: y_1..y_m.

    Returns:
        The curve, of the same length.

    Source: Bro and Sidiropoulos 1998 (J. Chemometrics 12, 223).
    """
    length = len(values)
    errors_up = isotonic_regression(values, length)[1]
    errors_down = isotonic_regression(values[::-1], length)[1][::-1]
    # The first `peak` values rise and the others fall.
    no_error = jnp.zeros(1)
    errors = jnp.concatenate([no_error, errors_up]) + jnp.concatenate([errors_down, no_error])
    peak = jnp.argmin(errors)
    rise = isotonic_regression(values, peak)[0]
    fall = isotonic_regression(values[::-1], length - peak)[0][::-1]
    return jnp.where(jnp.arange(length) < peak, rise, fall)
