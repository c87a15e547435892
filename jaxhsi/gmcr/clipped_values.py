"""Values that a detector cut off at the top of its range."""

import numpy as np
from jaxtyping import Bool, Float

_MIN_PLATEAU_BANDS = 3
"""Neighbouring bands that are exactly alike at the top: two may be by chance, where values are
rounded. Chosen by hand; not tuned."""
_MAX_PLATEAU_SHARE = 0.5
"""Share of the bands above which a spectrum is flat rather than cut off. Chosen by hand; not tuned.
"""


def clipped_values(spectra: Float[np.ndarray, "n c"]) -> Bool[np.ndarray, "n c"]:
    """Entries in plateaus: three or more neighbouring bands at exactly the same largest value.

    The largest value is that of the table, as a saturated detector gives it, or of the spectrum,
    where spectra were scaled one by one afterwards. If the table's own largest value has a plateau,
    all entries of that value count.

    Args:
        spectra: in any units.

    >>> rows = np.array([[0.0, 1.0, 5.0, 5.0, 5.0, 2.0, 0.5], [0.0, 1, 2, 3, 4, 3, 2]])
    >>> clipped_values(rows)[0].astype(int)
    array([0, 0, 1, 1, 1, 0, 0])
    """
    table_top = spectra == spectra.max()
    row_top = spectra == spectra.max(axis=1, keepdims=True)
    plateaus = _long_runs(table_top) | _long_runs(row_top)
    plateaus[plateaus.mean(axis=1) > _MAX_PLATEAU_SHARE] = False
    return plateaus | table_top if (plateaus & table_top).any() else plateaus


def _long_runs(mask: Bool[np.ndarray, "n c"]) -> Bool[np.ndarray, "n c"]:
    """Entries of the mask in runs of at least `_MIN_PLATEAU_BANDS` along the bands."""
    return run_length(mask) >= _MIN_PLATEAU_BANDS


def run_length(mask: Bool[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
    """Length of the run along the bands that each entry of a mask belongs to; 0 outside.

    >>> run_length(np.array([[True, True, False, True]])).astype(int)
    array([[2, 2, 0, 1]])
    """
    padded = np.pad(mask, ((0, 0), (1, 1))).astype(int)
    change = np.diff(padded, axis=1)
    rows, first_bands = np.nonzero(change == 1)
    _, end_bands = np.nonzero(change == -1)
    lengths = np.zeros(mask.shape)
    sizes = end_bands - first_bands
    for offset in range(sizes.max(initial=0)):
        inside = offset < sizes
        lengths[rows[inside], first_bands[inside] + offset] = sizes[inside]
    return lengths
