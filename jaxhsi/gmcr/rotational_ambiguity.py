"""Rotational ambiguity: which other components and concentrations explain the spectra as well.

Down to noise the spectra are A B = (A T^-1) (T B) for any invertible T. What tells one T from
another is that neither factor may be negative; zeros of the concentrations, which the solver
prefers, are no evidence. All T whose negative values are within noise, see `rotation_cost`, fit
equally well. Extremes are sought among them in many directions.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxhsi.callbacks import OnProgress, ignore_progress
from jaxhsi.gmcr.fitted_mixture import FittedMixture, fitted_mixture
from jaxhsi.gmcr.rotation_cost import RotationProblem, rotation_cost, rotation_problem
from jaxhsi.gmcr.rotation_search import MAX_CHI2_RISE, farthest_rotations, search_start
from jaxhsi.gmcr.search_targets import make_targets
from jaxhsi.gmcr.whitened_solution import WhitenedSolution

STANDARD_ERRORS = 1.96
"""By which noise widens the range of an entry on either side: 95 % of normal errors."""
MAX_AMBIGUITY_COMPONENTS = 24
"""Components up to which boundaries are sought. The search takes several descents a component, and
each step costs more with their number; set by hand to bound the time."""
_MAX_SEARCHES = 256
"""Descents of all components together, beside two each for its size. Set by hand to bound the time;
up to five components, every pattern of signs is tried."""
_MAX_BOUNDING_SPECTRA = 512
"""Spectra that bound the search: those of the largest and least ratios of concentrations, and
others evenly. Set by hand to bound the time; the ranges are then checked on all spectra."""
_BATCH_VALUES = 4_000_000
"""Values of the concentrations of a batch of searches; bounds memory. Results do not depend on it.
"""


class BandBoundaries(NamedTuple):
    """Extremes of each component over all solutions of equal fit, least before largest.

    Attributes:
        signal_share: of the sum of squares of all that is explained, ||c_j s_j||^2 / ||C S||^2,
            where the component contributes least and most.
        boundary_spectra: of unit length, in the units of the data, of the same two solutions.
        chi2_rise: cost of these, at most `rotation_search.MAX_CHI2_RISE` above the solution's.
        component_ranges: least and largest value of each band, of spectra of unit length.
        concentration_ranges: least and largest concentration of each spectrum.
    """

    signal_share: Float[np.ndarray, "k 2"]
    boundary_spectra: Float[np.ndarray, "k 2 c"]
    chi2_rise: Float[np.ndarray, "k 2"]
    component_ranges: Float[np.ndarray, "k 2 c"]
    concentration_ranges: Float[np.ndarray, "2 n k"]


def rotational_ambiguity(
    white: WhitenedSolution,
    *,
    non_negative: bool = True,
    on_progress: OnProgress = ignore_progress,
) -> BandBoundaries | None:
    """The extremes of each component of a solution; None for more than 24 components.

    Args:
        white: a solution with its spectra, see `whitened_solution.whiten_solution`.
        non_negative: components and concentrations were not to be negative.
        on_progress: called with the number of extremes that were sought.
    """
    # No range rather than one that takes hours.
    if len(white.solution.components) > MAX_AMBIGUITY_COMPONENTS:
        return None
    mixture = fitted_mixture(white)
    boundaries = band_boundaries(
        mixture, non_negative=non_negative, on_progress=partial(on_progress, "ranges")
    )
    low, high = boundaries.concentration_ranges * np.asarray(white.noise_deviation)
    # The solution itself is one of those of equal fit, whatever noise did to its zeros.
    own = np.asarray(white.solution.concentrations)
    amounts = np.stack([np.minimum(low, own), np.maximum(high, own)])
    rows = np.asarray(white.solution.components)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    low, high = np.swapaxes(boundaries.component_ranges, 0, 1)
    spectra = np.stack([np.minimum(low, rows), np.maximum(high, rows)], axis=1)
    return boundaries._replace(
        component_ranges=spectra.astype(np.float32), concentration_ranges=amounts.astype(np.float32)
    )


def band_boundaries(
    mixture: FittedMixture,
    *,
    non_negative: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
    seed: int = 0,
) -> BandBoundaries:
    """The extremes of each component, concentrations in noise units.

    Ranges of entries are over all solutions that were reached, and widened by the noise of the
    entry itself.

    Args:
        mixture: the solution.
        non_negative: negative values are impossible; else zeros of the concentrations stay, which
            is then all that can tell solutions apart.
        on_progress: called with the number of extremes that were sought and the number of all.
        seed: of the directions, where there are too many to try all.

    Source: Tauler 2001 (J. Chemometrics 15, 627), MCR-BANDS; that a negative value counts in its
    own standard errors, and the directions, are ours.
    """
    problem = rotation_problem(mixture, non_negative=non_negative)
    count = len(problem.rows)
    bounding = problem._replace(codes=problem.codes[_bounding_spectra(problem.codes)])
    if bounding.absent is not None:
        bounding = bounding._replace(absent=bounding.absent[_bounding_spectra(problem.codes)])
    batch_size = max(1, min(64, _BATCH_VALUES // problem.codes.size))
    start = search_start(bounding, batch_size)
    max_patterns = max(1, _MAX_SEARCHES // (2 * count))
    targets = make_targets(count, max_patterns, np.random.default_rng(seed))
    limit = rotation_cost(problem, np.eye(count)[None])[0]
    extremes, ranges = [], _entry_ranges(np.eye(count)[None], problem, mixture, non_negative)
    if on_progress is not None:
        on_progress(0, len(targets))
    for first in range(0, len(targets), batch_size):
        rotations = farthest_rotations(bounding, start, targets[first : first + batch_size])
        if len(bounding.codes) < len(problem.codes):
            rotations = _within_all_spectra(rotations, problem)
        extremes.append(rotations)
        batch_ranges = _entry_ranges(rotations, problem, mixture, non_negative)
        ranges = tuple(
            (np.minimum(old[0], new[0]), np.maximum(old[1], new[1]))
            for old, new in zip(ranges, batch_ranges, strict=True)
        )
        if on_progress is not None:
            on_progress(min(first + batch_size, len(targets)), len(targets))
    sizes = np.concatenate(extremes)[: 2 * count]
    shares, spectra = _sizes(sizes, mixture)
    (low, high), amounts = ranges
    return BandBoundaries(
        shares,
        spectra,
        (rotation_cost(problem, sizes) - limit).reshape(count, 2),
        np.stack([low, high], axis=1),
        np.stack(amounts),
    )


def _bounding_spectra(codes: Float[np.ndarray, "n k"]) -> np.ndarray:
    """Spectra where a component has most or least beside another, and others evenly."""
    if len(codes) <= _MAX_BOUNDING_SPECTRA:
        return np.arange(len(codes))
    per_pair = max(1, _MAX_BOUNDING_SPECTRA // (2 * codes.shape[1]))
    shares = codes / np.maximum(np.abs(codes).sum(axis=1, keepdims=True), 1e-300)
    order = np.argsort(shares, axis=0)
    evenly = np.linspace(0, len(codes) - 1, _MAX_BOUNDING_SPECTRA // 2).astype(int)
    return np.unique(np.concatenate([order[:1].ravel(), order[-per_pair:].ravel(), evenly]))


def _within_all_spectra(
    rotations: Float[np.ndarray, "m k k"], problem: RotationProblem
) -> Float[np.ndarray, "m k k"]:
    """The rotations drawn back towards the solution until all spectra allow them."""
    identity = np.eye(len(problem.rows))
    limit = rotation_cost(problem, identity[None])[0]
    share = np.ones(len(rotations))
    for _ in range(6):
        trial = identity + share[:, None, None] * (rotations - identity)
        is_as_good = rotation_cost(problem, trial) <= limit + MAX_CHI2_RISE
        share = np.where(is_as_good, share, 0.7 * share)
    trial = identity + share[:, None, None] * (rotations - identity)
    is_as_good = rotation_cost(problem, trial) <= limit + MAX_CHI2_RISE
    return np.where(is_as_good[:, None, None], trial, identity)


def _entry_ranges(
    rotations: Float[np.ndarray, "m k k"],
    problem: RotationProblem,
    mixture: FittedMixture,
    non_negative: bool,
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Least and largest values of all entries, noise included; components of length 1."""
    inverse = np.linalg.inv(rotations)
    rows = rotations @ np.asarray(mixture.components_scaled, np.float64)
    size = np.linalg.norm(rows, axis=2)[:, :, None]
    variance = np.sum((rotations @ problem.row_covariance) * rotations, axis=2)
    # A known component has no noise.
    variance = np.where(np.asarray(mixture.fixed), 0, variance)
    row_noise = STANDARD_ERRORS * np.sqrt(variance)[:, :, None] * np.asarray(mixture.band_deviation)
    codes = problem.codes @ inverse
    variance = np.sum(inverse * (problem.code_covariance @ inverse), axis=1)
    code_noise = STANDARD_ERRORS * np.sqrt(variance)[:, None]
    factor = np.swapaxes(size, 1, 2)
    values = [(rows / size, row_noise / size), (codes * factor, code_noise * factor)]
    ranges = []
    for middle, noise in values:
        low, high = (middle - noise).min(axis=0), (middle + noise).max(axis=0)
        if non_negative:
            low, high = np.maximum(low, 0), np.maximum(high, 0)
        ranges.append((low, high))
    return ranges[0], ranges[1]


def _sizes(
    rotations: Float[np.ndarray, "m k k"], mixture: FittedMixture
) -> tuple[Float[np.ndarray, "k 2"], Float[np.ndarray, "k 2 c"]]:
    """Share of the signal and unit spectrum of component m // 2 after rotation m."""
    codes = np.asarray(mixture.codes, np.float64)
    white = np.asarray(mixture.components_white, np.float64)
    count = len(white)
    places, owners = np.arange(2 * count), np.repeat(np.arange(count), 2)
    amounts = np.sum((codes @ np.linalg.inv(rotations)) ** 2, axis=1)[places, owners]
    lengths = np.sum((rotations @ white) ** 2, axis=2)[places, owners]
    shares = amounts * lengths / max(np.sum((codes @ white) ** 2), 1e-300)
    spectra = (rotations @ np.asarray(mixture.components_scaled, np.float64))[places, owners]
    spectra = spectra / np.linalg.norm(spectra, axis=1, keepdims=True)
    return (
        shares.reshape(count, 2).astype(np.float32),
        spectra.reshape(count, 2, -1).astype(np.float32),
    )
