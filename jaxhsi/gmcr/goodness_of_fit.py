"""Goodness of fit: reduced chi-squared, and a test for mixing that is not linear."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxhsi.gmcr.factor_refinement import RefinedFactors, tangent_complement
from jaxhsi.gmcr.factors import Factors
from jaxhsi.gmcr.mixing import ForwardModel, linear, parameter_free
from jaxhsi.gmcr.noise_model import SignalDependentNoise, residual_degrees_of_freedom
from jaxhsi.gmcr.noise_model import noise_deviation as spectrum_noise_deviation
from jaxhsi.gmcr.solution import Solution
from jaxhsi.gmcr.whitened_solution import WhitenedSolution

ArrayLike = Array | np.ndarray
NONLINEARITY_THRESHOLD = 6.0
"""Nonlinearity score above which another mixing is suspected.

The score of noise alone is a chi-squared of three degrees of freedom over 3, which exceeds 6 once
in 2,300 tables (P(chi2_3 > 18) = 4.4e-4).
"""
REDUCED_CHI2_THRESHOLD = 1.5
"""Reduced chi-squared above which a solution does not explain its data. It is a mean over thousands
of values: noise alone stays within a few hundredths of 1. Set by hand, far above that."""
_MIN_MEAN_SQUARE = 1e-20
"""Mean square of a spectrum that counts as zero; only avoids the logarithm of 0 in the noise
law."""


class GoodnessOfFit(NamedTuple):
    """Squared residuals in noise units per degree of freedom: 1 is noise alone.

    Attributes:
        reduced_chi2: of all values.
        spectrum_chi2: of each spectrum.
        band_chi2: of each band.
        nonlinearity_score: see `residual_statistics`.
    """

    reduced_chi2: Float[ArrayLike, ""]
    spectrum_chi2: Float[ArrayLike, " n"]
    band_chi2: Float[ArrayLike, " c"]
    nonlinearity_score: Float[ArrayLike, ""]


def goodness_of_fit(white: WhitenedSolution) -> GoodnessOfFit:
    """How well a solution explains its data, and whether another mixing would do better.

    Where noise is coloured or has an offset, residuals are whitened, in units of the noise that
    they show themselves: the reduced chi-squared is then about 1 whatever the solution is.

    Args:
        white: a solution with its spectra, linearised if its mixing is not linear, see
            `whitened_solution.whiten_solution` and `nonlinear.linearised`.
    """
    # What a model adds is off the data already: the rest is a linear mixture in any coordinates.
    fitted = as_refined(white.solution_white)
    forward = parameter_free(linear)
    return jax.device_get(
        residual_statistics(white.x_white, white.noise_deviation, fitted, forward)
    )


def as_refined(solution: Solution) -> RefinedFactors:
    """Factors and parameters of a solution as arrays of JAX."""
    factors = Factors(jnp.asarray(solution.concentrations), jnp.asarray(solution.components))
    return RefinedFactors(factors, jax.tree.map(jnp.asarray, solution.mixing_parameters))


@partial(jax.jit, static_argnames="forward")
def residual_statistics(
    x: Float[Array, "n c"],
    noise_deviation: Float[Array, "n #c"],
    refined_fit: RefinedFactors,
    forward: ForwardModel,
) -> GoodnessOfFit:
    """Residuals against the noise, by spectrum and by band, and a test of the forward model.

    A noise law that was fitted to the residual makes the reduced chi-squared about 1 whatever the
    model is. The nonlinearity score does not depend on it: a score test of the directions L^2, L^3
    and sum_i u_i^2 (L = C S, u_i = c_i s_i), in which products of components have a part, after
    projecting out all that components and concentrations can adapt to. It is what curved mixing
    would take off the squared residual, per direction. Noise alone, white along the axis, makes it
    about 1; see `NONLINEARITY_THRESHOLD`.

    Args:
        x: data without offset.
        noise_deviation: of each spectrum, or of each value.
        refined_fit: factors, and parameters of the forward model.
        forward: the model.

    Source: score test, Rao 1948; for non-linear mixing Altmann et al. 2013 (IEEE TIP 22, 1267).
    """
    (c, s), parameters = refined_fit
    residual = (x - forward.mix(parameters, c, s)) / noise_deviation
    num_bands = x.shape[1]
    mean_deviation = jnp.mean(jnp.broadcast_to(noise_deviation, x.shape), axis=1)
    # Only ratios of deviations matter; near 1 they keep the sums in float32's range.
    degrees_of_freedom = residual_degrees_of_freedom(
        c, mean_deviation / jnp.min(mean_deviation), num_bands
    )
    squared_residual = residual**2
    reduced_chi2 = jnp.sum(squared_residual) / jnp.sum(degrees_of_freedom)
    return GoodnessOfFit(
        reduced_chi2,
        jnp.sum(squared_residual, axis=1) / degrees_of_freedom,
        jnp.sum(squared_residual, axis=0) * num_bands / jnp.sum(degrees_of_freedom),
        _nonlinearity_score(residual / jnp.sqrt(reduced_chi2), noise_deviation, refined_fit),
    )


def spectrum_reduced_chi2(
    x: Float[Array, "n c"],
    concentrations: Float[Array, "n k"],
    components: Float[Array, "k c"],
    noise_law: SignalDependentNoise,
) -> Float[Array, " n"]:
    """Squared residual over what the noise law expects, per degree of freedom, of new spectra.

    ||x - c S||^2 / (sigma(x)^2 (bands - components in use)), for spectra that the components were
    not fitted to: 1 is noise alone, of deviation sqrt(2 / bands); more is what S does not explain.

    Args:
        x: whitened.
        concentrations: c.
        components: S, whitened.
        noise_law: of the noise in whitened coordinates.

    >>> import jax.numpy as jnp
    >>> from jaxhsi.gmcr.noise_model import SignalDependentNoise
    >>> unit_variance = SignalDependentNoise(jnp.zeros(()), jnp.zeros(()))
    >>> x, components = jnp.array([[10.0, 1.0, -1.0]]), jnp.array([[1.0, 0.0, 0.0]])
    >>> spectrum_reduced_chi2(x, jnp.array([[10.0]]), components, unit_variance).tolist()
    [1.0]
    """
    scale = spectrum_noise_deviation(
        noise_law, jnp.maximum(jnp.mean(x**2, axis=1), _MIN_MEAN_SQUARE)
    )
    # The components were not fitted to these spectra: only concentrations cost freedom.
    free = jnp.maximum(x.shape[1] - jnp.sum(concentrations != 0, axis=1), 1)
    return jnp.sum((x - linear(concentrations, components)) ** 2, axis=1) / scale**2 / free


def _nonlinearity_score(
    residual: Float[Array, "n c"],
    noise_deviation: Float[Array, "n #c"],
    refined_fit: RefinedFactors,
) -> Float[Array, ""]:
    c, s = refined_fit.factors
    mixed_spectra = linear(c, s)
    score_directions = jnp.stack([mixed_spectra**2, mixed_spectra**3, linear(c**2, s**2)])
    # Powers of the data span many orders of magnitude; only the directions matter.
    max_values = jnp.max(jnp.abs(score_directions), axis=(1, 2), keepdims=True)
    scaled_directions = score_directions / max_values / noise_deviation
    project = tangent_complement(refined_fit.factors, noise_deviation)
    # What components and concentrations can adapt to says nothing about the mixing.
    projected_directions = jax.vmap(project)(scaled_directions).reshape(3, -1)
    direction_basis = jnp.linalg.qr(projected_directions.T)[0]
    return jnp.sum((direction_basis.T @ project(residual).ravel()) ** 2) / 3
