"""How strong the noise of a spectrum is, told from the spectrum alone."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class NoiseLaw(NamedTuple):
    """Noise variance of a spectrum as a power of its mean square m: exp(level) m^exponent.

    An exponent of 0 is additive noise of one deviation for all spectra, of 1 a fixed
    signal-to-noise ratio.

    Attributes:
        level: logarithm of the variance where m = 1.
        exponent: in 0..2.
    """

    level: Float[Array, ""]
    exponent: Float[Array, ""]


def noise_scale(law: NoiseLaw, mean_square: Float[Array, " n"]) -> Float[Array, " n"]:
    """Noise deviation of spectra of these mean squares (> 0), in the units of the spectra."""
    return jnp.exp(0.5 * (law.level + law.exponent * jnp.log(mean_square)))
