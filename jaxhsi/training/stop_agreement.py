"""Requests to stop, of which all processes of a training learn before the same step."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxhsi.sharding import BATCH_AXIS


class StopAgreement:
    """Asks once a step whether any process of a mesh was asked to stop.

    The answer is that of the step before, so that no step waits for another process. With one
    process it is that of now.
    """

    def __init__(self, mesh: Mesh):
        """Ask nothing yet.

        Args:
            mesh: devices of the training.
        """
        self._mesh, self._answer = mesh, None
        replicated = NamedSharding(mesh, PartitionSpec())
        self._is_shared = not replicated.is_fully_addressable
        self._largest = jax.jit(lambda numbers: numbers.max(), out_shardings=replicated)

    def signal_number(self, own_number: int) -> int:
        """Number of the signal that asked one of the processes to stop, 0 for none.

        Args:
            own_number: that of this process.
        """
        if not self._is_shared:
            return own_number
        previous: Any = self._answer
        own_numbers = np.full(len(self._mesh.local_devices), own_number, np.int32)
        sharding = NamedSharding(self._mesh, PartitionSpec(BATCH_AXIS))
        self._answer = self._largest(
            jax.make_array_from_process_local_data(sharding, own_numbers, (self._mesh.size,))
        )
        return 0 if previous is None else int(previous)
