"""What is done to spectra between a file and a store, as pure functions over parts of a cube."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Int, Shaped

from jaxhsi.data.cube import CUBE_DTYPES
from jaxhsi.data.ingest.band_selection import format_band_list

FLOAT16_MAX = 65504.0  # of float16
FLOAT16_MAX_EXACT_INTEGER = 2048  # float16 holds every whole number up to here


@dataclass(frozen=True, eq=False)
class CameraReference:
    """White and dark reference of a camera, averaged over lines.

    Attributes:
        dark: signal without light, (W, C) by column, or (1, C).
        white: signal of the white panel, likewise.
        name: of the files, for the history.
    """

    dark: Float32[np.ndarray, "w c"]
    white: Float32[np.ndarray, "w c"]
    name: str = "white and dark"

    @cached_property
    def white_minus_dark(self) -> Float32[np.ndarray, "w c"]:
        """White - dark; NaN where that is not above 0 and no reflectance can be told."""
        difference = self.white - self.dark
        return np.where(difference > 0, difference, np.float32(np.nan)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class ValueConversion:
    """What becomes of the values of one cube, step by step in the order of the attributes.

    Attributes:
        dtype: that the values are stored in.
        band_indices: those that are kept, ascending indices into the file's.
        bin_starts: first of the kept bands of each bin, ascending from 0; None if not binned.
        no_data: value that marks a missing measurement in the file, or None.
        reference: of the kept bands, or None.
        scale_factor: factor, one for all or one a kept band, or None.
        offset: added after that, likewise.
        is_computed: whether values change at all; else they are copied as they are.
    """

    dtype: np.dtype
    band_indices: Int[np.ndarray, " c"]
    bin_starts: Int[np.ndarray, " b"] | None = None
    no_data: float | None = None
    reference: CameraReference | None = None
    scale_factor: float | np.ndarray | None = None
    offset: float | np.ndarray | None = None
    is_computed: bool = False

    @property
    def band_slice(self) -> slice:
        """Bands of the file that must be read."""
        return slice(int(self.band_indices[0]), int(self.band_indices[-1]) + 1)

    @property
    def num_bands(self) -> int:
        """Number of bands of the result."""
        return len(self.band_indices) if self.bin_starts is None else len(self.bin_starts)

    @property
    def stored_no_data(self) -> float | None:
        """The mark of missing values in the result: none, that is NaN, where it was computed."""
        return None if self.is_computed else self.no_data

    @property
    def invalid_value(self) -> float:
        """What is stored in the pixels that a mask of the file calls invalid."""
        return np.nan if self.stored_no_data is None else self.stored_no_data

    def apply(
        self, values: Shaped[np.ndarray, "h w s"], columns: slice
    ) -> Shaped[np.ndarray, "h w c"]:
        """Carry it out on part of a cube.

        Args:
            values: as in the file, the bands `band_slice` of it.
            columns: of the cube that `values` are from.

        Returns:
            What is stored, of `dtype` if `is_computed`, else of the file's type.

        Raises:
            ValueError: values that float16 cannot hold.
        """
        if len(self.band_indices) != values.shape[2]:
            values = values[..., self.band_indices - self.band_indices[0]]
        if not self.is_computed:
            return values
        values = to_float32(values, self.no_data)
        if self.reference is not None:
            values = to_reflectance(values, self.reference, columns)
        if self.scale_factor is not None:
            values = values * np.float32(self.scale_factor)
        if self.offset is not None:
            values = values + np.float32(self.offset)
        if self.bin_starts is not None:
            values = bin_bands(values, self.bin_starts)
        return to_float16(values) if self.dtype == np.float16 else values


def to_float32(
    values: Shaped[np.ndarray, "*n c"], no_data: float | None
) -> Float32[np.ndarray, "*n c"]:
    """float32 with NaN where a value is missing; compared in the stored type."""
    with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite, thus missing
        float_values = values.astype(np.float32)
    if no_data is not None:
        float_values[values == no_data] = np.nan
    return float_values


def to_reflectance(
    values: Float32[np.ndarray, "h w c"], reference: CameraReference, columns: slice
) -> Float32[np.ndarray, "h w c"]:
    """(x - dark) / (white - dark), by column as a push-broom camera needs it.

    Args:
        values: measured.
        reference: of all columns of the cube, or (1, C) of one for all.
        columns: of the cube that `values` are from.

    Returns:
        1 where the values are the white reference, 0 where the dark; NaN where white <= dark.
    """
    reference_columns = columns if len(reference.dark) > 1 else slice(None)
    return (values - reference.dark[reference_columns]) / reference.white_minus_dark[
        reference_columns
    ]


def bin_bands(
    values: Float32[np.ndarray, "h w c"], bin_starts: Int[np.ndarray, " b"]
) -> Float32[np.ndarray, "h w b"]:
    """Mean of the finite values over each run of bands that begins at one of `bin_starts`.

    NaN where a bin has none.
    """
    is_finite = np.isfinite(values)
    finite_counts = np.diff([*bin_starts, values.shape[-1]]).astype(np.float32)
    if not is_finite.all():
        finite_counts = np.add.reduceat(is_finite, bin_starts, axis=-1, dtype=np.float32)
        values = np.where(is_finite, values, np.float32(0))
    with np.errstate(invalid="ignore"):  # 0 / 0
        return np.add.reduceat(values, bin_starts, axis=-1) / finite_counts


def to_float16(values: Float32[np.ndarray, "h w c"]) -> Shaped[np.ndarray, "h w c"]:
    """float16, which ends at 65504.

    Raises:
        ValueError: larger values; names the largest and what to do.
    """
    with np.errstate(over="ignore"):
        half_values = values.astype(np.float16)
    if (np.isinf(half_values) & np.isfinite(values)).any():
        largest_value = np.abs(values[np.isfinite(values)]).max()
        raise ValueError(
            f"values up to {largest_value:.6g} do not fit into float16, which ends at "
            f"{FLOAT16_MAX:g}; "
            f"make them smaller by --scale, such as {1 / largest_value:.1g}, or give --dtype "
            "float32"
        )
    return half_values


def count_unusable_reference_values(
    reference: CameraReference,
    bin_starts: Int[np.ndarray, " b"] | None,
    band_indices: Int[np.ndarray, " c"],
) -> int:
    """Count columns and bands that the reference leaves without data.

    Args:
        reference: of the kept bands.
        bin_starts: of bins, or None.
        band_indices: their indices in the file, for messages.

    Returns:
        How many of the (W, C) values have white <= dark.

    Raises:
        ValueError: no column is left whose spectrum is whole, so that no pixel would be valid.
    """
    is_unusable: Bool[np.ndarray, "w c"] = ~(reference.white_minus_dark > 0)
    missing_bands = (
        is_unusable
        if bin_starts is None
        else np.logical_and.reduceat(is_unusable, bin_starts, axis=1)
    )
    if missing_bands.any(axis=1).all():
        worst_bands = band_indices[is_unusable.mean(axis=0) == is_unusable.mean(axis=0).max()]
        raise ValueError(
            f"{reference.name}: white is not above dark in some band of every column, so no pixel "
            f"would have a whole spectrum ({is_unusable.sum()} of {is_unusable.size} values). "
            "Check that white "
            "and dark are not swapped, or drop bands by --bad_bands "
            f"'{format_band_list(worst_bands)}'"
        )
    return int(is_unusable.sum())


def choose_stored_dtype(
    source_dtype: np.dtype, requested_dtype: str | None, is_computed: bool
) -> np.dtype:
    """Type of the values in the store.

    Args:
        source_dtype: of the file.
        requested_dtype: by the user, or None.
        is_computed: whether values change; they are then float32 unless asked otherwise.

    Raises:
        ValueError: values that are no real numbers.
    """
    source_dtype = source_dtype.newbyteorder("=")
    if source_dtype.name not in CUBE_DTYPES:
        raise ValueError(f"holds {source_dtype.name} values; a cube holds one of {CUBE_DTYPES}")
    return np.dtype(requested_dtype or ("float32" if is_computed else source_dtype))
