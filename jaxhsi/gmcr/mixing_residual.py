"""What linear mixing leaves of the spectra: the residual that the noise is estimated from.

Before spectra are unmixed, mixing is the left singular vectors that stand above the noise, computed
in whitened coordinates with the smooth curves of drift and offset projected out, so that these are
never taken for components. Afterwards it is the codes, which have less freedom to fit noise.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from jaxhsi.gmcr.component_pool import free_component_penalty
from jaxhsi.gmcr.initialisation import estimate_rank
from jaxhsi.gmcr.noise_covariance import (
    NoiseModel,
    NoiseWhitener,
    legendre_basis,
    noise_whitener,
)
from jaxhsi.gmcr.noise_model import noise_deviation

_MIN_GAIN_SHARE = 0.5
"""Share of a component's penalty that a departure from white noise must gain: a weaker one cannot
add a component. Chosen by hand; not tuned."""
_NARROW_VECTOR = 0.05
"""Sum of v^4 of a right singular vector above which it is made of spikes: 20 bands alike have 0.05.
Chosen by hand; not tuned."""
_FLAT_VECTOR = 15.0
"""The same in units of 1 / c, whatever the bands are: a vector of normal values has 3 / c. Chosen
by hand; not tuned."""
_FEW_SPECTRA_RATIO = 5.0
"""n times the sum of u^4 of a left singular vector above which few spectra make it: 1 where all
take part alike, 3 for normal values. Chosen by hand; not tuned."""
_MIN_SHARP_NORM = 1e-9
"""Length below which the sharp part of a component counts as zero; only avoids a division by zero.
"""

_compiled_rank = jax.jit(estimate_rank)


class MixingResidual(NamedTuple):
    """What mixing leaves, in units of the noise deviation of each spectrum.

    Attributes:
        data_residual: residual of the spectra, offset included.
        offset_residual: residual of what a unit offset adds to the spectra.
        noise_deviation: noise deviation of each spectrum.
        leverage: of each spectrum in the fit.
        degrees_of_freedom: degrees of freedom of a channel.
        covariance_rows: of any number; their squares and products, weighted, are the covariance of
            the noise without drift.
        covariance_weights: of the rows.
        measured_share: share of the channels' dimensions that the covariance was measured in.
        noise_level: variance of the noise in whitened coordinates, about 1.
        leakage_rows: the squared size of their products with a smooth curve is the variance that
            errors of the mixing leave in its amounts.
    """

    data_residual: Float[np.ndarray, "n c"]
    offset_residual: Float[np.ndarray, " n"]
    noise_deviation: Float[np.ndarray, " n"]
    leverage: Float[np.ndarray, " n"]
    degrees_of_freedom: float
    covariance_rows: Float[np.ndarray, "m c"]
    covariance_weights: Float[np.ndarray, " m"]
    measured_share: float
    noise_level: float
    leakage_rows: Float[np.ndarray, "r c"]


def residual_from_codes(
    spectra: Float[np.ndarray, "n c"],
    noise_model: NoiseModel,
    codes: Float[np.ndarray, "n k"],
    components: Float[np.ndarray, "k c"],
    noise_deviation: Float[np.ndarray, " n"],
) -> MixingResidual:
    """What mixing with these codes leaves, whatever the components.

    An error of a code, 1 / (sharp part of its component), leaks into the smooth curves.

    Args:
        spectra: spectra, offset included, spikes replaced.
        noise_model: estimated so far; codes belong to data that it whitens.
        codes: in the units of the data.
        components: likewise.
        noise_deviation: noise deviation of each spectrum.
    """
    whitener, smooth_basis = _whitener_and_smooth_basis(noise_model, spectra.shape[1])
    # An orthonormal basis of the codes: projecting it out fits all components by least squares.
    code_basis = np.linalg.qr(codes / noise_deviation[:, None])[0]
    data_residual, unit_offset = spectra / noise_deviation[:, None], 1 / noise_deviation
    data_residual = data_residual - code_basis @ (code_basis.T @ data_residual)
    offset_residual = unit_offset - code_basis @ (code_basis.T @ unit_offset)
    offset_free = data_residual - np.outer(offset_residual, noise_model.offset)
    white_residual = offset_free @ whitener.whitening_matrix
    white_residual = white_residual - (white_residual @ smooth_basis.T) @ smooth_basis
    # At least 1: the result is then judged to be too little.
    degrees_of_freedom = float(max(len(spectra) - codes.shape[1] - 1, 1))
    white_components = components @ whitener.whitening_matrix
    sharp_norms = np.linalg.norm(
        white_components - (white_components @ smooth_basis.T) @ smooth_basis, axis=1
    )
    # The share of spectra that use a component: an unused code has no error.
    leakage_rows = np.sqrt(np.mean(codes != 0, axis=0))[:, None] * components
    leakage_rows = leakage_rows / np.maximum(sharp_norms, _MIN_SHARP_NORM)[:, None]
    covariance = _covariance_factors(
        white_residual, degrees_of_freedom, smooth_basis[:0], smooth_basis, noise_model, whitener
    )
    return MixingResidual(
        data_residual,
        offset_residual,
        noise_deviation,
        np.sum(code_basis**2, axis=1),
        degrees_of_freedom,
        *covariance,
        leakage_rows,
    )


def residual_from_singular_vectors(
    spectra: Float[np.ndarray, "n c"], noise_model: NoiseModel
) -> MixingResidual:
    """What the singular vectors leave that stand above the noise as it is estimated so far.

    Args:
        spectra: spectra, offset included, spikes replaced.
        noise_model: estimated so far.
    """
    num_spectra, num_bands = spectra.shape
    whitener, smooth_basis = _whitener_and_smooth_basis(noise_model, num_bands)
    white_spectra = (spectra - noise_model.offset) @ whitener.whitening_matrix
    white_spectra = white_spectra - (white_spectra @ smooth_basis.T) @ smooth_basis
    rank_estimate = _compiled_rank(jnp.asarray(white_spectra, jnp.float32))
    mean_square = jnp.asarray(np.mean(white_spectra**2, axis=1), jnp.float32)
    deviation = np.asarray(noise_deviation(rank_estimate.noise_level, mean_square), np.float64)
    # Half of the spectra and a quarter of the bands stay free, or nothing would be left to measure.
    rank = min(int(rank_estimate.rank), num_spectra // 2, 3 * num_bands // 4)
    white_spectra = white_spectra / deviation[:, None]
    right_vectors = np.asarray(rank_estimate.singular_vectors[:rank], np.float64)
    scores = white_spectra @ right_vectors.T
    is_signal = ~_is_narrow(scores, right_vectors)
    right_vectors = right_vectors[is_signal]
    left_vectors, mixing_matrix = np.linalg.qr(scores[:, is_signal])
    scaled_spectra, unit_offset = spectra / deviation[:, None], 1 / deviation
    fitted_rows = left_vectors.T @ scaled_spectra
    white_residual = white_spectra - left_vectors @ (left_vectors.T @ white_spectra)
    degrees_of_freedom = float(max(num_spectra - len(right_vectors) - 1, 1))
    covariance = _covariance_factors(
        white_residual, degrees_of_freedom, right_vectors, smooth_basis, noise_model, whitener
    )
    # Noise of the spectra, by the weights that predict a smooth curve from the scores.
    leakage_rows = np.linalg.solve(mixing_matrix, fitted_rows)
    return MixingResidual(
        scaled_spectra - left_vectors @ fitted_rows,
        unit_offset - left_vectors @ (left_vectors.T @ unit_offset),
        deviation,
        np.sum(left_vectors**2, axis=1),
        degrees_of_freedom,
        *covariance,
        leakage_rows,
    )


def min_chi2_gain(num_spectra: int, num_bands: int) -> float:
    """Squared residual, in noise units, that a departure from white noise must explain."""
    return _MIN_GAIN_SHARE * float(free_component_penalty(jnp.float32(num_spectra), num_bands))


def _is_narrow(
    scores: Float[np.ndarray, "n r"], right_vectors: Float[np.ndarray, "r c"]
) -> Bool[np.ndarray, " r"]:
    """Singular vectors made of spikes, in few spectra, or of noisy channels, weak.

    Strong ones of many spectra are signal, though they may stand on few channels where the others
    are noisy.

    Args:
        scores: of the spectra, in noise deviations.
        right_vectors: the vectors.
    """
    num_spectra, num_bands = len(scores), right_vectors.shape[1]
    is_peaked = np.sum(right_vectors**4, axis=1) > max(_NARROW_VECTOR, _FLAT_VECTOR / num_bands)
    power = np.sum(scores**2, axis=0)
    in_few_spectra = np.sum(scores**4, axis=0) * num_spectra > _FEW_SPECTRA_RATIO * power**2
    is_weak = power < num_spectra * num_bands  # weaker than all the noise of the spectra
    return is_peaked & (in_few_spectra | is_weak)


def _covariance_factors(
    white_residual: Float[np.ndarray, "n c"],
    degrees_of_freedom: float,
    signal_basis: Float[np.ndarray, "r c"],
    smooth_basis: Float[np.ndarray, "k c"],
    noise_model: NoiseModel,
    whitener: NoiseWhitener,
) -> tuple[Float[np.ndarray, "m c"], Float[np.ndarray, " m"], float, float]:
    """Rows, weights, share and level of `MixingResidual`, from a whitened residual.

    In the orthonormal rows that it lacks, signal and smooth, the noise is as the model says: a step
    of expectation maximisation, N = M + (1 - share) K, made longer to (N - (1 - share) K) / share.
    """
    num_bands = white_residual.shape[1]
    white_basis = (legendre_basis(num_bands) @ whitener.whitening_matrix).T
    drift_rows = smooth_basis @ white_basis * noise_model.drift_deviations
    # Of the smooth curves only the part that drift does not make: the covariance is without drift.
    eigenvalues, eigenvectors = np.linalg.eigh(
        np.eye(len(smooth_basis)) - drift_rows @ drift_rows.T
    )
    driftless_rows = (eigenvectors * np.sqrt(np.maximum(eigenvalues, 0))).T @ smooth_basis
    missing_rows = np.concatenate([signal_basis, driftless_rows]) @ whitener.colouring_matrix
    no_drift = noise_model._replace(drift_deviations=np.zeros_like(noise_model.drift_deviations))
    driftless_whitener = noise_whitener(no_drift, num_bands)
    prior_rows = (
        np.eye(num_bands) if driftless_whitener is None else driftless_whitener.colouring_matrix
    )
    # Of few bands nothing may be left; then one counts as measured.
    num_measured = max(num_bands - len(signal_basis) - len(smooth_basis), 1)
    measured_share = num_measured / num_bands
    noise_level = float(
        np.sum(white_residual**2) / degrees_of_freedom / (num_bands * measured_share)
    )
    parts = (
        (1 / degrees_of_freedom, white_residual @ whitener.colouring_matrix),
        (noise_level, missing_rows),
        (noise_level * (measured_share - 1), prior_rows),
    )
    row_weights = np.concatenate(
        [np.full(len(rows), weight / measured_share) for weight, rows in parts]
    )
    return np.concatenate([rows for _, rows in parts]), row_weights, measured_share, noise_level


def _whitener_and_smooth_basis(
    noise_model: NoiseModel, num_bands: int
) -> tuple[NoiseWhitener, Float[np.ndarray, "k c"]]:
    """The whitener, and smooth curves in whitened coordinates as orthonormal rows."""
    whitener, smooth_basis = noise_whitener(noise_model, num_bands), legendre_basis(num_bands)
    if whitener is None:
        return NoiseWhitener(np.eye(num_bands), np.eye(num_bands)), smooth_basis
    return whitener, np.linalg.qr((smooth_basis @ whitener.whitening_matrix).T)[0].T
