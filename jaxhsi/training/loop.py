"""The training loop."""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Key

from jaxhsi.dgc.algorithm import Batch
from jaxhsi.sharding import compile_step, replicate, split
from jaxhsi.training.best_state import Watch
from jaxhsi.training.checkpoints import Checkpoints
from jaxhsi.training.metrics_writer import Logbook
from jaxhsi.training.prefetch import Ahead, Stream


def fit(
    key: Key[Array, ""],
    state: Any,
    step: Callable[..., tuple[Any, Any]],
    stream: Stream,
    mesh: Mesh,
    steps: int,
    logbook: Logbook,
    checkpoints: Checkpoints,
    watch: Watch,
    *,
    log_every: int = 10,
    save_every: int = 100,
) -> Any:
    """Take steps until ``state.step`` is ``steps``; returns the last state.

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
        return split(mesh, Batch(*batch))

    def busy() -> bool:  # steps are only begun below: the devices are behind
        return info is not None and not info.loss.is_ready()

    with logbook.open(), Ahead(stream, place, busy=busy) as batches:
        began = time.perf_counter()
        if watch.record.best is None:  # nothing was restored
            watch.look(0, state, logbook)
            checkpoints.save(0, state, batches, watch.record)
        for number in range(int(state.step) + 1, steps + 1):
            if watch.degraded:
                break
            state, info = step(jax.random.fold_in(key, number), state, next(batches))
            last = number == steps
            if last or number % log_every == 0:
                values = jax.device_get(info)._asdict()
                _check_finite(number, values["loss"], checkpoints)
                logbook.write(number, values)
                share = batches.waited / (time.perf_counter() - began)
                logbook.time(number, {"data_wait_share": share})
            watch.look(number, state, logbook, last=last)
            if last or watch.degraded or number % save_every == 0:
                checkpoints.save(number, state, batches, watch.record)
            logbook.advance(number)
    return state


def _check_finite(step: int, loss: np.ndarray, checkpoints: Checkpoints) -> None:
    if not np.isfinite(loss):
        raise FloatingPointError(
            f"the loss is {loss} at step {step}; the last checkpoint is of step "
            f"{checkpoints.latest()}. Lower the learning rate, or look at the data for values "
            "far outside of their range"
        )
