"""Noise-free mixtures: the linear model and the nonlinear ones beside it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxhsi.data.synthetic.mixture_options import MixtureOptions
from jaxhsi.gmcr.mixing import absorbance_with_stray_light, bilinear_mixing, generalised_bilinear


def mix_components(
    key: Key[Array, ""],
    concentrations: Float[Array, "n k"],
    components: Float[Array, "k c"],
    options: MixtureOptions,
) -> Float[Array, "n c"]:
    """Noise-free spectra of these concentrations, by the mixing that the options name.

    With x the linear mixture, m the RMS of all x and b the strength: `detector_saturation` and
    `bilinear` say their own; polynomial is x + b / m x^2; generalised_bilinear is `bilinear` with
    strengths U(0, 2 b) drawn for each sample and pair; stray_light is
    m times `gmcr.mixing.absorbance_with_stray_light` of a share b of x / m, an absorbance of RMS 1.
    """
    linear_spectra = concentrations @ components
    signal_rms = root_mean_square(linear_spectra)
    if options.mixing == "detector_saturation":
        return detector_saturation(linear_spectra, options.strength)
    if options.mixing == "bilinear":
        return bilinear(concentrations, components, options.strength)
    if options.mixing == "generalised_bilinear":
        shape = (*concentrations.shape, len(components))
        pair_strengths = jax.random.uniform(key, shape, maxval=2 * options.strength) / signal_rms
        return generalised_bilinear().mix(pair_strengths, concentrations, components)
    if options.mixing == "polynomial":
        return linear_spectra + options.strength / signal_rms * linear_spectra**2
    if options.mixing == "stray_light":
        return signal_rms * absorbance_with_stray_light(
            options.strength, linear_spectra / signal_rms
        )
    return linear_spectra


def detector_saturation(spectra: Float[Array, "n c"], strength: float) -> Float[Array, "n c"]:
    """Detector that levels off: m (1 - exp(-strength x / m)) / strength, m the RMS of all x.

    Linear for a small strength; at strength 1 a channel of the size m is 37 % too low.
    """
    scale = root_mean_square(spectra)
    return -scale * jnp.expm1(-strength * spectra / scale) / strength


def bilinear(
    concentrations: Float[Array, "n k"], components: Float[Array, "k c"], strength: float
) -> Float[Array, "n c"]:
    """Pairs interact: x + strength / m * sum_{i<j} (a_i s_i) (a_j s_j), m the RMS of all x.

    Here x = sum a_i s_i is linear; the products of pairs are those of Fan et al. 2009 (Int.
    J. Remote Sensing 30, 2951), here by 2 sum_{i<j} u_i u_j = (sum u)^2 - sum u^2.
    """
    signal_rms = root_mean_square(concentrations @ components)
    return bilinear_mixing(strength / signal_rms, concentrations, components)


def root_mean_square(spectra: Float[Array, "n c"]) -> Float[Array, ""]:
    """Over all channels of all spectra, at least 1e-30."""
    return jnp.maximum(jnp.sqrt((spectra**2).mean()), 1e-30)
