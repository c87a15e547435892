"""A 3-D array inside a file, read in slabs; which of its axes holds the bands."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from jaxhsi.data.axis_layout import LAYOUTS
from jaxhsi.data.formats.axis_order import (
    AxisOrder,
    decide_axis_order,
    image_axes,
    low_rank_residuals,
    sample_block,
    unclear_layout_message,
)
from jaxhsi.data.georeference import Georeference

SPECTRAL_AXIS_RATIO = 3.0
"""How many times better another axis than that of the bands must be explained by a few spectra
for the lengths of the axes not to be believed. Leaf scenes and AVIRIS crops have 0.01 to 0.5."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3-D array in a file, not read yet.

    Attributes:
        path: the file.
        key: name inside of the file, empty where the format has none.
        shape: lengths of the three axes as stored.
        read_slab: values of three slices.
        wavelengths: vector found beside the array, in nm; its length may fit any axis.
        layout: order of the axes where the format fixes it, else None.
        default_layout: order of the axes that is usual for the format, taken unless the user names
            another; None where the lengths are to decide.
        axis_roles: what the axes hold where the file names them: "h" rows, "w" columns, "c" bands.
        no_data: value that marks a missing measurement, or None.
        read_mask: valid pixels of rows and columns of the image, by a mask that the file carries,
            or None where it carries none.
        georeference: where the pixels lie on the ground, or None.
        value_units: of the values, or None.
        scale_factor: the values times this, plus `offset`, are in `value_units`; one number or one
            a band. The reader does not apply it.
        offset: see there.
        bad_bands: True for bands that the file itself marks as unusable, (C,), or None.
        orthorectify: (volume, layout) -> the cube on a map, where the file has a table for it.
        block_shape: rows and columns of the image that the file stores in one piece, where a part
            of it costs as much as the whole, or None.
        sensor: name of the sensor whose product this is, empty where it is not recognised.
        notes: what the reader did or found, for the history of the store.
    """

    path: Path
    key: str
    shape: tuple[int, ...]
    read_slab: Callable[[tuple[slice, slice, slice]], np.ndarray]
    wavelengths: np.ndarray | None = None
    layout: str | None = None
    default_layout: str | None = None
    axis_roles: tuple[str | None, ...] = (None, None, None)
    no_data: float | None = None
    read_mask: Callable[[slice, slice], Bool[np.ndarray, "h w"]] | None = None
    georeference: Georeference | None = None
    value_units: str | None = None
    scale_factor: float | np.ndarray | None = None
    offset: float | np.ndarray | None = None
    bad_bands: np.ndarray | None = None
    orthorectify: "Callable[[Volume, str], Volume] | None" = None
    block_shape: tuple[int, int] | None = None
    sensor: str = ""
    notes: tuple[str, ...] = ()

    @property
    def source_name(self) -> str:
        """File and key, for messages."""
        return f"{self.path}" + (f", key {self.key!r}," if self.key else "")


def shared_value(
    values: Float[np.ndarray, " c"], neutral: float
) -> float | Float[np.ndarray, " c"] | None:
    """Scales or offsets of the bands as a `Volume` holds them.

    Args:
        values: one a band.
        neutral: value that changes nothing.

    Returns:
        None where all are neutral, one number where all are alike, else the values.

    >>> shared_value(np.ones(3), 1.0), shared_value(np.full(3, 2.0), 1.0)
    (None, 2.0)
    """
    if (values == neutral).all():
        return None
    return float(values[0]) if (values == values[0]).all() else values


def choose_axis_order(volume: Volume, layout: str | None = None) -> AxisOrder:
    """The order of the axes of a volume, given or by evidence, and what decided.

    Args:
        volume: the file.
        layout: as the user states it, which counts more than all but a fixed layout of the format.

    Raises:
        ValueError: an unknown layout, or evidence that does not decide.
    """
    if layout not in (None, *LAYOUTS):
        raise ValueError(f"unknown layout {layout!r}; use --layout {' or '.join(LAYOUTS[:3])}")
    if volume.layout is not None:
        return AxisOrder(volume.layout, "")
    if layout is not None:
        return AxisOrder(layout, "on request")
    if volume.default_layout is not None:
        return AxisOrder(volume.default_layout, "")
    count = None if volume.wavelengths is None else len(volume.wavelengths)
    axis_order = decide_axis_order(volume.shape, volume.axis_roles, count, volume.source_name)
    if axis_order.by_shape:
        _check_against_values(volume, axis_order)
    return axis_order


def _check_against_values(volume: Volume, axis_order: AxisOrder) -> None:
    """Refuse an order that only the lengths speak for where the values speak against it."""
    values = volume.read_slab(sample_block(volume.shape))
    if values.dtype.kind not in "iuf":
        return
    values = values.astype(np.float64)
    if volume.no_data is not None:
        values[values == volume.no_data] = np.nan
    residuals = low_rank_residuals(np.nan_to_num(values, posinf=0.0, neginf=0.0))
    band_axis = axis_order.layout.index("c")
    others = [residual for axis, residual in enumerate(residuals) if axis != band_axis]
    if min(others) * SPECTRAL_AXIS_RATIO < residuals[band_axis]:
        likely = int(np.nanargmin(residuals))
        evidence = f" (by its values rather axis {likely} than axis {band_axis})"
        raise ValueError(unclear_layout_message(volume.shape, volume.source_name, evidence))


def resolve_layout(volume: Volume, layout: str | None = None) -> tuple[str, tuple[int, int, int]]:
    """The layout of a volume, given or by evidence, and its shape as (H, W, C).

    Raises:
        ValueError: as `choose_axis_order`.
    """
    layout = choose_axis_order(volume, layout).layout
    height, width, bands = (volume.shape[axis] for axis in image_axes(layout))
    return layout, (height, width, bands)


def read_image_part(
    volume: Volume, layout: str, rows: slice, columns: slice, bands: slice = slice(None)
) -> np.ndarray:
    """Part of the image as (h, w, c), in the file's type."""
    axes = image_axes(layout)
    index = [slice(None)] * 3
    for axis, part in zip(axes, (rows, columns, bands), strict=True):
        index[axis] = part
    return volume.read_slab((index[0], index[1], index[2])).transpose(axes)
