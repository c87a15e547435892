"""Bands chosen by index or wavelength, and bins of neighbours."""

import numpy as np
from jaxtyping import Bool, Float, Int


def parse_band_list(
    band_list: str, num_bands: int, wavelengths: np.ndarray | None = None
) -> Bool[np.ndarray, " c"]:
    """Bands that a list names.

    Args:
        band_list: indices from 0, ranges of them and of wavelengths, both ends included, such as
            "0-3, 107, 1340-1460nm".
        num_bands: number of bands.
        wavelengths: in nm, or None where unknown.

    Returns:
        True for those named.

    Raises:
        ValueError: what is no such list, or names bands that are not there.

    >>> np.flatnonzero(parse_band_list("0-1, 3", 5)).tolist()
    [0, 1, 3]
    """
    is_chosen = np.zeros(num_bands, bool)
    for list_item in band_list.replace(",", " ").split():
        try:
            ends = [float(end) for end in list_item.removesuffix("nm").split("-")]
            low, high = ends[0], ends[-1]
            are_indices = list_item.endswith("nm") or (low.is_integer() and high.is_integer())
        except ValueError:
            ends, are_indices = [], False
        if len(ends) not in (1, 2) or not are_indices or low > high:
            raise ValueError(
                f"--bad_bands: {list_item!r} is no band; give indices from 0 and ranges, such as "
                "'0-3, 107, 1340-1460nm'"
            )
        is_chosen |= (
            bands_in_range(low, high, wavelengths)
            if list_item.endswith("nm")
            else _bands_by_index(low, high, num_bands)
        )
    return is_chosen


def bands_in_range(
    low_nm: float, high_nm: float, wavelengths: np.ndarray | None
) -> Bool[np.ndarray, " c"]:
    """Bands from `low_nm` to `high_nm` nm, both included.

    Raises:
        ValueError: the file has no wavelengths, or none there.

    >>> bands_in_range(450, 550, np.array([400.0, 500.0, 600.0])).tolist()
    [False, True, False]
    """
    if wavelengths is None:
        raise ValueError(
            f"{low_nm:g}-{high_nm:g} nm: the file has no wavelengths; choose bands by "
            "--bad_bands with "
            "indices"
        )
    is_chosen = (wavelengths >= low_nm) & (wavelengths <= high_nm)
    if not is_chosen.any():
        raise ValueError(
            f"no band lies between {low_nm:g} and {high_nm:g} nm; the file has "
            f"{wavelengths.min():g}..{wavelengths.max():g} nm"
        )
    return is_chosen


def bands_at(
    centres: Float[np.ndarray, " k"], wavelengths: np.ndarray | None
) -> Bool[np.ndarray, " c"]:
    """Bands at given wavelengths, each within half the smallest distance of two of these.

    Args:
        centres: wavelengths that are asked for, in nm.
        wavelengths: of the file, in nm, or None where unknown.

    Raises:
        ValueError: the file has no wavelengths, or no band of its own for each.

    >>> bands_at(np.array([400.0, 600.0]), np.array([400.0, 500.0, 601.0])).tolist()
    [True, False, True]
    """
    if wavelengths is None:
        raise ValueError("the file has no wavelengths, by which bands are to be matched")
    steps = np.diff(np.sort(centres))
    tolerance = float(steps.min()) / 2 if len(steps) else 1.0
    distances = np.abs(wavelengths[:, None] - centres)
    nearest = distances.argmin(axis=0)
    is_near = distances.min(axis=0) <= tolerance
    if not is_near.all() or len(np.unique(nearest)) < len(centres):
        places = ", ".join(f"{nm:g}" for nm in centres[~is_near][:3]) or "two that are too close"
        raise ValueError(f"the file has no band of its own at each wavelength ({places} nm)")
    is_chosen = np.zeros(len(wavelengths), bool)
    is_chosen[nearest] = True
    return is_chosen


def _bands_by_index(low: float, high: float, num_bands: int) -> Bool[np.ndarray, " c"]:
    if high >= num_bands:
        raise ValueError(f"--bad_bands: there is no band {high:g}, they are 0..{num_bands - 1}")
    band_index = np.arange(num_bands)
    return (band_index >= low) & (band_index <= high)


def format_band_list(band_indices: Int[np.ndarray, " n"]) -> str:
    """Ascending indices in short, such as "0-3, 107"; `parse_band_list` reads it back.

    >>> format_band_list(np.array([0, 1, 2, 3, 107]))
    '0-3, 107'
    """
    index_runs = np.split(band_indices, np.flatnonzero(np.diff(band_indices) != 1) + 1)
    return ", ".join(f"{r[0]}" if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in index_runs)


def find_bin_starts(band_indices: Int[np.ndarray, " c"], bin_size: int) -> Int[np.ndarray, " b"]:
    """Where bins of `bin_size` neighbouring bands of the file begin among those that are kept.

    Bins are counted from the first band kept, over gaps too: a bin never joins bands that are
    further apart in the file, and one whose bands were all dropped is not there.

    >>> find_bin_starts(np.array([2, 3, 4, 8, 9]), 2).tolist()
    [0, 2, 3]
    """
    return np.unique((band_indices - band_indices[0]) // bin_size, return_index=True)[1]
