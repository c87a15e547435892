"""Files that are the old one or the whole new one at any time, whatever ends the process.

A file or folder is written under another name beside its own, which holds `PARTIAL_MARK`, and gets
its own name when it is whole and on the disk. Readers pass over such names; the next writer of the
same file clears what a killed one left behind.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from jaxhsi.storage.file_lock import lies_at, try_lock

PARTIAL_MARK = ".partial"
"""In the names of all files and folders that are not whole."""


def partial_path(path: Path, key: str = "") -> Path:
    """Where a file or folder is written before it gets its name.

    Args:
        path: that it will have.
        key: tells several writers of it apart.

    >>> partial_path(Path("run/areas.csv")).name, partial_path(Path("a.zarr"), "3f").name
    ('areas.csv.partial', 'a.zarr.partial-3f')
    """
    return path.with_name(f"{path.name}{PARTIAL_MARK}{f'-{key}' if key else ''}")


def is_partial(path: Path) -> bool:
    """Whether a name is that of a file or folder which is not whole.

    >>> is_partial(Path("a.zarr.partial-3f")), is_partial(Path("a.zarr"))
    (True, False)
    """
    return PARTIAL_MARK in path.name


@contextmanager
def write_errors_named(path: Path) -> Iterator[None]:
    """Errors of writing get the name of the file, which Python leaves out.

    Args:
        path: that is written during the block.

    Raises:
        OSError: of the block, with the name.

    >>> import errno
    >>> with write_errors_named(Path("map.tif")):
    ...     raise OSError(errno.ENOSPC, "No space left on device")
    Traceback (most recent call last):
    OSError: [Errno 28] No space left on device: 'map.tif'
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def replace_file(
    path: Path, mode: str = "w", *, sync: bool = True, **open_options: Any
) -> Iterator[IO]:
    """Open a file for writing, which takes the place of that at ``path`` when the block ends.

    On an error, or if the process is killed, the file at ``path`` stays as it was.

    Args:
        path: of the file; its folder is made if needed.
        mode: "w", "wb" or "w+b".
        sync: bring it to the disk before it gets its name; without, a loss of power may cut it.
        **open_options: as of `open`, such as ``newline``; text is UTF-8.

    Raises:
        BlockingIOError: another process writes the same file.
        OSError: the disk is full, or cannot be written to; names the file.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "scores.txt"
    >>> with replace_file(path) as file:
    ...     _ = file.write("0.97")
    >>> path.read_text(), [each.name for each in path.parent.iterdir()]
    ('0.97', ['scores.txt'])
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if "b" not in mode:
        open_options.setdefault("encoding", "utf-8")
    temporary = partial_path(path)
    with (
        write_errors_named(path),
        _locked_file(temporary),
        temporary.open(mode, **open_options) as file,
    ):
        try:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    if sync:
        sync_folder(path.parent)


@contextmanager
def replace_path(path: Path) -> Iterator[Path]:
    """Give a path to write to by other libraries; what is there takes the place of ``path``.

    Args:
        path: of the file; its folder is made if needed.

    Raises:
        OSError: the disk is full, or cannot be written to; names the file.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "map.tif"
    >>> with replace_path(path) as temporary:
    ...     _ = temporary.write_text("a map")
    >>> path.read_text()
    'a map'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = partial_path(path)
    temporary.unlink(missing_ok=True)  # of a writer that was killed
    try:
        with write_errors_named(path):
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def replace_text(path: Path, text: str, *, sync: bool = True) -> None:
    """Write a text file in place of the one at ``path``, in one step.

    Args:
        path: of the file; its folder is made if needed.
        text: its content.
        sync: see `replace_file`.
    """
    with replace_file(path, sync=sync) as file:
        file.write(text)


def sync_folder(folder: Path) -> None:
    """Bring names that were given in a folder to the disk, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _locked_file(path: Path) -> Iterator[None]:
    """Hold the lock of a file, made if it is not there, against other writers of it."""
    while True:
        with path.open("ab") as file:
            if not try_lock(file):
                raise BlockingIOError(
                    f"{path} is being written by another process; wait until that has ended"
                )
            if lies_at(file, path):  # else another writer gave it its name as we came
                yield
                return
