"""A trace of a few steps of a command by JAX's profiler, for Perfetto and XProf."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import jax

Item = TypeVar("Item")
PROFILE_FOLDER = "profile"
"""Folder of the trace, in that of the run or of the results."""
WARM_UP_STEPS = 3
"""Steps before the trace: the first one compiles, and read-ahead fills while the next ones run."""
TRACED_STEPS = 5
"""Steps in the trace. Set by hand: enough to see which repeats, for a few megabytes."""


class StepProfiler:
    """Traces `TRACED_STEPS` steps after `WARM_UP_STEPS`; fewer where a command has fewer.

    What leaves the block ends a trace that runs, a request to stop too: it is then written with
    the steps so far.

    >>> with StepProfiler(None) as profiler:  # without a folder: no trace
    ...     profiler.next_step()
    """

    def __init__(
        self, folder: Path | None, unit: str = "steps", say: Callable[[str], None] = print
    ):
        """Trace nothing yet.

        Args:
            folder: of the run, or None for no trace.
            unit: what a step is, for messages.
            say: called at the end with what was traced and how to open it.
        """
        self._folder = None if folder is None else folder / PROFILE_FOLDER
        self._unit, self._say = unit, say
        self._warm_up, self._first_number = WARM_UP_STEPS, 1
        self._num_steps, self._num_traced = 0, 0
        self._is_tracing = False

    def expect_steps(self, num_steps: int, first_number: int = 1) -> None:
        """Say how many steps there will be: of a few, a shorter warm-up leaves some to trace.

        Args:
            num_steps: of the command, at least.
            first_number: number of the first one, for messages.
        """
        self._warm_up = min(WARM_UP_STEPS, max(num_steps - TRACED_STEPS, min(num_steps - 1, 1), 0))
        self._first_number = first_number

    def next_step(self, computed: Any = ()) -> None:
        """A step begins: start the trace, or end it.

        Args:
            computed: arrays of the step before, which the trace waits for where it starts or ends.
        """
        if self._folder is None:
            return
        if self._is_tracing and self._num_traced == TRACED_STEPS:
            jax.block_until_ready(computed)
            self.stop()
        if self._num_steps == self._warm_up and not self._is_tracing:
            jax.block_until_ready(computed)
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # calls of Python functions would fill the trace
            jax.profiler.start_trace(self._folder, profiler_options=options)
            self._is_tracing = True
        self._num_steps += 1
        self._num_traced += self._is_tracing

    def trace_items(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items of an iterable, each of them a step.

        Args:
            items: computed as they are asked for.
        """
        iterator = iter(items)
        while True:
            self.next_step()
            try:
                item = next(iterator)
            except StopIteration:
                self._num_steps -= 1  # there was none
                self._num_traced -= self._is_tracing
                return
            yield item

    def stop(self) -> None:
        """End a trace that runs; later steps are not traced."""
        if self._is_tracing:
            self._is_tracing = False
            jax.profiler.stop_trace()

    def _sentence(self) -> str:
        if not self._num_traced:
            return f"no profile: there were only {self._num_steps} {self._unit}"
        first = self._first_number + self._warm_up
        [*_, path] = sorted(self._folder.glob("plugins/profile/*/*.trace.json.gz"))
        compiling = "" if self._warm_up else ", compilation included"
        return (
            f"profile of {self._unit} {first} to {first + self._num_traced - 1}{compiling}: open "
            f"{path} at https://ui.perfetto.dev, or: pip install xprof && "
            f"xprof --logdir {self._folder}"
        )

    def __enter__(self) -> "StepProfiler":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End a trace that runs, and say where it is."""
        self.stop()
        if self._folder is not None:
            self._say(self._sentence())
