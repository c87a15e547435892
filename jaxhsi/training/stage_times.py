"""Seconds that a command spends in its stages: reading, transfer, steps, labelling and others."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from jaxhsi.callbacks import OnProgress
from jaxhsi.storage.checksums import write_checked_json
from jaxhsi.training.metrics_writer import TIME_PREFIX

TIMES_FILE = "times.json"
"""Seconds of the stages of the last command that wrote into a folder."""


class StageTimes:
    """Seconds of each stage by its name, added up over calls and threads.

    Stages overlap where threads work side by side: their sum is not the time of the whole. JAX
    returns before devices have computed; a stage that ends where the command waits for them has
    their time too, see ``docs/outputs.md``.

    >>> times = StageTimes()
    >>> times.add("read", 1.5)
    >>> times.add("read", 0.5)
    >>> times.seconds()
    {'read': 2.0}
    """

    def __init__(self):
        """Begin the time of the whole."""
        self._start = time.perf_counter()
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    def add(self, stage: str, seconds: float) -> None:
        """Add to the time of a stage.

        Args:
            stage: name of the stage.
            seconds: to add.
        """
        with self._lock:
            self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage.

        Args:
            stage: name of the stage.
        """
        block_start = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - block_start)

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose calls are added to a stage.

        Args:
            stage: name of the stage.
            function: to call, in whatever threads.
        """

        @wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            with self.measure(stage):
                return function(*arguments, **options)

        return call

    def seconds(self) -> dict[str, float]:
        """Seconds of the stages so far, in the order in which these began."""
        with self._lock:
            return dict(self._seconds)

    def as_metrics(self) -> dict[str, float]:
        """Seconds of the stages so far, as a line of metrics names them.

        >>> times = StageTimes()
        >>> times.add("step", 2.0)
        >>> times.as_metrics()
        {'seconds/step': 2.0}
        """
        return {f"{TIME_PREFIX}{stage}": round(s, 3) for stage, s in self.seconds().items()}

    def total(self) -> float:
        """Seconds since this object was made."""
        return time.perf_counter() - self._start

    def sentence(self) -> str:
        """The stages in a line.

        >>> times = StageTimes()
        >>> times.add("label", 61.04)
        >>> times.sentence()
        'time: 0.0 s, of it label 61.0 s'
        """
        parts = [f"{stage} {seconds:.1f} s" for stage, seconds in self.seconds().items()]
        return f"time: {self.total():.1f} s, of it {', '.join(parts)}"

    def write(self, folder: Path) -> None:
        """Write ``times.json``.

        Args:
            folder: of a run or of results.
        """
        rounded = {stage: round(seconds, 3) for stage, seconds in self.seconds().items()}
        record = {"total": round(self.total(), 3), "stages": rounded}
        write_checked_json(folder / TIMES_FILE, record)


class ProgressTimes:
    """Times the stages of a computation by what it reports: each ends where the next one begins.

    It is an `OnProgress`, and hands on what it is called with. Rounds and restarts of a stage are
    added up; the search for components is the ``step`` of the times.

    >>> times = StageTimes()
    >>> on_progress = ProgressTimes(times, lambda *_: None, "noise")
    >>> on_progress("components, restart 1 of 2", 20)
    >>> on_progress("components, restart 2 of 2", 20)
    >>> on_progress.close()
    >>> list(times.seconds())
    ['noise', 'step']
    """

    def __init__(self, times: StageTimes, on_progress: OnProgress, first_stage: str):
        """Begin the first stage.

        Args:
            times: that the stages are added to.
            on_progress: called with all that is reported.
            first_stage: what runs before the first report.
        """
        self._times, self._on_progress = times, on_progress
        self._stage, self._stage_start = first_stage, time.perf_counter()

    def __call__(self, stage: str, *progress: Any) -> None:
        """Take a report.

        Args:
            stage: name of the stage.
            *progress: as for `jaxhsi.callbacks.OnProgress`.
        """
        name = stage.split(",")[0].split(": ")[-1]
        name = "step" if name == "components" else name
        self.close()
        self._stage = name
        self._on_progress(stage, *progress)

    def close(self) -> None:
        """Add the time since the last report to the stage that runs."""
        now = time.perf_counter()
        self._times.add(self._stage, now - self._stage_start)
        self._stage_start = now
