"""The training loop."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Key

from jaxhsi.dgc.algorithm import Batch
from jaxhsi.runtime.checkpoint import Checkpoints
from jaxhsi.runtime.logbook import Logbook
from jaxhsi.runtime.parallel import compile_step, replicate, split


def fit(
    key: Key[Array, ""],
    state: Any,
    step: Callable[..., tuple[Any, Any]],
    stream: Iterator,
    mesh: Mesh,
    steps: int,
    logbook: Logbook,
    checkpoints: Checkpoints,
    *,
    log_every: int = 10,
    save_every: int = 100,
) -> Any:
    """Take steps until ``state.step`` is ``steps``; returns the last state.

    The key of a step is folded from its number, so that a resumed run draws what an
    uninterrupted one would.

    Raises:
        FloatingPointError: the loss stopped being finite; names the step.
    """
    step = compile_step(mesh, step)
    state = replicate(mesh, state)
    with logbook.open():
        for number in range(int(state.step) + 1, steps + 1):
            batch = split(mesh, Batch(*next(stream)))
            state, info = step(jax.random.fold_in(key, number), state, batch)
            last = number == steps
            if last or number % log_every == 0:
                values = jax.device_get(info)._asdict()
                _check_finite(number, values["loss"], checkpoints)
                logbook.write(number, values)
            if last or number % save_every == 0:
                checkpoints.save(number, state, stream)
            logbook.advance(number)
    return state


def _check_finite(step: int, loss: np.ndarray, checkpoints: Checkpoints) -> None:
    if not np.isfinite(loss):
        raise FloatingPointError(
            f"the loss is {loss} at step {step}; the last checkpoint is of step "
            f"{checkpoints.latest()}. Lower the learning rate, or look at the data for values "
            "far outside of their range"
        )
