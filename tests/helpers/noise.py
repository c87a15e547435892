"""Noise whose channels are correlated."""

import numpy as np

RANDOM = np.random.default_rng(0)  # one sequence for all noise of a test file


def ar1(rows: int, bands: int, a: float) -> np.ndarray:
    drawn = RANDOM.normal(size=(rows, bands + 200))
    for t in range(1, bands + 200):
        drawn[:, t] = a * drawn[:, t - 1] + np.sqrt(1 - a**2) * drawn[:, t]
    return drawn[:, 200:]
