"""Batches on devices of several processes, each of which reads its own rows alone."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxhsi.sharding import BATCH_AXIS, padded_length, shard_batch


def process_rows(mesh: Mesh, length: int) -> list[int]:
    """Numbers of the rows of a batch that are on devices of this process, padding as its source.

    Args:
        mesh: devices, of one or several processes.
        length: number of rows before padding.

    >>> from jaxhsi.sharding import device_mesh
    >>> process_rows(device_mesh(1), 3)
    [0, 1, 2]
    """
    full_length = padded_length(mesh, length)
    sharding = NamedSharding(mesh, PartitionSpec(BATCH_AXIS))
    parts = sharding.addressable_devices_indices_map((full_length,)).values()
    # Devices of a pair have the same rows.
    positions = {row for (part,) in parts for row in range(*part.indices(full_length))}
    return [min(row, length - 1) for row in sorted(positions)]


def shard_process_rows(mesh: Mesh, rows: Any, length: int) -> Any:
    """A batch split over the devices, of which each process has its own rows alone.

    Args:
        mesh: devices, of one or several processes.
        rows: arrays of the rows that :func:`process_rows` names, in that order; of one process also
            without their padding.
        length: rows of the whole batch before padding.
    """
    sharding = NamedSharding(mesh, PartitionSpec(BATCH_AXIS))
    full_length = padded_length(mesh, length)
    if sharding.is_fully_addressable:
        return shard_batch(mesh, rows)

    def shard(leaf: np.ndarray) -> jax.Array:
        shape = (full_length, *leaf.shape[1:])
        return jax.make_array_from_process_local_data(sharding, leaf, shape)

    return jax.tree.map(shard, rows)
