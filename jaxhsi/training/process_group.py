"""Processes of one command: how they meet, and how the end of one is the end of all.

JAX runs the same program in all of them. Where one fails, the others would wait for it in the next
step: each says how it ends in the store of the coordinator, the first process, and looks there
what the others say. One that says nothing, since it was killed or its machine is lost, is missed
by JAX after a stated time, or at once where a connection breaks off.
"""

import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
from jax.experimental import multihost_utils

from jaxhsi.training.cluster_task import DEFAULT_TIMEOUT_SECONDS, ProcessPlace

START_TIMEOUT_SECONDS = 300
"""Time that the processes have to meet: machines start one after the other. JAX's default."""
POLL_SECONDS = 0.5
"""Time between two looks at what the other processes say; set by hand."""
READ_SECONDS = 2.0
"""Time that the others have to read why the first process fails; set by hand."""

_FOLDER = "jaxhsi/end"
_STATUS_PATTERN = re.compile(r"[A-Z]+(_[A-Z]+)?: ")  # of errors of XLA, such as "UNKNOWN: "
_LOST_WORDS = ("gloo", "nccl", "connection", "unavailable", "coordination", "socket", "heartbeat")
_log = logging.getLogger(__name__)


class ProcessEnding(NamedTuple):
    """How a process has ended.

    Attributes:
        process_id: its number; -1 where that is not known.
        code: its exit code.
        sentence: what it has said of an error; empty where another process has caused its end.
    """

    process_id: int
    code: int
    sentence: str


@dataclass
class _Membership:
    """The processes that this one works with, if any."""

    group: "ProcessGroup | None" = None


_membership = _Membership()


