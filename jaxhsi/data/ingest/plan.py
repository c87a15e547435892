"""What a user asks for, worked out for one file: a recipe, and all that a store tells of it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from jaxhsi.data.formats.volume import Volume, resolve_layout
from jaxhsi.data.georeference import Georeference
from jaxhsi.data.ingest.band_selection import (
    bands_in_range,
    find_bin_starts,
    format_band_list,
    parse_band_list,
)
from jaxhsi.data.ingest.reflectance import (
    FLOAT16_MAX_EXACT_INTEGER,
    CameraReference,
    ValueConversion,
    choose_stored_dtype,
    count_unusable_reference_values,
)


@dataclass(frozen=True)
class IngestOptions:
    """What is done to the values on the way into a store; nothing by default.

    Attributes:
        dtype: of the store, that of the file if None.
        white: file with the white reference.
        dark: file with the dark reference.
        wavelengths: lowest and highest kept, in nm.
        bin: neighbouring bands that become one, their mean.
        bad_bands: bands to drop, see `band_lists.parse_band_list`.
        keep_bad_bands: keep those that the file itself marks as bad.
        scale: factor; that of the file if None, where the values become floats without reference.
        no_data: value that marks a missing measurement, in place of the file's.
        pixel_size: side of a pixel in metres, for images without a place on the ground.
    """

    dtype: Literal["float16", "float32"] | None = None
    white: Path | None = None
    dark: Path | None = None
    wavelengths: tuple[float, float] | None = None
    bin: int = 1
    bad_bands: str | None = None
    keep_bad_bands: bool = False
    scale: float | None = None
    no_data: float | None = None
    pixel_size: float | None = None


class IngestPlan(NamedTuple):
    """How a file becomes a store.

    Attributes:
        layout: of the file, "hwc" or "chw".
        source_shape: (H, W, C) of the file.
        source_dtype: of the file, in the byte order of this machine.
        conversion: what becomes of the values.
        wavelengths: of the result in nm, or None.
        history: what is done, oldest first.
        georeference: of the result, or None.
        value_units: of the result, or None.
    """

    layout: str
    source_shape: tuple[int, int, int]
    source_dtype: np.dtype
    conversion: ValueConversion
    wavelengths: np.ndarray | None
    history: tuple[str, ...]
    georeference: Georeference | None
    value_units: str | None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the result."""
        return (*self.source_shape[:2], self.conversion.num_bands)

    @property
    def bytes_per_pixel(self) -> int:
        """Of one pixel in the file, in memory or in the store, the largest."""
        read = (
            self.conversion.band_slice.stop - self.conversion.band_slice.start
        ) * self.source_dtype.itemsize
        return max(read, self.conversion.num_bands * self.conversion.dtype.itemsize)


def make_ingest_plan(
    volume: Volume, layout: str | None, options: IngestOptions, reference: CameraReference | None
) -> IngestPlan:
    """Work out what a file becomes, without reading its values.

    Args:
        volume: the file.
        layout: of the file, told by the user or None.
        options: asked for.
        reference: of all bands of the file, or None.

    Raises:
        ValueError: changes that the file does not allow; names file and remedy.
    """
    layout, shape = resolve_layout(volume, layout)
    given = volume.read_slab((slice(0, 1),) * 3).dtype
    wavelengths = volume.wavelengths
    if wavelengths is not None and len(wavelengths) != shape[2]:
        wavelengths = None
    origin = f"{volume.path.name} {volume.key}".strip()
    axes = f"axes {tuple(volume.shape)} taken as {layout}"
    history = [f"read from {origin}, {axes}", *volume.notes]
    try:
        bands, told = _kept(volume, shape[2], wavelengths, options)
        recipe, more = _recipe(volume, given, bands, options, reference)
    except ValueError as error:
        raise ValueError(f"{volume.path}: {error}") from error
    if wavelengths is not None:
        wavelengths = _binned(wavelengths[bands], recipe.bin_starts)
    georeference, placed = _placed(volume, options.pixel_size)
    return IngestPlan(
        layout=layout,
        source_shape=shape,
        source_dtype=given.newbyteorder("="),
        conversion=recipe,
        wavelengths=wavelengths,
        history=(*history, *told, *more, *placed),
        georeference=georeference,
        value_units=_units(volume, recipe),
    )


