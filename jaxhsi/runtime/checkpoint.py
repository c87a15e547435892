"""Checkpoints by Orbax: the state of the method and of the stream of windows, together."""

from pathlib import Path
from typing import Any

import grain
import orbax.checkpoint as ocp


class Checkpoints:
    """Saves and restores (state, stream) pairs of a run, numbered by step."""

    def __init__(self, folder: Path, keep: int = 2):
        """Open or create the folder; the latest ``keep`` checkpoints stay."""
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        self._manager = ocp.CheckpointManager(folder.resolve(), options=options)

    def save(self, step: int, state: Any, stream: grain.DatasetIterator) -> None:
        """Save in the background; the state may be used up as soon as this returns."""
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                stream=ocp.args.JsonSave(stream.get_state()),
            ),
        )

    def latest(self) -> int | None:
        """Step of the newest whole checkpoint, or None."""
        return self._manager.latest_step()

    def restore(self, template: Any, stream: grain.DatasetIterator | None = None) -> Any:
        """The newest state, placed like ``template``; the stream is moved to where it was.

        Raises:
            FileNotFoundError: there is no checkpoint.
        """
        step = self.latest()
        if step is None:
            raise FileNotFoundError(f"no checkpoint in {self._manager.directory}")
        saved = self._manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(template), stream=ocp.args.JsonRestore()
            ),
        )
        if stream is not None:
            stream.set_state(saved.stream)
        return saved.state

    def close(self) -> None:
        """Wait for what is being written."""
        self._manager.wait_until_finished()
        self._manager.close()
