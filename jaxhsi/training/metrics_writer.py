"""What a run writes down while it goes: a line of JSON, TensorBoard events, a progress bar."""

import json
import logging
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from jaxhsi.storage.checksums import (
    DamagedFileError,
    check_listed_file,
    list_file,
    unlist_file,
)
from jaxhsi.storage.replacement import replace_text, write_errors_named
from jaxhsi.training.console import PlainTextColumn
from jaxhsi.training.event_file import EventFile
from jaxhsi.training.run_folder import repair_hint

METRICS_FILE = "metrics.jsonl"
TIME_PREFIX = "seconds/"  # of the names in lines of times
_LINE_CHECKSUM = re.compile(rb', "crc32": "([0-9a-f]{8})"\}\Z')
"""Last key of a line: the CRC-32 of all before it. A run that has not ended is in no list of
checksums, and its lines are read when it is resumed."""
_log = logging.getLogger(__name__)


class MetricsWriter:
    """Appends the diagnostics of steps to a run folder and shows the latest of them."""

    def __init__(
        self,
        folder: Path,
        first_step: int,
        last_step: int | None,
        summary_format: str = "loss {loss:.4f}, {active_clusters} active clusters",
    ):
        """Go on after ``first_step``: later lines, of a run that was cut, are dropped.

        Args:
            folder: of the run.
            first_step: the last step that was taken already.
            last_step: the last step to come, or None where the run ends by itself.
            summary_format: format of what stands beside the bar, with diagnostics by their names.
        """
        self._path = folder / METRICS_FILE
        self._path.parent.mkdir(parents=True, exist_ok=True)
        former_lines = _lines_until(self._path, first_step)
        unlist_file(self._path)
        replace_text(self._path, "".join(f"{line}\n" for line in former_lines))
        self._events = EventFile(folder / "events", first_step + 1)
        self._first, self._steps, self._summary = first_step, last_step, summary_format
        self._bar: Progress | None = None

    @contextmanager
    def open(self, *, show_bar: bool = True) -> Iterator["MetricsWriter"]:
        """Show the progress bar, if asked, during the block, and close the files after it."""
        if not show_bar:
            try:
                yield self
                list_file(self._path)
            finally:
                self._events.close()
            return
        columns = (
            PlainTextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            PlainTextColumn("{task.fields[summary]}"),
            TimeElapsedColumn(),
            PlainTextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns) as self._bar:
            self._task = self._bar.add_task(
                "training", total=self._steps, completed=self._first, summary=""
            )
            try:
                yield self
                list_file(self._path)
            finally:
                self._events.close()

    def advance_bar(self, step: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step)

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Write figures of one step: scalars, vectors, and NamedTuples of them."""
        row = {name: np.asarray(value).tolist() for name, value in _flat(values)}
        self._append(step, row)
        self._events.write(step, dict(_scalars(row)))
        if self._bar is not None and "loss" in row:  # figures of a look have none
            self._bar.update(self._task, summary=self._summary.format(**row))

    def write_timing(self, step: int, values: dict[str, float]) -> None:
        """Write what differs from run to run as a line of its own: the others stay the same."""
        self._append(step, values)
        self._events.write(step, values)

    def _append(self, step: int, row: dict[str, Any]) -> None:
        with write_errors_named(self._path), self._path.open("a") as file:
            file.write(_line_of({"step": step, **row}))


def read_metric_rows(path: Path) -> list[dict[str, Any]]:
    """Metrics of ``metrics.jsonl``, without times, and without a last line that was cut.

    Args:
        path: of the file; that of a run which has ended is checked.

    Raises:
        ValueError: the file is damaged.
    """
    check_listed_file(path, repair_hint(path.parent))
    *lines, last_line = path.read_bytes().split(b"\n")
    rows = [_row_of(line) for line in lines]
    if None in rows:
        reason = f"line {rows.index(None) + 1} cannot be read"
        raise DamagedFileError(path, reason, repair_hint(path.parent))
    last_row = _row_of(last_line)
    rows = [row for row in (*rows, last_row) if row is not None]
    return [row for row in rows if not any(name.startswith(TIME_PREFIX) for name in row)]


def _lines_until(path: Path, last_step: int) -> list[str]:
    """Lines of the steps up to one; the log says which of them cannot be read."""
    if not path.is_file():
        return []
    try:
        check_listed_file(path, "the lines that can be read are used")
    except DamagedFileError as error:
        _log.warning("%s", error)
    lines = path.read_bytes().split(b"\n")
    former_lines = []
    for number, line in enumerate(lines, 1):
        row = _row_of(line)
        if row is None and number < len(lines):
            _log.warning("%s: line %d is damaged and is left out of the curves", path, number)
        elif row is not None and row["step"] <= last_step:
            former_lines.append(line.decode())
    return former_lines


def _line_of(row: dict[str, Any]) -> str:
    """A line of the file, with its checksum as the last key."""
    body = json.dumps(row).removesuffix("}")
    return f'{body}, "crc32": "{zlib.crc32(body.encode()):08x}"}}\n'


def _row_of(line: bytes) -> dict[str, Any] | None:
    """What a line holds; None for one that was cut or changed. Earlier versions had no checksum."""
    match = _LINE_CHECKSUM.search(line)
    if match is not None:
        line = line[: match.start()]
        if zlib.crc32(line) != int(match[1], 16):
            return None
        line += b"}"
    try:
        row = json.loads(line)
    except ValueError:
        return None
    is_row = isinstance(row, dict) and isinstance(row.get("step"), int)
    # No diagnostic is a text: a line with one has a key of the checksum that was changed.
    return row if is_row and not any(isinstance(each, str) for each in row.values()) else None


def _flat(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if hasattr(value, "_asdict"):
            yield from ((f"{name}/{inner}", item) for inner, item in value._asdict().items())
        else:
            yield name, value


def _scalars(row: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in row.items():
        if isinstance(value, list):
            yield from ((f"{name}/{i}", item) for i, item in enumerate(value))
        else:
            yield name, value
