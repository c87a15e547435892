"""Whether simpler methods, told the same number of components, explain the data clearly better."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxhsi.gmcr.initialisation import successive_projection
from jaxhsi.gmcr.whitened_solution import WhitenedSolution

MAX_COMPARED_SPECTRA = 1024
"""Spectra that are compared; more are drawn evenly. Set by hand: seconds at most."""
_NUM_ROUNDS = 60
"""Alternations of the factorisation. Set by hand: its residual then falls by less than a hundredth
a round, which cannot make a fit worse by `WORSE_RATIO`."""
WORSE_RATIO = 1.5
"""Squared residual over that of the simpler method, from which an answer is clearly worse. Set by
hand: the bounds and penalties of the solver cost a few hundredths where components are right."""


class FitComparison(NamedTuple):
    """Squared residuals as shares of the squared data, each band in units of its noise.

    Attributes:
        own: of the solution.
        least_squares: of non-negative least squares on the components of the solution.
        factorisation: of a non-negative matrix factorisation of as many components; infinite where
            each spectrum has a baseline of its own, which the solution need not explain.
        r2: of the solution, each band about its mean.
    """

    own: float
    least_squares: float
    factorisation: float
    r2: float

    @property
    def is_worse(self) -> bool:
        """Whether one of the others leaves clearly less."""
        return self.own > WORSE_RATIO * min(self.least_squares, self.factorisation)


def compare_fit(white: WhitenedSolution, *, is_told_more: bool = False) -> FitComparison:
    """Residuals of a solution and of the two other methods, on the same spectra and weights.

    Bands are divided by their own noise alone: correlated bands would not stay non-negative.

    Args:
        white: a solution with its spectra, none of whose values may be negative but for noise.
        is_told_more: whether the solution obeys more than that (priors, given spectra or amounts,
            signs, other mixing) and may rightly fit less closely: only its R2 counts then.
    """
    solution = white.solution
    places = np.linspace(0, len(white.x_white) - 1, min(len(white.x_white), MAX_COMPARED_SPECTRA))
    rows = np.unique(places.round().astype(int))
    deviation = np.asarray(white.noise_deviation, np.float64)[rows]
    spectra = np.asarray(white.x_white, np.float64)[rows]
    components = np.asarray(solution.components, np.float64)
    if white.whitener is not None:
        spectra = spectra @ np.asarray(white.whitener.colouring_matrix, np.float64)
        band_deviation = np.asarray(solution.noise_model.band_deviations, np.float64)
        spectra, components = spectra / band_deviation, components / band_deviation
    spectra = spectra / deviation
    codes = np.asarray(solution.concentrations, np.float64)[rows] / deviation
    has_baselines = bool(np.any(solution.noise_model.drift_deviations))
    total = max(float(np.sum(spectra**2)), np.finfo(float).tiny)
    centred = max(float(np.sum((spectra - spectra.mean(axis=0)) ** 2)), np.finfo(float).tiny)
    own = float(np.sum((spectra - codes @ components) ** 2))
    if is_told_more:
        return FitComparison(own / total, own / total, np.inf, 1 - own / centred)
    refitted = _nonnegative_codes(spectra, components, codes, _NUM_ROUNDS)
    least_squares = float(np.sum((spectra - refitted @ components) ** 2))
    factorisation = np.inf
    if has_baselines:
        # Least squares would explain baselines by components, which are no better for it.
        least_squares = own
    else:
        factorisation = _factorisation_residual(spectra, len(components))
    shares = (each / total for each in (own, least_squares, factorisation))
    return FitComparison(*shares, 1 - own / centred)


def fit_warnings(comparison: FitComparison) -> tuple[str, ...]:
    """Why a solution is not to be trusted, in sentences.

    Args:
        comparison: with simpler methods.

    >>> fit_warnings(FitComparison(0.01, 0.01, 0.009, 0.95))
    ()
    >>> fit_warnings(FitComparison(0.3, 0.29, 0.01, 0.1))[0].split(": ")[1][:45]
    'it leaves 30 % of the data, and a non-negativ'
    """
    warnings = []
    if comparison.r2 < 0:
        warnings.append(
            "do not trust this result: it explains the data worse than their mean does "
            f"(R2 {comparison.r2:.3g})"
        )
    if comparison.is_worse:
        others = {
            "non-negative least squares on the same components": comparison.least_squares,
            "a non-negative matrix factorisation told the same number": comparison.factorisation,
        }
        name = min(others, key=lambda each: others[each])
        warnings.append(
            f"do not trust this result: it leaves {100 * comparison.own:.3g} % of the data, and "
            f"{name} {100 * others[name]:.3g} %"
        )
    return tuple(warnings)


def _factorisation_residual(spectra: Float[np.ndarray, "n c"], count: int) -> float:
    """Squared residual of hierarchical alternating least squares, begun at the purest spectra.

    Source: Cichocki and Phan 2009 (IEICE Trans. Fundamentals E92-A, 708).
    """
    vectors = np.linalg.svd(spectra, full_matrices=False)[2][:count]
    denoised = spectra @ vectors.T @ vectors
    purest = np.asarray(successive_projection(jnp.asarray(denoised, jnp.float32), count))
    components = np.maximum(denoised[purest], 0)
    codes = np.maximum(spectra @ np.linalg.pinv(components), 0)
    for _ in range(_NUM_ROUNDS):
        codes = _nonnegative_codes(spectra, components, codes, 1)
        components = _nonnegative_codes(spectra.T, codes.T, components.T, 1).T
    return float(np.sum((spectra - codes @ components) ** 2))


def _nonnegative_codes(
    spectra: Float[np.ndarray, "n c"],
    components: Float[np.ndarray, "k c"],
    codes: Float[np.ndarray, "n k"],
    num_rounds: int,
) -> Float[np.ndarray, "n k"]:
    """Codes after rounds of exact steps, one component after the other."""
    codes, gram, products = codes.copy(), components @ components.T, spectra @ components.T
    for _ in range(num_rounds):
        for j in range(len(components)):
            step = products[:, j] - codes @ gram[:, j]
            codes[:, j] = np.maximum(codes[:, j] + step / max(gram[j, j], 1e-300), 0)
    return codes
