"""Goodness of fit: reduced chi-squared, and a test for mixing that is not linear."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
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
_MIN_CLIPPED_VALUES = 2
"""Values that are exactly the smallest one, from which number on data count as cut off there; noise
alone has it once. Little depends on it: data that are not cut off lose one of many directions."""
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


def goodness_of_fit(
    white: WhitenedSolution, spectra_scaled: Float[ArrayLike, "n c"]
) -> GoodnessOfFit:
    """How well a solution explains its data, and whether another mixing would do better.

    Where noise is coloured or has an offset, residuals are whitened, in units of the noise that
    they show themselves: the reduced chi-squared is then about 1 whatever the solution is.

    Args:
        white: a solution with its spectra, linearised if its mixing is not linear, see
            `whitened_solution.whiten_solution` and `nonlinear.linearised`.
        spectra_scaled: as measured; where values were cut off shows in them alone.
    """
    # What a model adds is off the data already: the rest is a linear mixture in any coordinates.
    fitted = as_refined(white.solution_white)
    forward = parameter_free(linear)
    return jax.device_get(
        residual_statistics(
            white.x_white,
            white.noise_deviation,
            fitted,
            forward,
            clipping_bias(white, np.asarray(spectra_scaled)),
        )
    )


def clipping_bias(
    white: WhitenedSolution, spectra_scaled: Float[np.ndarray, "n c"]
) -> Float[np.ndarray, "n c"] | None:
    """What cutting values off at the smallest one adds to their means, in noise units.

    Software and generators of data set what noise carries below a limit f to f. For x = m + sigma e
    with normal e the mean of max(x, f) exceeds m by sigma (phi(z) - z Phi(-z)), where
    z = (m - f) / sigma: a curve at weak values, which a test of the mixing would take for its own.

    Args:
        white: a solution with its spectra.
        spectra_scaled: as measured.

    Returns:
        The excess, whitened; None where the smallest value occurs once.

    Source: mean of a censored normal variable, Tobin 1958 (Econometrica 26, 24).
    """
    smallest_value = spectra_scaled.min()
    if np.count_nonzero(spectra_scaled == smallest_value) < _MIN_CLIPPED_VALUES:
        return None
    solution, whitener = white.solution_white, white.whitener
    residual = np.asarray(white.x_white) - solution.concentrations @ solution.components
    deviation = np.asarray(white.noise_deviation)
    if whitener is not None:
        residual = whitener.inverse_transform(residual)
        deviation = deviation * np.sqrt((whitener.colouring_matrix**2).sum(axis=0))
    # The data less the residual: with the offset, and what a mixing that is not linear adds.
    z = (spectra_scaled - residual - smallest_value) / deviation
    excess = deviation * np.asarray(norm.pdf(z) - z * norm.sf(z), np.float64)
    if whitener is not None:
        excess = whitener.transform(excess)
    return (excess / np.asarray(white.noise_deviation)).astype(np.float32)


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
    nuisance_direction: Float[Array, "n c"] | None = None,
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
        nuisance_direction: of the residual in noise units, of any size, that says nothing about the
            mixing; see `clipping_bias`.

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
        _nonlinearity_score(
            residual / jnp.sqrt(reduced_chi2), noise_deviation, refined_fit, nuisance_direction
        ),
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
    nuisance_direction: Float[Array, "n c"] | None,
) -> Float[Array, ""]:
    c, s = refined_fit.factors
    mixed_spectra = linear(c, s)
    score_directions = jnp.stack([mixed_spectra**2, mixed_spectra**3, linear(c**2, s**2)])
    # Powers of the data span many orders of magnitude; only the directions matter.
    max_values = jnp.max(jnp.abs(score_directions), axis=(1, 2), keepdims=True)
    scaled_directions = score_directions / max_values / noise_deviation
    num_nuisances = 0 if nuisance_direction is None else 1
    if nuisance_direction is not None:
        # The first, so that the basis of the others is orthogonal to it.
        scaled_directions = jnp.concatenate([nuisance_direction[None], scaled_directions])
    project = tangent_complement(refined_fit.factors, noise_deviation)
    # What components and concentrations can adapt to says nothing about the mixing.
    projected_directions = jax.vmap(project)(scaled_directions).reshape(3 + num_nuisances, -1)
    direction_basis = jnp.linalg.qr(projected_directions.T)[0][:, num_nuisances:]
    return jnp.sum((direction_basis.T @ project(residual).ravel()) ** 2) / 3
