"""A vote over the answers of restarts, among those that describe the table about as shortly."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxhsi.gmcr.algorithm import Opinions, State
from jaxhsi.gmcr.component_pool import Candidates, Options, free_price
from jaxhsi.gmcr.model_confidence import DOUBT
from jaxhsi.gmcr.model_selection import Fit
from jaxhsi.gmcr.spectral_library import explained
from jaxhsi.gmcr.whitening import Ground, in_data, to_frame, unit_rows

MOST = 5
_WORK = 75_000  # spectra times slots of the pool, over all restarts

Found = tuple[State, Ground]
Describe = Callable[[State, Array], Fit]


def affordable(spectra: int, slots: int) -> int:
    """Restarts of a table: five for 64 spectra and 32 slots, one from 75,000 values on."""
    return max(1, min(MOST, _WORK // (spectra * slots)))


class Vote(NamedTuple):
    """Which restart wins, and components and length of the description of all."""

    best: int
    counts: Int[np.ndarray, " r"]
    lengths: Float[np.ndarray, " r"]


def vote(describe: Describe, found: Sequence[Found]) -> Vote:
    """The answer that restarts agree on.

    Those whose description is longer than the shortest by what a component beyond doubt would save
    have no vote. Of the others the most common number wins, then the shortest description: a
    component that only some draws of the gates lead to is not counted on a small gain. All are
    judged where the first one found the noise to be white, and under its noise law: what
    differs is what they take for components.

    Args:
        describe: of the solver, compiled.
        found: state and ground of each restart, on the same spectra.
    """
    (judge, ground), *others = found
    if not others:
        return Vote(0, np.array([int(judge.pool.alive.sum())]), np.zeros(1))
    fits = [describe(judge._replace(pool=_moved(each, ground)), ground.x) for each in found]
    lengths = np.array([float(fitted.length) for fitted in fits])
    counts = np.array([int(fitted.pool.alive.sum()) for fitted in fits])
    best = elected(counts, lengths, doubtful(ground.x.shape[1]))
    return Vote(best, counts, lengths)


def agreement(
    describe: Describe, answer: Found, others: Sequence[Found], options: Options
) -> Float[np.ndarray, " p"]:
    """Share of the restarts, itself among them, that hold each component of the answer to noise."""
    state, ground = answer
    if not others:
        return np.ones(len(state.pool.alive), np.float32)
    fitted = describe(state, ground.x)
    held = [_explained(fitted, _moved(other, ground).components, options) for other in others]
    own = np.ones(len(fitted.pool.alive), bool)
    return np.mean([own, *jax.device_get(held)], axis=0, dtype=np.float32)


def doubtful(bands: int) -> float:
    """By how much a description may be longer than another and yet be as good."""
    return DOUBT * float(free_price(jnp.ones(()), bands))


def near(opinions: Opinions, bands: int) -> Int[np.ndarray, " r"]:
    """Numbers of components of the restarts that describe the data about as shortly as any."""
    return opinions.counts[opinions.lengths <= opinions.lengths.min() + doubtful(bands)]


def elected(
    counts: Int[np.ndarray, " r"], lengths: Float[np.ndarray, " r"], tolerance: float
) -> int:
    """The restart that wins: most common number among the near, then length, then its order.

    A difference of less than 1 says nothing.
    """
    close = lengths <= lengths.min() + tolerance
    votes = (counts == counts[:, None]) @ close.astype(int)
    return int(np.lexsort((np.round(lengths), -votes, ~close))[0])


_explained = partial(jax.jit, static_argnames="options")(explained)


def _moved(found: Found, ground: Ground) -> Candidates:
    """The pool of an answer in the frame of another's ground."""
    state, own = found
    if jax.tree.all(jax.tree.map(np.array_equal, own.noise, ground.noise)):
        return state.pool  # to the last digit: a resumed run is to choose the same
    rows: Float[np.ndarray, "p c"] = np.asarray(in_data(state.pool.components, own.frame))
    unit = jnp.asarray(unit_rows(to_frame(rows, ground.frame))[0], jnp.float32)
    return state.pool._replace(components=unit, frame=ground.frame)
