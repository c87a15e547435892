"""What a training of several processes writes: all of it by the first of them, for all."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
from jax.sharding import Mesh

from jaxhsi.data.prefetch import BatchStream
from jaxhsi.processes import broadcast_arrays, broadcast_json
from jaxhsi.sharding import replicate
from jaxhsi.training.checkpoints import CheckpointedBest, Checkpoints
from jaxhsi.training.process_group import uninterrupted


class SilentMetrics:
    """A `MetricsOutput` of a process that writes none."""

    @contextmanager
    def open(self, *, show_bar: bool = False) -> Iterator["SilentMetrics"]:
        """Nothing needs to be closed."""
        yield self

    def write(self, step: int, values: dict[str, Any]) -> None:
        """The first process has the same figures."""

    def write_timing(self, step: int, values: dict[str, float]) -> None:
        """Times of the first process are written."""

    def advance_bar(self, step: int) -> None:
        """There is no bar."""


def shared_checkpoints(
    mesh: Mesh, checkpoints: Checkpoints | None
) -> "Checkpoints | SharedCheckpoints":
    """Checkpoints of a training; plain ones where its devices are of one process.

    Args:
        mesh: devices.
        checkpoints: of the first process; None in the others.
    """
    if checkpoints is None or mesh.is_multi_process:
        return SharedCheckpoints(mesh, checkpoints)
    return checkpoints


class SharedCheckpoints:
    """A `StateOutput` by which several processes save and restore one state.

    Every process calls each method at the same place. The state is the same on all of them, so
    that the first one saves it, reads it and sends it to the others, however many they are.
    """

    def __init__(self, mesh: Mesh, checkpoints: Checkpoints | None):
        """Share checkpoints.

        Args:
            mesh: devices of all processes.
            checkpoints: of the first process; None in the others.
        """
        self._mesh, self._own = mesh, checkpoints

    def save(
        self,
        step: int,
        state: Any,
        stream: BatchStream | None = None,
        best_state: CheckpointedBest | None = None,
    ) -> None:
        """Save in the background; the state may be used up as soon as this returns."""
        if self._own is not None:
            with uninterrupted():
                self._own.save(step, state, stream, best_state)

    def latest_step(self) -> int | None:
        """Step of the newest whole checkpoint, or None."""
        return broadcast_json(None if self._own is None else self._own.latest_step())

    def restore(
        self,
        template: Any,
        stream: BatchStream | None = None,
        best_state: CheckpointedBest | None = None,
    ) -> Any:
        """The newest state on the devices of all processes; stream and judge go back likewise.

        Raises:
            FileNotFoundError, ValueError: see `Checkpoints.restore`; in the first process.
        """
        host_template = jax.device_get(template)
        state, best, record = host_template, host_template, None
        if self._own is not None:
            state = self._own.restore(host_template, stream, best_state)
            if best_state is not None:
                best, record = best_state.state, best_state.get_record()
        if stream is not None:
            stream.set_state(broadcast_json(stream.get_state()))
        if best_state is not None:
            best_state.set_record(broadcast_json(record))
            best_state.state = replicate(self._mesh, broadcast_arrays(best))
        return replicate(self._mesh, broadcast_arrays(state))

    def __enter__(self) -> "SharedCheckpoints":
        return self

    def __exit__(self, *error: Any) -> None:
        """Wait for what is being written, whatever ended the run."""
        if self._own is not None:
            with uninterrupted():
                self._own.__exit__(*error)
