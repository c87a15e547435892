"""The steps from stored to ingested values that options and file ask for, and their description."""

from dataclasses import replace

import numpy as np

from jaxhsi.data.formats.volume import Volume
from jaxhsi.data.ingest.band_selection import find_bin_starts
from jaxhsi.data.ingest.options import IngestOptions
from jaxhsi.data.ingest.reflectance import (
    FLOAT16_MAX_EXACT_INTEGER,
    CameraReference,
    ValueConversion,
    choose_stored_dtype,
    count_unusable_reference_values,
)


def make_conversion(
    volume: Volume,
    source_dtype: np.dtype,
    band_indices: np.ndarray,
    options: IngestOptions,
    reference: CameraReference | None,
    no_data: float | None,
) -> tuple[ValueConversion, list[str]]:
    """The recipe, and what it does in words."""
    bin_starts = find_bin_starts(band_indices, options.bin) if options.bin > 1 else None
    scale_factor, offset = options.scale, None
    if scale_factor is None and reference is None and not options.raw:
        scale_factor, offset = volume.scale_factor, volume.offset
    is_computed = not (
        reference is None and scale_factor is None and offset is None and bin_starts is None
    )
    # Whole numbers without a value for "missing" have none to spare: they become floats, with NaN.
    needs_nan = volume.read_mask is not None and no_data is None
    is_computed |= needs_nan and source_dtype.kind in "iu"
    stored_dtype = choose_stored_dtype(source_dtype, options.dtype, is_computed)
    conversion = ValueConversion(
        dtype=stored_dtype,
        band_indices=band_indices,
        bin_starts=bin_starts,
        no_data=no_data,
        scale_factor=_of_bands(scale_factor, band_indices),
        offset=_of_bands(offset, band_indices),
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
    if conversion.scale_factor is not None or conversion.offset is not None:
        notes.append(_describe_scale(conversion, options))
    elif volume.scale_factor is not None or volume.offset is not None:
        why = "raw values on request" if options.raw else "the reference replaces them"
        notes.append(f"scale and offset of the file not applied: {why}")
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


def _of_bands(values: float | np.ndarray | None, band_indices: np.ndarray):
    """One number, or those of the bands that are kept."""
    return values[band_indices] if isinstance(values, np.ndarray) else values


def _describe_scale(conversion: ValueConversion, options: IngestOptions) -> str:
    """The scale and offset that are applied, in words."""
    parts = []
    for word, values in (("times", conversion.scale_factor), ("plus", conversion.offset)):
        if isinstance(values, np.ndarray):
            parts.append(f"{word} {values.min():.9g}..{values.max():.9g} by band")
        elif values is not None:
            parts.append(f"{word} {values:.9g}")
    source = "" if options.scale is not None else " as the file states (--raw keeps stored values)"
    return " ".join(parts) + source
