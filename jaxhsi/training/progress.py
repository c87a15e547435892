"""Progress of a long computation, shown as bars on a terminal."""

from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from jaxhsi.training.console import PlainTextColumn


class ProgressBars(AbstractContextManager["ProgressBars"]):
    """One line a stage, with a bar, the time it has taken and what is left."""

    def __init__(self, console: Console | None = None):
        """Show nothing yet."""
        self._progress = Progress(
            PlainTextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            PlainTextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            PlainTextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._stages: dict[str, TaskID] = {}

    def __enter__(self) -> "ProgressBars":
        """Begin to show."""
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; what was shown stays on the screen."""
        self._progress.stop()

    def __call__(self, stage: str, done: int, total: int | None = None, note: str = "") -> None:
        """Move the bar of a stage; another stage ends those before it."""
        if stage not in self._stages:
            for task in self._stages.values():
                self._progress.stop_task(task)
            self._stages[stage] = self._progress.add_task(stage, total=total, note=note)
        self._progress.update(self._stages[stage], completed=done, total=total, note=note)
