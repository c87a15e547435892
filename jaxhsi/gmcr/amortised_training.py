"""New spectra unmixed: the networks trained on a solver's answer, then blocks in a stream."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxhsi.gmcr.amortised import Amortised, Info, Options, State, amortised
from jaxhsi.gmcr.mixing import Unmixed
from jaxhsi.gmcr.noise_model import NoiseLaw

Spectra = Float[np.ndarray, "n c"] | Float[Array, "n c"]
MOST_SPECTRA = 65_536
"""Rows that training looks at; more are thinned out evenly."""


@runtime_checkable
class Solved(Protocol):
    """What a solver found, e.g. `jaxhsi.gmcr.algorithm.Solution`."""

    components: Any
    concentrations: Any
    noise: NoiseLaw


def train_amortised(
    key: Key[Array, ""],
    solution: Solved,
    spectra: Spectra | None = None,
    options: Options | None = None,
    report: Callable[[int, Info], None] | None = None,
) -> tuple[Amortised, State]:
    """Train gating and concentration networks on a solver's answer.

    Args:
        key: of all draws.
        solution: components (k, c), concentrations (n, k) and noise law.
        spectra: the (n, c) spectra that were solved; without, only mixtures drawn from the
            solution are learnt.
        options: of the method; its defaults without.
        report: called with the number of steps taken and the means over the last call's.

    Returns:
        The method, whose ``unmix(state.params, x)`` takes new spectra, and its state.

    Raises:
        ValueError: the solution is empty, or spectra do not belong to it.
        FloatingPointError: the loss stopped being finite.
    """
    options = options or Options()
    method = amortised(options)
    components, concentrations, rows = _checked(solution, spectra)
    noise = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), solution.noise)
    state = jax.jit(method.init)(key, components, concentrations, noise, rows)
    epoch = jax.jit(method.epoch, donate_argnums=1)
    for call in range(-(-options.steps // options.steps_per_call)):
        state, info = epoch(jax.random.fold_in(key, call), state)
        info = jax.device_get(info)
        taken = (call + 1) * options.steps_per_call
        if not np.isfinite(info.loss):
            raise FloatingPointError(
                f"the loss of the amortised networks is {info.loss} after {taken} steps; lower "
                f"learning_rate={options.learning_rate}, or look for spectra far out of range"
            )
        if report is not None:
            report(taken, info)
    return method, state


def _checked(solution: Solved, spectra: Spectra | None) -> tuple[Array, Array, Array | None]:
    """Float32 components, concentrations and spectra that belong together, thinned out."""
    components = jnp.asarray(solution.components, jnp.float32)
    codes = np.asarray(solution.concentrations, np.float32)
    if len(components) == 0:
        raise ValueError(
            "the solution has no components: there is nothing to learn; look at the data, or "
            "lower the solver's margin"
        )
    if codes.shape[1] != len(components) or not codes.any():
        raise ValueError(
            f"concentrations of shape {codes.shape} with {np.count_nonzero(codes)} values other "
            f"than 0 do not go with {len(components)} components: give (n, k) with a value > 0"
        )
    kept = slice(None, None, max(1, -(-len(codes) // MOST_SPECTRA)))
    if spectra is None:
        return components, jnp.asarray(codes[kept]), None
    wanted = (len(codes), components.shape[1])
    if spectra.shape != wanted:
        raise ValueError(
            f"spectra of shape {spectra.shape} do not belong to the solution: give the "
            f"{wanted} ones that it was found on"
        )
    return components, jnp.asarray(codes[kept]), jnp.asarray(spectra[kept], jnp.float32)


def unmix_stream(
    unmix: Callable[[Any, Any], Unmixed], params: Any, blocks: Iterable[Any]
) -> Iterator[Unmixed]:
    """Unmix blocks of spectra one after the other, in memory that does not grow with them.

    Blocks are padded with zero rows to the length of the first, so that `unmix` compiles once;
    a longer one is cut, and its parts come out joined. While one block is computed the next is
    read.

    Args:
        unmix: ``(params, x) -> Unmixed``, jitted; pass the same one for every stream.
        params: of `unmix`.
        blocks: arrays, each (n_i, c) with its own n_i >= 0; the first with any tells the
            length to compile for.

    Yields:
        For each block its reconstruction, concentrations and gates as NumPy arrays of n_i rows,
        and the components.

    Raises:
        ValueError: a block is not a table, or has another number of bands than the first.
    """
    length, bands = 0, 0
    pending: tuple[int, list[Unmixed]] | None = None
    for number, block in enumerate(blocks):
        block = np.asarray(block, np.float32)
        bands = bands or (block.shape[1] if block.ndim == 2 else 0)
        if block.ndim != 2 or block.shape[1] != bands:
            raise ValueError(
                f"block {number} has the shape {block.shape}: give (n, c) tables of spectra, all "
                f"with the {bands or 'same number of'} bands of the first"
            )
        length = length or len(block)
        size = length or 1  # no spectra so far
        parts = range(0, max(1, len(block)), size)
        results = [unmix(params, _padded(block[at : at + size], size)) for at in parts]
        if pending is not None:
            yield _joined(*pending)
        pending = len(block), results
    if pending is not None:
        yield _joined(*pending)


def _padded(block: Float[np.ndarray, "n c"], length: int) -> Float[np.ndarray, "m c"]:
    missing = length - len(block)
    return np.pad(block, ((0, missing), (0, 0))) if missing else block


def _joined(count: int, parts: list[Unmixed]) -> Unmixed:
    """On the host, without the padding."""
    host = jax.device_get(parts)
    rows = {
        name: np.concatenate([getattr(part, name) for part in host])[:count]
        for name in ("reconstruction", "concentrations", "gates")
    }
    return host[0]._replace(**rows)
