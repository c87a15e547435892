"""Training of the amortised networks on a solver's result, and their use on streams of spectra."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key

from jaxhsi.base import Algorithm
from jaxhsi.gmcr.amortised import Info, State, amortised, epoch
from jaxhsi.gmcr.mixing import UnmixedSpectra
from jaxhsi.gmcr.noise_model import SignalDependentNoise
from jaxhsi.gmcr.options import AmortisedOptions
from jaxhsi.sharding import replicate
from jaxhsi.table_sharding import compile_by_rows

Spectra = Float[np.ndarray, "n c"] | Float[Array, "n c"]
MAX_TRAINING_SPECTRA = 65_536
"""Rows that training uses; larger tables are thinned out evenly. Set by hand: 200 steps of 512
mixtures draw 1.6 times as many."""


@runtime_checkable
class MixtureSolution(Protocol):
    """Result of a solver, e.g. `jaxhsi.gmcr.solution.Solution`."""

    @property
    def components(self) -> Any:
        """(k, c), unit rows."""

    @property
    def concentrations(self) -> Any:
        """(n, k)."""

    @property
    def noise_level(self) -> SignalDependentNoise:
        """In the coordinates of the components."""


def train_amortised(
    key: Key[Array, ""],
    solution: MixtureSolution,
    spectra: Spectra | None = None,
    options: AmortisedOptions | None = None,
    on_epoch: Callable[[int, Info], None] | None = None,
    mesh: Mesh | None = None,
) -> tuple[Algorithm, State]:
    """Train gating and concentration networks on a solver's result.

    Args:
        key: of all draws.
        solution: components (k, c), concentrations (n, k) and noise level.
        spectra: the (n, c) spectra of the solution, whitened if its components are; without, only
            mixtures drawn from the solution are learnt.
        options: of the method; its defaults if not given.
        on_epoch: called with the number of steps taken and the means over the last call's steps.
        mesh: devices that each compute a share of every batch; None for one.

    Returns:
        The method, whose ``predict(state, x)`` unmixes new spectra, and its state.

    Raises:
        ValueError: the solution is empty, or spectra do not belong to it.
        FloatingPointError: the loss stopped being finite.
    """
    options = options or AmortisedOptions()
    state = initial_networks(key, solution, spectra, options)
    is_spread = mesh is not None and mesh.size > 1
    if is_spread:
        state = replicate(mesh, state)
    run_epoch = compile_by_rows(mesh, partial(epoch, options, mesh=mesh), donate_argnums=1)
    for call_number in range(-(-options.training_steps // options.steps_per_call)):
        state, info = run_epoch(jax.random.fold_in(key, call_number), state)
        # The only transfer of a call: losses of single steps stay on the device.
        info = jax.device_get(info)
        steps_taken = (call_number + 1) * options.steps_per_call
        if not np.isfinite(info.loss):
            raise FloatingPointError(
                f"the loss of the amortised networks is {info.loss} after {steps_taken} steps; "
                f"lower learning_rate={options.learning_rate}, or look for spectra far out of range"
            )
        if on_epoch is not None:
            on_epoch(steps_taken, info)
    # Those who use the networks decide on the devices anew.
    return amortised(options), jax.tree.map(
        jnp.asarray, jax.device_get(state)
    ) if is_spread else state


def initial_networks(
    key: Key[Array, ""],
    solution: MixtureSolution,
    spectra: Spectra | None,
    options: AmortisedOptions,
) -> State:
    """Networks before training, with the components and noise of a solution.

    Args:
        key: of the parameters.
        solution: see `train_amortised`.
        spectra: likewise.
        options: of the method.

    Raises:
        ValueError: the solution is empty, or spectra do not belong to it.
    """
    components, concentrations, training_spectra = _checked(solution, spectra)
    noise_level = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), solution.noise_level)
    init = jax.jit(amortised(options).init)
    return init(key, components, concentrations, noise_level, training_spectra)


def _checked(
    solution: MixtureSolution, spectra: Spectra | None
) -> tuple[Array, Array, Array | None]:
    """Float32 components, concentrations and spectra that belong together, thinned out."""
    components = jnp.asarray(solution.components, jnp.float32)
    codes = np.asarray(solution.concentrations, np.float32)
    if len(components) == 0:
        raise ValueError(
            "the solution has no components: there is nothing to learn; look at the data, or "
            "lower the solver's evidence_factor"
        )
    if codes.shape[1] != len(components) or not codes.any():
        raise ValueError(
            f"concentrations of shape {codes.shape} with {np.count_nonzero(codes)} values other "
            f"than 0 do not go with {len(components)} components: give (n, k) with a value > 0"
        )
    # Evenly, since tables are often ordered by time or place.
    row_slice = slice(None, None, max(1, -(-len(codes) // MAX_TRAINING_SPECTRA)))
    if spectra is None:
        return components, jnp.asarray(codes[row_slice]), None
    expected_shape = (len(codes), components.shape[1])
    if spectra.shape != expected_shape:
        raise ValueError(
            f"spectra of shape {spectra.shape} do not belong to the solution: give the "
            f"{expected_shape} ones that it was found on"
        )
    return components, jnp.asarray(codes[row_slice]), jnp.asarray(spectra[row_slice], jnp.float32)


def unmix_stream(
    predict: Callable[[Any, Any], UnmixedSpectra], state: Any, blocks: Iterable[Any]
) -> Iterator[UnmixedSpectra]:
    """Unmix blocks of spectra one after the other, in constant memory.

    Blocks are padded with zero rows to the length of the first one, so that `predict` compiles
    once; a longer one is cut, and its parts are joined again. While one block is computed the next
    is read.

    Args:
        predict: ``(state, x) -> UnmixedSpectra``, jitted; pass the same one for every stream.
        state: first argument of `predict`.
        blocks: arrays, each (n_i, c) with its own n_i >= 0; the first one with any rows determines
            the length to compile for.

    Yields:
        For each block its reconstruction, concentrations and gates as NumPy arrays of n_i rows,
        and the components.

    Raises:
        ValueError: a block is not a table, or has another number of bands than the first.
    """
    compiled_length, num_bands = 0, 0
    pending_block: tuple[int, list[UnmixedSpectra]] | None = None
    for block_number, block in enumerate(blocks):
        block = np.asarray(block, np.float32)
        num_bands = num_bands or (block.shape[1] if block.ndim == 2 else 0)
        if block.ndim != 2 or block.shape[1] != num_bands:
            raise ValueError(
                f"block {block_number} has the shape {block.shape}: give (n, c) tables of "
                f"spectra, all with the {num_bands or 'same number of'} bands of the first"
            )
        # The first block sets the length that is compiled for; an empty one sets nothing.
        compiled_length = compiled_length or len(block)
        part_length = compiled_length or 1  # no spectra so far
        part_starts = range(0, max(1, len(block)), part_length)
        # Dispatched and not waited for: the block before is joined meanwhile.
        part_results = [
            predict(state, _padded(block[part_start : part_start + part_length], part_length))
            for part_start in part_starts
        ]
        if pending_block is not None:
            yield _joined(*pending_block)
        pending_block = len(block), part_results
    if pending_block is not None:
        yield _joined(*pending_block)


def _padded(block: Float[np.ndarray, "n c"], length: int) -> Float[np.ndarray, "m c"]:
    num_missing = length - len(block)
    return np.pad(block, ((0, num_missing), (0, 0))) if num_missing else block


def _joined(num_rows: int, parts: list[UnmixedSpectra]) -> UnmixedSpectra:
    """The parts of a block joined on the host, without the padding."""
    host_parts = jax.device_get(parts)
    rows = {
        name: np.concatenate([getattr(part, name) for part in host_parts])[:num_rows]
        for name in ("reconstruction", "concentrations", "gates")
    }
    return host_parts[0]._replace(**rows)
