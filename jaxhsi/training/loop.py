"""The training loop."""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from jax.sharding import Mesh
from jaxtyping import Array, Key

from jaxhsi.data.prefetch import BatchStream, DevicePrefetcher
from jaxhsi.dgc.state import Batch
from jaxhsi.process_sharding import shard_process_rows
from jaxhsi.sharding import compile_step, replicate, view_mesh
from jaxhsi.training.best_state import BestState, StateMonitor
from jaxhsi.training.finite_steps import (
    RefusedSteps,
    describe_bad_step,
    guarded_step,
    no_refused_steps,
)
from jaxhsi.training.metrics_writer import TIME_PREFIX
from jaxhsi.training.outputs import MetricsOutput, StateOutput
from jaxhsi.training.stage_times import StageTimes
from jaxhsi.training.step_profiler import StepProfiler
from jaxhsi.training.stop_agreement import StopAgreement
from jaxhsi.training.stop_signals import deferred_stop

LocateWindows = Callable[[Any, Sequence[int]], Sequence[str]]
"""``locate(position, indices)``: places of windows of the batch that a stream gives next."""


def run_training(
    key: Key[Array, ""],
    state: Any,
    step: Callable[..., tuple[Any, Any]],
    stream: BatchStream,
    mesh: Mesh,
    num_steps: int,
    metrics_writer: MetricsOutput,
    checkpoints: StateOutput,
    monitor: StateMonitor,
    *,
    batch_size: int,
    log_every: int = 10,
    save_every: int = 100,
    skip_bad_batches: bool = False,
    locate_windows: LocateWindows | None = None,
    times: StageTimes | None = None,
    profiler: StepProfiler | None = None,
) -> Any:
    """Take steps until ``state.step`` is ``num_steps``; returns the last state.

    The watch looks at the start, which is saved too, and at states on the way; a run that it finds
    degraded ends there. The key of a step is folded from its number, so that a resumed run draws
    what an uninterrupted one would. While a step runs the next batches are moved to the devices;
    the share of the time that steps waited for data, ``data_wait_share``, and the seconds of the
    stages so far go beside the metrics.
    A request to stop (see `jaxhsi.training.stop_signals`) ends the run after a step, saved; where
    several processes train together one of them is enough, and all end after the same step.

    Args:
        key: of all that is drawn.
        state: to begin with; it is used up.
        step: of the method.
        stream: of batches, or of this process's rows of them.
        mesh: devices.
        num_steps: number of the last step.
        metrics_writer: takes the metrics.
        checkpoints: takes the states.
        monitor: evaluates the states.
        batch_size: windows of a batch.
        log_every: steps between lines of metrics.
        save_every: steps between checkpoints.
        skip_bad_batches: leave out batches whose step is not finite, and say so, in the place of
            ending the run.
        locate_windows: names the windows of a batch, for messages.
        times: takes the seconds of transfer, compilation, steps, evaluation and saving.
        profiler: traces a few of the steps.

    Raises:
        FloatingPointError: a step was not finite; names the step, the diagnostics and the windows.
            The state before it is saved.
        StopRequest: a signal came; the last step is saved.
    """
    step_mesh = view_mesh(mesh, batch_size)
    guarded = compile_step(step_mesh, partial(guarded_step, step, skip_bad_batches), batch_size)
    state, refused = replicate(mesh, (state, no_refused_steps()))
    info = None
    times, profiler = times or StageTimes(), profiler or StepProfiler(None)
    profiler.expect_steps(num_steps - int(state.step), int(state.step) + 1)

    def place(batch: tuple) -> Batch:
        with times.measure("transfer"):  # in the thread that reads ahead: no step waits for it
            return jax.block_until_ready(shard_process_rows(step_mesh, Batch(*batch), batch_size))

    agreement = StopAgreement(mesh)

    def busy() -> bool:  # steps are only begun below: the devices are behind
        return info is not None and not info.loss.is_ready()

    with (
        deferred_stop() as deferral,
        profiler,
        metrics_writer.open(),
        DevicePrefetcher(stream, place, devices_busy=busy) as batches,
    ):
        describe = partial(describe_bad_step, guarded, num_windows=batch_size)
        check = _StepCheck(describe, key, checkpoints, batches, locate_windows, skip_bad_batches)
        check.remember(int(state.step))
        began = time.perf_counter()
        if monitor.best_state.state is None:  # nothing was restored
            with times.measure("evaluate"):
                monitor.evaluate(0, state, metrics_writer)
            with times.measure("save"):
                checkpoints.save(0, state, batches, monitor.best_state)
        for number in range(int(state.step) + 1, num_steps + 1):
            if monitor.ended:
                break
            profiler.next_step(state)
            with times.measure("step"):
                batch = next(batches)
            # The first call returns when it is compiled, all others at once.
            with times.measure("compile" if info is None else "step"):
                (state, refused), info = guarded(
                    jax.random.fold_in(key, number), (state, refused), batch
                )
            check.remember(number)
            is_last = number == num_steps
            stop_number = agreement.signal_number(deferral.signal_number)
            is_stopped = stop_number != 0
            writes, saves = (is_last or number % every == 0 for every in (log_every, save_every))
            saves |= is_stopped
            if writes or saves or monitor.is_due(number):
                with times.measure("step"):  # waits for the devices
                    num_refused = check(state, refused, monitor.best_state)
                refused = replicate(mesh, no_refused_steps()) if num_refused else refused
            if writes:
                values = jax.device_get(info)._asdict()
                num_skipped = monitor.best_state.skipped_steps
                skipped = {"skipped_steps": num_skipped} if skip_bad_batches else {}
                metrics_writer.write(number, values | skipped)
                share = batches.wait_seconds / (time.perf_counter() - began)
                stages = times.as_metrics() | {f"{TIME_PREFIX}wait": round(batches.wait_seconds, 3)}
                metrics_writer.write_timing(number, {"data_wait_share": share} | stages)
            with times.measure("evaluate"):
                monitor.evaluate(number, state, metrics_writer, is_last=is_last)
            if saves or monitor.ended:
                with times.measure("save"):
                    checkpoints.save(number, state, batches, monitor.best_state)
            metrics_writer.advance_bar(number)
            if is_stopped:
                deferral.saved, deferral.common_number = f"step {number} is saved", stop_number
                break
        times.add("wait", batches.wait_seconds)
    return state


