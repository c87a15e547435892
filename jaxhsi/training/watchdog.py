"""A word in the place of silence: where a process waits that has computed nothing for long."""

import faulthandler
import importlib.metadata
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from jaxhsi.storage.replacement import write_errors_named

STALL_VARIABLE = "JAXHSI_STALL_SECONDS"
DEFAULT_STALL_SECONDS = 120.0
"""Time without work after which a process is said to wait; `JAXHSI_STALL_SECONDS` in its place. Set
by hand."""
BUSY_CORE_SHARE = 0.1
"""Share of a core that counts as work: progress bars alone take a few hundredths. Set by hand."""
_PACKAGES = ("jaxhsi", "jax", "jaxlib", "numpy", "tensorstore")


def stall_seconds() -> float:
    """The stated time, from the environment if it is given there; 0 turns the watchdog off.

    Raises:
        ValueError: the environment holds no number of seconds.
    """
    given = os.environ.get(STALL_VARIABLE, "")
    try:
        seconds = float(given or DEFAULT_STALL_SECONDS)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{STALL_VARIABLE}={given} is no time; give seconds, or 0 for no watchdog")
    return seconds


@contextmanager
def stall_watchdog(
    seconds: float | int = DEFAULT_STALL_SECONDS, write: Callable[[str], object] | None = None
) -> Iterator[None]:
    """Watch the process during the block; say so where it computes nothing for so many seconds.

    Nothing is ended: a slow disk or network may be all that it is. It is told again after twice,
    four times, ... the time, as long as nothing is computed.

    Args:
        seconds: without work; 0 for no watchdog.
        write: takes the message; standard error if not given.
    """
    if not seconds:
        yield
        return
    over, watched = threading.Event(), threading.current_thread().ident
    thread = threading.Thread(
        target=_watch, args=(over, seconds, watched, write or _to_standard_error), daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _to_standard_error(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _watch(
    over: threading.Event, seconds: float, watched: int | None, write: Callable[[str], object]
) -> None:
    limit, busy, worked = seconds, time.process_time(), time.monotonic()
    pause = min(1.0, seconds / 10)
    before = time.monotonic()
    while not over.wait(pause):
        now, used = time.monotonic(), time.process_time()
        if used - busy > BUSY_CORE_SHARE * (now - before):
            worked, limit = now, seconds
        elif now - worked >= limit:
            write(_message(now - worked, watched))
            limit *= 2
        before, busy = now, used


def _message(idle: float, watched: int | None) -> str:
    frame = sys._current_frames().get(watched or 0)
    return (
        f"nothing has been computed for {idle:.0f} s; waiting {_place(frame)}. A slow disk or "
        "network, or work on a GPU, may be all that it is. If it goes on, end the command with "
        f"Ctrl+C and report it with {_stacks()}, which holds what every thread is doing; "
        f"{STALL_VARIABLE}=0 turns this message off"
    )


def _place(frame: FrameType | None) -> str:
    """The innermost function of jaxhsi that is on the stack."""
    package = Path(__file__).parents[1]
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(package):
            return f"in {frame.f_code.co_name}, {path.relative_to(package.parent)}:{frame.f_lineno}"
        frame = frame.f_back
    return "outside of jaxhsi"


def _stacks() -> Path:
    """A file with the versions that are in use and the Python stacks of all threads."""
    path = Path(tempfile.gettempdir()) / f"jaxhsi-waiting-{os.getpid()}.txt"
    with write_errors_named(path), path.open("w") as file:
        print(*sys.argv, file=file)
        print("Python", sys.version, file=file)
        for name in _PACKAGES:
            print(name, importlib.metadata.version(name), file=file)
        print(os.cpu_count(), "cores", file=file, flush=True)
        faulthandler.dump_traceback(file)
    return path
