"""Commands end in an orderly way at Ctrl+C and at SIGTERM: in one line, after what is half done.

A signal raises :class:`StopRequest` where the command is, but inside of :func:`deferred_stop`,
which a training loop puts around its steps: it saves first. A second signal ends the process at
once.
"""

import _thread
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

SIGNALS = {signal.SIGINT: "Ctrl+C", signal.SIGTERM: "SIGTERM"}
"""Signals that ask a command to stop, as messages call them."""


_ASK_AGAIN_SECONDS = 0.02
"""Time until a request that was lost is made again."""


class StopRequest(KeyboardInterrupt):
    """A signal asked the process to stop.

    Attributes:
        signal_number: of the signal.
        saved: what is saved, such as "step 12 is saved"; empty where nothing is to be said.
        way_on: how to go on, where `set_way_on` has said it.
        is_common: all processes of a training stop after the same step.
    """

    def __init__(self, signal_number: int):
        super().__init__(SIGNALS.get(signal.Signals(signal_number), str(signal_number)))
        self.signal_number, self.saved, self.is_common = signal_number, "", False
        self.way_on = _requests.way_on

    @property
    def exit_code(self) -> int:
        """What shells expect of a process that a signal ended."""
        return 128 + self.signal_number

    def sentence(self, way_on: str = "") -> str:
        """What is said of the stop.

        Args:
            way_on: how to go on, where `set_way_on` has said nothing.
        """
        parts = [f"stopped by {self}", self.saved, self.way_on or way_on]
        return "; ".join(part for part in parts if part)


def as_stop_request(interruption: KeyboardInterrupt) -> StopRequest:
    """An interruption as a request; one that no handler made is of Ctrl+C.

    Args:
        interruption: that ended a command.
    """
    if isinstance(interruption, StopRequest):
        return interruption
    return StopRequest(signal.SIGINT)


@dataclass
class _Requests:
    """The state of the handlers, which belong to the process."""

    is_installed: bool = False
    signal_number: int | None = None
    num_deferrals: int = 0
    way_on: str = ""


_requests = _Requests()


class Deferral:
    """A stretch of work that ends before a request to stop counts.

    Attributes:
        saved: what is saved when the stretch ends, for the message.
        common_number: signal that all processes of a training stop at, after the same step.
    """

    saved: str = ""
    common_number: int = 0

    @property
    def is_requested(self) -> bool:
        """Whether a signal has asked to stop."""
        return self.signal_number != 0

    @property
    def signal_number(self) -> int:
        """Number of the signal that has asked to stop, 0 for none."""
        own_number = _requests.signal_number if _requests.is_installed else None
        return self.common_number or own_number or 0


@contextmanager
def stop_signals() -> Iterator[None]:
    """Handle the signals during the block; does nothing inside of another, or in another thread."""
    if _requests.is_installed or threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, _handle) for number in SIGNALS}
    previous_hook, sys.unraisablehook = sys.unraisablehook, _handle_unraisable
    _requests.is_installed, _requests.signal_number, _requests.way_on = True, None, ""
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if sys.unraisablehook is _handle_unraisable:  # else it was changed for the end of a command
            sys.unraisablehook = previous_hook
        _requests.is_installed = False


@contextmanager
def deferred_stop() -> Iterator[Deferral]:
    """A block that sees a request to stop and is to end soon; the request counts after it.

    Raises:
        StopRequest: after the block, where a signal came during it.

    >>> with deferred_stop() as deferral:
    ...     deferral.is_requested
    False
    """
    deferral = Deferral()
    _requests.num_deferrals += 1
    try:
        yield deferral
    finally:
        _requests.num_deferrals -= 1
    if deferral.is_requested and not _requests.num_deferrals:
        request = StopRequest(deferral.signal_number)
        request.saved, request.is_common = deferral.saved, deferral.common_number != 0
        raise request


def set_way_on(way_on: str) -> None:
    """Say how to go on if a request to stop comes from now on.

    Args:
        way_on: such as "go on with: jaxhsi train dgc --out runs/dgc-1 --resume".
    """
    _requests.way_on = way_on


def requested_stop() -> StopRequest | None:
    """The request that came during this command, None where none did.

    Libraries in C turn a request that reaches them into errors of their own.
    """
    number = _requests.signal_number
    return None if number is None else StopRequest(number)


def current_way_on() -> str:
    """What `set_way_on` has said in this command; empty where it has said nothing."""
    return _requests.way_on


def _handle_unraisable(arguments: Any) -> None:
    """Ask again where a request came in a place that no error can leave, such as a ``__del__``."""
    if isinstance(arguments.exc_value, StopRequest):
        _requests.signal_number = None
        # Not from here, where the handler would run inside of this hook.
        number = arguments.exc_value.signal_number
        threading.Timer(_ASK_AGAIN_SECONDS, _thread.interrupt_main, (number,)).start()
    else:
        sys.__unraisablehook__(arguments)


def _handle(signal_number: int, _: FrameType | None) -> None:
    if _requests.signal_number is not None:
        os._exit(128 + signal_number)
    _requests.signal_number = signal_number
    if not _requests.num_deferrals:
        raise StopRequest(signal_number)
    # Not through sys.stderr, which may be in the middle of writing when a signal comes.
    text = "\nstopping after this step, which is saved; a second signal ends at once\n"
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, text.encode())
