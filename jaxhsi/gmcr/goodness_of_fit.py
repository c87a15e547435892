"""How far a forward model is from explaining the data down to the noise."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxhsi.gmcr.factor_refinement import RefinedFactors, tangent_complement
from jaxhsi.gmcr.mixing import ForwardModel, linear
from jaxhsi.gmcr.noise_model import (
    SignalDependentNoise,
    noise_deviation,
    residual_degrees_of_freedom,
)

ArrayLike = Array | np.ndarray
NONLINEARITY_THRESHOLD = 6.0
"""Curvature above this is not noise: it would be so once in 2000 tables."""

REDUCED_CHI2_THRESHOLD = 1.5
"""A total above this is not noise either, by far: it is the mean of thousands of values."""

_MIN_MEAN_SQUARE = 1e-20


class GoodnessOfFit(NamedTuple):
    """Squared residuals in noise units per degree of freedom: 1 is noise alone.

    Attributes:
        reduced_chi2: of all values.
        spectrum_chi2: of each spectrum.
        band_chi2: of each band.
        nonlinearity_score: what curved mixing would take off the residual per direction, see `residual_statistics`.
    """

    reduced_chi2: Float[ArrayLike, ""]
    spectrum_chi2: Float[ArrayLike, " n"]
    band_chi2: Float[ArrayLike, " c"]
    nonlinearity_score: Float[ArrayLike, ""]


@partial(jax.jit, static_argnames="forward")
def residual_statistics(
    x: Float[Array, "n c"],
    noise_deviation: Float[Array, "n #c"],
    refined_fit: RefinedFactors,
    forward: ForwardModel,
) -> GoodnessOfFit:
    """Residuals against the noise, by spectrum and by band, and a test of the forward model.

    A noise law that was fitted to the residual makes `total` about 1 whatever the model is. The
    curvature does not depend on it: a score test of the directions L^2, L^3 and sum u_i^2
    (L = C S, u_i = c_i s_i), that products of components have a part in, off all that components
    and concentrations can adapt to. Noise alone, white along the axis, makes it about 1 (a
    chi-square of 3 over 3); 6 and more is no noise.

    Source: score test, Rao 1948; for non-linear mixing Altmann et al. 2013 (IEEE TIP 22, 1267).
    """
    (c, s), parameters = refined_fit
    residual = (x - forward.mix(parameters, c, s)) / noise_deviation
    bands = x.shape[1]
    deviation = jnp.mean(jnp.broadcast_to(noise_deviation, x.shape), axis=1)
    # Only ratios of deviations matter; near 1 they keep the sums in float32's range.
    free = residual_degrees_of_freedom(c, deviation / jnp.min(deviation), bands)
    squares = residual**2
    total = jnp.sum(squares) / jnp.sum(free)
    return GoodnessOfFit(
        total,
        jnp.sum(squares, axis=1) / free,
        jnp.sum(squares, axis=0) * bands / jnp.sum(free),
        _nonlinearity_score(residual / jnp.sqrt(total), noise_deviation, refined_fit),
    )


def spectrum_reduced_chi2(
    x: Float[Array, "n c"],
    concentrations: Float[Array, "n k"],
    components: Float[Array, "k c"],
    noise_law: SignalDependentNoise,
) -> Float[Array, " n"]:
    """Squared residual over what the noise law expects, per degree of freedom, of new spectra.

    ||x - c S||^2 / (sigma(x)^2 (bands - components in use)), for spectra that the components were
    not found on: 1 is noise alone, of deviation sqrt(2 / bands); more is what S does not explain.

    Args:
        x: where noise is white.
        concentrations: c.
        components: S, likewise.
        noise_law: of the noise there.
    """
    scale = noise_deviation(noise_law, jnp.maximum(jnp.mean(x**2, axis=1), _MIN_MEAN_SQUARE))
    free = jnp.maximum(x.shape[1] - jnp.sum(concentrations != 0, axis=1), 1)
    return jnp.sum((x - linear(concentrations, components)) ** 2, axis=1) / scale**2 / free


def _nonlinearity_score(
    residual: Float[Array, "n c"], noise: Float[Array, "n #c"], found: RefinedFactors
) -> Float[Array, ""]:
    c, s = found.factors
    mixed = linear(c, s)
    directions = jnp.stack([mixed**2, mixed**3, linear(c**2, s**2)])
    scaled = directions / jnp.max(jnp.abs(directions), axis=(1, 2), keepdims=True) / noise
    outside = tangent_complement(found.factors, noise)
    slopes = jax.vmap(outside)(scaled).reshape(3, -1)
    basis = jnp.linalg.qr(slopes.T)[0]
    return jnp.sum((basis.T @ outside(residual).ravel()) ** 2) / 3
