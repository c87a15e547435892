"""The linear solver and a refinement in turn: mixing that is not linear, and priors."""

import logging
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxhsi.gmcr.factor_refinement import RefinedFactors, refine_factors
from jaxhsi.gmcr.goodness_of_fit import (
    NONLINEARITY_THRESHOLD,
    REDUCED_CHI2_THRESHOLD,
    GoodnessOfFit,
    residual_statistics,
)
from jaxhsi.gmcr.mixing import ForwardModel, MixingFunction, linear, nonlinear_part, parameter_free
from jaxhsi.gmcr.noise_model import noise_deviation
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.priors import (
    Factors,
    Prior,
    combine_priors,
    equality,
    non_negativity,
    scale_to_sum,
)
from jaxhsi.gmcr.solution import Solution
from jaxhsi.gmcr.sparse_coding import sparsity_penalty
from jaxhsi.gmcr.whitening import replace_spikes, whiten_solution, whitening_matrix
from jaxhsi.linear_algebra import inverse

MAX_REFINEMENTS = 12
_CERTAIN_GAIN_FACTOR = 5.0  # times its price: what a concentration gains that is beyond doubt
_CHANGE_TOLERANCE = 0.25  # change of the data, in noise deviations, that is none

LinearFit = Callable[[Array, int], Solution]
PriorFactory = Prior | Callable[[Solution], Prior]


def fit_nonlinear(
    fit_linear: LinearFit,
    x: Float[Array, "n c"],
    mixing: ForwardModel | MixingFunction,
    priors: Sequence[PriorFactory],
    options: SolverOptions,
) -> Solution:
    """Components under a forward model and priors, and their number.

    The linear solver finds components and their number, a refinement fits them and the forward
    model's parameters to the data, what the model adds to linear mixing is subtracted from the
    data, and so on until number and data stay. Products of components are thus in the model and
    not among the components, and the noise stays what it was.

    Linear mixing takes one round, whose refinement sees the residual where its noise is white, as
    ``fit_linear`` found it; other mixing takes the noise as white.

    Args:
        fit_linear: ``fit_linear(data, round) -> Solution``, by linear mixing.
        x: the data.
        mixing: a forward model.
        priors: or functions that make them of the solution, whose components they need to know.
        options: of the solver.
    """
    forward = _forward(mixing)
    straight, begun, count = x, None, -1
    for turn in range(MAX_REFINEMENTS):
        found = fit_linear(straight, turn)
        if not len(found.components):
            return found
        clean, noise = _without_spikes_and_offset(x, straight, found)
        prior = combine_priors(*_all_priors(found, priors, options))
        start = _refinement_start(found, forward, begun, prior)
        if mixing is not linear:
            start = start._replace(factors=_keep_certain_concentrations(start.factors, noise))
        whiten = whitening_matrix(found)
        fitted = refine_factors(clean, noise, start, forward, prior, whitening_matrix=whiten)
        flattened = x - nonlinear_part(forward, fitted.parameters, *fitted.factors)
        moved = float(jnp.sqrt(jnp.mean(((flattened - straight) / noise) ** 2)))
        still = mixing is linear or (len(found.components) == count and moved < _CHANGE_TOLERANCE)
        straight, begun, count = flattened, fitted.parameters, len(found.components)
        if still:
            break
    else:
        logging.getLogger(__name__).warning(
            "mixing still changed after %d rounds, by %.2g noise deviations; take the answer as "
            "uncertain",
            MAX_REFINEMENTS,
            moved,
        )
    if mixing is not linear:
        last = _refinement_start(found, forward, begun, prior)
        fitted = refine_factors(x, noise, last, forward, prior)
    (c, s), parameters = jax.device_get(fitted)
    return found._replace(
        components=s,
        concentrations=c,
        mixing_parameters=parameters,
        converged=found.converged and still,
    )


@jax.jit
def _keep_certain_concentrations(factors: Factors, noise: Float[Array, "n 1"]) -> Factors:
    """Without the concentrations that gain little: some stand in for what mixing adds.

    Left out for the moment, they cannot keep the parameters of the mixing from their values. The
    largest of each spectrum and of each component stays.
    """
    c, s = factors
    alone = 1 / jnp.diagonal(inverse(s @ s.T + 1e-6 * jnp.eye(len(s))))
    gain = c**2 * alone / noise**2
    sure = gain > _CERTAIN_GAIN_FACTOR * sparsity_penalty(jnp.asarray(len(s), jnp.float32))
    sure |= (c == jnp.max(c, axis=1, keepdims=True)) | (c == jnp.max(c, axis=0))
    return Factors(jnp.where(sure, c, 0.0), s)


