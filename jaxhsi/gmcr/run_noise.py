"""Noise levels of the runs of a table, which may come from several measurements."""

import numpy as np
from jaxtyping import Float, Float32

from jaxhsi.gmcr.sample_runs import run_numbers
from jaxhsi.gmcr.solution import Solution

_SIGNAL_DIRECTIONS = 12
"""Right singular vectors that hold the signal at most; what is beyond them is noise. Set by hand:
runs that share spectra hold fewer components."""
_MIN_NOISE_BANDS = 8
"""Bands beyond these directions below which noise is not measured."""
_MIN_NOISE_RATIO = 1.5
"""Ratio of the noisiest to the quietest run from which runs have levels of their own. Set by hand:
below, the weights of runs matter less than the error of their levels."""
_ITERATIONS = 3
"""Alternations of directions and levels: noisy runs first draw the directions to themselves."""


def run_noise_ratios(
    spectra: Float[np.ndarray, "n c"], run_lengths: tuple[int, ...]
) -> Float32[np.ndarray, "n 1"]:
    """Noise deviation of each sample's run relative to the typical run; ones where they are alike.

    Args:
        spectra: in any units.
        run_lengths: of the runs.

    >>> noise = np.random.default_rng(0).normal(size=(60, 40)) * np.repeat([1, 8], 30)[:, None]
    >>> run_noise_ratios(noise, (30, 30))[[0, -1]].ravel().round().tolist()
    [0.0, 3.0]
    """
    num_signal = min(_SIGNAL_DIRECTIONS, min(spectra.shape) // 3)
    ratios = np.ones((len(spectra), 1), np.float32)
    if len(run_lengths) == 1 or spectra.shape[1] - num_signal < _MIN_NOISE_BANDS:
        return ratios
    numbers, table = run_numbers(run_lengths), np.asarray(spectra, np.float64)
    for _ in range(_ITERATIONS):
        directions = np.linalg.svd(table / ratios, full_matrices=False)[2][:num_signal]
        residual = table - (table @ directions.T) @ directions
        power = np.bincount(numbers, (residual**2).mean(axis=1)) / np.asarray(run_lengths)
        levels = np.sqrt(np.maximum(power, 1e-30))
        ratios = (levels / np.exp(np.mean(np.log(levels))))[numbers][:, None].astype(np.float32)
    return ratios if levels.max() > _MIN_NOISE_RATIO * levels.min() else np.ones_like(ratios)


def with_noise_ratios(solution: Solution, ratios: Float32[np.ndarray, "n 1"]) -> Solution:
    """A solution of spectra divided by the ratios, as one of the spectra themselves."""
    if (ratios == 1).all():
        return solution
    concentrations = np.asarray(solution.concentrations) * ratios
    return solution._replace(concentrations=concentrations, noise_ratios=ratios)
