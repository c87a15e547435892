"""Whether the networks may multiply spectra in bfloat16: not where its rounding shows."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxhsi.gmcr.noise_model import SignalDependentNoise, noise_deviation

ROUNDING_ERROR = 1.2e-3
"""Relative error of a product of two numbers of bfloat16, root mean square: each is rounded by up
to 2^-9, evenly distributed, of a mantissa of 1 to 2, and so by 2^-9 / sqrt(3) times 3/4; of two
that is sqrt(2) times as much."""
MAX_NOISE_SHARE = 0.5
"""Rounding error of the correlation with a component over its noise, at most. Set by hand: half
adds 12 % to the noise of the evidence, by which gates open at about three deviations."""


def is_rounding_hidden(
    x_white: Float[Array, "n c"], noise_level: SignalDependentNoise
) -> Bool[Array, ""]:
    """Whether rounding to bfloat16 lies below the noise, in the median spectrum.

    The correlation of a spectrum x with a component of length 1 has the noise of one band, and the
    rounding error of one: ``ROUNDING_ERROR`` times the root mean square of x.

    Args:
        x_white: whitened spectra.
        noise_level: theirs.

    >>> noise = SignalDependentNoise(jnp.float32(0.0), jnp.float32(0.0))
    >>> [bool(is_rounding_hidden(jnp.full((3, 9), size), noise)) for size in (100.0, 1000.0)]
    [True, False]
    """
    mean_squares = jnp.mean(x_white**2, axis=1)
    rounding_errors = ROUNDING_ERROR * jnp.sqrt(mean_squares)
    return (
        jnp.median(rounding_errors / noise_deviation(noise_level, mean_squares)) <= MAX_NOISE_SHARE
    )
