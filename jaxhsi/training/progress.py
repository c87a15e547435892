"""Progress of a long computation, shown as bars on a terminal."""

from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from jaxhsi.training.console import PlainTextColumn

_TIME_WIDTH = 7
"""Characters of 0:00:00, which narrow screens are not to cut."""


class StepColumn(MofNCompleteColumn):
    """Steps of how many; without an end only the steps, and nothing before the first."""

    def render(self, task: Task) -> Text:
        """The steps of a stage.

        Args:
            task: the stage.
        """
        if task.total is not None:
            return super().render(task)
        return Text(f"{int(task.completed)}" if task.completed else "", "progress.download")


class TimeLeftColumn(TimeRemainingColumn):
    """The time left, while there is an end and it is not reached."""

    def render(self, task: Task) -> Text:
        """The time left of a stage.

        Args:
            task: the stage.
        """
        if task.total is None or task.completed >= task.total:
            return Text("")
        return Text.assemble("left ", super().render(task))


class ProgressBars(AbstractContextManager["ProgressBars"]):
    """One line a stage, with a bar, the time it has taken and what is left."""

    def __init__(self, console: Console | None = None):
        """Show nothing yet."""
        self._progress = Progress(
            PlainTextColumn("{task.description}"),
            BarColumn(),
            StepColumn(),
            PlainTextColumn("{task.fields[note]}"),
            TimeElapsedColumn(table_column=Column(min_width=_TIME_WIDTH, no_wrap=True)),
            TimeLeftColumn(),
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
