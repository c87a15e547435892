"""Values that the processes of one training share, see `jax.distributed`.

All of them run the same program on the same options and files, and their devices compute each step
together. What lies on the host of one of them reaches the others by the functions of this module,
which every process must call at the same place. With one process they change nothing.
"""

import json
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Sharding


def is_first_process() -> bool:
    """Whether this process is the one that writes files and the screen.

    >>> is_first_process()
    True
    """
    return jax.process_index() == 0


def broadcast_arrays(tree: Any) -> Any:
    """Arrays as the first process has them, on the host; as given where there is one process.

    Args:
        tree: arrays, of the same shapes and types in all processes.

    >>> broadcast_arrays({"step": np.int32(3)})["step"].item()
    3
    """
    if jax.process_count() == 1:
        return tree
    return multihost_utils.broadcast_one_to_all(jax.device_get(tree))


def broadcast_json(value: Any) -> Any:
    """A JSON value as the first process has it.

    Args:
        value: what the other processes give does not matter.

    >>> broadcast_json({"position": [1, 2]})
    {'position': [1, 2]}
    """
    if jax.process_count() == 1:
        return value
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(text))))
    own_text = text if is_first_process() else np.zeros(size, np.uint8)
    return json.loads(multihost_utils.broadcast_one_to_all(own_text).tobytes())


def gather_array(array: jax.Array) -> np.ndarray:
    """An array whole on the host, though parts of it may be on devices of other processes.

    Args:
        array: on devices; all processes that have part of it call this.

    >>> gather_array(jnp.arange(3)).tolist()
    [0, 1, 2]
    """
    if array.is_fully_addressable:
        return np.asarray(array)
    return multihost_utils.process_allgather(array, tiled=True)


def devices_of_all_processes(count: int) -> list[jax.Device]:
    """So many devices of every process, those of one process next to each other.

    Args:
        count: devices of each process; it has so many.

    Raises:
        ValueError: the processes have unequal numbers of devices.
    """
    devices_of: dict[int, list[jax.Device]] = {n: [] for n in range(jax.process_count())}
    for device in sorted(jax.devices(), key=lambda device: device.id):
        devices_of[device.process_index].append(device)
    counts = [len(devices) for devices in devices_of.values()]
    if len(set(counts)) > 1:
        raise ValueError(
            f"the processes have {counts} devices; all need equally many: start them on machines "
            "of one kind"
        )
    return [device for devices in devices_of.values() for device in devices[:count]]


def place_arrays(tree: Any, sharding: Sharding) -> Any:
    """Arrays on devices, which may be of several processes.

    Args:
        tree: arrays, which every process has whole and alike, or that are on such devices.
        sharding: which part of them each device has.
    """
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)
    return jax.tree.map(lambda leaf: _place_parts(leaf, sharding), tree)


def _place_parts(leaf: Any, sharding: Sharding) -> jax.Array:
    """The parts of an array that are of this process; `jax.device_put` would compare the whole."""
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        return jax.jit(_same, out_shardings=sharding)(leaf)
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = _place_parts(jax.random.key_data(leaf), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    values = np.asarray(leaf)
    return jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])


def _same(leaf: Any) -> Any:
    return leaf


def check_same_everywhere(name: str, text: str) -> None:
    """Refuse processes that were not given the same.

    Args:
        name: of what must be the same, for the message.
        text: it, in a form that can be compared.

    Raises:
        ValueError: names the processes that differ from the first; raised in all of them.

    >>> check_same_everywhere("the options", "steps: 3")
    """
    if jax.process_count() == 1:
        return
    checksums = multihost_utils.process_allgather(np.uint32(zlib.crc32(text.encode())))
    others = np.flatnonzero(checksums != checksums[0])
    if len(others):
        raise ValueError(
            f"{name} of process {', '.join(map(str, others))} of {len(checksums)} are not those of "
            "process 0; start all processes with the same command, version and files"
        )
