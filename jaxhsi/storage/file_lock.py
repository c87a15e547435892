"""Locks that the system gives back when a process ends, however it ends."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: two writers are then not kept apart
    fcntl = None

FOLDER_LOCK = ".jaxhsi.lock"
"""File that the process which writes into a folder of results holds a lock of."""

_MAX_ATTEMPTS = 10  # to make a folder that others remove; one is enough but for a coincidence


def try_lock(file: IO) -> bool:
    """Take the lock of an open file; False where another process has it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for_lock(file: IO) -> None:
    """Take the lock of an open file as soon as no other process has it."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX)


def lies_at(file: IO, path: Path) -> bool:
    """Whether an open file still has this path: it may be renamed or deleted as we wait."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Be the only process that writes into a folder of results.

    A process that is killed gives the lock back. The folder is made if it is not there, and
    removed again if nothing was written into it.

    Args:
        folder: of a run, or of results.

    Raises:
        BlockingIOError: another process writes into it.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "run"
    >>> with locked_folder(folder):
    ...     _ = (folder / "scores.txt").write_text("0.97")
    >>> [path.name for path in folder.iterdir()]
    ['scores.txt']
    """
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; name another folder")
    with removed_if_empty(folder), locked_output(folder / FOLDER_LOCK, folder):
        yield


@contextmanager
def removed_if_empty(folder: Path) -> Iterator[None]:
    """Remove a folder and those above it after a block, if they are new and nothing is in them.

    Args:
        folder: that the block makes.
    """
    new_folders = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        yield
    finally:
        with suppress(OSError):  # not empty
            for each in new_folders:
                each.rmdir()


@contextmanager
def locked_output(lock_path: Path, output: Path) -> Iterator[None]:
    """Hold a lock file while a block runs; delete it afterwards.

    Args:
        lock_path: of the lock file; its folder is made if needed.
        output: file or folder that it stands for, for messages.

    Raises:
        BlockingIOError: another process holds it.
    """
    while True:
        with _open_lock(lock_path) as file:
            if not try_lock(file):
                raise BlockingIOError(
                    f"another process is writing {output}; wait until it has ended, or give "
                    "another --out"
                )
            if not lies_at(file, lock_path):
                continue
            try:
                yield
            finally:
                lock_path.unlink(missing_ok=True)
            return


def _open_lock(lock_path: Path) -> IO:
    """Open a lock file, made with its folder, which another process may remove as we come."""
    for _ in range(_MAX_ATTEMPTS - 1):
        with suppress(FileNotFoundError):
            lock_path.parent.mkdir(parents=True, exist_ok=True)
            return lock_path.open("ab")
    lock_path.parent.mkdir(parents=True, exist_ok=True)
    return lock_path.open("ab")


def is_unlocked(lock_path: Path) -> bool:
    """Whether no process holds a lock file; a missing one is held by none."""
    if not lock_path.is_file():
        return True
    with lock_path.open("ab") as file:
        return try_lock(file)


def clear_folder(folder: Path, last_file: str) -> None:
    """Delete what is in a folder but its lock; the file that says what it is goes last.

    A process that is killed meanwhile leaves a folder that can still be told from others.

    Args:
        folder: to clear.
        last_file: file that is deleted last.
    """
    for path in sorted(folder.iterdir(), key=lambda path: path.name == last_file):
        if path.name == FOLDER_LOCK:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
