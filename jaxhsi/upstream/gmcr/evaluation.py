"""Upstream's evaluation mode: thresholded gates, a fit summed over blocks of spectra."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxhsi.gmcr import metrics
from jaxhsi.gmcr.mixing import UnmixedSpectra
from jaxhsi.upstream.gmcr.generator import PoolModel, PoolNoise, PoolOutput
from jaxhsi.upstream.gmcr.options import Evaluation, JointOptions, PoolParams
from jaxhsi.upstream.gmcr.pool import components

_LARGE = 1e-3  # of sparse spectra, values count where data or reconstruction reach it (`eval.py`)
_BLOCK = 512  # rows of an evaluation at a time


class Evaluator(NamedTuple):
    """Functions of the evaluation mode, described in `options.Joint`."""

    evaluate: Callable[[Key[Array, ""], PoolParams, Array], Evaluation]
    assess: Callable[[tuple[PoolNoise, ...], PoolParams, Array], Evaluation]
    unmix: Callable[..., UnmixedSpectra]


def looks(
    models: Sequence[PoolModel],
    params: PoolParams,
    x: Float[Array, "n c"],
    noise: tuple[PoolNoise, ...],
    temperature: Any,
    training: bool,
) -> list[PoolOutput]:
    """What each pool says of a batch."""
    each = zip(models, params, noise, strict=True)
    return [m.look(p, x, z, temperature, training) for m, p, z in each]


def evaluator(
    options: JointOptions, models: Sequence[PoolModel], draw: Callable[..., tuple[PoolNoise, ...]]
) -> Evaluator:
    """The evaluation mode of these pools; ``draw`` as in `options.Joint`.

    Source: upstream `analyzer.py` (second half of an epoch in `BaseEBgMCR.fit`, `parse_pattern`).
    """

    def pool_outputs(params: PoolParams, x: Array, noise: tuple) -> list[PoolOutput]:
        return looks(models, params, x, noise, options.evaluation_temperature, False)

    def sums(params: PoolParams, x: Array, weights: Array, noise: tuple) -> tuple:
        outputs = pool_outputs(params, x, noise)
        fitted = sum(look.reconstruction for look in outputs)
        large = (jnp.abs(x) >= _LARGE) | (jnp.abs(fitted) >= _LARGE)
        entries = large if options.sparse_components else None
        opened = jnp.concatenate([look.gates.any(0) for look in outputs])
        mse = weights @ ((x - fitted) ** 2).mean(1)
        return metrics.fit_sums(x, fitted, entries=entries), mse, opened

    def evaluate(key: Key[Array, ""], params: PoolParams, x: Float[Array, "n c"]) -> Evaluation:
        rows = options.batch_size * (
            1 if options.sparse_components else -(-_BLOCK // options.batch_size)
        )

        def body(_: None, inputs: tuple) -> tuple[None, tuple]:
            number, x, weights = inputs
            noise = draw(jax.random.fold_in(key, number), len(x), False)
            return None, sums(params, x, weights, noise)

        _, parts = scan_blocks(body, None, (x, _row_weights(len(x), options.batch_size)), rows)
        fits, mse, opened = parts
        return _evaluation(jax.tree.map(lambda a: a.sum(0), fits), mse.sum(), opened.any(0))

    def assess(noise: tuple, params: PoolParams, x: Float[Array, "n c"]) -> Evaluation:
        return _evaluation(*sums(params, x, _row_weights(len(x), options.batch_size), noise))

    def unmix(
        params: PoolParams, x: Float[Array, "n c"], noise: tuple | None = None
    ) -> UnmixedSpectra:
        if noise is None:
            shapes = jax.eval_shape(lambda: draw(jax.random.key(0), len(x), False))
            noise = jax.tree.map(lambda a: jnp.zeros(a.shape), shapes)
        outputs = pool_outputs(params, x, noise)
        return UnmixedSpectra(
            sum(look.reconstruction for look in outputs),
            jnp.concatenate([look.concentrations * look.gates for look in outputs], 1),
            jnp.concatenate([components(p["pool"], options.pool) for p in params]),
            jnp.concatenate([look.gates for look in outputs], 1),
        )

    return Evaluator(evaluate, assess, unmix)


def scan_blocks(body: Callable, carry: Any, arrays: tuple, rows: int) -> tuple[Any, Any]:
    """Scan ``body(carry, (number, *block))`` over whole blocks of rows, then take the rest.

    Returns:
        The last carry, and what the body gave of each block, stacked.
    """
    n = len(arrays[0])
    whole, outs = n // rows, []
    if whole:
        blocks = [a[: whole * rows].reshape(whole, rows, *a.shape[1:]) for a in arrays]
        carry, out = jax.lax.scan(body, carry, (jnp.arange(whole), *blocks))
        outs.append(out)
    if n % rows:
        carry, out = body(carry, (jnp.asarray(whole), *(a[whole * rows :] for a in arrays)))
        outs.append(jax.tree.map(lambda a: a[None], out))
    return carry, jax.tree.map(lambda *a: jnp.concatenate(a), *outs)


def _evaluation(fit: metrics.FitSums, mse: Array, opened: Array) -> Evaluation:
    return Evaluation(metrics.nmse(fit), metrics.r2(fit), mse, opened.sum())


def _row_weights(n: int, batch: int) -> Float[Array, " n"]:
    """Weights that make the mean over mini-batches of the means over their rows."""
    pool_sizes = jnp.minimum(batch, n - jnp.arange(0, n, batch))
    return jnp.repeat(
        1 / (pool_sizes * len(pool_sizes)), batch, total_repeat_length=len(pool_sizes) * batch
    )[:n]
