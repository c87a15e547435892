"""Bands and masks of a raster: which bands are spectral, which pixels are valid."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from jaxhsi.data.formats.raster_file import gdal_errors

MIN_MASK_SHARE = 0.9
"""Share of an alpha band's values above 0 that are its most frequent one. Programs declare the
fourth band of any 8-bit raster as alpha: a near-infrared band has hundreds of values."""

SAMPLE_GRID, SAMPLE_SIDE = 5, 64
"""Windows across, and their side in pixels, of the sample that an alpha band is judged by."""

ALPHA_NAMES = ("alpha", "alpha band", "mask", "opacity")

MaskReader = Callable[[slice, slice], Bool[np.ndarray, "h w"]]


class RasterBands(NamedTuple):
    """What the bands of a raster are.

    Attributes:
        spectral: numbers, from 1, of the bands that are measurements.
        read_mask: valid pixels of a window, or None where the file has no mask.
        notes: what was decided, for the history.
    """

    spectral: tuple[int, ...]
    read_mask: MaskReader | None
    notes: tuple[str, ...]


def raster_bands(path: Path, file: Any) -> RasterBands:
    """Tell spectral bands from an alpha band, and find the mask.

    A mask may be an alpha band, GDAL's mask inside of the file or beside it (.msk), a mask of each
    band, or no-data values that differ among the bands. A pixel is valid where every mask says so;
    an alpha of 0 is not valid, any other is.

    Args:
        path: the file, for messages.
        file: open rasterio dataset.
    """
    alpha_bands, notes = [], []
    for band in _declared_alpha(file) if file.count > 1 else ():
        if _looks_like_mask(path, file, band):
            alpha_bands.append(band)
            notes.append(f"band {band} is alpha: pixels where it is 0 are not valid")
        else:
            notes.append(
                f"band {band} is declared as alpha but has many values: taken as a spectral band"
            )
    spectral = tuple(band for band in file.indexes if band not in alpha_bands)
    mask_bands, mask_note = _mask_bands(file, spectral)
    if not alpha_bands and not mask_bands:
        return RasterBands(spectral, None, tuple(notes))

    def read_mask(rows: slice, columns: slice) -> Bool[np.ndarray, "h w"]:
        window = tuple(
            part.indices(length)[:2]
            for part, length in zip((rows, columns), file.shape, strict=True)
        )
        (top, bottom), (left, right) = window
        valid = np.ones((bottom - top, right - left), bool)
        with gdal_errors(path):
            for band in alpha_bands:
                valid &= file.read(band, window=window) != 0
            for band in mask_bands:
                valid &= file.read_masks(band, window=window) != 0
        return valid

    return RasterBands(spectral, read_mask, (*notes, *mask_note))


def _declared_alpha(file: Any) -> list[int]:
    """Bands that the file calls alpha, by their colour or, for the last one, by their name."""
    declared = [
        band
        for band, colour in zip(file.indexes, file.colorinterp, strict=True)
        if colour.name == "alpha"
    ]
    last_name = (file.descriptions[-1] or "").strip().casefold()
    return declared or ([file.count] if last_name in ALPHA_NAMES else [])


def _looks_like_mask(path: Path, file: Any, band: int) -> bool:
    """Whether nearly all values but 0 are one and the same, by a sample of windows."""
    side = SAMPLE_SIDE
    starts = [
        np.unique(np.linspace(0, max(length - side, 0), SAMPLE_GRID).astype(int))
        for length in file.shape
    ]
    with gdal_errors(path):
        parts = [
            file.read(
                band,
                window=(
                    (row, min(row + side, file.height)),
                    (column, min(column + side, file.width)),
                ),
            ).ravel()
            for row in starts[0].tolist()
            for column in starts[1].tolist()
        ]
    values, counts = np.unique(np.concatenate(parts), return_counts=True)
    opaque_counts = counts[values != 0]
    return bool(opaque_counts.max(initial=0) >= MIN_MASK_SHARE * opaque_counts.sum())


def _mask_bands(file: Any, spectral: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Bands whose masks are to be read: one where all share it, each where they differ."""
    flags = [{flag.name for flag in file.mask_flag_enums[band - 1]} for band in spectral]
    if any("per_dataset" in each and "alpha" not in each for each in flags):
        return spectral[:1], ("the file has a mask: pixels outside of it are not valid",)
    own_masks = tuple(band for band, each in zip(spectral, flags, strict=True) if not each)
    if own_masks:
        return own_masks, ("bands have masks: pixels outside of any of them are not valid",)
    no_data_values = {file.nodatavals[band - 1] for band in spectral}
    if len({repr(value) for value in no_data_values}) > 1:
        with_value = tuple(b for b in spectral if file.nodatavals[b - 1] is not None)
        listed = ", ".join(f"{value:g}" for value in no_data_values if value is not None)
        note = f"no-data values differ among the bands ({listed}): each band by its own"
        return with_value, (note,)
    return (), ()
