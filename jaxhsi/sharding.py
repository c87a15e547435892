"""Data parallelism: rows are split over devices, the state is on all of them.

Under ``jit`` with a sharded batch a mean is already global, so that the maths needs no word of
it. This is also what ``jax.pmap`` is built on today. Any number of rows works on any number of
devices: the first axis is padded by copies of its last row to a multiple of the devices
(:func:`shard_batch`), and the copies are cut off again (:func:`unpad_rows`) before anything is
summed over rows.

Each process of `jax.distributed` works on its own devices, but for what is computed over a mesh of
the devices of all processes: that they must all call alike. There a value that is not split is
given by each process whole; of a batch each process may hold its own rows alone, see
`jaxhsi.process_sharding`.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxhsi.processes import devices_of_all_processes, place_arrays

BATCH_AXIS = "batch"
VIEW_AXIS = "view"


def device_mesh(devices: int | None = None, *, of_all_processes: bool = False) -> Mesh:
    """Mesh over the first ``devices`` devices of this process; over all of them if None.

    Args:
        devices: how many of each process.
        of_all_processes: over as many devices of every process of `jax.distributed`, which must all
            call what uses the mesh; false: each process computes for itself.

    Raises:
        ValueError: fewer than one device, or more than there are; processes with unequal numbers.

    >>> device_mesh(1).size
    1
    """
    num_processes = jax.process_count() if of_all_processes else 1
    present = jax.local_devices()
    if devices is None:
        devices = len(present)
    if not 1 <= devices <= len(present):
        raise ValueError(
            f"devices {devices} was asked for, but there are {len(present)}: {present}; "
            f"give a number from 1 to {len(present)}"
        )
    chosen = present[:devices] if num_processes == 1 else devices_of_all_processes(devices)
    return Mesh(np.asarray(chosen), (BATCH_AXIS,))


def view_mesh(mesh: Mesh, batch: int) -> Mesh:
    """The same devices, in pairs where the two views of a window are better computed apart.

    That is where the busiest device then has fewer views: 4 windows keep 4 devices busy, or 8 in
    pairs.

    Args:
        mesh: devices along one axis.
        batch: windows of a step.
    """
    most_views, num_pairs = 2 * _share(batch, mesh.size), mesh.size // 2
    if mesh.size % 2 or _share(batch, num_pairs) >= most_views:
        return mesh
    return Mesh(mesh.devices.reshape(-1, 2), (BATCH_AXIS, VIEW_AXIS))


def flatten_views(
    mesh: Mesh | None, views: Any, axes: tuple[str, str] = (BATCH_AXIS, VIEW_AXIS)
) -> Any:
    """Views of windows as one batch, (b, v, ...) to (b v, ...); split as :func:`view_mesh` says.

    Args:
        mesh: devices along one axis; None leaves the split to the compiler.
        views: arrays with the same first two axes.
        axes: what the first two axes are.
    """
    shape = jax.tree.leaves(views)[0].shape[:2]
    if mesh is not None:
        pairs = view_mesh(mesh, shape[axes.index(BATCH_AXIS)])
        if VIEW_AXIS in pairs.axis_names:
            split = NamedSharding(pairs, PartitionSpec(*axes))
            views = lax.with_sharding_constraint(views, split)
    return jax.tree.map(lambda leaf: leaf.reshape(math.prod(shape), *leaf.shape[2:]), views)


def padded_length(mesh: Mesh, length: int) -> int:
    """Rows after padding: the next multiple of the devices that rows are split over.

    Args:
        mesh: devices.
        length: number of rows.

    >>> padded_length(device_mesh(1), 5)
    5
    """
    num_parts = mesh.shape[BATCH_AXIS]
    return _share(length, num_parts) * num_parts


def pad_rows(tree: Any, length: int) -> Any:
    """Arrays with a longer first axis, filled up by copies of the last row.

    A copy costs no more than a row and is as finite, whatever is computed from it; a row of zeros
    may divide by zero, or iterate for ever.

    Args:
        tree: arrays with equally many rows, at least one; also keys of `jax.random`.
        length: rows of the result.

    >>> pad_rows(np.array([1, 2, 3]), 5).tolist()
    [1, 2, 3, 3, 3]
    """
    return jax.tree.map(lambda leaf: _pad_leaf(leaf, length), tree)


def unpad_rows(tree: Any, length: int) -> Any:
    """The first ``length`` rows of every array: those that are no padding.

    Args:
        tree: arrays with at least so many rows.
        length: rows of the result.
    """
    return jax.tree.map(lambda leaf: leaf[:length], tree)


def replicate(mesh: Mesh, tree: Any) -> Any:
    """Copy every array of a tree to all devices of the mesh.

    Args:
        mesh: devices; where they are of several processes, each gives the same arrays.
        tree: arrays.
    """
    return place_arrays(tree, _everywhere(mesh))


def shard_batch(mesh: Mesh, batch: Any) -> Any:
    """Split every array of a tree over the devices along its first axis, padded where needed.

    Args:
        mesh: devices; where they are of several processes, each gives the whole batch.
        batch: arrays with equally many rows.
    """
    length = padded_length(mesh, len(jax.tree.leaves(batch)[0]))
    return place_arrays(pad_rows(batch, length), _over_batch(mesh))


def map_rows(
    mesh: Mesh | None,
    function: Callable,
    rows: Any,
    *shared: Any,
    batch_size: int | None = None,
) -> Any:
    """``function(row, *shared)`` of every row; each device has rows of its own and never waits.

    To be called under ``jit``. A loop in ``function`` ends on each device for itself.

    Args:
        mesh: devices; None for the one that the rows are on.
        function: of one row, without its first axis.
        rows: arrays with equally many rows, at least one.
        *shared: arrays that every row uses; every device has them whole.
        batch_size: rows that a device computes side by side; one after the other if None.

    Returns:
        The results, stacked along the first axis.

    >>> square = jax.jit(lambda x: map_rows(device_mesh(), lambda row: row**2, x))
    >>> square(np.arange(3.0)).tolist()
    [0.0, 1.0, 4.0]
    """

    def map_own(own_rows: Any, own_shared: tuple) -> Any:
        return lax.map(lambda row: function(row, *own_shared), own_rows, batch_size=batch_size)

    if mesh is None:
        return map_own(rows, shared)
    length = len(jax.tree.leaves(rows)[0])
    over_devices, everywhere = PartitionSpec(mesh.axis_names), PartitionSpec()
    mapped = jax.shard_map(
        map_own,
        mesh=mesh,
        in_specs=(over_devices, everywhere),
        out_specs=over_devices,
        # Loops of `function` begin with constants, which are on all devices alike.
        check_vma=False,
    )
    return unpad_rows(mapped(pad_rows(rows, _share(length, mesh.size) * mesh.size), shared), length)


def compile_step(mesh: Mesh, step: Callable, batch: int) -> Callable:
    """``step(key, state, batch)`` jitted for the mesh; the state it is given is used up.

    Args:
        mesh: devices.
        step: of a method; it sees the rows without their padding.
        batch: rows of a batch before it was padded by :func:`shard_batch`.
    """
    same, over = _everywhere(mesh), _over_batch(mesh)

    def unpadded_step(key: Any, state: Any, padded: Any) -> Any:
        return step(key, state, unpad_rows(padded, batch))

    return jax.jit(
        unpadded_step, in_shardings=(same, same, over), out_shardings=(same, same), donate_argnums=1
    )


def compile_evaluation(mesh: Mesh, evaluate: Callable, batch: int) -> Callable:
    """``evaluate(state, batch)`` jitted for the mesh; the state stays as it is.

    Args:
        mesh: devices.
        evaluate: sees the rows without their padding.
        batch: rows before they were padded by :func:`shard_batch`.
    """

    def unpadded_evaluation(state: Any, padded: Any) -> Any:
        return evaluate(state, unpad_rows(padded, batch))

    same = _everywhere(mesh)
    return jax.jit(unpadded_evaluation, in_shardings=(same, _over_batch(mesh)), out_shardings=same)


def compile_prediction(mesh: Mesh, predict: Callable) -> Callable:
    """``predict(state, x, valid)`` jitted for the mesh; each device labels images of its own.

    Args:
        mesh: devices.
        predict: of a method; its result for an image does not depend on the others.

    Returns:
        A function of a state on the mesh, and of as many images as devices, or a multiple of that.
    """
    over, everywhere = PartitionSpec(BATCH_AXIS), PartitionSpec()
    mapped = jax.shard_map(
        predict,
        mesh=mesh,
        in_specs=(everywhere, over, over),
        out_specs=over,
        check_vma=False,
    )
    return jax.jit(mapped, in_shardings=(_everywhere(mesh), _over_batch(mesh), _over_batch(mesh)))


def _everywhere(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())


def _over_batch(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec(BATCH_AXIS))


def _share(length: int, parts: int) -> int:
    """Rows of the largest of equal parts."""
    return -(-length // parts)


def _pad_leaf(leaf: Any, length: int) -> Any:
    if len(leaf) == length:
        return leaf
    return leaf[np.minimum(np.arange(length), len(leaf) - 1)]
