"""Upstream's evaluation mode: thresholded gates, a fit summed over blocks of spectra.

Source: upstream `analyzer.py` (second half of an epoch in `BaseEBgMCR.fit`, `parse_pattern`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key

from jaxhsi.gmcr import metrics
from jaxhsi.gmcr.mixing import UnmixedSpectra
from jaxhsi.table_sharding import split_rows
from jaxhsi.upstream.gmcr.generator import (
    PoolModel,
    PoolNoise,
    PoolOutput,
    draw_noise,
    pool_outputs,
)
from jaxhsi.upstream.gmcr.options import JointOptions
from jaxhsi.upstream.gmcr.pool import components
from jaxhsi.upstream.gmcr.state import Evaluation, PoolParams

_SPARSE_FLOOR = 1e-3
"""Of sparse spectra, values count where data or reconstruction reach it: value of the PyTorch code,
`eval.py`."""
_BLOCK_ROWS = 512
"""Rows of an evaluation at a time, which bounds its memory; the sums are the same but for rounding.
Set by hand."""


def evaluate(
    options: JointOptions,
    pools: Sequence[PoolModel],
    key: Key[Array, ""],
    params: PoolParams,
    x: Float[Array, "n c"],
    mesh: Mesh | None = None,
) -> Evaluation:
    """The fit of some spectra, in blocks; the noise of the gates is drawn from the key.

    Each device of a mesh computes a share of every block.
    """
    # Whole mini-batches, whose means upstream averages. Gates of channels need (rows, p, c) arrays.
    batches_per_block = 1 if options.sparse_components else -(-_BLOCK_ROWS // options.batch_size)
    block_rows = options.batch_size * batches_per_block

    def add_block(_: None, inputs: tuple) -> tuple[None, tuple]:
        number, *rows = inputs
        block, row_weights = split_rows(mesh, rows)
        noise = draw_noise(pools, jax.random.fold_in(key, number), len(block), False)
        return None, _block_sums(options, pools, params, block, row_weights, noise)

    arrays = x, _row_weights(len(x), options.batch_size)
    _, (fit_sums, mse_parts, open_masks) = scan_blocks(add_block, None, arrays, block_rows)
    total_sums = jax.tree.map(lambda part: part.sum(0), fit_sums)
    return _evaluation(total_sums, mse_parts.sum(), open_masks.any(0))


def assess(
    options: JointOptions,
    pools: Sequence[PoolModel],
    noise: tuple[PoolNoise, ...],
    params: PoolParams,
    x: Float[Array, "n c"],
) -> Evaluation:
    """The fit of some spectra at once, with given noise."""
    row_weights = _row_weights(len(x), options.batch_size)
    return _evaluation(*_block_sums(options, pools, params, x, row_weights, noise))


def unmix(
    options: JointOptions,
    pools: Sequence[PoolModel],
    params: PoolParams,
    x: Float[Array, "n c"],
    noise: tuple[PoolNoise, ...] | None = None,
) -> UnmixedSpectra:
    """Components and concentrations of spectra; without noise, the likelier side of each gate."""
    if noise is None:
        # Zeros of the shapes that would be drawn, without drawing.
        shapes = jax.eval_shape(lambda: draw_noise(pools, jax.random.key(0), len(x), False))
        noise = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
    outputs = _evaluation_outputs(options, pools, params, x, noise)
    return UnmixedSpectra(
        sum(output.reconstruction for output in outputs),
        jnp.concatenate([output.concentrations * output.gates for output in outputs], 1),
        jnp.concatenate([components(pool["pool"], options.pool) for pool in params]),
        jnp.concatenate([output.gates for output in outputs], 1),
    )


def _evaluation_outputs(
    options: JointOptions, pools: Sequence[PoolModel], params: PoolParams, x: Array, noise: tuple
) -> list[PoolOutput]:
    return pool_outputs(pools, params, x, noise, options.evaluation_temperature, False)


def _block_sums(
    options: JointOptions,
    pools: Sequence[PoolModel],
    params: PoolParams,
    x: Array,
    row_weights: Array,
    noise: tuple,
) -> tuple[metrics.FitSums, Array, Array]:
    """Sums of the fit, its weighted mean squared error, and which components are open."""
    outputs = _evaluation_outputs(options, pools, params, x, noise)
    fitted = sum(output.reconstruction for output in outputs)
    # Upstream scores sparse spectra by the entries that either side calls large.
    is_large = (jnp.abs(x) >= _SPARSE_FLOOR) | (jnp.abs(fitted) >= _SPARSE_FLOOR)
    counted_entries = is_large if options.sparse_components else None
    open_mask = jnp.concatenate([output.gates.any(0) for output in outputs])
    mse = row_weights @ ((x - fitted) ** 2).mean(1)
    return metrics.fit_sums(x, fitted, entries=counted_entries), mse, open_mask


def scan_blocks(body: Callable, carry: Any, arrays: tuple, block_rows: int) -> tuple[Any, Any]:
    """Scan ``body(carry, (number, *block))`` over whole blocks of rows, then take the rest.

    Returns:
        The last carry, and what the body gave of each block, stacked.
    """
    num_rows = len(arrays[0])
    num_blocks, outputs = num_rows // block_rows, []
    if num_blocks:
        whole_rows = num_blocks * block_rows
        blocks = [
            array[:whole_rows].reshape(num_blocks, block_rows, *array.shape[1:]) for array in arrays
        ]
        carry, output = jax.lax.scan(body, carry, (jnp.arange(num_blocks), *blocks))
        outputs.append(output)
    if num_rows % block_rows:
        # The remainder has another shape and cannot be part of the scan.
        rest = (array[num_blocks * block_rows :] for array in arrays)
        carry, output = body(carry, (jnp.asarray(num_blocks), *rest))
        outputs.append(jax.tree.map(lambda leaf: leaf[None], output))
    return carry, jax.tree.map(lambda *parts: jnp.concatenate(parts), *outputs)


def _evaluation(fit_sums: metrics.FitSums, mse: Array, open_mask: Array) -> Evaluation:
    return Evaluation(metrics.nmse(fit_sums), metrics.r2(fit_sums), mse, open_mask.sum())


def _row_weights(num_rows: int, batch_size: int) -> Float[Array, " n"]:
    """Weights that make the mean over mini-batches of the means over their rows."""
    # The last mini-batch is shorter, and its mean counts as much as the others.
    batch_sizes = jnp.minimum(batch_size, num_rows - jnp.arange(0, num_rows, batch_size))
    num_batches = len(batch_sizes)
    return jnp.repeat(
        1 / (batch_sizes * num_batches), batch_size, total_repeat_length=num_batches * batch_size
    )[:num_rows]
