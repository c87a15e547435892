"""The number that data are divided by before they are unmixed, and noise in their units."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from jaxhsi.gmcr.noise_model import SignalDependentNoise, noise_deviation
from jaxhsi.gmcr.odd_spectra import size_ratios


def data_scale(spectra: Float32[np.ndarray, "n c"]) -> float:
    """Root mean square of the data, rounded to a power of two: dividing by it changes no digit.

    A single spectrum of another size than all others does not count, see `size_ratios`.

    >>> data_scale(np.full((3, 2), 900.0, np.float32))
    1024.0
    """
    mean_square = ((spectra.astype(np.float64) / size_ratios(spectra)) ** 2).mean()
    if not np.isfinite(mean_square) or mean_square == 0:
        return 1.0  # such data are refused by the solver, which says why
    return float(2.0 ** np.round(np.log2(np.sqrt(mean_square))))


def spectrum_noise(
    spectra_scaled: Float32[np.ndarray, "n c"],
    noise_level: SignalDependentNoise,
    data_unit: float,
    noise_ratios: Float32[np.ndarray, "n 1"] | None = None,
) -> Float32[np.ndarray, " n"]:
    """Standard deviation of the noise of each spectrum, in the units of the data.

    Args:
        spectra_scaled: data divided by ``data_unit``.
        noise_level: of the scaled data, divided by the ratios.
        data_unit: that they were divided by.
        noise_ratios: noise of each spectrum's run; None where runs are alike.
    """
    ratios = np.ones((len(spectra_scaled), 1), np.float32) if noise_ratios is None else noise_ratios
    mean_squares = jnp.asarray(((spectra_scaled / ratios) ** 2).mean(1))
    deviations = np.asarray(noise_deviation(noise_level, mean_squares)) * np.float32(data_unit)
    return deviations * ratios[:, 0]
