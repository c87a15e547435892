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
        read_bytes = (
            self.conversion.band_slice.stop - self.conversion.band_slice.start
        ) * self.source_dtype.itemsize
        return max(read_bytes, self.conversion.num_bands * self.conversion.dtype.itemsize)


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
    layout, cube_shape = resolve_layout(volume, layout)
    source_dtype = volume.read_slab((slice(0, 1),) * 3).dtype
    wavelengths = volume.wavelengths
    if wavelengths is not None and len(wavelengths) != cube_shape[2]:
        wavelengths = None
    source_name = f"{volume.path.name} {volume.key}".strip()
    axis_note = f"axes {tuple(volume.shape)} taken as {layout}"
    history = [f"read from {source_name}, {axis_note}", *volume.notes]
    try:
        band_indices, band_notes = _select_bands(volume, cube_shape[2], wavelengths, options)
        conversion, conversion_notes = _make_conversion(
            volume, source_dtype, band_indices, options, reference
        )
    except ValueError as error:
        raise ValueError(f"{volume.path}: {error}") from error
    if wavelengths is not None:
        wavelengths = _bin_wavelengths(wavelengths[band_indices], conversion.bin_starts)
    georeference, position_notes = _choose_georeference(volume, options.pixel_size)
    return IngestPlan(
        layout=layout,
        source_shape=cube_shape,
        source_dtype=source_dtype.newbyteorder("="),
        conversion=conversion,
        wavelengths=wavelengths,
        history=(*history, *band_notes, *conversion_notes, *position_notes),
        georeference=georeference,
        value_units=_units_of_result(volume, conversion),
    )


def _select_bands(
    volume: Volume, num_bands: int, wavelengths: np.ndarray | None, options: IngestOptions
):
    """Indices of the bands that are kept, and what is to be said of it."""
    is_dropped, notes = np.zeros(num_bands, bool), []
    if volume.bad_bands is not None and volume.bad_bands.any():
        notes.append(f"bad bands by the file: {format_band_list(np.flatnonzero(volume.bad_bands))}")
        notes[-1] += ", kept" if options.keep_bad_bands else ", dropped"
        is_dropped |= volume.bad_bands & (not options.keep_bad_bands)
    if options.bad_bands:
        is_unwanted = parse_band_list(options.bad_bands, num_bands, wavelengths)
        notes.append(f"bands dropped on request: {format_band_list(np.flatnonzero(is_unwanted))}")
        is_dropped |= is_unwanted
    if options.wavelengths is not None:
        low, high = options.wavelengths
        is_dropped |= ~bands_in_range(low, high, wavelengths)
        notes.append(f"bands outside of {low:g}..{high:g} nm dropped")
    if is_dropped.all():
        raise ValueError(f"no band of {num_bands} is left ({'; '.join(notes)}); drop fewer")
    if is_dropped.any():
        notes.append(f"{num_bands - is_dropped.sum()} of {num_bands} bands kept")
    return np.flatnonzero(~is_dropped), notes


