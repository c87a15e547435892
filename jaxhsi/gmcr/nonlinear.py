"""Mixing that is not linear, and priors: linear fits and refinements in turn.

Minimise ||(X - f(C, S; p)) / sigma||^2 + priors(C, S) with the smallest number of rows of S. The
gated solver finds components of a linear mixture only. What the model f adds to linear mixing,
f(C, S; p) - C S, is therefore estimated by a refinement and subtracted from the data, which the
gated solver sees again, until number and data stay.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float

from jaxhsi.gmcr.dense_refinement import DenseProblem, refine_dense
from jaxhsi.gmcr.factor_refinement import RefinedFactors, refinement_on
from jaxhsi.gmcr.factors import Factors, scale_to_sum
from jaxhsi.gmcr.goodness_of_fit import as_refined
from jaxhsi.gmcr.mixing import ForwardModel, MixingFunction, linear, nonlinear_part, parameter_free
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.priors import (
    Prior,
    combine_priors,
    equality,
    non_negativity,
)
from jaxhsi.gmcr.solution import Solution
from jaxhsi.gmcr.sparse_coding import sparsity_penalty
from jaxhsi.gmcr.whitened_solution import WhitenedSolution, replace_spikes, whiten_solution
from jaxhsi.linear_algebra import inverse

MAX_REFINEMENTS = 12
"""Linear fits with a refinement each. Set by hand as a bound; a solution that had not settled by
then says so."""
_CERTAIN_GAIN_FACTOR = 5.0
"""Multiple of its penalty by which a concentration must lower chi-squared to take part in the
estimate of the model's parameters. Set by hand."""
_CHANGE_TOLERANCE = 0.25
"""Root mean square change of the linearised data, in noise deviations, that ends the iteration.
Set by hand: a change of a quarter of the noise adds 3 % to its deviation."""

LinearFit = Callable[[Array, int], Solution]
PriorFactory = Prior | Callable[[Solution], Prior]
"""A prior, or a function that makes it of the linear solution, whose components it must know."""


def fit_nonlinear(
    fit_linear: LinearFit,
    x: Float[Array, "n c"],
    mixing: ForwardModel | MixingFunction,
    priors: Sequence[PriorFactory],
    options: SolverOptions,
    run_lengths: tuple[int, ...] | None = None,
    mesh: Mesh | None = None,
) -> Solution:
    """Components under a forward model and priors, and their number.

    Products of components are in the model and not among the components, and the noise stays what
    it was. Linear mixing takes one refinement, which sees the residual where its noise is white;
    another mixing takes noise as white.

    Args:
        fit_linear: ``fit_linear(data, refinement) -> Solution`` by linear mixing; refinements are
            counted from 0.
        x: the data, in scaled units.
        mixing: a forward model.
        priors: or functions that make them of the linear solution.
        options: of the solver.
        run_lengths: of the runs of samples in an order; None where samples have none.
        mesh: devices that each compute a share of the spectra in a refinement; None for one.

    Returns:
        The solution; ``converged`` is false if number or data still changed in the last of
        `MAX_REFINEMENTS`.
    """
    forward, refine = _as_forward(mixing), refinement_on(mesh)
    x_linearised, parameters, component_count = x, None, -1
    for refinement in range(MAX_REFINEMENTS):
        solution = fit_linear(x_linearised, refinement)
        if not len(solution.components):
            return solution
        white_solution = whiten_solution(solution, x_linearised)
        noise_deviation = white_solution.noise_deviation
        prior = combine_priors(*_all_priors(solution, priors, options))
        start_factors = _refinement_start(solution, forward, parameters, prior)
        if mixing is not linear:
            start_factors = start_factors._replace(
                factors=_keep_certain_concentrations(start_factors.factors, noise_deviation)
            )
        # The refinement sees the data themselves, not the linearised ones it will make.
        x_clean = replace_spikes(solution, np.asarray(x)) - solution.noise_model.offset
        x_clean, matrix = jnp.asarray(x_clean, jnp.float32), _matrix(white_solution)
        if mixing is linear and prior.frees_zeros:
            problem = DenseProblem(
                x_clean, noise_deviation, matrix, prior, run_lengths, options.non_negative, mesh
            )
            is_fixed = jnp.asarray(solution.in_library)
            refined_fit = refine_dense(problem, start_factors.factors, is_fixed)
        else:
            refined_fit = refine(
                x_clean, noise_deviation, start_factors, forward, prior, whitening_matrix=matrix
            )
        x_before, count_before = x_linearised, component_count
        x_linearised = x - nonlinear_part(forward, refined_fit.parameters, *refined_fit.factors)
        parameters, component_count = refined_fit.parameters, len(solution.components)
        data_change = float(jnp.sqrt(jnp.mean(((x_linearised - x_before) / noise_deviation) ** 2)))
        has_settled = mixing is linear or (
            component_count == count_before and data_change < _CHANGE_TOLERANCE
        )
        if has_settled:
            break
    if mixing is not linear:
        # From all concentrations again: those left out above were so only for the parameters.
        start_factors = _refinement_start(solution, forward, parameters, prior)
        refined_fit = refine(x, noise_deviation, start_factors, forward, prior)
    (c, s), parameters = jax.device_get(refined_fit)
    return solution._replace(
        components=s,
        concentrations=c,
        mixing_parameters=parameters,
        converged=solution.converged and has_settled,
    )


