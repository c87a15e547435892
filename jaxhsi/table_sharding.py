"""Tables whose rows several devices compute by shares, whatever the number of rows.

`jaxhsi.sharding` pads batches with rows that the maths must mask. Functions of a whole table take
medians, ranks and sorts over its rows, each of which would need a mask of its own. Here XLA pads
the shares within the compiled program and masks the padding out of every operation: a function of
n rows sees n rows, and nothing depends on the padding.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxhsi.processes import place_arrays
from jaxhsi.sharding import BATCH_AXIS, device_mesh


def several_devices(devices: int | None = None) -> Mesh | None:
    """Mesh over so many devices, or all; None where that is one, which needs no mesh.

    Args:
        devices: how many.

    Raises:
        ValueError: see `sharding.device_mesh`.

    >>> several_devices(1) is None
    True
    """
    mesh = device_mesh(devices)
    return mesh if mesh.size > 1 else None


def place_rows(mesh: Mesh, rows: Any) -> Any:
    """Arrays of any number of rows on the devices, without padding.

    They are split where the devices divide their number, else each device has them whole and
    computes with its share of them all the same, see `compile_by_rows`. The host reads those that
    are split over processes by `processes.gather_array`.

    Args:
        mesh: devices.
        rows: arrays with equally many rows.
    """
    num_rows = len(jax.tree.leaves(rows)[0])
    axes = () if num_rows % mesh.size else (BATCH_AXIS,)
    return place_arrays(rows, NamedSharding(mesh, PartitionSpec(*axes)))


def split_rows(mesh: Mesh | None, rows: Any) -> Any:
    """Arrays of which each device computes a share of the rows; under ``jit``.

    Args:
        mesh: devices; None or a single one changes nothing.
        rows: arrays with equally many rows.

    >>> import numpy as np
    >>> float(jax.jit(lambda x: split_rows(device_mesh(), x).mean())(np.arange(3.0)))
    1.0
    """
    if mesh is None or mesh.size == 1:
        return rows
    if len(jax.tree.leaves(rows)[0]) % mesh.size:
        # An argument may not be split unevenly, and XLA would split it over some of the devices.
        rows = _keep_whole(mesh, rows)
    return lax.with_sharding_constraint(rows, NamedSharding(mesh, PartitionSpec(BATCH_AXIS)))


def _keep_whole(mesh: Mesh, tree: Any) -> Any:
    """The tree with its arrays whole on every device; what is no array stays as it is."""
    whole = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(
        lambda leaf: (
            lax.with_sharding_constraint(leaf, whole) if isinstance(leaf, jax.Array) else leaf
        ),
        tree,
    )


def compile_by_rows(
    mesh: Mesh | None, function: Callable, *places: int, **jit_options: Any
) -> Callable:
    """A function jitted for the mesh, each device computing a share of the rows of its tables.

    Args:
        mesh: devices; None or a single one is plain ``jit``.
        function: its results are copied to all devices.
        places: where tables are among its arguments, which are given by place.
        jit_options: of `jax.jit`.

    >>> import jax.numpy as jnp
    >>> float(compile_by_rows(device_mesh(), jnp.median, 0)(jnp.arange(3.0)))
    1.0
    """
    if mesh is None or mesh.size == 1:
        return jax.jit(function, **jit_options)

    @wraps(function)
    def by_rows(*arguments: Any, **options: Any) -> Any:
        split = [
            split_rows(mesh, argument) if place in places else _keep_whole(mesh, argument)
            for place, argument in enumerate(arguments)
        ]
        return function(*split, **_keep_whole(mesh, options))

    same = NamedSharding(mesh, PartitionSpec())
    compiled = jax.jit(by_rows, out_shardings=same, **jit_options)

    def place(leaf: Any) -> Any:
        is_elsewhere = isinstance(leaf, jax.Array) and leaf.sharding.device_set != same.device_set
        return place_arrays(leaf, same) if is_elsewhere else leaf

    @wraps(compiled)
    def call(*arguments: Any, **options: Any) -> Any:
        # XLA would choose how arrays of one device are split, into parts that JAX cannot describe.
        return compiled(*jax.tree.map(place, arguments), **options)

    return call
