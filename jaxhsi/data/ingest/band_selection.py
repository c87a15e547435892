"""Bands chosen by index or wavelength, and bins of neighbours."""

import numpy as np
from jaxtyping import Bool, Int


def parse_bands(
    text: str, bands: int, wavelengths: np.ndarray | None = None
) -> Bool[np.ndarray, " c"]:
    """Bands that a list names.

    Args:
        text: indices from 0, ranges of them and of wavelengths, both ends included, such as
            "0-3, 107, 1340-1460nm".
        bands: number of bands.
        wavelengths: in nm, or None where unknown.

    Returns:
        True for those named.

    Raises:
        ValueError: what is no such list, or names bands that are not there.
    """
    chosen = np.zeros(bands, bool)
    for item in text.replace(",", " ").split():
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
        chosen |= within(low, high, wavelengths) if item.endswith("nm") else _rows(low, high, bands)
    return chosen


def within(low: float, high: float, wavelengths: np.ndarray | None) -> Bool[np.ndarray, " c"]:
    """Bands from `low` to `high` nm, both included.

    Raises:
        ValueError: the file has no wavelengths, or none there.
    """
    if wavelengths is None:
        raise ValueError(
            f"{low:g}-{high:g} nm: the file has no wavelengths; choose bands by --bad_bands with "
            "indices"
        )
    chosen = (wavelengths >= low) & (wavelengths <= high)
    if not chosen.any():
        raise ValueError(
            f"no band lies between {low:g} and {high:g} nm; the file has "
            f"{wavelengths.min():g}..{wavelengths.max():g} nm"
        )
    return chosen


def _rows(low: float, high: float, bands: int) -> Bool[np.ndarray, " c"]:
    if high >= bands:
        raise ValueError(f"--bad_bands: there is no band {high:g}, they are 0..{bands - 1}")
    index = np.arange(bands)
    return (index >= low) & (index <= high)


def ranges(bands: Int[np.ndarray, " n"]) -> str:
    """Ascending indices in short, such as "0-3, 107"; `parse_bands` reads it back."""
    runs = np.split(bands, np.flatnonzero(np.diff(bands) != 1) + 1)
    return ", ".join(f"{r[0]}" if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs)


def band_starts(bands: Int[np.ndarray, " c"], size: int) -> Int[np.ndarray, " b"]:
    """Where bins of `size` neighbouring bands of the file begin among those that are kept.

    Bins are counted from the first band kept, over gaps too: a bin never joins bands that are
    further apart in the file, and one whose bands were all dropped is not there.
    """
    return np.unique((bands - bands[0]) // size, return_index=True)[1]
