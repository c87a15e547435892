"""Checkpoints by Orbax: the state of a method, that of its stream, the best state so far."""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import orbax.checkpoint as ocp

from jaxhsi.data.prefetch import BatchStream

_MISFIT = (
    "the checkpoint does not fit the options and data given now; number of bands, clusters and "
    "the encoder's size must be those of the run"
)


@runtime_checkable
class CheckpointedBest(Protocol):
    """Knows the best state of a run so far.

    Attributes:
        state: that state.
    """

    state: Any

    def get_record(self) -> Any:
        """All else that it needs to go on, as JSON."""

    def set_record(self, record: Any) -> None:
        """Go on from there."""


class Checkpoints:
    """Saves and restores states of a run, with the stream where there is one, numbered by step."""

    def __init__(self, folder: Path, keep: int = 2):
        """Open or create the folder; the latest ``keep`` checkpoints stay."""
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        self._manager = ocp.CheckpointManager(folder.resolve(), options=options)

    def save(
        self,
        step: int,
        state: Any,
        stream: BatchStream | None = None,
        best_state: CheckpointedBest | None = None,
    ) -> None:
        """Save in the background; the state may be used up as soon as this returns."""
        parts = {"state": ocp.args.StandardSave(state)}
        if stream is not None:
            parts["stream"] = ocp.args.JsonSave(stream.get_state())
        if best_state is not None:
            parts["best"] = ocp.args.StandardSave(best_state.state)
            parts["record"] = ocp.args.JsonSave(best_state.get_record())
        self._manager.save(step, args=ocp.args.Composite(**parts))

    def latest_step(self) -> int | None:
        """Step of the newest whole checkpoint, or None."""
        return self._manager.latest_step()

    def restore(
        self,
        template: Any,
        stream: BatchStream | None = None,
        best_state: CheckpointedBest | None = None,
    ) -> Any:
        """The newest state, placed like ``template``; stream and judge go back to where they were.

        Raises:
            FileNotFoundError: there is no checkpoint.
            ValueError: it holds arrays of other names or shapes, or was made by another version.
        """
        parts = {"state": ocp.args.StandardRestore(template)}
        if stream is not None:
            parts["stream"] = ocp.args.JsonRestore()
        if best_state is not None:
            parts |= {"best": parts["state"], "record": ocp.args.JsonRestore()}
        saved = self._read(parts)
        _check_shapes(template, saved["state"], self._manager.directory)
        if stream is not None:
            stream.set_state(saved["stream"])
        if best_state is not None:
            best_state.state = saved["best"]
            best_state.set_record(saved["record"])
        return saved["state"]

    def _read(self, parts: dict[str, Any]) -> Any:
        step, folder = self.latest_step(), self._manager.directory
        if step is None:
            raise FileNotFoundError(f"no checkpoint in {folder}")
        if missing := [name for name in parts if not (folder / str(step) / name).is_dir()]:
            raise ValueError(
                f"{folder}: checkpoint {step} has no {' and no '.join(missing)}: it was made by an "
                "earlier version; train anew with --overwrite"
            )
        try:
            return self._manager.restore(step, args=ocp.args.Composite(**parts))
        except ValueError as error:  # where shapes or names differ, Orbax says so at length
            raise ValueError(f"{folder}: {_MISFIT} ({error})") from error

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for what is being written, whatever ended the run."""
        self._manager.wait_until_finished()
        self._manager.close()


def _check_shapes(template: Any, saved: Any, folder: Any) -> None:
    leaf_pairs = zip(jax.tree.leaves_with_path(template), jax.tree.leaves(saved), strict=True)
    for (path, expected), saved_leaf in leaf_pairs:
        if expected.shape != saved_leaf.shape:
            raise ValueError(
                f"{folder}: {_MISFIT} ({jax.tree_util.keystr(path)} is {saved_leaf.shape} in it "
                f"and {expected.shape} now)"
            )
