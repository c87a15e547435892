"""What the training loop writes to: files for the commands, memory for `jaxhsi.segment`."""

from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class MetricsOutput(Protocol):
    """Takes the metrics of steps; :class:`jaxhsi.training.metrics_writer.MetricsWriter` is one."""

    def open(self) -> AbstractContextManager:
        """Use the output during a block."""

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Take the metrics of a step."""

    def write_timing(self, step: int, values: dict[str, float]) -> None:
        """Take figures that differ from run to run."""

    def advance_bar(self, step: int) -> None:
        """A step was taken."""


@runtime_checkable
class StateOutput(Protocol):
    """Takes states; :class:`jaxhsi.training.checkpoints.Checkpoints` is one."""

    def save(self, step: int, state: Any, stream: Any, best: Any) -> None:
        """Take the state of a step, with the stream and the best state."""

    def latest_step(self) -> int | None:
        """Step of the newest state that was saved, or None."""
