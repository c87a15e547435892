"""What a user asks for, worked out for one file: a recipe, and all that a store tells of it."""

from typing import NamedTuple

import numpy as np

from jaxhsi.data.cube import check_cube_size
from jaxhsi.data.formats.axis_order import AxisOrder
from jaxhsi.data.formats.volume import Volume, choose_axis_order, resolve_layout
from jaxhsi.data.georeference import Georeference
from jaxhsi.data.ingest.band_selection import (
    bands_at,
    bands_in_range,
    format_band_list,
    parse_band_list,
)
from jaxhsi.data.ingest.conversion import make_conversion
from jaxhsi.data.ingest.empty_bands import find_empty_bands
from jaxhsi.data.ingest.options import IngestOptions
from jaxhsi.data.ingest.reflectance import CameraReference, ValueConversion, choose_stored_dtype

NO_WAVELENGTHS_NOTE = (
    "no wavelengths in the file: colours of pictures are chosen by position, bands cannot be "
    "selected in nm, and cubes are compared by their number of bands alone"
)


class IngestPlan(NamedTuple):
    """How a file becomes a store.

    Attributes:
        layout: of the file, one of `jaxhsi.data.axis_layout.LAYOUTS`.
        layout_reason: what decided the layout; empty where the format fixes it.
        source_shape: (H, W, C) of the file.
        source_dtype: of the file, in the byte order of this machine.
        conversion: what becomes of the values.
        wavelengths: of the result in nm, or None.
        empty_bands: True for bands of the file without measurements, (C,).
        history: what is done, oldest first.
        georeference: of the result, or None.
        value_units: of the result, or None.
        hints: what else could be done, which is no part of the history.
        block_shape: of the file, see `Volume`.
    """

    layout: str
    layout_reason: str
    source_shape: tuple[int, int, int]
    source_dtype: np.dtype
    conversion: ValueConversion
    wavelengths: np.ndarray | None
    empty_bands: np.ndarray
    history: tuple[str, ...]
    georeference: Georeference | None
    value_units: str | None
    hints: tuple[str, ...] = ()
    block_shape: tuple[int, int] | None = None

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
    volume: Volume,
    layout: str | None,
    options: IngestOptions,
    reference: CameraReference | None,
    empty_bands: np.ndarray | None = None,
) -> IngestPlan:
    """Work out what a file becomes; of its values a small sample is read, to find empty bands.

    Args:
        volume: the file.
        layout: of the file, told by the user or None.
        options: asked for.
        reference: of all bands of the file, or None.
        empty_bands: True for bands that hold no measurements, (C,); looked for if None.

    Raises:
        ValueError: changes that the file does not allow; names file and remedy.
    """
    axis_order = choose_axis_order(volume, layout)
    history = _describe_reading(volume, axis_order, layout)
    layout, cube_shape = resolve_layout(volume, axis_order.layout)
    check_cube_size(str(volume.path), cube_shape)
    source_dtype = volume.read_slab((slice(0, 1),) * 3).dtype
    wavelengths, wavelength_notes = _usable_wavelengths(volume, cube_shape[2])
    try:
        choose_stored_dtype(source_dtype, None, is_computed=False)  # refuses what is no number
        no_data = _no_data_value(volume, options, source_dtype)
        if empty_bands is None:
            empty_bands = find_empty_bands(volume, layout, cube_shape, no_data)
        band_indices, band_notes = _select_bands(
            volume, cube_shape[2], wavelengths, options, empty_bands
        )
        conversion, conversion_notes = make_conversion(
            volume, source_dtype, band_indices, options, reference, no_data
        )
    except ValueError as error:
        raise ValueError(f"{volume.path}: {error}") from error
    if wavelengths is not None:
        wavelengths = _bin_wavelengths(wavelengths[band_indices], conversion.bin_starts)
    georeference, position_notes = _choose_georeference(volume, options.pixel_size)
    notes = (*wavelength_notes, *band_notes, *conversion_notes, *position_notes)
    return IngestPlan(
        layout=layout,
        layout_reason=axis_order.reason,
        source_shape=cube_shape,
        source_dtype=source_dtype.newbyteorder("="),
        conversion=conversion,
        wavelengths=wavelengths,
        empty_bands=empty_bands,
        history=(*history, *notes),
        georeference=georeference,
        value_units=_units_of_result(volume, conversion, options),
        block_shape=volume.block_shape,
    )


