"""How sure the number of components of an answer is."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxhsi.gmcr.component_pool import ComponentPool
from jaxhsi.gmcr.model_confidence import (
    CountCurve,
    CountInterval,
    bi_cross_validation_error,
    component_confidence,
    plausible_interval,
)
from jaxhsi.gmcr.model_selection import forward_step, remove_component
from jaxhsi.gmcr.nonlinear import whiten_for_diagnostics
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.pool_fit import PoolFit, refit_pool
from jaxhsi.gmcr.restarts import counts_within_tolerance, default_num_restarts
from jaxhsi.gmcr.solution import Solution
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
    options: SolverOptions = SolverOptions(),  # noqa: B008 -- frozen
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
    if solution.restart_vote is not None:
        agreement = solution.restart_vote.agreement
    if solution.restart_vote is not None and not solution.in_library.any():  # they knew no library
        voted = counts_within_tolerance(solution.restart_vote, x.shape[1])
        low, high = min(low, voted.min()), max(high, voted.max())
    sure = component_confidence(
        start._replace(log_evidence=start.log_evidence[:count]), jnp.asarray(agreement)
    )
    return ModelConfidence(
        CountInterval(int(low), int(high)),
        np.asarray(sure),
        np.exp(np.asarray(start.log_evidence[:count])),
        curve,
    )


_refit, _less, _more, _held_out = (
    jax.jit(step, static_argnames="options")
    for step in (refit_pool, remove_component, forward_step, bi_cross_validation_error)
)


def _pool(solution: Solution, rows: Float[np.ndarray, "k c"], slots: int) -> ComponentPool:
    """The components, where noise is white, with room for others."""
    free = slots - len(rows)
    unit = np.pad(unit_rows(rows)[0], ((0, free), (0, 0))).astype(np.float32)
    alive = np.arange(slots) < len(rows)
    fixed = np.pad(np.asarray(solution.in_library), (0, free))
    frame = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), solution_whitener(solution))
    return ComponentPool(jnp.asarray(unit), jnp.asarray(alive), jnp.asarray(fixed), frame)


def _path(x: Array, start: PoolFit, around: int, options: SolverOptions) -> list[PoolFit]:
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


def _number(fitted: PoolFit) -> int:
    return int(fitted.pool.active.sum())


def _curve(
    x: Array,
    fits: list[PoolFit],
    answer: PoolFit,
    draw: np.random.Generator,
    options: SolverOptions,
) -> CountCurve:
    halves = np.split(draw.permutation(len(x))[: len(x) // 2 * 2], 2)
    bands = jnp.asarray(draw.permutation(x.shape[1]) < x.shape[1] // 2)

    def errors(fitted: PoolFit) -> Float[np.ndarray, " n"]:
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
        np.array([float(fitted.description_length - answer.description_length) for fitted in fits]),
    )
