"""Checksums of checkpoints: a list in each folder, written when the checkpoint is whole."""

import logging
import shutil
from contextlib import suppress
from pathlib import Path

from jaxhsi.storage.checksums import SUMS_FILE, folder_damage, list_folder, tell_unchecked
from jaxhsi.training.run_folder import may_lack_checksums

_log = logging.getLogger(__name__)


def list_new_steps(folder: Path) -> None:
    """Write the checksums of checkpoints that have just become whole.

    Args:
        folder: of the checkpoints.
    """
    for step_folder in _step_folders(folder):
        if not (step_folder / SUMS_FILE).is_file():
            with suppress(FileNotFoundError):  # the oldest may be deleted meanwhile
                list_folder(step_folder)


def checkpoint_damage(step_folder: Path) -> str | None:
    """What in a checkpoint is not as it was written, in words; None where all is.

    One without checksums passes in a run of an earlier version; the log says so.

    Args:
        step_folder: of the checkpoint, in the folder of the checkpoints of a run.
    """
    run_folder = step_folder.parents[1]
    if not (step_folder / SUMS_FILE).is_file() and may_lack_checksums(run_folder):
        tell_unchecked(run_folder)
        return None
    return folder_damage(step_folder)


def delete_damaged_steps(folder: Path) -> None:
    """Delete checkpoints that are not as they were written, and say so.

    Args:
        folder: of the checkpoints.
    """
    for step_folder in _step_folders(folder):
        if (damage := checkpoint_damage(step_folder)) is not None:
            message = "%s is damaged (%s) and is deleted; the run goes on from %s"
            others = [path.name for path in _step_folders(folder) if path != step_folder]
            start = f"step {others[-1]}" if others else "its start"
            _log.warning(message, step_folder, damage, start)
            shutil.rmtree(step_folder)


def _step_folders(folder: Path) -> list[Path]:
    """Folders of the checkpoints, the oldest first."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if path.name.isdigit()), key=_step_number)


def _step_number(path: Path) -> int:
    return int(path.name)