class _StepCheck:
    """Asks the device whether steps were refused, and says what was wrong with them."""

    def __init__(
        self,
        describe_step: Callable[..., tuple[str, list[int]]],
        key: Key[Array, ""],
        checkpoints: StateOutput,
        batches: DevicePrefetcher,
        locate_windows: LocateWindows | None,
        skips: bool,
    ):
        self._describe_step, self._key, self._checkpoints = describe_step, key, checkpoints
        self._batches, self._locate, self._skips = batches, locate_windows, skips
        self._positions: dict[int, Any] = {}

    def remember(self, number: int) -> None:
        """Keep where the stream is after a step."""
        self._positions[number] = self._batches.get_state()

    def __call__(self, state: Any, refused: RefusedSteps, best_state: BestState) -> int:
        """Number of steps refused since the last call; those left out are counted in the record.

        Raises:
            FloatingPointError: there are some, and they are not to be left out.
        """
        first, count = (int(number) for number in jax.device_get(refused))
        newest = max(self._positions)
        if count and self._skips:
            best_state.skipped_steps += count
            others = f", and {count - 1} more since" if count > 1 else ""
            text = "%s%s: left out; %d steps so far"
            problem = self._describe(first, state)
            logging.getLogger(__name__).warning(text, problem, others, best_state.skipped_steps)
            self._batches.set_state(self._positions[newest])
        elif count:
            problem = self._describe(first, state)
            self._batches.set_state(self._positions[first - 1])
            if (self._checkpoints.latest_step() or 0) < first - 1:
                self._checkpoints.save(first - 1, state, self._batches, best_state)
            raise FloatingPointError(
                f"{problem}. The state of step {first - 1} is kept; look at the data for values "
                "far outside of their range, mark them as no data, lower the learning rate, or "
                "leave such batches out with skip_bad_batches"
            )
        self._positions = {newest: self._positions[newest]}
        return count

    def _describe(self, number: int, state: Any) -> str:
        position = self._positions[number - 1]
        self._batches.set_state(position)
        step_key = jax.random.fold_in(self._key, number)
        names, guilty_windows = self._describe_step(step_key, state, next(self._batches))
        places = self._locate(position, guilty_windows) if self._locate else ()
        cause = f", because of {'; '.join(places)}" if places else ""
        return f"step {number} is not finite ({names}){cause}"
