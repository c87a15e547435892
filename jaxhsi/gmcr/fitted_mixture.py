"""A solution as the product that explains the spectra down to noise, without constraints."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from jaxhsi.gmcr.weighted_projection import singular_vectors
from jaxhsi.gmcr.whitened_solution import WhitenedSolution

_MIN_CAPTURED = 0.5
"""Share of the components' least singular value that the strongest singular vectors of the spectra
must hold. Set by hand: a component that only noise singular vectors hold is below it."""


class FittedMixture(NamedTuple):
    """A solution in noise units.

    Attributes:
        codes: concentrations over the noise deviation of each spectrum; noise may make them
            negative.
        components_scaled: in the units of the data.
        components_white: the same whitened; equal to `components_scaled` if noise is white already.
        band_deviation: noise deviation of each band in the units of the data, where the noise of a
            spectrum is 1.
        present: concentrations of the solution that are not zero.
        fixed: components that are known.
    """

    codes: Float[np.ndarray, "n k"]
    components_scaled: Float[np.ndarray, "k c"]
    components_white: Float[np.ndarray, "k c"]
    band_deviation: Float[np.ndarray, " c"]
    present: Bool[np.ndarray, "n k"]
    fixed: Bool[np.ndarray, " k"]


def fitted_mixture(white: WhitenedSolution) -> FittedMixture:
    """The mixture of a solution without the penalties and bounds of the solver.

    Concentrations and components that were bounded at zero are no longer normal about the truth,
    so that rotations of them cannot be compared by a likelihood. So the spectra are projected on as
    many right singular vectors V as there are components, S becomes S V V', and C the least-squares
    concentrations. Where these vectors do not hold the components, the solution stays as it is.

    Args:
        white: a solution with its spectra.
    """
    solution, deviation = white.solution, np.asarray(white.noise_deviation, np.float64)
    rows_scaled = np.asarray(solution.components, np.float64)
    rows_white = np.asarray(white.solution_white.components, np.float64)
    codes = np.asarray(white.solution_white.concentrations, np.float64) / deviation
    spectra = np.asarray(white.x_white, np.float64) / deviation
    vectors = singular_vectors(spectra, len(rows_white))[1].T
    coordinates = rows_white @ vectors
    least, captured = (
        np.linalg.svd(each, compute_uv=False)[-1] for each in (rows_white, coordinates)
    )
    band_deviation = np.ones(rows_white.shape[1])
    if white.whitener is not None:
        colouring = np.asarray(white.whitener.colouring_matrix, np.float64)
        band_deviation = np.linalg.norm(colouring, axis=0)
    if captured > _MIN_CAPTURED * least and not np.asarray(solution.in_library).any():
        codes = spectra @ vectors @ np.linalg.inv(coordinates)
        rows_white = rows_scaled = coordinates @ vectors.T
        if white.whitener is not None:
            rows_scaled = rows_white @ colouring
    return FittedMixture(
        codes,
        rows_scaled,
        rows_white,
        band_deviation,
        np.asarray(solution.concentrations != 0),
        np.asarray(solution.in_library),
    )