def goodness_of_fit(
    x: Float[Array | np.ndarray, "n c"],
    solution: Solution,
    mixing: ForwardModel | MixingFunction = linear,
) -> GoodnessOfFit:
    """How well a solution explains the data, and whether another mixing would do better.

    Where noise is coloured or has an offset, residuals are those in the frame where it is white,
    in units of what they are there: `total` is then about 1 whatever they are.
    """
    framed, seen, noise = whiten_for_diagnostics(solution, linearised(x, solution, mixing))
    # What a model adds is off the data already; the rest is a linear mixture, in any frame.
    return jax.device_get(residual_statistics(seen, noise, _as_refined(framed), _forward(linear)))


def linearised(
    x: Float[Array | np.ndarray, "n c"], solution: Solution, mixing: ForwardModel | MixingFunction
) -> Float[Array, "n c"]:
    """The data without what the mixing adds to linear mixing."""
    fitted = _as_refined(solution)
    return jnp.asarray(x) - nonlinear_part(_forward(mixing), fitted.parameters, *fitted.factors)


def _without_spikes_and_offset(
    x: Float[Array, "n c"], straight: Float[Array, "n c"], found: Solution
) -> tuple[Float[Array, "n c"], Float[Array, "n 1"]]:
    """The data without spikes and offset, and their noise where it is white."""
    noise = whiten_for_diagnostics(found, straight)[2]
    clean = replace_spikes(found, np.asarray(x)) - found.noise_model.offset
    return jnp.asarray(clean, jnp.float32), noise


def whiten_for_diagnostics(
    solution: Solution, spectra: Float[Array | np.ndarray, "n c"]
) -> tuple[Solution, Float[Array, "n c"], Float[Array, "n 1"]]:
    """Solution and linear mixtures in the frame where noise is white, and its deviations there."""
    framed, seen = whiten_solution(solution, replace_spikes(solution, np.asarray(spectra)))
    seen = jnp.asarray(seen)
    return framed, seen, noise_deviation(framed.noise_level, jnp.mean(seen**2, axis=1))[:, None]


def _forward(mixing: ForwardModel | MixingFunction) -> ForwardModel:
    return mixing if isinstance(mixing, ForwardModel) else parameter_free(mixing)


def _as_refined(found: Solution) -> RefinedFactors:
    factors = Factors(jnp.asarray(found.concentrations), jnp.asarray(found.components))
    return RefinedFactors(factors, jax.tree.map(jnp.asarray, found.mixing_parameters))


def fit_warning(fit_statistics: GoodnessOfFit, mixing_name: str) -> str | None:
    """What to tell where the forward model does not explain the data, else None."""
    curvature, total = float(fit_statistics.nonlinearity_score), float(fit_statistics.reduced_chi2)
    if total > REDUCED_CHI2_THRESHOLD:
        return f"{mixing_name} mixing leaves {total:.3g} times the noise variance; do not trust it"
    if curvature < NONLINEARITY_THRESHOLD:
        return None
    return (
        f"what {mixing_name} mixing leaves is not noise: curved mixing would explain {curvature:.3g} "
        f"times as much of it as of noise ({NONLINEARITY_THRESHOLD:g} is suspect); try another mixing"
    )


def _all_priors(
    found: Solution, priors: Sequence[PriorFactory], options: SolverOptions
) -> list[Prior]:
    """Those given, what the solver's options say, and known spectra last: they hold exactly."""
    own = []
    if options.non_negative:
        own = [non_negativity("concentrations"), non_negativity("components")]
    made = [*own, *(prior if isinstance(prior, Prior) else prior(found) for prior in priors)]
    fixed = np.asarray(found.in_library)
    if not fixed.any():
        return made
    rows = jnp.where(fixed[:, None], jnp.asarray(found.components), jnp.nan)
    # Of unit length, so that they leave the scale of the others as it is.
    return [*made, equality(components=rows)._replace(fixes_scale=False)]


def _refinement_start(
    found: Solution, forward: ForwardModel, begun: object, prior: Prior
) -> RefinedFactors:
    """The linear solver's factors, and the parameters of the round before, where they fit."""
    factors = _as_refined(found).factors
    if forward.per_spectrum or begun is None:
        begun = forward.initial_parameters(len(factors.concentrations), len(factors.components))
    if prior.concentration_sum is not None:
        factors = scale_to_sum(factors, prior.concentration_sum)
    return RefinedFactors(factors, begun)
