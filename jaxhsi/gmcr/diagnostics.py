"""How certain the number of components of a solution is, and each component.

Neighbouring numbers are fitted, entries are held out, and what each component gains is compared
with what noise would. Everything is in noise units: spectra divided by their noise deviation, in
the coordinates where it is white.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int

from jaxhsi.gmcr.component_pool import (
    ComponentPool,
    coefficient_penalty,
    encode,
    free_component_penalty,
)
from jaxhsi.gmcr.model_selection import forward_step, remove_component
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.pool_fit import PoolFit, refit_pool
from jaxhsi.gmcr.restarts import (
    UNCERTAIN_GAIN_FACTOR,
    counts_within_tolerance,
    default_num_restarts,
)
from jaxhsi.gmcr.whitened_solution import WhitenedSolution
from jaxhsi.gmcr.whitening import MIN_ROW_NORM
from jaxhsi.normalisation import unit_rows
from jaxhsi.table_sharding import compile_by_rows

DEFAULT_COUNT_RADIUS = 3
"""Numbers of components on either side of the solution's that are compared; set by hand:
each takes a fit and four held-out fits."""
CHANCE_GAIN_FACTOR = 1.1
"""Times its price: what the next component gains on noise alone once in a thousand tables.

The largest singular value of n x c white noise exceeds sqrt(n) + sqrt(c) by a few times
(sqrt(n) + sqrt(c)) (1/sqrt(n) + 1/sqrt(c))^(1/3) in its square (Johnstone 2001, Ann. Stat. 29).
"""
_LOGISTIC_MIDPOINT, _LOGISTIC_SLOPE = 0.4, 5.0
"""Of the confidence of a component by its log evidence, fitted to the components that
`benchmarks/gmcr/confidence.py` finds, see `component_confidence`."""


class CountCurve(NamedTuple):
    """What each number of components leaves, ascending.

    Attributes:
        component_counts: numbers of components around that of the answer.
        mean_square_residual: mean squared residual of a value; about 1 is noise.
        held_out_error: the same of entries that took no part in the fit, see
            `bi_cross_validation_error`.
        held_out_standard_error: of `held_out_error` less that of the solution, over spectra.
        description_lengths: less that of the solution, in units of chi-squared.
    """

    component_counts: Int[np.ndarray, " m"]
    mean_square_residual: Float[np.ndarray, " m"]
    held_out_error: Float[np.ndarray, " m"]
    held_out_standard_error: Float[np.ndarray, " m"]
    description_lengths: Float[np.ndarray, " m"]


class CountInterval(NamedTuple):
    """Least and largest number of components that are plausible."""

    low: int
    high: int


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
    mesh: Mesh | None = None,
) -> ModelConfidence:
    """How certain the number of components is, and each of them.

    Args:
        white: a solution with its spectra as linear mixtures, see
            `whitened_solution.whiten_solution` and `nonlinear.linearised`.
        options: that it was fitted under.
        count_radius: numbers of components to look at on either side of the solution's;
            `DEFAULT_COUNT_RADIUS` if not given, 1 where the table is too large for restarts.
        seed: of the halves that are held out.
        mesh: devices that each compute a share of the spectra; None for one.
    """
    x = white.x_white / white.noise_deviation
    count, votes = len(white.solution.components), white.solution.restart_vote
    if not count_radius:
        is_small = default_num_restarts(len(x), count + DEFAULT_COUNT_RADIUS) > 1
        count_radius = DEFAULT_COUNT_RADIUS if is_small else 1
    compiled = _compiled_fits(None if mesh is None or mesh.size == 1 else mesh)
    start = compiled.refit(x, _pool_with_room(white, count + count_radius), options)
    fits = _neighbouring_fits(compiled, x, start, count_radius, options)
    curve = _count_curve(compiled, x, fits, start, np.random.default_rng(seed), options)
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


def bi_cross_validation_error(
    training_spectra: Float[Array, "m c"],
    test_spectra: Float[Array, "n c"],
    coded_bands: Bool[Array, "b c"],
    pool: ComponentPool,
    options: SolverOptions,
) -> Float[Array, " n"]:
    """Mean squared error, for each hidden spectrum, of the bands that were not seen.

    Bi-cross-validation: spectra of the pool are fitted anew to the given rows, the hidden rows are
    coded from the bands that are seen, and the others are predicted. Neither spectra nor
    concentrations know the entries that are scored.

    Args:
        training_spectra: rows to fit.
        test_spectra: rows to predict.
        coded_bands: bands that these are coded from; of several such choices, which share the fit
            of the components, the mean error is returned.
        pool: to begin with.
        options: of the solver.

    Source: Owen and Perry 2009 (Ann. Appl. Stat. 3, 564).
    """
    # From the solution, not from scratch: only the held-out entries must be new to it.
    fitted = refit_pool(training_spectra, pool, options).pool
    penalty = coefficient_penalty(fitted)

    def error(coded: Bool[Array, " c"]) -> Float[Array, " n"]:
        part = fitted.components * coded
        # Unit rows again: penalties of the codes are for components of length 1.
        size = jnp.maximum(jnp.linalg.norm(part, axis=1), 1e-6)
        shown = fitted._replace(components=part / size[:, None])
        codes = encode(test_spectra * coded, shown, options, penalty) / size
        left = jnp.where(coded, 0.0, test_spectra - codes @ fitted.components)
        return jnp.sum(left**2, axis=1) / jnp.sum(~coded)

    return jnp.mean(jax.lax.map(error, coded_bands), axis=0)


def plausible_interval(
    curve: CountCurve, num_components: int, num_bands: int, options: SolverOptions
) -> CountInterval:
    """Numbers next to the answer that describe the data nearly as well.

    One less is plausible where the weakest component shortens the description by no more than
    `UNCERTAIN_GAIN_FACTOR` times its penalty, or where held-out entries are no worse without it.
    One more is plausible where the next component would gain more than `CHANCE_GAIN_FACTOR` times
    its penalty, which noise seldom does.
    """
    # The smallest penalty there is, of a component in one spectrum.
    price = float(free_component_penalty(jnp.ones(()), num_bands))
    at = {int(number): i for i, number in enumerate(curve.component_counts)}
    low = high = num_components
    while low - 1 in at:
        saved = curve.description_lengths[at[low - 1]] - curve.description_lengths[at[low]]
        worse = curve.held_out_error[at[low - 1]] > curve.held_out_error[at[low]]
        # Both must speak for the component: either alone is fooled by noise that is not as taken.
        if saved > UNCERTAIN_GAIN_FACTOR * price and worse:
            break
        low -= 1
    while high + 1 in at:
        longer = curve.description_lengths[at[high + 1]] - curve.description_lengths[at[high]]
        # The penalty is in the description length already: what noise may gain is taken off.
        if longer > (options.evidence_factor - CHANCE_GAIN_FACTOR) * price:
            break
        high += 1
    return CountInterval(low, high)


def component_confidence(fitted: PoolFit, agreement: Float[Array, " p"]) -> Float[Array, " p"]:
    """How sure each component is, 0 to 1: what restarts say, times what its evidence does.

    Evidence is the logarithm of what it gains over what noise would; of it a logistic curve is
    taken: a half where a component gains 1.5 times as much as noise. It is fitted to the 1,354
    components that `benchmarks/gmcr/confidence.py` finds in 120 tables under fifteen kinds of noise
    and mixing, of which two are false, of evidence 0.39 and 0.98: true to their sum, and no more.
    """
    return agreement / (1 + jnp.exp(-_LOGISTIC_SLOPE * (fitted.log_evidence - _LOGISTIC_MIDPOINT)))


class _CompiledFits(NamedTuple):
    """Fits of a table under jit."""

    refit: Callable[..., PoolFit]
    without_one: Callable[..., PoolFit]
    one_more: Callable[..., PoolFit]
    held_out_error: Callable[..., Array]


@cache
def _compiled_fits(mesh: Mesh | None) -> _CompiledFits:
    by_rows = partial(compile_by_rows, mesh, static_argnames="options")
    fits = (by_rows(function, 0) for function in (refit_pool, remove_component, forward_step))
    return _CompiledFits(*fits, by_rows(bi_cross_validation_error, 0, 1))


def _pool_with_room(white: WhitenedSolution, slots: int) -> ComponentPool:
    """The whitened components in a pool with free slots."""
    rows = np.asarray(white.solution_white.components)
    free = slots - len(rows)
    unit = np.pad(unit_rows(rows, MIN_ROW_NORM), ((0, free), (0, 0))).astype(np.float32)
    alive = np.arange(slots) < len(rows)
    fixed = np.pad(np.asarray(white.solution.in_library), (0, free))
    whitener = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), white.whitener)
    return ComponentPool(jnp.asarray(unit), jnp.asarray(alive), jnp.asarray(fixed), whitener)


def _neighbouring_fits(
    compiled: _CompiledFits, x: Array, start: PoolFit, count_radius: int, options: SolverOptions
) -> list[PoolFit]:
    """Fits of ascending numbers of components around that of the solution."""
    fits = [start]
    for _ in range(min(count_radius, _count(start) - 1)):
        fits.insert(0, compiled.without_one(x, fits[0], options))
    for _ in range(count_radius):
        larger = compiled.one_more(x, fits[-1], options)
        if _count(larger) <= _count(fits[-1]):
            break  # nothing is left that any spectrum would use
        fits.append(larger)
    return fits


def _count(fitted: PoolFit) -> int:
    return int(fitted.pool.active.sum())


def _count_curve(
    compiled: _CompiledFits,
    x: Array,
    fits: Sequence[PoolFit],
    reference: PoolFit,
    random: np.random.Generator,
    options: SolverOptions,
) -> CountCurve:
    """Errors of the fits, and of entries that were held out; the reference is one of them."""
    halves = np.split(random.permutation(len(x))[: len(x) // 2 * 2], 2)
    first_bands = jnp.asarray(random.permutation(x.shape[1]) < x.shape[1] // 2)
    band_halves = jnp.stack([first_bands, ~first_bands])

    def held_out_errors(fitted: PoolFit) -> Float[np.ndarray, " n"]:
        """Of every spectrum, both halves of its bands being held out in turn."""
        return np.concatenate(
            [
                compiled.held_out_error(x[training], x[test], band_halves, fitted.pool, options)
                for training, test in (halves, halves[::-1])
            ]
        )

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