def _kept(volume: Volume, count: int, wavelengths: np.ndarray | None, changes: IngestOptions):
    """Indices of the bands that are kept, and what is to be said of it."""
    drop, told = np.zeros(count, bool), []
    if volume.bad_bands is not None and volume.bad_bands.any():
        told.append(f"bad bands by the file: {format_band_list(np.flatnonzero(volume.bad_bands))}")
        told[-1] += ", kept" if changes.keep_bad_bands else ", dropped"
        drop |= volume.bad_bands & (not changes.keep_bad_bands)
    if changes.bad_bands:
        bad = parse_band_list(changes.bad_bands, count, wavelengths)
        told.append(f"bands dropped on request: {format_band_list(np.flatnonzero(bad))}")
        drop |= bad
    if changes.wavelengths is not None:
        low, high = changes.wavelengths
        drop |= ~bands_in_range(low, high, wavelengths)
        told.append(f"bands outside of {low:g}..{high:g} nm dropped")
    if drop.all():
        raise ValueError(f"no band of {count} is left ({'; '.join(told)}); drop fewer")
    if drop.any():
        told.append(f"{count - drop.sum()} of {count} bands kept")
    return np.flatnonzero(~drop), told


def _recipe(
    volume: Volume,
    given: np.dtype,
    bands: np.ndarray,
    changes: IngestOptions,
    reference: CameraReference | None,
) -> tuple[ValueConversion, list[str]]:
    """The recipe, and what it does in words."""
    starts = find_bin_starts(bands, changes.bin) if changes.bin > 1 else None
    scale = changes.scale
    asked = changes.dtype is not None or starts is not None
    if scale is None and reference is None and asked and volume.scale_factor not in (None, 1.0):
        scale = volume.scale_factor
    computed = not (reference is None and scale is None and starts is None)
    dtype = choose_stored_dtype(given, changes.dtype, computed)
    no_data = volume.no_data if changes.no_data is None else changes.no_data
    recipe = ValueConversion(
        dtype=dtype,
        band_indices=bands,
        bin_starts=starts,
        no_data=None if no_data is None or np.isnan(no_data) else float(no_data),
        scale_factor=scale,
        is_computed=computed or dtype != given.newbyteorder("="),
    )
    said = []
    if reference is not None:
        reference = replace(
            reference, dark=reference.dark[:, bands], white=reference.white[:, bands]
        )
        dead = count_unusable_reference_values(reference, starts, bands)
        recipe = replace(recipe, reference=reference)
        said.append(f"reflectance (x - dark) / (white - dark): {reference.name}, mean of lines")
        if dead:
            total = reference.dark.size
            said.append(f"{dead} of {total} columns by bands have white <= dark: no data")
    return recipe, [*said, *_steps(volume, recipe, given, changes)]


def _steps(
    volume: Volume, recipe: ValueConversion, given: np.dtype, changes: IngestOptions
) -> list[str]:
    """The other steps in words, in their order."""
    said = []
    if recipe.scale_factor is not None:
        said.append(f"times {recipe.scale_factor:.9g}")
    elif volume.scale_factor not in (None, 1.0) and recipe.reference is None:
        said.append(
            f"scale factor {volume.scale_factor:.9g} of the file not applied; --dtype float32 applies it"
        )
    if recipe.bin_starts is not None:
        said.append(f"mean of {changes.bin} neighbouring bands: {recipe.num_bands} bands")
    if changes.no_data is not None:
        said.append(f"no-data value {changes.no_data:g} on request")
    if recipe.is_computed:
        mark = "" if recipe.no_data is None else f", {recipe.no_data:g} (no data) as NaN"
        said.append(f"{given.name} stored as {recipe.dtype.name}{mark}")
        whole = given.kind in "iu" and given.itemsize > 1 and recipe.scale_factor is None
        if whole and recipe.dtype == np.float16 and recipe.reference is None:
            said.append(
                f"whole numbers above {FLOAT16_MAX_EXACT_INTEGER} rounded to 11 bits by float16"
            )
    return said


def _binned(wavelengths: np.ndarray, starts: np.ndarray | None) -> np.ndarray:
    """Mean wavelength of each bin."""
    if starts is None:
        return wavelengths
    counts = np.diff([*starts, len(wavelengths)])
    return np.add.reduceat(wavelengths, starts) / counts


def _placed(
    volume: Volume, pixel_size: float | None
) -> tuple[Georeference | None, tuple[str, ...]]:
    """The file's own place on the ground, or the size of its pixels as told."""
    own = volume.georeference
    if pixel_size is None:
        return own, ()
    if own is not None and own.crs is not None:
        raise ValueError(
            f"{volume.path} has a coordinate system of its own, {own.crs[:40]}; drop --pixel_size"
        )
    transform = (pixel_size, 0.0, 0.0, 0.0, -pixel_size, 0.0)
    return Georeference(None, transform, 1.0), (f"pixels of {pixel_size:g} m on request",)


def _units(volume: Volume, recipe: ValueConversion) -> str | None:
    """Of the result: the file's where its own scale is applied, and no other."""
    if recipe.reference is not None:
        return "reflectance"
    return (
        volume.value_units if (recipe.scale_factor or 1.0) == (volume.scale_factor or 1.0) else None
    )
