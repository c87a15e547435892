"""Checkpoints by Orbax: the state of a method, that of its stream, the best state so far."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import orbax.checkpoint as ocp

from jaxhsi.data.prefetch import BatchStream
from jaxhsi.storage.checksums import DamagedFileError
from jaxhsi.training.checkpoint_sums import (
    checkpoint_damage,
    delete_damaged_steps,
    list_new_steps,
)
from jaxhsi.training.run_folder import repair_hint

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
    """Saves and restores states of a run, with the stream where there is one, numbered by step.

    Each checkpoint holds a list of the checksums of its files, written when it is whole.
    """

    def __init__(self, folder: Path, keep: int = 2, *, read_only: bool = False):
        """Open or create the folder.

        Args:
            folder: of the checkpoints.
            keep: so many of the latest stay.
            read_only: nothing is saved, created or deleted. Otherwise checkpoints that are damaged
                are deleted, and the log says so: the one before is gone on from.
        """
        folder = folder.resolve()
        if not read_only:
            delete_damaged_steps(folder)
            folder.mkdir(parents=True, exist_ok=True)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=None if read_only else keep,
            create=False,
            cleanup_tmp_directories=not read_only,  # of a process that was killed
            multiprocessing_options=_own_process(),
        )
        self._manager = ocp.CheckpointManager(folder, options=options)
        self._folder = folder
        self._thread = ThreadPoolExecutor(1)
        self._last_save: Future | None = None

    def save(
        self,
        step: int,
        state: Any,
        stream: BatchStream | None = None,
        best_state: CheckpointedBest | None = None,
    ) -> None:
        """Save in the background; the state may be used up as soon as this returns."""
        self._wait()
        parts = {"state": ocp.args.StandardSave(_own_copy(state))}
        if stream is not None:
            parts["stream"] = ocp.args.JsonSave(stream.get_state())
        if best_state is not None:
            parts["best"] = ocp.args.StandardSave(_own_copy(best_state.state))
            parts["record"] = ocp.args.JsonSave(best_state.get_record())
        self._manager.save(step, args=ocp.args.Composite(**parts))
        self._last_save = self._thread.submit(self._list_when_whole)

    def _list_when_whole(self) -> None:
        self._manager.wait_until_finished()
        list_new_steps(self._folder)

    def _wait(self) -> None:
        """Wait for what is being written, and raise what went wrong."""
        if self._last_save is not None:
            last_save, self._last_save = self._last_save, None
            last_save.result()

    def latest_step(self) -> int | None:
        """Step of the newest whole checkpoint, or None."""
        return self._manager.latest_step()

    def delete_newest(self, reason: DamagedFileError) -> None:
        """Delete the newest checkpoint, whose run lacks a file that belongs to it, and say so.

        Args:
            reason: names that file.
        """
        self._wait()
        self._manager.delete(self.latest_step())
        newest = self.latest_step()
        start = "its start" if newest is None else f"step {newest}"
        logging.getLogger(__name__).warning("%s: the run goes on from %s", reason, start)

    def restore(
        self,
        template: Any,
        stream: BatchStream | None = None,
        best_state: CheckpointedBest | None = None,
    ) -> Any:
        """The newest state, placed like ``template``; stream and judge go back to where they were.

        Raises:
            FileNotFoundError: there is no checkpoint.
            ValueError: it is damaged, holds arrays of other names or shapes, or was made by
                another version.
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
        step_folder = Path(str(folder)) / str(step)
        if (damage := checkpoint_damage(step_folder)) is not None:
            raise DamagedFileError(step_folder, damage, repair_hint(step_folder.parents[1]))
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
        try:
            self._wait()
        finally:
            self._thread.shutdown()
            self._manager.close()


def _own_process() -> ocp.options.MultiprocessingOptions:
    """Of several processes the one that saves waits for no other, which do not save."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    own_index = jax.process_index()
    return ocp.options.MultiprocessingOptions(primary_host=own_index, active_processes={own_index})


def _own_copy(state: Any) -> Any:
    """A state that is on devices of other processes too, on the host; others as they are."""
    is_own = all(
        not isinstance(leaf, jax.Array) or leaf.is_fully_addressable
        for leaf in jax.tree.leaves(state)
    )
    return state if is_own else jax.device_get(state)


def _check_shapes(template: Any, saved: Any, folder: Any) -> None:
    leaf_pairs = zip(jax.tree.leaves_with_path(template), jax.tree.leaves(saved), strict=True)
    for (path, expected), saved_leaf in leaf_pairs:
        if expected.shape != saved_leaf.shape:
            raise ValueError(
                f"{folder}: {_MISFIT} ({jax.tree_util.keystr(path)} is {saved_leaf.shape} in it "
                f"and {expected.shape} now)"
            )
