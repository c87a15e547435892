"""Bands chosen by index or wavelength, and bins of neighbours."""

import numpy as np
from jaxtyping import Bool, Int


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
    """
    chosen = np.zeros(num_bands, bool)
    for item in band_list.replace(",", " ").split():
        try:
            ends = [float(end) for end in item.removesuffix("nm").split("-")]
            low, high = ends[0], ends[-1]
            whole = item.endswith("nm") or (low.is_integer() and high.is_integer())
        except ValueError:
            ends, whole = [], False
        if len(ends) not in (1, 2) or not whole or low > high:
            raise ValueError(
                f"--bad_bands: {item!r} is no band; give indices from 0 and ranges, such as "
                "'0-3, 107, 1340-1460nm'"
            )
        chosen |= (
            bands_in_range(low, high, wavelengths)
            if item.endswith("nm")
            else _rows(low, high, num_bands)
        )
    return chosen


def bands_in_range(
    low_nm: float, high_nm: float, wavelengths: np.ndarray | None
) -> Bool[np.ndarray, " c"]:
    """Bands from `low_nm` to `high_nm` nm, both included.

    Raises:
        ValueError: the file has no wavelengths, or none there.
    """
    if wavelengths is None:
        raise ValueError(
            f"{low_nm:g}-{high_nm:g} nm: the file has no wavelengths; choose bands by --bad_bands with "
            "indices"
        )
    chosen = (wavelengths >= low_nm) & (wavelengths <= high_nm)
    if not chosen.any():
        raise ValueError(
            f"no band lies between {low_nm:g} and {high_nm:g} nm; the file has "
            f"{wavelengths.min():g}..{wavelengths.max():g} nm"
        )
    return chosen


def _rows(low: float, high: float, bands: int) -> Bool[np.ndarray, " c"]:
    if high >= bands:
        raise ValueError(f"--bad_bands: there is no band {high:g}, they are 0..{bands - 1}")
    index = np.arange(bands)
    return (index >= low) & (index <= high)


def format_band_list(band_indices: Int[np.ndarray, " n"]) -> str:
    """Ascending indices in short, such as "0-3, 107"; `parse_band_list` reads it back."""
    runs = np.split(band_indices, np.flatnonzero(np.diff(band_indices) != 1) + 1)
    return ", ".join(f"{r[0]}" if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs)


def find_bin_starts(band_indices: Int[np.ndarray, " c"], bin_size: int) -> Int[np.ndarray, " b"]:
    """Where bins of `bin_size` neighbouring bands of the file begin among those that are kept.

    Bins are counted from the first band kept, over gaps too: a bin never joins bands that are
    further apart in the file, and one whose bands were all dropped is not there.
    """
    return np.unique((band_indices - band_indices[0]) // bin_size, return_index=True)[1]
