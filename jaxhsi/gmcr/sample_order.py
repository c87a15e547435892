"""Evidence in the order of samples: components are smooth along it, noise is white.

Along an elution, a reaction or a titration neighbouring samples hold nearly the same, while noise
of neighbours is independent. The von Neumann ratio of a profile,

    v = sum (u_{t+1} - u_t)^2 / sum u_t^2,

is about 2 for white noise, with a deviation of 2 / sqrt(n), and near 0 for what is smooth.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxhsi.gmcr.sample_runs import within_runs

_MIN_SAMPLES = 8
"""Samples below which an order says nothing: the ratio of noise scatters as widely as its mean."""
_NOISE_DEVIATIONS = 4.0
"""Deviations of the ratio of noise by which a profile must be smoother. Of the dozen singular
vectors that are looked at, noise alone passes once in some thousand tables."""
_MAX_DIRECTIONS = 30
"""Singular vectors that are looked at; chromatograms hold fewer components. Set by hand."""


def von_neumann_ratio(
    profiles: Float[np.ndarray, "n q"], run_lengths: Sequence[int]
) -> Float[np.ndarray, " q"]:
    """Squared differences of neighbours over squares: 2 for white noise, near 0 for smooth curves.

    Args:
        profiles: one a column, along all samples.
        run_lengths: of the runs; differences across the border of two are left out.

    Source: von Neumann 1941 (Ann. Math. Stat. 12, 367).

    >>> von_neumann_ratio(np.array([[1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]), (3,)).tolist()
    [0.0, 4.0]
    """
    is_inside = within_runs(run_lengths, 1)
    squares = (np.diff(profiles, axis=0)[is_inside] ** 2).sum(axis=0)
    # As many terms above as below: runs have fewer differences than samples.
    balance = len(profiles) / max(is_inside.sum(), 1)
    return balance * squares / np.maximum((profiles**2).sum(axis=0), 1e-30)


def smooth_directions(x_noise_units: Float[np.ndarray, "n c"], run_lengths: Sequence[int]) -> int:
    """Number of leading left singular vectors that are smoother than noise can be.

    Args:
        x_noise_units: spectra whose noise is white, of one deviation.
        run_lengths: of the runs of samples.

    >>> time = np.linspace(0, 3, 60)[:, None]
    >>> profiles = np.hstack([np.sin(time), np.cos(2 * time)])
    >>> noise = np.random.default_rng(0).normal(size=(60, 20))
    >>> smooth_directions(20 * profiles @ np.eye(2, 20) + noise, (60,))
    2
    """
    left = np.linalg.svd(np.asarray(x_noise_units, np.float64), full_matrices=False)[0]
    is_smooth = von_neumann_ratio(left[:, :_MAX_DIRECTIONS], run_lengths) < _max_ratio(run_lengths)
    return len(is_smooth) if is_smooth.all() else int(np.argmin(is_smooth))


def samples_are_ordered(
    spectra: Float[np.ndarray, "n c"], run_lengths: Sequence[int] | None = None
) -> bool:
    """Whether neighbouring samples are alike, as along an elution.

    Args:
        spectra: in any units.
        run_lengths: of the runs of samples; one if None.

    >>> shuffled = np.random.default_rng(0).permutation(np.arange(40.0))
    >>> [samples_are_ordered(np.outer(rows, np.ones(5))) for rows in (np.arange(40.0), shuffled)]
    [True, False]
    """
    lengths = run_lengths or (len(spectra),)
    if len(spectra) < _MIN_SAMPLES:
        return False
    centred = spectra - spectra.mean(axis=0)
    first = np.linalg.svd(centred.astype(np.float64), full_matrices=False)[0][:, :1]
    return bool(von_neumann_ratio(first, lengths)[0] < _max_ratio(lengths))


def _max_ratio(run_lengths: Sequence[int]) -> float:
    """Ratio below which a profile is not noise."""
    differences = int(within_runs(run_lengths, 1).sum())
    return 2.0 - _NOISE_DEVIATIONS * 2.0 / np.sqrt(max(differences, 1))
