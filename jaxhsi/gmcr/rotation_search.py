"""Search among the rotations of a mixture that negative values do not exclude.

Which rotations these are is told by `rotation_cost.rotation_cost`; all whose cost is within
`MAX_CHI2_RISE` of the solution's are as good as it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from jaxhsi.gmcr.rotation_cost import (
    RotationProblem,
    Rotations,
    rotation_cost,
    rotation_cost_and_gradient,
)
from jaxhsi.gmcr.search_targets import Target

MAX_CHI2_RISE = 3.84
"""Cost up to which a rotation is as good: 95 % of a profile likelihood of one parameter (quantile
of chi-squared with one degree of freedom)."""
_NUM_STEPS, _LEARNING_RATES = 150, (0.15, 0.05)
"""Steps of Adam of each descent, and its rates, one descent after another, in units of how far each
entry of T may go alone: far first, then closely. Set by hand; boundaries that are not reached are
reported too narrow, never too wide."""
_NUM_INNER_STEPS, _INNER_LEARNING_RATE = 100, 0.1
"""The same for where a search begins."""
_SCORE_WEIGHT, _WEIGHT_FACTOR, _WEIGHT_BOUNDS = 500.0, 1.07, (1e-2, 1e5)
"""Of the score against the cost: the first, its change after each step, and its bounds. Set by
hand: the widest ranges of what was tried, on laboratory tables of 3 and 4 components and on random
mixtures of 8 and 14."""
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
    max_cost = float(rotation_cost(problem, identity[None])[0]) + MAX_CHI2_RISE
    start = SearchStart(identity, _entry_units(problem, identity, max_cost, batch_size), max_cost)
    for inner_margin in _INNER_MARGINS if problem.absent is None else ():
        moved = _inner_rotation(problem._replace(margin=-inner_margin), start)
        if rotation_cost(problem, moved[None])[0] <= max_cost:
            units = _entry_units(problem, moved, max_cost, batch_size)
            start = SearchStart(moved, units, max_cost)
    return start


def _inner_rotation(problem: RotationProblem, start: SearchStart) -> Float[np.ndarray, "k k"]:
    """The rotation of least cost near a start."""
    steps = np.zeros((1, *start.units.shape))
    adam = _Adam(steps)
    for number in range(1, _NUM_INNER_STEPS + 1):
        rotation = start.rotation + steps * start.units
        slope = rotation_cost_and_gradient(problem, rotation)[1] * start.units
        rate = _cosine_rate(number, _NUM_INNER_STEPS, _INNER_LEARNING_RATE)
        steps = steps + rate * adam.direction(slope)
    return start.rotation + steps[0] * start.units


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
                is_as_good = rotation_cost(problem, trial) <= max_cost
                low, high = np.where(is_as_good, middle, low), np.where(is_as_good, high, middle)
            units[rows, columns] = np.maximum(units[rows, columns], low)
    return units


def farthest_rotations(
    problem: RotationProblem, start: SearchStart, targets: list[Target]
) -> Rotations:
    """The rotation of each target, as far along as solutions are as good.

    T moves by gradient steps on cost - weight * score. The weight of each search grows while T is
    as good and falls while it is not, so that T goes along the boundary of what is as good. Each
    descent begins at the best of the one before it. What is returned is within reach; what lies
    beyond is not ruled out.
    """
    best = np.zeros((len(targets), *start.rotation.shape))
    for rate in _LEARNING_RATES:
        best = _descend(problem, start, targets, best, rate)
    return start.rotation + best * start.units


def _descend(
    problem: RotationProblem,
    start: SearchStart,
    targets: list[Target],
    steps: Rotations,
    learning_rate: float,
) -> Rotations:
    """The best steps that are as good, of a descent and on the line from these to its end."""
    best, adam = steps.copy(), _Adam(steps)
    best_score, weight = (
        _scores(problem, start, targets, best)[0],
        np.full(len(best), _SCORE_WEIGHT),
    )
    for number in range(1, _NUM_STEPS + 1):
        cost, slope = rotation_cost_and_gradient(problem, start.rotation + steps * start.units)
        score, score_slope = _scores(problem, start, targets, steps)
        is_as_good = cost <= start.max_cost
        is_better = is_as_good & (score > best_score)
        best[is_better], best_score[is_better] = steps[is_better], score[is_better]
        weight = weight * np.where(is_as_good, _WEIGHT_FACTOR, 1 / _WEIGHT_FACTOR)
        weight = np.clip(weight, *_WEIGHT_BOUNDS)
        # Over the weight: Adam's averages are then of one scale however the weight changes.
        slope = slope * start.units / weight[:, None, None] - score_slope
        steps = steps + _cosine_rate(number, _NUM_STEPS, learning_rate) * adam.direction(slope)
    direction = steps - best

    def is_as_good_there(steps: Rotations) -> Bool[np.ndarray, " m"]:
        return rotation_cost(problem, start.rotation + steps * start.units) <= start.max_cost

    share = _largest_feasible(best, direction, is_as_good_there)
    trial = best + share[:, None, None] * direction
    is_better = _scores(problem, start, targets, trial)[0] > best_score
    return np.where(is_better[:, None, None], trial, best)


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


class _Adam:
    """Directions of Adam, of length about one an entry."""

    def __init__(self, like: Rotations) -> None:
        self._mean, self._square, self._number = np.zeros_like(like), np.zeros_like(like), 0

    def direction(self, slope: Rotations) -> Rotations:
        """Down, after the averages took up another gradient."""
        self._number += 1
        (mean_decay, square_decay), number = _ADAM_DECAYS, self._number
        self._mean = mean_decay * self._mean + (1 - mean_decay) * slope
        self._square = square_decay * self._square + (1 - square_decay) * slope**2
        deviation = np.sqrt(self._square / (1 - square_decay**number))
        return -self._mean / (1 - mean_decay**number) / (deviation + _ADAM_FLOOR)


def _cosine_rate(number: int, count: int, rate: float) -> float:
    """Of step `number` of `count`, falling to zero."""
    return 0.5 * rate * (1 + np.cos(np.pi * number / count))


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
