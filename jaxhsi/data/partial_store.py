"""Stores that are not whole yet: one process writes each, and the next one clears what is left."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from jaxhsi.data.store_checksums import ARRAY_FILE
from jaxhsi.storage.file_lock import FOLDER_LOCK, is_unlocked, lies_at, try_lock, wait_for_lock
from jaxhsi.storage.replacement import PARTIAL_MARK, partial_path, sync_folder


@contextmanager
def locked_store(folder: Path, check: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Be the only process that writes an unfinished store; another one is waited for.

    Args:
        folder: of the store, made if it is not there.
        check: called before, and again after another process has ended; may raise.
    """
    while True:
        check()
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / FOLDER_LOCK).open("ab") as file:
            if not try_lock(file):
                message = "another process is writing %s; waiting for it"
                logging.getLogger(__name__).info(message, folder)
                wait_for_lock(file)
            if lies_at(file, folder / FOLDER_LOCK):
                yield
                return


def clear_stale_stores(path: Path, own_folder: Path) -> None:
    """Delete what killed writers of the same store left behind, unless one of them is alive.

    Args:
        path: that the store will have.
        own_folder: unfinished store that stays.
    """
    for folder in path.parent.glob(f"{escape(path.name)}{PARTIAL_MARK}*"):
        is_ours = (folder / FOLDER_LOCK).is_file() or any(folder.glob(f"*/{ARRAY_FILE}"))
        if folder != own_folder and is_ours and is_unlocked(folder / FOLDER_LOCK):
            logging.getLogger(__name__).info("deleting %s, which is not whole", folder)
            shutil.rmtree(folder, ignore_errors=True)


def publish_store(folder: Path, path: Path, *other_files: str) -> None:
    """Give a whole store its name, in place of the one that had it.

    Args:
        folder: of the store, locked by this process.
        path: that it gets.
        other_files: names of files in the folder that are no part of the store.
    """
    replaced = partial_path(path, f"replaced-{os.getpid()}")
    if path.exists():
        path.rename(replaced)
    for name in other_files:
        (folder / name).unlink(missing_ok=True)
    folder.rename(path)
    (path / FOLDER_LOCK).unlink(missing_ok=True)
    sync_folder(path.parent)
    shutil.rmtree(replaced, ignore_errors=True)