def _describe_reading(volume: Volume, axis_order: AxisOrder, asked_layout: str | None) -> list[str]:
    """How the file is read, in words, with the notes of its reader."""
    source_name = f"{volume.path.name} {volume.key}".strip()
    reason = f", {axis_order.reason}" if axis_order.reason else ""
    shape = tuple(volume.shape)
    history = [f"read from {source_name}, axes {shape} taken as {axis_order.layout}{reason}"]
    if volume.sensor:
        history.append(f"recognised as a product of {volume.sensor}")
    if asked_layout not in (None, axis_order.layout):
        history.append(f"layout {asked_layout} not used: the format fixes the order of the axes")
    return [*history, *volume.notes]


def _usable_wavelengths(
    volume: Volume, num_bands: int
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Wavelengths of the bands, and what is lost where there are none."""
    if volume.wavelengths is None:
        return None, (NO_WAVELENGTHS_NOTE,)
    if len(volume.wavelengths) != num_bands:
        return None, (
            f"{len(volume.wavelengths)} wavelengths do not fit {num_bands} bands and are not kept",
            NO_WAVELENGTHS_NOTE,
        )
    return volume.wavelengths, ()


def _no_data_value(volume: Volume, options: IngestOptions, source_dtype: np.dtype) -> float | None:
    """The mark of missing values in the file's type, as a value of the file compares with it."""
    value = volume.no_data if options.no_data is None else options.no_data
    if value is None or np.isnan(value):
        return None
    return float(source_dtype.type(value)) if source_dtype.kind == "f" else float(value)


def _select_bands(
    volume: Volume,
    num_bands: int,
    wavelengths: np.ndarray | None,
    options: IngestOptions,
    empty_bands: np.ndarray,
):
    """Indices of the bands that are kept, and what is to be said of it."""
    is_dropped, notes = np.zeros(num_bands, bool), []
    bad_bands = np.zeros(num_bands, bool) if volume.bad_bands is None else volume.bad_bands
    for what, marked in (
        ("bad bands by the file", bad_bands),
        ("bands without measurements in (nearly) all pixels", empty_bands & ~bad_bands),
    ):
        if marked.any():
            fate = "kept" if options.keep_bands else "dropped"
            notes.append(f"{what}: {format_band_list(np.flatnonzero(marked))}, {fate}")
            is_dropped |= marked & (not options.keep_bands)
    if options.bad_bands:
        is_unwanted = parse_band_list(options.bad_bands, num_bands, wavelengths)
        notes.append(f"bands dropped on request: {format_band_list(np.flatnonzero(is_unwanted))}")
        is_dropped |= is_unwanted
    if options.wavelengths is not None:
        low, high = options.wavelengths
        is_dropped |= ~bands_in_range(low, high, wavelengths)
        notes.append(f"bands outside of {low:g}..{high:g} nm dropped")
    if options.matching_wavelengths is not None:
        is_matching = bands_at(np.asarray(options.matching_wavelengths), wavelengths)
        if (is_dropped & is_matching).any():
            missing = format_band_list(np.flatnonzero(is_dropped & is_matching))
            raise ValueError(f"bands {missing} are asked for and left out: {'; '.join(notes)}")
        is_dropped |= ~is_matching
        notes.append("bands kept at the wavelengths that are asked for, no others")
    if is_dropped.all():
        raise ValueError(f"no band of {num_bands} is left ({'; '.join(notes)}); drop fewer")
    if is_dropped.any():
        notes.append(f"{num_bands - is_dropped.sum()} of {num_bands} bands kept")
    return np.flatnonzero(~is_dropped), notes


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


def _units_of_result(
    volume: Volume, conversion: ValueConversion, options: IngestOptions
) -> str | None:
    """Of the result: the file's where its own scale is applied, and no other."""
    if conversion.reference is not None:
        return "reflectance"
    has_scale = volume.scale_factor is not None or volume.offset is not None
    is_changed = options.scale is not None and options.scale != volume.scale_factor
    return None if is_changed or (has_scale and options.raw) else volume.value_units