def _make_conversion(
    volume: Volume,
    source_dtype: np.dtype,
    band_indices: np.ndarray,
    options: IngestOptions,
    reference: CameraReference | None,
) -> tuple[ValueConversion, list[str]]:
    """The recipe, and what it does in words."""
    bin_starts = find_bin_starts(band_indices, options.bin) if options.bin > 1 else None
    scale_factor = options.scale
    dtype_or_bins = options.dtype is not None or bin_starts is not None
    if (
        scale_factor is None
        and reference is None
        and dtype_or_bins
        and volume.scale_factor not in (None, 1.0)
    ):
        scale_factor = volume.scale_factor
    is_computed = not (reference is None and scale_factor is None and bin_starts is None)
    no_data_value = volume.no_data if options.no_data is None else options.no_data
    # Whole numbers without a value for "missing" have none to spare: they become floats, with NaN.
    needs_nan = volume.read_mask is not None and no_data_value is None
    is_computed |= needs_nan and source_dtype.kind in "iu"
    stored_dtype = choose_stored_dtype(source_dtype, options.dtype, is_computed)
    conversion = ValueConversion(
        dtype=stored_dtype,
        band_indices=band_indices,
        bin_starts=bin_starts,
        no_data=None if no_data_value is None or np.isnan(no_data_value) else float(no_data_value),
        scale_factor=scale_factor,
        is_computed=is_computed or stored_dtype != source_dtype.newbyteorder("="),
    )
    notes = []
    if reference is not None:
        reference = replace(
            reference, dark=reference.dark[:, band_indices], white=reference.white[:, band_indices]
        )
        num_unusable = count_unusable_reference_values(reference, bin_starts, band_indices)
        conversion = replace(conversion, reference=reference)
        notes.append(f"reflectance (x - dark) / (white - dark): {reference.name}, mean of lines")
        if num_unusable:
            total = reference.dark.size
            notes.append(f"{num_unusable} of {total} columns by bands have white <= dark: no data")
    return conversion, [*notes, *_describe_steps(volume, conversion, source_dtype, options)]


def _describe_steps(
    volume: Volume, conversion: ValueConversion, source_dtype: np.dtype, options: IngestOptions
) -> list[str]:
    """The other steps in words, in their order."""
    notes = []
    if conversion.scale_factor is not None:
        notes.append(f"times {conversion.scale_factor:.9g}")
    elif volume.scale_factor not in (None, 1.0) and conversion.reference is None:
        notes.append(
            f"scale factor {volume.scale_factor:.9g} of the file not applied; --dtype float32 "
            "applies it"
        )
    if conversion.bin_starts is not None:
        notes.append(f"mean of {options.bin} neighbouring bands: {conversion.num_bands} bands")
    if options.no_data is not None:
        notes.append(f"no-data value {options.no_data:g} on request")
    if conversion.is_computed:
        no_data_note = (
            "" if conversion.no_data is None else f", {conversion.no_data:g} (no data) as NaN"
        )
        notes.append(f"{source_dtype.name} stored as {conversion.dtype.name}{no_data_note}")
        integers_kept = (
            source_dtype.kind in "iu"
            and source_dtype.itemsize > 1
            and conversion.scale_factor is None
        )
        if integers_kept and conversion.dtype == np.float16 and conversion.reference is None:
            notes.append(
                f"whole numbers above {FLOAT16_MAX_EXACT_INTEGER} rounded to 11 bits by float16"
            )
    return notes


def _bin_wavelengths(wavelengths: np.ndarray, bin_starts: np.ndarray | None) -> np.ndarray:
    """Mean wavelength of each bin."""
    if bin_starts is None:
        return wavelengths
    bin_sizes = np.diff([*bin_starts, len(wavelengths)])
    return np.add.reduceat(wavelengths, bin_starts) / bin_sizes


def _choose_georeference(
    volume: Volume, pixel_size: float | None
) -> tuple[Georeference | None, tuple[str, ...]]:
    """The file's own place on the ground, or the size of its pixels as told."""
    file_georeference = volume.georeference
    if pixel_size is None:
        return file_georeference, ()
    if file_georeference is not None and file_georeference.crs is not None:
        raise ValueError(
            f"{volume.path} has a coordinate system of its own, {file_georeference.crs[:40]}; "
            "drop --pixel_size"
        )
    transform = (pixel_size, 0.0, 0.0, 0.0, -pixel_size, 0.0)
    return Georeference(None, transform, 1.0), (f"pixels of {pixel_size:g} m on request",)


def _units_of_result(volume: Volume, conversion: ValueConversion) -> str | None:
    """Of the result: the file's where its own scale is applied, and no other."""
    if conversion.reference is not None:
        return "reflectance"
    return (
        volume.value_units
        if (conversion.scale_factor or 1.0) == (volume.scale_factor or 1.0)
        else None
    )
