"""Many cubes as one data set: what each of them is, and whether they can be used together."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxhsi.data.cube import Cube
from jaxhsi.data.statistics import stored_statistics
from jaxhsi.data.value_level import MAX_LEVEL_RATIO, value_level

SINGLE_BAND_TOLERANCE = (
    1.0  # nm that the wavelengths of single bands, which have no spacing, may differ by
)


class ManifestRow(NamedTuple):
    """What is known of a cube without reading its values.

    Attributes:
        name: by which labels and outputs are matched.
        url: where it lies.
        size: rows and columns.
        bands: their number.
        wavelengths_nm: smallest and largest, or None where unknown.
        dtype: of the stored values.
        bytes: of all values, as they are in memory.
        masked_share: pixels that miss a band, 0 to 1; None where nobody has counted them yet.
        units: of the values, or None.
        value_range: smallest and largest valid value, or None where nobody has measured them yet.
        value_level: typical magnitude, see `value_level.value_level`; likewise.
    """

    name: str
    url: str
    size: tuple[int, int]
    bands: int
    wavelengths_nm: tuple[float, float] | None
    dtype: str
    bytes: int
    masked_share: float | None
    units: str | None
    value_range: tuple[float, float] | None
    value_level: float | None


def manifest(
    cubes: Sequence[Cube], *, tolerance: float | None = None, cache_folder: Path | None = None
) -> tuple[ManifestRow, ...]:
    """Look at the cubes of a data set, and refuse those that cannot be used together.

    They must have the same number of bands, and the wavelengths of each band must agree, where
    they are known. Sizes, data types and units may differ; the last two are noted in the log.

    Args:
        cubes: at least one.
        tolerance: nm by which the wavelengths of a band may differ; by default half of the
            smallest distance between two bands of the first cube that knows its wavelengths.
        cache_folder: folder where statistics are kept, `default_cache_folder()` if None.

    Raises:
        ValueError: other bands or wavelengths, or a cube known to have no valid pixel.
    """
    manifest_rows = tuple(_manifest_row(cube, cache_folder) for cube in cubes)
    check_band_counts({row.url: row.bands for row in manifest_rows})
    check_wavelengths_agree({cube.url: cube.wavelengths for cube in cubes}, tolerance)
    for row in manifest_rows:
        if row.masked_share == 1.0:
            raise ValueError(
                f"{row.url} has no valid pixel: every one holds NaN, an infinity or the no-data "
                "value; leave the cube out, or check its no-data value"
            )
    for field_name in ("dtype", "units"):
        if (
            len(
                different_values := sorted({str(getattr(row, field_name)) for row in manifest_rows})
            )
            > 1
        ):
            logging.getLogger(__name__).warning(
                "the cubes differ in their %s: %s; their values are used as they are",
                *(field_name, ", ".join(different_values)),
            )
    _warn_of_other_units(manifest_rows)
    return manifest_rows


def _warn_of_other_units(manifest_rows: Sequence[ManifestRow]) -> None:
    """Tell where the values of some cubes are many times larger than those of others."""
    measured = [row for row in manifest_rows if row.value_level]
    if len(measured) < 2:
        return
    low, high = (pick(measured, key=lambda row: row.value_level) for pick in (min, max))
    if high.value_level > MAX_LEVEL_RATIO * low.value_level:
        logging.getLogger(__name__).warning(
            "values of %s are near %.3g and those of %s near %.3g: they may be in other units; "
            "ingest one of them with --scale, or keep them apart",
            *(high.name, high.value_level, low.name, low.value_level),
        )


def manifest_json(
    cubes: Sequence[Cube], *, tolerance: float | None = None, cache_folder: Path | None = None
) -> dict[str, Any]:
    """The manifest for a run's folder: bands, their wavelengths, and a dictionary for each cube.

    Raises:
        ValueError: as `manifest`.
    """
    manifest_rows = manifest(cubes, tolerance=tolerance, cache_folder=cache_folder)
    known_wavelengths = next(
        (cube.wavelengths for cube in cubes if cube.wavelengths is not None), None
    )
    return {
        "bands": manifest_rows[0].bands,
        "wavelengths_nm": None if known_wavelengths is None else known_wavelengths.tolist(),
        "cubes": [
            row._asdict() | {"value_level": row.value_level or value_level(cube)}
            for row, cube in zip(manifest_rows, cubes, strict=True)
        ],
    }


class BandCountError(ValueError):
    """Cubes that are to be used together have unequal numbers of bands."""


def check_band_counts(band_counts: dict[Any, int]) -> None:
    """Refuse cubes of unequal numbers of bands, given by what names them.

    Raises:
        BandCountError: names the first cube and one that differs.
    """
    first, *others = band_counts
    for source in others:
        if band_counts[source] != band_counts[first]:
            raise BandCountError(
                f"all cubes need the same bands, but {first} has {band_counts[first]} and "
                f"{source} has "
                f"{band_counts[source]}; keep the cubes of one sensor in a folder, or check "
                "--layout"
            )


def check_wavelengths_agree(
    wavelengths: dict[Any, np.ndarray | None], tolerance: float | None = None
) -> None:
    """Refuse cubes of as many bands at other wavelengths, given by what names them.

    Args:
        wavelengths: in nm, (C,), or None where unknown, which the log tells.
        tolerance: nm by which those of a band may differ; by default half of the smallest distance
            between two bands of the first that are known.

    Raises:
        ValueError: names the first that are known and those that differ.
    """
    known_wavelengths = {
        source: waves for source, waves in wavelengths.items() if waves is not None
    }
    if 0 < len(known_wavelengths) < len(wavelengths):
        logging.getLogger(__name__).warning(
            "%d of %d cubes do not say their wavelengths; they are taken to be those of the others",
            *(len(wavelengths) - len(known_wavelengths), len(wavelengths)),
        )
    if not known_wavelengths:
        return
    first, *others = known_wavelengths
    if tolerance is None:
        band_steps = np.abs(np.diff(known_wavelengths[first]))
        tolerance = float(band_steps.min()) / 2 if len(band_steps) else SINGLE_BAND_TOLERANCE
    for source in others:
        difference = np.abs(known_wavelengths[source] - known_wavelengths[first])
        if (difference > tolerance).any():
            band = int(difference.argmax())
            raise ValueError(
                f"the bands of {first} and {source} lie at other wavelengths: band {band} "
                f"at {known_wavelengths[first][band]:g} nm and at "
                f"{known_wavelengths[source][band]:g} nm, more "
                f"than {tolerance:g} nm apart; use the cubes of one sensor together, or bring "
                "them to common bands first with jaxhsi ingest"
            )


def _manifest_row(cube: Cube, cache_folder: Path | None) -> ManifestRow:
    statistics = stored_statistics(cube, cache_folder)
    wavelengths = cube.wavelengths
    return ManifestRow(
        name=cube.name,
        url=cube.url,
        size=cube.shape[:2],
        bands=cube.shape[2],
        wavelengths_nm=None
        if wavelengths is None
        else (float(wavelengths.min()), float(wavelengths.max())),
        dtype=cube.array.dtype.name,
        bytes=math.prod(cube.shape) * cube.array.dtype.numpy_dtype.itemsize,
        masked_share=None if statistics is None else 1.0 - statistics.valid_share,
        units=cube.units,
        value_range=None
        if statistics is None or not statistics.num_valid
        else (float(statistics.minimum.min()), float(statistics.maximum.max())),
        value_level=None if statistics is None else value_level(cube, statistics),
    )
