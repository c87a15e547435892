"""Data parallelism: the batch is split over devices, the state is on all of them.

Under ``jit`` with a sharded batch a mean is already global, so that the maths needs no word of
it. This is also what ``jax.pmap`` is built on today. The commands work in one process, on all
devices of its machine: several processes would write into one run.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

BATCH_AXIS = "batch"


def device_mesh(devices: int | None, batch: int) -> Mesh:
    """Mesh over the first ``devices`` devices; all local ones that divide the batch if None.

    Raises:
        ValueError: more devices than there are, a batch that they do not divide, or several
            processes.
    """
    if jax.process_count() > 1:
        raise ValueError(
            f"this is one of {jax.process_count()} processes of jax.distributed, which would all "
            "write the same run; start the command in one process, which uses all devices of its "
            "machine, and give other machines other cubes and other folders"
        )
    present = jax.devices()
    if devices is None:
        devices = max(n for n in range(1, len(present) + 1) if batch % n == 0)
    if not 1 <= devices <= len(present):
        raise ValueError(
            f"devices {devices} was asked for, but there are {len(present)}: {present}; "
            f"give a number from 1 to {len(present)}"
        )
    if batch % devices:
        raise ValueError(
            f"{batch} windows or spectra do not split over {devices} devices; "
            f"choose a number that is a multiple of {devices}, or fewer devices"
        )
    return Mesh(np.asarray(present[:devices]), (BATCH_AXIS,))


def replicate(mesh: Mesh, tree: Any) -> Any:
    """Copy every array of a tree to all devices of the mesh."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def shard_batch(mesh: Mesh, batch: Any) -> Any:
    """Split every array of a tree over the devices along its first axis."""
    return jax.device_put(batch, NamedSharding(mesh, PartitionSpec(BATCH_AXIS)))


def compile_step(mesh: Mesh, step: Callable) -> Callable:
    """``step(key, state, batch)`` jitted for the mesh; the state it is given is used up."""
    same, over = (
        NamedSharding(mesh, PartitionSpec()),
        NamedSharding(mesh, PartitionSpec(BATCH_AXIS)),
    )
    return jax.jit(
        step, in_shardings=(same, same, over), out_shardings=(same, same), donate_argnums=1
    )


def compile_evaluation(mesh: Mesh, evaluate: Callable) -> Callable:
    """``look(state, probe)`` jitted for the mesh; the probe is split, the state stays as it is."""
    same, over = (
        NamedSharding(mesh, PartitionSpec()),
        NamedSharding(mesh, PartitionSpec(BATCH_AXIS)),
    )
    return jax.jit(evaluate, in_shardings=(same, over), out_shardings=same)
