"""The problem that `factor_refinement` and `gauss_newton` solve: data, forward model and priors."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxhsi.gmcr.factors import Factors
from jaxhsi.gmcr.mixing import ForwardModel, MixingParameters, linear
from jaxhsi.gmcr.priors import Prior


class RefinedFactors(NamedTuple):
    """Factors, and the parameters of the forward model."""

    factors: Factors
    parameters: MixingParameters


class Problem(NamedTuple):
    """A refinement: data, noise, forward model and prior.

    Attributes:
        target: spectra, whitened and divided by their noise deviation.
        noise_deviations: of each spectrum's values, after whitening.
        whitening_matrix: W, or None.
        forward_model: f.
        prior: all priors, combined.
        support: concentrations that may differ from 0.
    """

    target: Float[Array, "n c"]
    noise_deviations: Float[Array, "n #c"]
    whitening_matrix: Float[Array, "c c"] | None
    forward_model: ForwardModel
    prior: Prior
    support: Bool[Array, "n p"]

    def model(self, parameters: MixingParameters, factors: Factors) -> Float[Array, "n c"]:
        """Spectra of the forward model, whitened, in noise units."""
        return self._in_noise_units(self.forward_model.mix(parameters, *factors))

    def linear_model(self, _: MixingParameters, factors: Factors) -> Float[Array, "n c"]:
        """Spectra of linear mixing, whitened, in noise units."""
        return self._in_noise_units(linear(*factors))

    def loss(self, refined: RefinedFactors) -> Float[Array, ""]:
        """What is minimised."""
        residual = self.target - self.model(refined.parameters, refined.factors)
        return 0.5 * jnp.sum(residual**2) + self.prior.penalty(refined.factors)

    def _in_noise_units(self, spectra: Array) -> Array:
        return in_noise_units(spectra, self.noise_deviations, self.whitening_matrix)


def in_noise_units(
    spectra: Float[Array, "n c"],
    noise_deviations: Float[Array, "n #c"],
    whitening_matrix: Float[Array, "c c"] | None,
) -> Float[Array, "n c"]:
    """Spectra whitened, if there is a matrix for it, and divided by their noise deviation."""
    # Whitened first: deviations are those of whitened values.
    whitened = spectra if whitening_matrix is None else spectra @ whitening_matrix
    return whitened / noise_deviations
