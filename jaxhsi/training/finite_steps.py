"""Steps whose numbers are not finite: found on the device, and traced to a window on the host.

A step is refused where its loss, or a number of the new state that was finite before, is not: the
state stays that of the step before. Nothing is read from the device for that; a loop asks at its
leisure, and asks here what was wrong.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

Step = Callable[..., tuple[Any, Any]]


class RefusedSteps(NamedTuple):
    """Steps that were refused so far.

    Attributes:
        first: number of the first of them, 0 for none.
        count: how many.
    """

    first: Int[Array, ""]
    count: Int[Array, ""]


def no_refused_steps() -> RefusedSteps:
    """None so far."""
    return RefusedSteps(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))


def guarded_step(
    step: Step, skips: bool, key: Array, guarded: tuple[Any, RefusedSteps], batch: Any
) -> tuple[tuple[Any, RefusedSteps], Any]:
    """A step that leaves the state as it is where its result is not finite.

    Args:
        step: ``step(key, state, batch) -> (state, info)``, with ``state.step`` and ``info.loss``.
        skips: go on with the next batch after such a step; else nothing changes any more, so that
            the state of the last good step is there when the loop looks.
        key: of the step.
        guarded: the state, and the steps that were refused before.
        batch: of the step.
    """
    state, refused = guarded
    new_state, info = step(key, state, batch)
    is_finite = jnp.isfinite(info.loss) & _stays_finite(state, new_state)
    is_taken = is_finite if skips else is_finite & (refused.first == 0)
    chosen_state = jax.tree.map(partial(jnp.where, is_taken), new_state, state)
    if skips:
        chosen_state = chosen_state._replace(step=new_state.step)
    is_first = ~is_finite & (refused.first == 0)
    first = jnp.where(is_first, state.step + 1, refused.first).astype(jnp.int32)
    count = refused.count + (~is_finite).astype(jnp.int32)
    return (chosen_state, RefusedSteps(first, count)), info


def _stays_finite(state: Any, new_state: Any) -> Bool[Array, ""]:
    """Whether all numbers that were finite still are."""
    pairs = zip(jax.tree.leaves(state), jax.tree.leaves(new_state), strict=True)
    stays_finite = [
        (jnp.isfinite(after) | ~jnp.isfinite(before)).all()
        for before, after in pairs
        if jnp.issubdtype(after.dtype, jnp.inexact)
    ]
    return jnp.stack(stays_finite).all() if stays_finite else jnp.ones((), bool)


def describe_bad_step(
    guarded: Callable[..., tuple[Any, Any]],
    key: Array,
    state: Any,
    batch: Any,
    *,
    num_windows: int,
) -> tuple[str, list[int]]:
    """Which diagnostics of a step are not finite, and which windows of its batch make them so.

    Args:
        guarded: `guarded_step` under jit, which uses up the state that it is given.
        key: of the step.
        state: before the step.
        batch: of the step, (b, ...) arrays.
        num_windows: windows of the batch; the rows after them are padding.

    Returns:
        Names of the diagnostics; and the windows that alone, in the place of all others, have the
        same effect. None where it takes several together.
    """
    info = _step_again(guarded, key, state, batch)[1]
    names = [
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, leaf in jax.tree.leaves_with_path(jax.device_get(info))
        if np.asarray(leaf).dtype.kind == "f" and not np.isfinite(leaf).all()
    ]
    guilty_windows = [
        i
        for i in range(num_windows)
        if _step_again(guarded, key, state, jax.tree.map(partial(_repeat_window, i), batch))[0]
    ]
    return ", ".join(names) or "the parameters after the step", guilty_windows


def _repeat_window(index: int, values: Array) -> Array:
    """A batch of the same shape and place that holds one of its windows alone."""
    repeat = jax.jit(
        lambda values: jnp.broadcast_to(values[index], values.shape), out_shardings=values.sharding
    )
    return repeat(values)


def _step_again(
    guarded: Callable[..., tuple[Any, Any]], key: Array, state: Any, batch: Any
) -> tuple[bool, Any]:
    """Whether a step is refused, and its diagnostics; the state stays as it is."""
    copied_state = jax.tree.map(jnp.copy, state)
    (_, refused), info = guarded(key, (copied_state, no_refused_steps()), batch)
    return bool(refused.count), info
