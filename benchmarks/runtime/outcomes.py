"""Outcomes of faults: what is counted, and how a command that was run is judged."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.machine import module_environment

OUTCOMES = ("right", "refused", "lost", "stuck", "wrong", "unclear")
"""The result is that of an undisturbed command, or says what it lacks; an error says what is wrong
and names it; what was there before is gone; no command leads on; a result that is not right,
without a word; an error that names nothing, or a traceback."""


class Ended(NamedTuple):
    """A command that ended.

    Attributes:
        code: its exit code; -9 where it was killed.
        text: standard output and error.
        seconds: that it took.
        timed_out: it was ended after the longest time that a command may take.
    """

    code: int
    text: str
    seconds: float
    timed_out: bool = False


class Try(NamedTuple):
    """One fault.

    Attributes:
        kind: of fault, such as "kill".
        subject: what it was done to, such as "predict".
        detail: how, such as "before event 12 of 40".
        outcome: one of `OUTCOMES`.
        message: what the command said, where the outcome is not "right".
    """

    kind: str
    subject: str
    detail: str
    outcome: str
    message: str = ""


def run(
    arguments: list[str],
    *,
    folder: Path | None = None,
    seconds: float = 150.0,
    environment: Mapping[str, str] | None = None,
    module: str = "jaxhsi",
) -> Ended:
    """Run a command of jaxhsi, or another module, in a process of its own."""
    began = time.perf_counter()
    process = begin(arguments, folder=folder, environment=environment, module=module)
    try:
        text, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        text, _ = process.communicate()
        return Ended(-9, text, time.perf_counter() - began, timed_out=True)
    return Ended(process.returncode, text, time.perf_counter() - began)


def begin(
    arguments: list[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    module: str = "jaxhsi",
) -> subprocess.Popen:
    """Start a command and return its process."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=module_environment() | {"COLUMNS": "1000"} | dict(environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def judged(ended: Ended, names: tuple[str, ...], is_right: bool, *, may_lack: bool = False) -> str:
    """Outcome of a command that met a fault.

    Args:
        ended: the command.
        names: of what the fault is in; an error that is clear has one of them.
        is_right: its result is that of an undisturbed command.
        may_lack: a result is right too that is without what is gone, where the command says so.

    >>> judged(Ended(1, "error: run/tree.json is damaged", 1.0), ("tree.json",), False)
    'refused'
    >>> judged(Ended(0, "", 1.0), ("tree.json",), False)
    'wrong'
    """
    if ended.timed_out:
        return "stuck"
    if ended.code == 0:
        says_lack = may_lack and any(name in ended.text for name in names)
        return "right" if is_right or says_lack else "wrong"
    has_name = not names or any(name in ended.text for name in names)
    is_clear = "Traceback" not in ended.text and "error" in ended.text.lower() and ended.code > 0
    return "refused" if is_clear and has_name else "unclear"


def last_words(ended: Ended) -> str:
    """The end of what a command said, for a report."""
    lines = [line for line in ended.text.splitlines() if line.strip() and "--verbose" not in line]
    return f"[{ended.code}] {' / '.join(lines[-2:])[-400:]}"


def count_outcomes(tries: list[Try]) -> list[dict[str, Any]]:
    """How many tries of each kind and subject had each outcome."""
    counts: dict[tuple[str, str], Counter] = {}
    for one in tries:
        counts.setdefault((one.kind, one.subject), Counter())[one.outcome] += 1
    return [
        {"kind": kind, "subject": subject, "tried": each.total()}
        | {outcome: each[outcome] for outcome in OUTCOMES}
        for (kind, subject), each in counts.items()
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table of what `count_outcomes` counted, with the sum."""
    numbers = ("tried", *OUTCOMES)
    total = {name: sum(row[name] for row in rows) for name in numbers}
    rows = [*rows, {"kind": "all", "subject": ""} | total]
    header = ("fault", "command", *numbers)
    lines = [header, ("---",) * len(header)]
    lines += [(row["kind"], row["subject"], *(row[name] for name in numbers)) for row in rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def append_try(path: Path, one: Try) -> None:
    """Add a line to the log of tries, so that nothing is lost where the benchmark is ended."""
    with path.open("a") as log:
        log.write(json.dumps(one._asdict()) + "\n")
        log.flush()
        os.fsync(log.fileno())
