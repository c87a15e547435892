"""A solution and its spectra in the coordinates in which the noise is white.

Every diagnostic of a solution (goodness of fit, confidence, rotational ambiguity) and the training
of the networks need the same change of coordinates: offset off, spikes replaced by the fit, and
rows multiplied by the whitening matrix. `whiten_solution` does it once; the Cholesky factor behind
it can be handed on to another solution under the same noise.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxhsi.gmcr.noise_covariance import NoiseModel, NoiseWhitener, noise_whitener
from jaxhsi.gmcr.noise_model import residual_noise_level, spectrum_deviations
from jaxhsi.gmcr.solution import Solution

Spectra = Float[np.ndarray | Array, "n c"]
HostSpectra = Float[np.ndarray, "n c"]


class WhitenedSolution(NamedTuple):
    """A solution in scaled and in whitened coordinates.

    Attributes:
        solution: in the scaled units of its spectra.
        solution_white: the same with components and noise law in whitened coordinates;
            concentrations are the same in both.
        x_white: spectra without offset, whitened.
        noise_deviation: of each spectrum in whitened coordinates.
        whitener: the change of coordinates; None if the noise is white already.
    """

    solution: Solution
    solution_white: Solution
    x_white: Float[Array, "n c"]
    noise_deviation: Float[Array, "n 1"]
    whitener: NoiseWhitener | None


def whiten_solution(
    solution: Solution,
    spectra_scaled: Spectra,
    *,
    fill_spikes: bool = True,
    whitener_of: WhitenedSolution | None = None,
) -> WhitenedSolution:
    """Bring a solution and its spectra into the coordinates in which the noise is white.

    Args:
        solution: of these spectra.
        spectra_scaled: linear mixtures, see `nonlinear.linearised`, with their offset.
        fill_spikes: replace spikes by the fit of the solution.
        whitener_of: a whitened solution under the same noise model, whose Cholesky factor is used
            again.
    """
    noise = _noise_in_float64(solution.noise_model)
    spectra = np.asarray(spectra_scaled)
    if fill_spikes:
        spectra = replace_spikes(solution, spectra)
    whitener = solution_whitener(solution) if whitener_of is None else whitener_of.whitener
    solution_white, x_white = solution, spectra
    ratios = 1.0 if solution.noise_ratios is None else solution.noise_ratios
    if whitener is not None or noise.offset.any():
        whitening_matrix = (
            np.eye(spectra.shape[1]) if whitener is None else whitener.whitening_matrix
        )
        components = (np.asarray(solution.components) @ whitening_matrix).astype(np.float32)
        x_white = whiten_spectra(spectra, noise, whitener)
        noise_law = residual_noise_level(
            jnp.asarray(x_white / ratios),
            jnp.asarray(solution.concentrations / ratios, jnp.float32),
            jnp.asarray(components, jnp.float32),
        )
        solution_white = solution._replace(
            components=components, noise_level=jax.device_get(noise_law)
        )
    device_spectra = jnp.asarray(x_white)
    spectrum_deviation = ratios * spectrum_deviations(
        device_spectra / ratios, solution_white.noise_level
    )
    return WhitenedSolution(solution, solution_white, device_spectra, spectrum_deviation, whitener)


def spectra_whitening(noise_model: NoiseModel) -> Callable[[HostSpectra], HostSpectra]:
    """The function that subtracts the offset of new spectra and whitens them.

    Args:
        noise_model: of the spectra; its spikes do not matter.

    Returns:
        ``whiten(spectra) -> spectra_white``; the identity where noise is white without offset.
    """
    noise = _noise_in_float64(noise_model)
    whitener = noise_whitener(noise, len(noise.band_deviations))
    return partial(whiten_spectra, noise_model=noise, whitener=whitener)


def whiten_spectra(
    spectra: HostSpectra, noise_model: NoiseModel, whitener: NoiseWhitener | None
) -> HostSpectra:
    """(x - offset) L'^-1 in float32; the spectra themselves if there is nothing to do.

    Args:
        spectra: x, in scaled units.
        noise_model: holds the offset.
        whitener: holds L'^-1; None where noise is white already.
    """
    if whitener is None and not noise_model.offset.any():
        return spectra
    # The product with the identity is kept: float64 sums round as those of a coloured table do.
    matrix = np.eye(spectra.shape[1]) if whitener is None else whitener.whitening_matrix
    return ((spectra - noise_model.offset) @ matrix).astype(np.float32)


def replace_spikes(solution: Solution, spectra: HostSpectra) -> HostSpectra:
    """The spectra with the fit of the solution, offset included, in the place of spikes."""
    return replace_values(solution, spectra, solution.noise_model.spike_mask)


def replace_values(
    solution: Solution, spectra: HostSpectra, mask: Bool[np.ndarray, "n c"] | None
) -> HostSpectra:
    """The spectra with the fit of the solution, offset included, where a mask says so."""
    if mask is None:
        return spectra
    fitted = solution.concentrations @ solution.components + solution.noise_model.offset
    return np.where(mask, fitted, spectra).astype(np.float32)


def solution_whitener(solution: Solution) -> NoiseWhitener | None:
    """The change of coordinates that whitens the noise of a solution's spectra, in float64."""
    noise = _noise_in_float64(solution.noise_model)
    return noise_whitener(noise, len(noise.band_deviations))


def _noise_in_float64(noise_model: NoiseModel) -> NoiseModel:
    # The factor of a float32 covariance would not be its own inverse's to float32 accuracy.
    return jax.tree.map(lambda a: np.asarray(a, np.float64), noise_model)
