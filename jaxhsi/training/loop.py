"""The training loop."""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Key

from jaxhsi.data.prefetch import BatchStream, DevicePrefetcher
from jaxhsi.dgc.state import Batch
from jaxhsi.sharding import compile_step, replicate, shard_batch
from jaxhsi.training.best_state import StateMonitor
from jaxhsi.training.outputs import MetricsOutput, StateOutput


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
    log_every: int = 10,
    save_every: int = 100,
) -> Any:
    """Take steps until ``state.step`` is ``num_steps``; returns the last state.

    The watch looks at the start, which is saved too, and at states on the way; a run that it finds
    degraded ends there. The key of a step is folded from its number, so that a resumed run draws
    what an uninterrupted one would. While a step runs the next batches are moved to the devices;
    the share of the time that steps waited for data goes into the events, as ``data_wait_share``.

    Raises:
        FloatingPointError: the loss stopped being finite; names the step.
    """
    step = compile_step(mesh, step)
    state = replicate(mesh, state)
    info = None

    def place(batch: tuple) -> Batch:
        return shard_batch(mesh, Batch(*batch))

    def busy() -> bool:  # steps are only begun below: the devices are behind
        return info is not None and not info.loss.is_ready()

    with metrics_writer.open(), DevicePrefetcher(stream, place, devices_busy=busy) as batches:
        began = time.perf_counter()
        if monitor.best_state.state is None:  # nothing was restored
            monitor.evaluate(0, state, metrics_writer)
            checkpoints.save(0, state, batches, monitor.best_state)
        for number in range(int(state.step) + 1, num_steps + 1):
            if monitor.degraded:
                break
            state, info = step(jax.random.fold_in(key, number), state, next(batches))
            last = number == num_steps
            if last or number % log_every == 0:
                values = jax.device_get(info)._asdict()
                _check_finite(number, values["loss"], checkpoints)
                metrics_writer.write(number, values)
                share = batches.wait_seconds / (time.perf_counter() - began)
                metrics_writer.write_timing(number, {"data_wait_share": share})
            monitor.evaluate(number, state, metrics_writer, is_last=last)
            if last or monitor.degraded or number % save_every == 0:
                checkpoints.save(number, state, batches, monitor.best_state)
            metrics_writer.advance_bar(number)
    return state


def _check_finite(step: int, loss: np.ndarray, checkpoints: StateOutput) -> None:
    if not np.isfinite(loss):
        raise FloatingPointError(
            f"the loss is {loss} at step {step}; the last checkpoint is of step "
            f"{checkpoints.latest_step()}. Lower the learning rate, or look at the data for values "
            "far outside of their range"
        )
