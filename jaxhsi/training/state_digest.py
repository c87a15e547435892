"""A short name of the numbers of a state."""

import hashlib
from typing import Any

import jax
import numpy as np


def state_digest(state: Any) -> str:
    """SHA-256 of the types, shapes and values of all arrays of a tree.

    Args:
        state: of a method, or other arrays.

    >>> state_digest((np.ones(2), 3)) == state_digest((np.ones(2), 3))
    True
    >>> state_digest(np.ones(2)) == state_digest(np.ones(2, np.float32))
    False
    """
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(jax.device_get(state)):
        array = np.asarray(leaf)
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
