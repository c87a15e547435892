"""Directions in which extremes of components are sought, see `rotation_search`."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Target(NamedTuple):
    """What a search makes as large as possible.

    Attributes:
        direction: weights of the entries of T, in their units.
        component: whose contribution is sought instead, -1 for none.
        sign: of the logarithm of that contribution.
    """

    direction: Float[np.ndarray, "k k"]
    component: int
    sign: float


def make_targets(count: int, max_patterns: int, random: np.random.Generator) -> list[Target]:
    """Sizes of each component, least and largest; then rows and columns of T in many directions.

    A value of a component is largest where the shares of all others in it are at their bounds
    together, each of its own sign: all patterns of signs are tried where these are few.

    Args:
        count: number of components.
        max_patterns: of a row or a column; more are drawn at random.
        random: for that.
    """
    nothing = np.zeros((count, count))
    targets = [Target(nothing, j, sign) for j in range(count) for sign in (-1.0, 1.0)]
    for j in range(count):
        for pattern in _sign_patterns(count - 1, max_patterns, random):
            row = np.insert(pattern, j, 0.0)
            for is_column in (False, True):
                direction = nothing.copy()
                direction[:, j] = row if is_column else 0
                direction[j] = direction[j] if is_column else row
                targets.append(Target(direction, -1, 1.0))
    return targets


def _sign_patterns(
    length: int, max_patterns: int, random: np.random.Generator
) -> Int[np.ndarray, "p q"]:
    if 2**length <= max_patterns:
        return 1 - 2 * ((np.arange(2**length)[:, None] >> np.arange(length)) & 1)
    return random.choice([-1, 1], size=(max_patterns, length))
