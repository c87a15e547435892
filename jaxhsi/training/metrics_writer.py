"""What a run writes down while it goes: a line of JSON, TensorBoard events, a progress bar."""

import json
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
from tensorboardX import SummaryWriter

from jaxhsi.training.console import PlainTextColumn


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
        self._path = folder / "metrics.jsonl"
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        former_lines = [line for line in lines if _step_of(line) <= first_step]
        self._path.write_text("".join(f"{line}\n" for line in former_lines))
        self._events = SummaryWriter(str(folder / "events"), purge_step=first_step + 1)
        self._first, self._steps, self._summary = first_step, last_step, summary_format
        self._bar: Progress | None = None

    @contextmanager
    def open(self, *, show_bar: bool = True) -> Iterator["MetricsWriter"]:
        """Show the progress bar, if asked, during the block, and close the files after it."""
        if not show_bar:
            try:
                yield self
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
            finally:
                self._events.close()

    def advance_bar(self, step: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step)

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Write figures of one step: scalars, vectors, and NamedTuples of them."""
        row = {name: np.asarray(value).tolist() for name, value in _flat(values)}
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, **row}) + "\n")
        for name, value in _scalars(row):
            self._events.add_scalar(name, value, step)
        if self._bar is not None and "loss" in row:  # figures of a look have none
            self._bar.update(self._task, summary=self._summary.format(**row))

    def write_timing(self, step: int, values: dict[str, float]) -> None:
        """Write what differs from run to run into the events alone: the lines stay the same."""
        for name, value in values.items():
            self._events.add_scalar(name, value, step)


def _step_of(line: str) -> float:
    """Step of a line; infinity for one that was cut while being written."""
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return float("inf")


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
