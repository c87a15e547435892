"""How many components data need at a stated faithfulness, whatever the noise would still show."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

MAX_CURVE_COUNT = 64
"""Largest number of components of a curve; more are seldom of interest. Set by hand."""
MIN_REPLICATED_SAMPLES = 3
"""Samples that must have been measured again for their scatter to be believed. Set by hand."""
MAX_REPLICATES = 6
"""Spectra of one name, in the median, above which the name is that of a class. Set by hand."""
_MAX_REPLICATE_MISFIT = 0.2
"""Scatter of equal names above which they do not name the same sample. Set by hand."""


class MisfitCurve(NamedTuple):
    """What the best mixtures of so many spectra leave of the data, beyond the noise.

    Attributes:
        component_counts: 0, 1, 2, ...
        relative_misfit: root of the squared residual less that of the noise, over the root of the
            squared data; each band in units of its noise.
        noise_share: root mean square of the noise over that of the data.
        count_at_noise: components that stand above the noise.
    """

    component_counts: Int[np.ndarray, " m"]
    relative_misfit: Float[np.ndarray, " m"]
    noise_share: float
    count_at_noise: int


def misfit_curve(
    x_white: Float[np.ndarray, "n c"], noise_deviation: float, count_at_noise: int
) -> MisfitCurve:
    """The curve of a table, from its singular values: mixtures of k spectra have rank k.

    Args:
        x_white: spectra, where noise is white.
        noise_deviation: root mean square of the noise.
        count_at_noise: components that stand above the noise.

    >>> curve = misfit_curve(np.diag([3.0, 4.0, 0.0]), 0.0, 2)
    >>> curve.relative_misfit.round(3).tolist()
    [1.0, 0.6, 0.0, 0.0]
    """
    x = np.asarray(x_white, np.float64)
    num_spectra, num_bands = x.shape
    gram = x @ x.T if num_spectra <= num_bands else x.T @ x
    powers = np.maximum(np.linalg.eigvalsh(gram)[::-1], 0)
    total = max(powers.sum(), np.finfo(float).tiny)
    counts = np.arange(min(MAX_CURVE_COUNT, len(powers)) + 1)
    residual = np.append(np.cumsum(powers[::-1])[::-1], 0.0)[counts]
    # Each direction that is fitted takes its share of the noise with it.
    noise = noise_deviation**2 * (num_spectra - counts) * (num_bands - counts)
    misfit = np.sqrt(np.maximum(residual - noise, 0) / total)
    noise_share = float(np.sqrt(noise[0] / total))
    return MisfitCurve(counts, misfit, noise_share, count_at_noise)


def count_at_tolerance(curve: MisfitCurve, tolerance: float) -> int:
    """The smallest number of components that leaves a misfit within the tolerance, at least 1.

    At most as many as stand above the noise: what noise hides is no evidence of more.

    >>> curve = MisfitCurve(np.arange(4), np.array([1.0, 0.3, 0.02, 0.001]), 0.001, 3)
    >>> count_at_tolerance(curve, 0.05), count_at_tolerance(curve, 0.0)
    (2, 3)
    """
    is_within = curve.relative_misfit <= tolerance
    count = int(curve.component_counts[np.argmax(is_within)]) if is_within.any() else np.inf
    return max(1, min(count, curve.count_at_noise)) if tolerance > 0 else curve.count_at_noise


def replicate_misfit(
    spectra: Float[np.ndarray, "n c"], sample_names: Sequence[str]
) -> float | None:
    """How far spectra of the same sample differ in shape, relative to their size.

    A factor on a whole spectrum is a concentration and does not count. None where too few samples
    were measured again, where the names are those of classes (many spectra each), or where spectra
    of one name have little in common.

    Args:
        spectra: n of c bands.
        sample_names: of the spectra.

    >>> spectra = np.array([[1.0, 0.02], [1, -0.02], [2, 0.04], [2, -0.04], [0.02, 3], [-0.02, 3]])
    >>> replicate_misfit(spectra, ["a", "a", "b", "b", "c", "c"]) < 0.03
    True
    """
    rows_by_name: dict[str, list[int]] = {}
    for row, name in enumerate(sample_names):
        rows_by_name.setdefault(name, []).append(row)
    groups = [rows for _, rows in sorted(rows_by_name.items()) if len(rows) > 1]
    sizes = [len(group) for group in groups]
    if len(groups) < MIN_REPLICATED_SAMPLES or np.median(sizes) > MAX_REPLICATES:
        return None
    scatter = power = 0.0
    for group in groups:
        rows = np.asarray(spectra[group], np.float64)
        singular_values = np.linalg.svd(rows, compute_uv=False)
        scatter += np.sum(singular_values[1:] ** 2) * len(group) / (len(group) - 1)
        power += np.sum(singular_values**2)
    misfit = float(np.sqrt(scatter / max(power, np.finfo(float).tiny)))
    return misfit if misfit <= _MAX_REPLICATE_MISFIT else None
