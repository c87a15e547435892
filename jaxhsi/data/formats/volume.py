"""A 3-D array inside a file, read in slabs; which of its axes holds the bands."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from jaxhsi.data.georeference import Georeference

LAYOUTS = ("hwc", "chw")
WAVELENGTH_KEYS = ("wavelengths", "wavelength", "wavelengths_nm", "wl", "wls", "lambda")


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3-D array in a file, not read yet.

    Attributes:
        path: the file.
        key: name inside of the file, empty where the format has none.
        shape: lengths of the three axes as stored.
        read_slab: values of three slices.
        wavelengths: vector found beside the array, in nm; it may belong to either end.
        layout: order of the axes where the format fixes it, else None.
        default_layout: order of the axes that is usual for the format, taken unless the user names
            another; None where the lengths are to decide.
        no_data: value that marks a missing measurement, or None.
        read_mask: valid pixels of rows and columns of the image, by a mask that the file carries,
            or None where it carries none.
        georeference: where the pixels lie on the ground, or None.
        value_units: of the values, or None.
        scale_factor: the values times this are in `value_units`; the reader does not apply it.
        bad_bands: True for bands that the file itself marks as unusable, (C,), or None.
        notes: what the reader did or found, for the history of the store.
    """

    path: Path
    key: str
    shape: tuple[int, ...]
    read_slab: Callable[[tuple[slice, slice, slice]], np.ndarray]
    wavelengths: np.ndarray | None = None
    layout: str | None = None
    default_layout: str | None = None
    no_data: float | None = None
    read_mask: Callable[[slice, slice], Bool[np.ndarray, "h w"]] | None = None
    georeference: Georeference | None = None
    value_units: str | None = None
    scale_factor: float | None = None
    bad_bands: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def guess_layout(
    shape: Sequence[int], wavelengths: np.ndarray | None = None, source_name: str = "the array"
) -> str:
    """Tell (H, W, C) from (C, H, W).

    1. A wavelength vector as long as the first or the last axis, and not both, marks the bands.
    2. Else the image is the squarer of the pairs (first, middle) and (middle, last), by
       |log(a / b)|, and the axis left over holds the bands. Bands first is only believed where
       that axis is also the shorter end (the rule of upstream's dataset.py) or the pair is exactly
       square: long narrow scenes with bands last, as (512, 217, 224), look like bands first.

    So (83, 86, 204) and (31, 43, 580) are hwc, (301, 1024, 1024) and (198, 100, 100) are chw, and
    (512, 217, 224) or (64, 64, 64) must be told.

    Args:
        shape: lengths of the three axes.
        wavelengths: vector found in the file.
        source_name: file and key for the message.

    Returns:
        "hwc" or "chw".

    Raises:
        ValueError: the shape decides nothing.

    >>> guess_layout((83, 86, 204)), guess_layout((198, 100, 100))
    ('hwc', 'chw')
    """
    first, middle, last = shape
    if wavelengths is not None and first != last and len(wavelengths) in (first, last):
        return "hwc" if len(wavelengths) == last else "chw"
    last_squareness, first_squareness = abs(math.log(first / middle)), abs(math.log(middle / last))
    if last_squareness < first_squareness:
        return "hwc"
    if first_squareness < last_squareness and (first < last or middle == last):
        return "chw"
    raise ValueError(
        f"{source_name} has shape {tuple(shape)}, which does not tell whether the bands come last "
        "(H, W, C) or first (C, H, W); say so with --layout hwc or --layout chw"
    )


def resolve_layout(volume: Volume, layout: str | None = None) -> tuple[str, tuple[int, int, int]]:
    """The layout of a volume, given or guessed, and its shape as (H, W, C).

    Raises:
        ValueError: an unknown layout, or one that the shape does not tell.
    """
    if layout not in (None, *LAYOUTS):
        raise ValueError(f"unknown layout {layout!r}; use --layout hwc or --layout chw")
    source_name = f"{volume.path}" + (f", key {volume.key!r}," if volume.key else "")
    layout = volume.layout or layout or volume.default_layout
    layout = layout or guess_layout(volume.shape, volume.wavelengths, source_name)
    image_axes = (0, 1, 2) if layout == "hwc" else (1, 2, 0)
    height, width, bands = (volume.shape[axis] for axis in image_axes)
    return layout, (height, width, bands)


def read_image_part(
    volume: Volume, layout: str, rows: slice, columns: slice, bands: slice = slice(None)
) -> np.ndarray:
    """Part of the image as (h, w, c), in the file's type."""
    if layout == "hwc":
        return volume.read_slab((rows, columns, bands))
    return np.moveaxis(volume.read_slab((bands, rows, columns)), 0, -1)


def plausible_wavelengths(values: np.ndarray | None) -> np.ndarray | None:
    """A vector of wavelengths in nm (micrometres, all under 100, are converted), or None."""
    if values is None or values.dtype.kind not in "iuf" or values.size != max(values.shape):
        return None
    values = values.astype(np.float64).ravel()
    if not np.isfinite(values).all() or values.min() <= 0:
        return None
    return values * 1000.0 if values.max() < 100 else values
