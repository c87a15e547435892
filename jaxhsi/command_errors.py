"""Errors of commands as sentences: what failed, at which file, and what to do."""

import errno
import inspect
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

USER_ERRORS = (ValueError, OSError, ImportError, FloatingPointError, MemoryError, yaml.YAMLError)
"""Errors that a user can do something about; all others are faults of the program."""

_NO_SPACE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your quota of the disk is used up",
    errno.EFBIG: "the file is larger than this process or file system allows",
    errno.EROFS: "the disk is read-only",
}
"""Errors of writing that free space, or another place, mends."""

_NO_SPACE_WORDS = {
    "No space left on device": errno.ENOSPC,
    "ENOSPC": errno.ENOSPC,
    "Disk quota exceeded": errno.EDQUOT,
    "File too large": errno.EFBIG,
    "Read-only file system": errno.EROFS,
}
"""The same in messages of TensorStore, Orbax and GDAL."""


def error_sentence(error: BaseException, output: Path | None = None, way_on: str = "") -> str:
    """What is said of an error that ended a command.

    Args:
        error: that ended it.
        output: file or folder that the command writes, for errors that name no file.
        way_on: how to go on when there is space again.

    >>> error_sentence(ValueError("a.npy has no bands"))
    'a.npy has no bands'
    """
    chain = list(_causes(error))
    for cause in chain:
        if (problem := _space_problem(cause)) is not None:
            return _space_sentence(problem, chain, output, way_on)
    if isinstance(error, MemoryError):
        reason = f" ({error})" if str(error) else ""
        return (
            f"there is not enough memory{reason}; end other programs, or give smaller batches or "
            "tiles, or data with fewer bands"
        )
    if isinstance(error, yaml.YAMLError):
        return f"a YAML file cannot be read: {' '.join(str(error).split())}; mend or remove it"
    if isinstance(error, USER_ERRORS):
        return str(error)
    return (
        f"jaxhsi failed where it should not: {type(error).__name__}: {_first_line(error)}, "
        f"{_place(error)}. A file that is damaged may be the cause; if none is, report it with "
        "what --verbose shows"
    )


def is_lack_of_space(error: BaseException) -> bool:
    """Whether an error arose because a disk is full, or cannot be written to.

    Args:
        error: of any library.
    """
    return any(_space_problem(cause) is not None for cause in _causes(error))


class LackOfSpaceFilter(logging.Filter):
    """Keeps back what other libraries log at length of a full disk, which the command says once."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a message is shown.

        Args:
            record: the message.
        """
        error = record.exc_info[1] if record.exc_info else None
        return error is None or record.name.startswith("jaxhsi") or not is_lack_of_space(error)


def silence_late_errors() -> None:
    """Say no more of a full disk: threads and files that are closed at exit fail on it again."""
    threading.excepthook = sys.unraisablehook = lambda _: None
    sys.excepthook = lambda *_: None


@contextmanager
def thread_errors_as_sentences(output: Path | None) -> Iterator[None]:
    """Errors of threads during the block, said once each in the place of a traceback.

    Where a disk is full every thread that writes says so. Where the block itself ends with an error
    that is all that is said.

    Args:
        output: file or folder that the command writes.
    """
    errors: list[BaseException] = []

    def collect(arguments: Any) -> None:
        if arguments.exc_value is not None:
            errors.append(arguments.exc_value)

    def collect_of_library(_: type[BaseException], error: BaseException, __: Any) -> None:
        if not _is_of_closed_loop(error):
            errors.append(error)

    def collect_unraisable(arguments: Any) -> None:
        if is_lack_of_space(arguments.exc_value):
            errors.append(arguments.exc_value)
            return
        is_of_failure = not is_whole and inspect.iscoroutine(arguments.object)
        if not is_of_failure and not _is_of_closed_loop(arguments.exc_value):
            unraisable_hook(arguments)

    previous, unraisable_hook = (threading.excepthook, sys.excepthook), sys.unraisablehook
    threading.excepthook, sys.excepthook = collect, collect_of_library
    sys.unraisablehook = collect_unraisable
    is_whole = True
    try:
        yield
    except BaseException:
        is_whole = False
        raise
    finally:
        threading.excepthook, sys.excepthook = previous
        if is_whole:  # else what was to be read or written beside fails as it is cleared away
            sys.unraisablehook = unraisable_hook
    for sentence in dict.fromkeys(error_sentence(error, output) for error in errors):
        logging.getLogger(__name__).warning("WARNING a part of the work failed: %s", sentence)


def _is_of_closed_loop(error: BaseException) -> bool:
    """Whether a thread of a library in C++ called an event loop that a full disk has closed."""
    return "Event loop is closed" in str(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those that led to it, each once."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _space_problem(error: BaseException) -> int | None:
    """The number of an error of writing; None for other errors."""
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return error.errno
    return next((number for words, number in _NO_SPACE_WORDS.items() if words in str(error)), None)


def _space_sentence(
    problem: int, chain: list[BaseException], output: Path | None, way_on: str
) -> str:
    file = next((path for error in chain if (path := _named_file(error))), None)
    place = file or (None if output is None else str(output))
    subject = f"{place} cannot be written" if place else "a file cannot be written"
    folder = _existing_folder(Path(place or "."))
    free = ""
    if problem == errno.ENOSPC and folder is not None and hasattr(os, "statvfs"):
        state = os.statvfs(folder)
        free = f" ({state.f_bavail * state.f_frsize / 1e6:,.1f} MB are free in {folder})"
    return (
        f"{subject}: {_NO_SPACE[problem]}{free}; free some space or name another folder; then "
        f"{way_on or 'run the command again'}"
    )


def _named_file(error: BaseException) -> str | None:
    """The file that an error names, by itself or in its words."""
    if isinstance(error, OSError) and error.filename is not None:
        return os.fsdecode(error.filename)
    match = re.search(r'["\'](/[^"\']+)["\']', str(error))
    return match[1] if match else None


def _existing_folder(path: Path) -> Path | None:
    with suppress(OSError):
        return next((each for each in (path, *path.absolute().parents) if each.is_dir()), None)
    return None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no message"


def _place(error: BaseException) -> str:
    """The innermost line of jaxhsi that the error passed through."""
    package = Path(__file__).parent
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(package):
            return f"{path.relative_to(package.parent)}:{frame.lineno}"
    return "outside of jaxhsi"
