"""How certain the number of components of a solution is, and each component."""

from collections.abc import Sequence
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
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.pool_fit import PoolFit, refit_pool
from jaxhsi.gmcr.restarts import counts_within_tolerance, default_num_restarts
from jaxhsi.gmcr.whitened_solution import WhitenedSolution
from jaxhsi.gmcr.whitening import normalise_rows

DEFAULT_COUNT_RADIUS = 3
"""Numbers of components on either side of the solution's that are compared; set by hand:
each takes a fit and four held-out fits."""


class ModelConfidence(NamedTuple):
    """How certain a solution is.

    Attributes:
        plausible_counts: numbers of components that the data do not rule out.
        component_confidence: of each component, 0 to 1.
        evidence_ratio: what each gains over what noise alone would; above 1 for all that the solver
            keeps.
        count_curve: errors against the number of components.
    """

    plausible_counts: CountInterval
    component_confidence: Float[np.ndarray, " k"]
    evidence_ratio: Float[np.ndarray, " k"]
    count_curve: CountCurve


def assess_confidence(
    white: WhitenedSolution,
    options: SolverOptions = SolverOptions(),  # noqa: B008 -- frozen
    *,
    count_radius: int | None = None,
    seed: int = 0,
) -> ModelConfidence:
    """How certain the number of components is, and each of them.

    Args:
        white: a solution with its spectra as linear mixtures, see
            `whitened_solution.whiten_solution` and `nonlinear.linearised`.
        options: that it was fitted under.
        count_radius: numbers of components to look at on either side of the solution's;
            `DEFAULT_COUNT_RADIUS` if not given, 1 where the table is too large for restarts.
        seed: of the halves that are held out.
    """
    x = white.x_white / white.noise_deviation
    count, votes = len(white.solution.components), white.solution.restart_vote
    if not count_radius:
        is_small = default_num_restarts(len(x), count + DEFAULT_COUNT_RADIUS) > 1
        count_radius = DEFAULT_COUNT_RADIUS if is_small else 1
    start = _refit(x, _pool_with_room(white, count + count_radius), options)
    fits = _neighbouring_fits(x, start, count_radius, options)
    curve = _count_curve(x, fits, start, np.random.default_rng(seed), options)
    # Fitted anew, a component of the solution may be left without use: one less is plausible then.
    low, high = plausible_interval(curve, _count(start), x.shape[1], options)
    low, high = min(low, count), max(high, count)
    agreement = np.ones(count, np.float32) if votes is None else votes.agreement
    if votes is not None and not white.solution.in_library.any():  # restarts did not know a library
        voted = counts_within_tolerance(votes, x.shape[1])
        low, high = min(low, voted.min()), max(high, voted.max())
    log_evidence = start.log_evidence[:count]
    confidence = component_confidence(
        start._replace(log_evidence=log_evidence), jnp.asarray(agreement)
    )
    return ModelConfidence(
        CountInterval(int(low), int(high)),
        np.asarray(confidence),
        np.exp(np.asarray(log_evidence)),
        curve,
    )


_refit, _without_one, _one_more, _held_out_error = (
    jax.jit(step, static_argnames="options")
    for step in (refit_pool, remove_component, forward_step, bi_cross_validation_error)
)


def _pool_with_room(white: WhitenedSolution, slots: int) -> ComponentPool:
    """The whitened components in a pool with free slots."""
    rows = white.solution_white.components
    free = slots - len(rows)
    unit = np.pad(normalise_rows(rows)[0], ((0, free), (0, 0))).astype(np.float32)
    alive = np.arange(slots) < len(rows)
    fixed = np.pad(np.asarray(white.solution.in_library), (0, free))
    whitener = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), white.whitener)
    return ComponentPool(jnp.asarray(unit), jnp.asarray(alive), jnp.asarray(fixed), whitener)


def _neighbouring_fits(
    x: Array, start: PoolFit, count_radius: int, options: SolverOptions
) -> list[PoolFit]:
    """Fits of ascending numbers of components around that of the solution."""
    fits = [start]
    for _ in range(min(count_radius, _count(start) - 1)):
        fits.insert(0, _without_one(x, fits[0], options))
    for _ in range(count_radius):
        larger = _one_more(x, fits[-1], options)
        if _count(larger) <= _count(fits[-1]):
            break  # nothing is left that any spectrum would use
        fits.append(larger)
    return fits


def _count(fitted: PoolFit) -> int:
    return int(fitted.pool.active.sum())


def _count_curve(
    x: Array,
    fits: Sequence[PoolFit],
    reference: PoolFit,
    random: np.random.Generator,
    options: SolverOptions,
) -> CountCurve:
    """Errors of the fits, and of entries that were held out; the reference is one of them."""
    halves = np.split(random.permutation(len(x))[: len(x) // 2 * 2], 2)
    first_bands = jnp.asarray(random.permutation(x.shape[1]) < x.shape[1] // 2)

    def held_out_errors(fitted: PoolFit) -> Float[np.ndarray, " n"]:
        """Of every spectrum, both halves of its bands being held out in turn."""
        errors = []
        for training, test in (halves, halves[::-1]):
            by_band_half = (
                _held_out_error(x[training], x[test], coded_bands, fitted.pool, options)
                for coded_bands in (first_bands, ~first_bands)
            )
            errors.append(0.5 * sum(by_band_half))
        return np.concatenate(errors)

    errors = np.stack([held_out_errors(fitted) for fitted in fits])
    reference_index = next(i for i, fitted in enumerate(fits) if fitted is reference)
    # Paired differences: most of the spread over spectra is common to all numbers of components.
    difference = errors - errors[reference_index]
    return CountCurve(
        np.array([_count(fitted) for fitted in fits]),
        np.array([float(jnp.mean((x - f.codes @ f.pool.components) ** 2)) for f in fits]),
        errors.mean(1),
        difference.std(1) / np.sqrt(difference.shape[1]),
        np.array(
            [float(fitted.description_length - reference.description_length) for fitted in fits]
        ),
    )
