"""The classical route to components, concentrations and their number, in NumPy.

Singular values above the edge of white noise give the count; successive projection picks as many
samples as a start; then non-negative orthogonal matching pursuit and least squares alternate.
Rows are spectra. The sparse search is the usual one (Pati, Rezaiifar & Krishnaprasad 1993), the
start that of Araujo et al. 2001.
"""

from typing import NamedTuple

import numpy as np

from jaxhsi.normalisation import unit_rows

MOST = 8  # components of a spectrum
ENOUGH = 1.15  # a spectrum is explained where its residual is this many times the noise


class Classical(NamedTuple):
    """Components (k, c) of unit length, concentrations (n, k) in data units."""

    components: np.ndarray
    concentrations: np.ndarray


def edge_count(x: np.ndarray, *, scaled: bool = True, rounds: int = 50) -> tuple[int, np.ndarray]:
    """Number of components, and each spectrum's noise deviation.

    Counts singular values above sigma (sqrt(n) + sqrt(c)), sigma from those below, until nothing
    changes; `scaled` gives every row unit mean square first, which is right where the
    signal-to-noise ratio is fixed and wrong where the noise is additive.
    """
    scale = np.sqrt(np.mean(x**2, axis=1)) if scaled else np.ones(len(x))
    singular = np.linalg.svd(x / scale[:, None], compute_uv=False)
    (n, c), count, sigma = x.shape, 0, 0.0
    for _ in range(rounds):
        sigma = np.sqrt(np.sum(singular[count:] ** 2) / ((n - count) * (c - count)))
        found = int(np.sum(singular > 1.01 * sigma * (np.sqrt(n) + np.sqrt(c))))
        if found <= count or found >= len(singular) - 1:
            break
        count = found
    return count, sigma * scale


def successive_projection(x: np.ndarray, count: int) -> list[int]:
    """Rows that differ most: each is the longest after those before it are projected out."""
    rest, found = unit_rows(x), []
    for _ in range(count):
        length = np.sum(rest**2, axis=1)
        found.append(int(np.argmax(length)))
        axis = rest[found[-1]] / max(np.sqrt(length[found[-1]]), 1e-12)
        rest = rest - np.outer(rest @ axis, axis)
    return found


def matching_pursuit(x: np.ndarray, components: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Sparse non-negative concentrations, each spectrum's residual down to its noise."""
    gram, matched = components @ components.T, x @ components.T
    target = ENOUGH * x.shape[1] * deviation**2
    codes = np.zeros(matched.shape)
    for row, (power, b) in enumerate(zip(np.sum(x**2, axis=1), matched, strict=True)):
        active, values = _pursue(gram, b, power, target[row])
        codes[row, active] = values
    return codes


def _pursue(gram: np.ndarray, b: np.ndarray, power: float, target: float) -> tuple:
    active, values, residual, rest = [], np.zeros(0), b, power
    while len(active) < MOST and rest > target:
        best = int(np.argmax(residual))
        if best in active or residual[best] <= 0:
            break
        active, values = _fit(gram, b, [*active, best])
        residual = b - gram[:, active] @ values
        rest = power - values @ (b[active] + residual[active])
    return active, values


def _fit(gram: np.ndarray, b: np.ndarray, active: list[int]) -> tuple[list[int], np.ndarray]:
    """Least squares on the active components; those that come out negative are dropped."""
    while True:
        square = gram[np.ix_(active, active)] + 1e-9 * np.eye(len(active))
        values = np.linalg.solve(square, b[active])
        if np.all(values >= 0):
            return active, values
        active = [j for j, value in zip(active, values, strict=True) if value > 0]


def classical(x: np.ndarray, *, scaled: bool = True, rounds: int = 30) -> Classical:
    """The whole route; components that hardly any spectrum uses are replaced by residuals."""
    count, deviation = edge_count(x, scaled=scaled)
    components = unit_rows(x[successive_projection(x, count)])
    for number in range(rounds):
        codes = matching_pursuit(x, components, deviation)
        residual = x - codes @ components
        square = codes.T @ codes + 1e-3 * np.eye(count)
        updated = np.linalg.solve(square, codes.T @ x + 1e-3 * components)
        components = unit_rows(np.maximum(updated, 0))
        if number < 2 * rounds // 3:
            _replace_unused(components, codes, residual, deviation)
    return Classical(components, matching_pursuit(x, components, deviation))


def _replace_unused(
    components: np.ndarray, codes: np.ndarray, residual: np.ndarray, deviation: np.ndarray
) -> None:
    """In place: the worst explained spectra take the slots that fewer than two spectra use."""
    excess = np.mean(residual**2, axis=1) / deviation**2
    unused = np.flatnonzero(np.sum(codes > 0, axis=0) < 2)
    for slot, row in zip(unused, np.argsort(-excess), strict=False):
        if excess[row] > 1.5:
            components[slot] = unit_rows(np.maximum(residual[row], 0)[None])[0]
