"""How sure a number of components is: neighbouring numbers, held-out entries, each component.

Everything is in noise units: spectra divided by their noise deviation, in the frame where it is
white.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxhsi.gmcr.component_pool import (
    ComponentPool,
    coefficient_penalty,
    encode,
    free_component_penalty,
)
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.pool_fit import PoolFit, refit_pool

UNCERTAIN_GAIN_FACTOR = 2.0
"""Times its price: what a component may save and yet be none, where noise is not quite as taken."""
CHANCE_GAIN_FACTOR = 1.1
"""Times its price: what the next component gains on noise alone once in a thousand tables.

The largest singular value of n x c white noise exceeds sqrt(n) + sqrt(c) by a few times
(sqrt(n) + sqrt(c)) (1/sqrt(n) + 1/sqrt(c))^(1/3) in its square (Johnstone 2001, Ann. Stat. 29).
"""
_LOGISTIC_MIDPOINT, _LOGISTIC_SLOPE = 0.4, 5.0  # see `component_confidence`


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


def bi_cross_validation_error(
    training_spectra: Float[Array, "m c"],
    test_spectra: Float[Array, "n c"],
    coded_bands: Bool[Array, " c"],
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
        coded_bands: bands that these are coded from.
        pool: to begin with.
        options: of the solver.

    Source: Owen and Perry 2009 (Ann. Appl. Stat. 3, 564).
    """
    fitted = refit_pool(training_spectra, pool, options).pool
    part = fitted.components * coded_bands
    size = jnp.maximum(jnp.linalg.norm(part, axis=1), 1e-6)
    shown = fitted._replace(components=part / size[:, None])
    codes = encode(test_spectra * coded_bands, shown, options, coefficient_penalty(fitted)) / size
    left = jnp.where(coded_bands, 0.0, test_spectra - codes @ fitted.components)
    return jnp.sum(left**2, axis=1) / jnp.sum(~coded_bands)


def plausible_interval(
    curve: CountCurve, num_components: int, num_bands: int, options: SolverOptions
) -> CountInterval:
    """Numbers next to the answer that describe the data nearly as well.

    One less is plausible where the weakest component shortens the description by no more than
    `UNCERTAIN_GAIN_FACTOR` times its penalty, or where held-out entries are no worse without it.
    One more is plausible where the next component would gain more than `CHANCE_GAIN_FACTOR` times
    its penalty, which noise seldom does.
    """
    price = float(free_component_penalty(jnp.ones(()), num_bands))
    at = {int(number): i for i, number in enumerate(curve.component_counts)}
    low = high = num_components
    while low - 1 in at:
        saved = curve.description_lengths[at[low - 1]] - curve.description_lengths[at[low]]
        worse = curve.held_out_error[at[low - 1]] > curve.held_out_error[at[low]]
        if saved > UNCERTAIN_GAIN_FACTOR * price and worse:
            break
        low -= 1
    while high + 1 in at:
        longer = curve.description_lengths[at[high + 1]] - curve.description_lengths[at[high]]
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
