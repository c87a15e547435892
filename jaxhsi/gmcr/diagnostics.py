"""How sure the number of components of an answer is."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxhsi.gmcr.algorithm import Solution
from jaxhsi.gmcr.component_pool import Candidates, Options
from jaxhsi.gmcr.model_confidence import (
    CountCurve,
    CountInterval,
    bi_cross_validation_error,
    component_confidence,
    plausible_interval,
)
from jaxhsi.gmcr.model_selection import Fit, one_more, refit, without_one
from jaxhsi.gmcr.nonlinear import whiten_for_diagnostics
from jaxhsi.gmcr.restarts import counts_within_tolerance, default_num_restarts
from jaxhsi.gmcr.whitening import solution_whitener, unit_rows

DEFAULT_COUNT_RADIUS = 3  # numbers on either side of the answer


class ModelConfidence(NamedTuple):
    """How sure an answer is.

    Attributes:
        plausible_counts: numbers of components that the data do not rule out.
        component_confidence: how sure each component is, 0 to 1.
        evidence_ratio: what each gains over what noise alone would.
        count_curve: errors against the number of components.
    """

    plausible_counts: CountInterval
    component_confidence: Float[np.ndarray, " k"]
    evidence_ratio: Float[np.ndarray, " k"]
    count_curve: CountCurve


def assess_confidence(
    solution: Solution,
    spectra: Float[np.ndarray | Array, "n c"],
    options: Options = Options(),  # noqa: B008 -- frozen
    *,
    count_radius: int | None = None,
    seed: int = 0,
) -> ModelConfidence:
    """How sure the number of components is, and each of them.

    Args:
        solution: of these spectra.
        spectra: as linear mixtures, see `alternate.straightened`.
        options: that it was found under.
        count_radius: numbers of components to look at on either side of the answer; 3 if not given, 1
            where the table is too large for restarts.
        seed: of the halves that are held out.
    """
    framed, seen, noise = whiten_for_diagnostics(solution, spectra)
    x, count = seen / noise, len(solution.components)
    count_radius = count_radius or (
        DEFAULT_COUNT_RADIUS
        if default_num_restarts(len(x), count + DEFAULT_COUNT_RADIUS) > 1
        else 1
    )
    start = _refit(x, _pool(solution, framed.components, count + count_radius), options)
    fits = _path(x, start, count_radius, options)
    curve = _curve(x, fits, start, np.random.default_rng(seed), options)
    # Fitted anew, a component of the answer may be left without use: one less is plausible then.
    low, high = plausible_interval(curve, _number(start), x.shape[1], options)
    low, high = min(low, count), max(high, count)
    agreement = np.ones(count, np.float32)
    if solution.opinions is not None:
        agreement = solution.opinions.agreement
    if solution.opinions is not None and not solution.fixed.any():  # they knew no library
        voted = counts_within_tolerance(solution.opinions, x.shape[1])
        low, high = min(low, voted.min()), max(high, voted.max())
    sure = component_confidence(start._replace(worth=start.worth[:count]), jnp.asarray(agreement))
    return ModelConfidence(
        CountInterval(int(low), int(high)),
        np.asarray(sure),
        np.exp(np.asarray(start.worth[:count])),
        curve,
    )


_refit, _less, _more, _held_out = (
    jax.jit(step, static_argnames="options")
    for step in (refit, without_one, one_more, bi_cross_validation_error)
)


def _pool(solution: Solution, rows: Float[np.ndarray, "k c"], slots: int) -> Candidates:
    """The components, where noise is white, with room for others."""
    free = slots - len(rows)
    unit = np.pad(unit_rows(rows)[0], ((0, free), (0, 0))).astype(np.float32)
    alive = np.arange(slots) < len(rows)
    fixed = np.pad(np.asarray(solution.fixed), (0, free))
    frame = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), solution_whitener(solution))
    return Candidates(jnp.asarray(unit), jnp.asarray(alive), jnp.asarray(fixed), frame)


def _path(x: Array, start: Fit, around: int, options: Options) -> list[Fit]:
    """Fits of ascending numbers of components around that of the answer."""
    fits, count = [start], _number(start)
    for _ in range(min(around, count - 1)):
        fits.insert(0, _less(x, fits[0], options))
    for _ in range(around):
        more = _more(x, fits[-1], options)
        if _number(more) <= _number(fits[-1]):
            break  # nothing is left that any spectrum would use
        fits.append(more)
    return fits


def _number(fitted: Fit) -> int:
    return int(fitted.pool.alive.sum())


def _curve(
    x: Array, fits: list[Fit], answer: Fit, draw: np.random.Generator, options: Options
) -> CountCurve:
    halves = np.split(draw.permutation(len(x))[: len(x) // 2 * 2], 2)
    bands = jnp.asarray(draw.permutation(x.shape[1]) < x.shape[1] // 2)

    def errors(fitted: Fit) -> Float[np.ndarray, " n"]:
        """Of every spectrum, both halves of its bands being held out in turn."""
        found = []
        for given, hidden in (halves, halves[::-1]):
            both = (
                _held_out(x[given], x[hidden], seen, fitted.pool, options)
                for seen in (bands, ~bands)
            )
            found.append(0.5 * sum(both))
        return np.concatenate(found)

    hidden = np.stack([errors(fitted) for fitted in fits])
    reference = next(i for i, fitted in enumerate(fits) if fitted is answer)
    apart = hidden - hidden[reference]
    return CountCurve(
        np.array([_number(fitted) for fitted in fits]),
        np.array([float(jnp.mean((x - f.codes @ f.pool.components) ** 2)) for f in fits]),
        hidden.mean(1),
        apart.std(1) / np.sqrt(apart.shape[1]),
        np.array([float(fitted.length - answer.length) for fitted in fits]),
    )
