"""Search among the rotations of a mixture that negative values do not exclude.

Which rotations these are is told by `rotation_cost.rotation_cost`; all whose cost is within
`MAX_CHI2_RISE` of the solution's are as good as it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from jaxhsi.gmcr.rotation_cost import RotationProblem, Rotations, rotation_cost
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
    sized = np.array([i for i, target in enumerate(targets) if target.component >= 0], int)
    if not len(sized):
        return scores, gradient
    components = np.array([targets[i].component for i in sized])
    signs = np.array([targets[i].sign for i in sized])
    rotations = start.rotation + steps[sized] * start.units
    inverse, each = np.linalg.inv(rotations), np.arange(len(sized))
    columns, rows = inverse[each, :, components], rotations[each, components]
    # log t_j'A'A t_j + log r_j BB' r_j'
    code_side, row_side = columns @ problem.code_gram, rows @ problem.row_gram
    amount, length = np.sum(columns * code_side, axis=1), np.sum(rows * row_side, axis=1)
    turned = np.einsum("mij,mi->mj", inverse, code_side)
    slope = -2 / amount[:, None, None] * turned[:, :, None] * columns[:, None, :]
    slope[each, components] += 2 * row_side / length[:, None]
    scores[sized] = signs * np.log(amount * length)
    gradient[sized] = signs[:, None, None] * slope * start.units
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