def linearised(
    x: Float[Array | np.ndarray, "n c"], solution: Solution, mixing: ForwardModel | MixingFunction
) -> Float[Array, "n c"]:
    """The data without what the mixing adds to linear mixing: X - (f(C, S; p) - C S).

    Args:
        x: X, in scaled units.
        solution: C, S and p, of these data under this mixing.
        mixing: f.
    """
    fitted = as_refined(solution)
    return jnp.asarray(x) - nonlinear_part(_as_forward(mixing), fitted.parameters, *fitted.factors)


@jax.jit
def _keep_certain_concentrations(factors: Factors, noise: Float[Array, "n 1"]) -> Factors:
    """Set concentrations to zero that gain little: some stand in for what the mixing adds.

    Left out for the moment, they cannot keep the parameters of the mixing from their values. The
    largest of each spectrum and of each component stays.
    """
    c, s = factors
    residual_norms = 1 / jnp.diagonal(inverse(s @ s.T + 1e-6 * jnp.eye(len(s))))
    chi2_gain = c**2 * residual_norms / noise**2
    is_certain = chi2_gain > _CERTAIN_GAIN_FACTOR * sparsity_penalty(
        jnp.asarray(len(s), jnp.float32)
    )
    # Otherwise a weak spectrum or component would take no part at all.
    is_certain |= (c == jnp.max(c, axis=1, keepdims=True)) | (c == jnp.max(c, axis=0))
    return Factors(jnp.where(is_certain, c, 0.0), s)


def _matrix(white: WhitenedSolution) -> Float[Array, "c c"] | None:
    return (
        None
        if white.whitener is None
        else jnp.asarray(white.whitener.whitening_matrix, jnp.float32)
    )


def _as_forward(mixing: ForwardModel | MixingFunction) -> ForwardModel:
    return mixing if isinstance(mixing, ForwardModel) else parameter_free(mixing)


def _all_priors(
    solution: Solution, priors: Sequence[PriorFactory], options: SolverOptions
) -> list[Prior]:
    """Those given, what the solver's options say, and known spectra last: they hold exactly."""
    solver_priors = []
    if options.non_negative:
        solver_priors = [non_negativity("concentrations"), non_negativity("components")]
    # Priors that need the components of the linear solution are made of it now.
    given_priors = [prior if isinstance(prior, Prior) else prior(solution) for prior in priors]
    is_fixed = np.asarray(solution.in_library)
    if not is_fixed.any():
        return [*solver_priors, *given_priors]
    fixed_rows = jnp.where(is_fixed[:, None], jnp.asarray(solution.components), jnp.nan)
    # Of unit length, so that they leave the scale of the others as it is.
    return [
        *solver_priors,
        *given_priors,
        equality(components=fixed_rows)._replace(fixes_scale=False),
    ]


def _refinement_start(
    solution: Solution, forward: ForwardModel, parameters: object, prior: Prior
) -> RefinedFactors:
    """The linear solver's factors, and the parameters of the refinement before, where they fit.

    Parameters of a local model belong to the spectra or components of one linear fit.
    """
    factors = as_refined(solution).factors
    # Another fit may have other components: their local parameters do not carry over.
    if forward.per_spectrum or parameters is None:
        parameters = forward.initial_parameters(
            len(factors.concentrations), len(factors.components)
        )
    if prior.concentration_sum is not None:
        factors = scale_to_sum(factors, prior.concentration_sum)
    return RefinedFactors(factors, parameters)