def leave_processes() -> None:
    """Work alone from here on, where this process worked with others; see `ProcessGroup.leave`."""
    if _membership.group is not None:
        _membership.group.leave()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A block that is brought to its end though another process has failed."""
    with _membership.group.working if _membership.group else nullcontext():
        yield


def join_processes(place: ProcessPlace, timeout: float = DEFAULT_TIMEOUT_SECONDS) -> "ProcessGroup":
    """Meet the other processes of this command; must be called before JAX computes anything.

    Args:
        place: of this process, see `cluster_task.process_place`.
        timeout: seconds without a sign of life after which a process counts as lost.

    Raises:
        ConnectionError: the others were not met.
    """
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # Its handler of SIGTERM would take the place of ours, see `stop_signals`.
    jax.config.update("jax_enable_preemption_service", False)
    whole_timeout = max(1, round(timeout))
    try:
        jax.distributed.initialize(
            place.coordinator,
            place.num_processes,
            place.process_id,
            cluster_detection_method=place.launcher or "deactivate",
            initialization_timeout=START_TIMEOUT_SECONDS,
            heartbeat_timeout_seconds=whole_timeout,
            shutdown_timeout_seconds=whole_timeout,
        )
    except RuntimeError as error:
        where = f" at {place.coordinator}" if place.coordinator else ""
        raise ConnectionError(
            f"process {place.process_id} of {place.num_processes} has not met the others{where} "
            f"({_first_line(error)}); start all of them within {START_TIMEOUT_SECONDS} s with the "
            "same coordinator: the machine of process 0, by a name that the others can reach, and "
            "a port that is free there"
        ) from error
    _separate_output(is_first=place.process_id == 0)
    for platform in ("cuda", "rocm"):
        jax.config.update(f"jax_{platform}_visible_devices", place.visible_devices)
    say = _log.info if place.process_id == 0 else _log.debug
    say(
        "%d processes (%s) work as one, on %d devices; --num_processes 1 lets each work alone. A "
        "process that is killed ends the others within %d s (--process_timeout)",
        *(place.num_processes, place.origin, jax.device_count(), whole_timeout),
    )
    _membership.group = ProcessGroup(place.process_id, place.num_processes)
    # Gloo opens connections in the first collective, for which it waits 30 s: now, while all are
    # here, not after data that one of them reads more slowly.
    multihost_utils.sync_global_devices(_FOLDER)
    return _membership.group


class ProcessGroup:
    """The processes of this command, of which this is one.

    Attributes:
        process_id: number of this one; 0 is the first, which writes and is the coordinator.
        num_processes: how many there are.
        working: lock of work that is brought to its end though another process has failed.
    """

    def __init__(self, process_id: int, num_processes: int):
        """Begin to look at what the others say.

        Args:
            process_id: number of this process.
            num_processes: how many there are.
        """
        from orbax.checkpoint import multihost

        self.process_id, self.num_processes = process_id, num_processes
        self._store = multihost.get_jax_distributed_client()
        self._code, self._is_over, self.working = 0, threading.Event(), threading.RLock()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def loss_of_process(self, error: BaseException) -> ProcessEnding | None:
        """How another process has ended that has caused an error; None for other errors.

        Args:
            error: that a computation over all processes has raised.
        """
        text = str(error)
        if self._is_over.is_set() or not _STATUS_PATTERN.match(text):
            return None
        if (failure := self._failure()) is not None:
            return failure._replace(sentence=self._sentence(failure))
        if not any(word in text.lower() for word in _LOST_WORDS):
            return None
        return ProcessEnding(
            process_id=-1,
            code=1,
            sentence="the connection to another process broke off: it was killed, or its machine "
            f"or the network failed; its own output may say more ({_first_line(error)})",
        )

    def leave(self) -> None:
        """Work alone from here on; waits until all processes are here."""
        if self._is_over.is_set():
            return
        self._is_over.set()
        self._thread.join()
        try:
            jax.distributed.shutdown()
        except RuntimeError as error:
            _log.warning("a process did not end with the others (%s)", _first_line(error))

    def fail(self, code: int, sentence: str) -> None:
        """Tell the others why this process fails, and end it; does nothing once it works alone.

        Args:
            code: exit code.
            sentence: what it has said of the error.
        """
        if self._is_over.is_set():
            return
        self._code = code
        self._say(code, sentence)
        start = time.monotonic()
        # What the first process says is gone with it.
        while self.process_id == 0 and len(self._endings()) < self.num_processes:
            if time.monotonic() - start > READ_SECONDS:
                break
            time.sleep(POLL_SECONDS / 5)
        _end_process(code)

    def _say(self, code: int, sentence: str) -> None:
        with suppress(RuntimeError):  # the first process is gone
            value = json.dumps([code, sentence])
            self._store.key_value_set(f"{_FOLDER}/{self.process_id}", value, allow_overwrite=True)

    def _endings(self) -> dict[int, ProcessEnding]:
        """How processes have ended, by their numbers."""
        entries: list[tuple[str, str]] = []
        with suppress(RuntimeError):  # the first process is gone: JAX ends this one
            entries = self._store.key_value_dir_get(_FOLDER)
        endings = [
            ProcessEnding(int(key.rpartition("/")[2]), *json.loads(value)) for key, value in entries
        ]
        return {ending.process_id: ending for ending in endings}

    def _failure(self) -> ProcessEnding | None:
        """Of a process that has failed by itself, in another way than this one."""
        failures = [each for each in self._endings().values() if each.sentence]
        return next((each for each in failures if each.code != self._code), None)

    def _sentence(self, ending: ProcessEnding) -> str:
        return f"process {ending.process_id} of {self.num_processes} ended: {ending.sentence}"

    def _watch(self) -> None:
        while not self._is_over.wait(POLL_SECONDS):
            if (failure := self._failure()) is None:
                continue
            with self.working:
                self._say(failure.code, "")
                print(f"error: {self._sentence(failure)}", file=sys.stderr)
                _end_process(failure.code)


def _separate_output(*, is_first: bool) -> None:
    """Keep what Gloo prints from C++ out of the results on standard output."""
    with suppress(OSError, ValueError):  # no such file: the output is that of a test
        number = sys.stdout.fileno()
        own_output = os.fdopen(os.dup(number), "w", buffering=1, encoding=sys.stdout.encoding)
        with open(os.devnull, "wb") as nowhere:
            os.dup2(sys.stderr.fileno() if is_first else nowhere.fileno(), number)
        sys.stdout = own_output


def _end_process(code: int) -> None:
    """End at once: other threads, and JAX at exit, would wait for processes that are gone."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _first_line(error: Any) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
