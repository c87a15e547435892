"""Search among the rotations of a mixture that negative values do not exclude.

X_k = A B = (A T^-1) (T B). With M = (B B')^-1 and N = (A'A)^-1, the values of both factors in their
own standard errors are

    z_nj = a_n t_j / sqrt(t_j' M t_j),    y_jb = r_j b_b / (s_b sqrt(r_j N r_j')),

t_j the columns of T^-1, r_j the rows of T, and s_b the noise of band b. Values below zero cost

    f(T) = sum max(0, -z - m)^2 + sum max(0, -y - m)^2,

where m is the largest that noise alone makes among as many entries. NumPy in float64, on the host:
many small searches at once, and nothing to compile.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import norm

from jaxhsi.gmcr.fitted_mixture import FittedMixture
from jaxhsi.gmcr.search_targets import Target

MAX_CHI2_RISE = 3.84
"""Cost up to which a rotation is as good: 95 % of a profile likelihood of one parameter (quantile
of chi-squared with one degree of freedom)."""
_NUM_STEPS, _LEARNING_RATE = 100, 0.1
"""Of Adam, for each weight, in units of how far each entry of T may go alone. Set by hand;
boundaries that are not reached are reported too narrow, never too wide."""
_SCORE_WEIGHTS = (2.0, 20.0, 200.0, 2000.0, 200.0, 2000.0)
"""Of the score against the cost, one descent after another. Set by hand around `MAX_CHI2_RISE`: a
small weight stays within reach, a large one moves far."""
_NUM_HALVINGS = 16
"""Of a bisection: to 1e-4 of the distance. Set by hand; more would change no digit that is
reported."""
_INNER_MARGINS = 10.0, 3.0, 10.0
"""Standard errors by which values are asked to be above zero where a search begins, one descent
after another. Set by hand."""
_MAX_EXTENSION = 8.0
"""Times the distance that the descent went, up to which the bisection looks. Set by hand."""
_MAX_SHARE, _MIN_SHARE = 2.0, 1e-5
"""Bounds of how far an entry of T may go alone, which are the units of the search. Set by hand."""
_ADAM_DECAYS, _ADAM_FLOOR = (0.9, 0.999), 1e-8
"""Of the averages of gradients and their squares, and what keeps a division from zero."""

Rotations = Float[np.ndarray, "m k k"]


class RotationProblem(NamedTuple):
    """What the cost of a rotation is computed from.

    Attributes:
        codes: A, in noise units.
        rows: B, each band over its noise.
        code_covariance: M, of the noise of the concentrations of a spectrum.
        row_covariance: N, of the noise of a band of the components.
        margin: standard errors by which noise alone makes some value negative.
        absent: concentrations that are to stay zero; None where both factors are not negative.
        free: entries of T that may change.
    """

    codes: Float[np.ndarray, "n k"]
    rows: Float[np.ndarray, "k c"]
    code_covariance: Float[np.ndarray, "k k"]
    row_covariance: Float[np.ndarray, "k k"]
    margin: float
    absent: Bool[np.ndarray, "n k"] | None
    free: Bool[np.ndarray, "k k"]


def rotation_problem(mixture: FittedMixture, *, non_negative: bool = True) -> RotationProblem:
    """The problem of a mixture.

    Args:
        mixture: A and B.
        non_negative: negative values are impossible; else concentrations of the solution that are
            zero stay so, which is then all that tells solutions apart.
    """
    codes, rows = (np.asarray(mixture.codes, np.float64), np.asarray(mixture.components_scaled))
    white = np.asarray(mixture.components_white, np.float64)
    count = len(rows)
    return RotationProblem(
        codes,
        rows.astype(np.float64) / np.asarray(mixture.band_deviation, np.float64),
        np.linalg.pinv(white @ white.T, hermitian=True),
        np.linalg.pinv(codes.T @ codes, hermitian=True),
        float(norm.isf(1 / (codes.size + rows.size))),
        None if non_negative else ~np.asarray(mixture.present),
        ~np.eye(count, dtype=bool) & ~np.asarray(mixture.fixed)[:, None],
    )


def rotation_cost(
    problem: RotationProblem, rotations: Rotations
) -> tuple[Float[np.ndarray, " m"], Rotations]:
    """f(T) of several rotations, and its gradient; infinite beyond a singular T.

    >>> codes, rows = np.array([[100.0, 5.0], [0.0, 50.0]]), np.eye(2, 4)
    >>> mixture = FittedMixture(codes, rows, rows, np.ones(4), codes != 0, np.zeros(2, bool))
    >>> problem = rotation_problem(mixture)._replace(margin=0.0)
    >>> T = np.array([[1.0, 0.1], [0.0, 1.0]])  # c2 of the first spectrum becomes 5 - 10
    >>> rotation_cost(problem, T[None])[0].round(2).tolist()
    [24.75]
    """
    inverse = np.linalg.inv(rotations)
    weighted = problem.code_covariance @ inverse
    size = np.sqrt(np.maximum(np.sum(inverse * weighted, axis=1), 1e-300))[:, None]
    values = problem.codes @ inverse / size
    if problem.absent is None:
        excess = np.minimum(values + problem.margin, 0)
    else:
        beyond = np.maximum(np.abs(values) - problem.margin, 0)
        excess = np.where(problem.absent, np.sign(values) * beyond, 0)
    cost = np.sum(excess**2, axis=(1, 2))
    slope = problem.codes.T @ excess / size
    slope = 2 * (slope - weighted * np.sum(excess * values, axis=1)[:, None] / size**2)
    turned = np.swapaxes(inverse, 1, 2)
    gradient = -turned @ slope @ turned
    if problem.absent is None:
        weighted = rotations @ problem.row_covariance
        size = np.sqrt(np.maximum(np.sum(rotations * weighted, axis=2), 1e-300))[:, :, None]
        values = rotations @ problem.rows / size
        excess = np.minimum(values + problem.margin, 0)
        cost = cost + np.sum(excess**2, axis=(1, 2))
        slope = excess @ problem.rows.T / size
        slope -= weighted * np.sum(excess * values, axis=2)[:, :, None] / size**2
        gradient = gradient + 2 * slope
    is_sound = np.linalg.slogdet(rotations)[0] > 0
    return np.where(is_sound, cost, np.inf), np.nan_to_num(gradient, posinf=0.0, neginf=0.0)


class SearchStart(NamedTuple):
    """Where a search begins.

    Attributes:
        rotation: well inside of what is as good, so that all directions are open.
        units: how far each entry of T may go alone from there.
        max_cost: up to which a rotation is as good.
    """

    rotation: Float[np.ndarray, "k k"]
    units: Float[np.ndarray, "k k"]
    max_cost: float


def search_start(problem: RotationProblem, batch_size: int) -> SearchStart:
    """The start of all searches of a problem.

    A sparse solution lies at a corner of what is as good, where no entry of T may move alone. So
    the start moves to where values are above zero by `_INNER_MARGINS` standard errors, where there
    is such a place.
    """
    identity = np.eye(len(problem.rows))
    max_cost = float(rotation_cost(problem, identity[None])[0][0]) + MAX_CHI2_RISE
    start = SearchStart(identity, _entry_units(problem, identity, max_cost, batch_size), max_cost)
    for inner_margin in _INNER_MARGINS if problem.absent is None else ():
        moved = _inner_rotation(problem._replace(margin=-inner_margin), start)
        if rotation_cost(problem, moved[None])[0][0] <= max_cost:
            units = _entry_units(problem, moved, max_cost, batch_size)
            start = SearchStart(moved, units, max_cost)
    return start


def _inner_rotation(problem: RotationProblem, start: SearchStart) -> Float[np.ndarray, "k k"]:
    """The rotation of least cost near a start."""

    def gradient(steps: np.ndarray) -> np.ndarray:
        return rotation_cost(problem, start.rotation + steps * start.units)[1] * start.units

    return start.rotation + _adam(gradient, np.zeros((1, *start.units.shape)))[0] * start.units


def _entry_units(
    problem: RotationProblem,
    rotation: Float[np.ndarray, "k k"],
    max_cost: float,
    batch_size: int,
) -> Float[np.ndarray, "k k"]:
    """How far each entry of T may go alone, in the direction in which it may go farther."""
    units, places = np.zeros(rotation.shape), np.argwhere(problem.free)
    for sign in (-1.0, 1.0):
        for first in range(0, len(places), batch_size):
            rows, columns = places[first : first + batch_size].T
            steps = np.zeros((len(rows), *rotation.shape))
            steps[np.arange(len(rows)), rows, columns] = sign
            low, high = np.full(len(rows), _MIN_SHARE), np.full(len(rows), _MAX_SHARE)
            for _ in range(_NUM_HALVINGS):
                middle = np.sqrt(low * high)  # geometric: reaches differ by decades
                trial = rotation + middle[:, None, None] * steps
                is_as_good = rotation_cost(problem, trial)[0] <= max_cost
                low, high = np.where(is_as_good, middle, low), np.where(is_as_good, high, middle)
            units[rows, columns] = np.maximum(units[rows, columns], low)
    return units


def farthest_rotations(
    problem: RotationProblem, start: SearchStart, targets: list[Target]
) -> Rotations:
    """The rotation of each target, as far along as solutions are as good.

    T moves by gradient steps on cost - weight * score under growing weights. After each descent,
    the last point on its line that is as good is found by bisection, and the next descent begins
    there. What is returned is thus within reach; what lies beyond is not ruled out.
    """
    best = np.zeros((len(targets), *start.rotation.shape))

    def cost(steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return rotation_cost(problem, start.rotation + steps * start.units)

    for weight in _SCORE_WEIGHTS:

        def gradient(steps: np.ndarray, weight: float = weight) -> np.ndarray:
            slope = cost(steps)[1] * start.units
            return slope - weight * _scores(problem, start, targets, steps)[1]

        direction = _adam(gradient, best) - best
        share = _largest_feasible(best, direction, lambda each: cost(each)[0] <= start.max_cost)
        trial = best + share[:, None, None] * direction
        scores = [_scores(problem, start, targets, each)[0] for each in (trial, best)]
        best = np.where((scores[0] > scores[1])[:, None, None], trial, best)
    return start.rotation + best * start.units


def _scores(
    problem: RotationProblem, start: SearchStart, targets: list[Target], steps: Rotations
) -> tuple[Float[np.ndarray, " m"], Rotations]:
    """Score of each target and its gradient by the steps."""
    directions = np.stack([target.direction for target in targets])
    scores, gradient = np.sum(directions * steps, axis=(1, 2)), directions.copy()
    for i, target in enumerate(targets):
        j = target.component
        if j < 0:
            continue
        rotation = start.rotation + steps[i] * start.units
        inverse = np.linalg.inv(rotation)
        # log t_j'A'A t_j + log r_j BB' r_j'
        code_gram, row_gram = problem.codes.T @ problem.codes, problem.rows @ problem.rows.T
        code_side, row_side = code_gram @ inverse[:, j], rotation[j] @ row_gram
        amount, length = inverse[:, j] @ code_side, rotation[j] @ row_side
        slope = -np.outer(inverse.T @ code_side, inverse[:, j]) * 2 / amount
        slope[j] += 2 * row_side / length
        scores[i] = target.sign * np.log(amount * length)
        gradient[i] = target.sign * slope * start.units
    return scores, gradient


def _adam(gradient: Callable[[Rotations], Rotations], steps: Rotations) -> Rotations:
    """Steps after a descent whose rate falls to zero by a cosine."""
    mean, square = np.zeros_like(steps), np.zeros_like(steps)
    for number in range(1, _NUM_STEPS + 1):
        slope = gradient(steps)
        mean = _ADAM_DECAYS[0] * mean + (1 - _ADAM_DECAYS[0]) * slope
        square = _ADAM_DECAYS[1] * square + (1 - _ADAM_DECAYS[1]) * slope**2
        rate = 0.5 * _LEARNING_RATE * (1 + np.cos(np.pi * number / _NUM_STEPS))
        unbiased = [
            each / (1 - decay**number)
            for each, decay in zip((mean, square), _ADAM_DECAYS, strict=True)
        ]
        steps = steps - rate * unbiased[0] / (np.sqrt(unbiased[1]) + _ADAM_FLOOR)
    return steps


def _largest_feasible(
    steps: Rotations,
    direction: Rotations,
    is_as_good: Callable[[Rotations], Bool[np.ndarray, " m"]],
) -> Float[np.ndarray, " m"]:
    """Shares of the direction, as far along as solutions stay as good."""
    low, high = np.zeros(len(steps)), np.full(len(steps), _MAX_EXTENSION)
    for _ in range(_NUM_HALVINGS):
        middle = (low + high) / 2
        good = is_as_good(steps + middle[:, None, None] * direction)
        low, high = np.where(good, middle, low), np.where(good, high, middle)
    return low
