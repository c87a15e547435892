"""What an ingest would read, told before it begins: its plan, and a sample of the values."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxhsi.data.formats.volume import Volume, read_image_part
from jaxhsi.data.ingest.copy_slabs import CopySummary
from jaxhsi.data.ingest.empty_bands import sample_windows
from jaxhsi.data.ingest.options import IngestOptions
from jaxhsi.data.ingest.pipeline import opened_with_plan
from jaxhsi.data.ingest.plan import IngestPlan
from jaxhsi.data.statistics import BandStatistics

CHANGING_OPTIONS = {
    "cube": "--key",
    "axes": "--layout",
    "bands": "--keep_bands or --bad_bands",
    "missing value": "--no_data",
    "scale": "--raw or --scale",
    "place": "--pixel_size or --orthorectify",
    "stored as": "--dtype",
}
"""Option of ``jaxhsi ingest`` that changes each property."""


class IngestPreview(NamedTuple):
    """What an ingest of one file would do.

    Attributes:
        source: the file.
        sensor: name of the sensor, empty where it is not recognised.
        key: of the cube inside of the file.
        stored_shape: of the array.
        plan: of the ingest.
        statistics: of the sample, as the store would hold the values.
        warnings: what the sample shows.
    """

    source: Path
    sensor: str
    key: str
    stored_shape: tuple[int, ...]
    plan: IngestPlan
    statistics: BandStatistics
    warnings: tuple[str, ...]

    def properties(self) -> dict[str, str]:
        """The preview in words, by property."""
        plan, conversion = self.plan, self.plan.conversion
        height, width, bands = plan.shape
        reason = plan.layout_reason or "as the format fixes them"
        num_dropped = plan.source_shape[2] - len(conversion.band_indices)
        num_looked_at = self.statistics.num_pixels
        size_bytes = height * width * bands * conversion.dtype.itemsize
        return {
            "sensor": self.sensor or "not recognised: read in the general way",
            "cube": self.key or "the only array",
            "axes": f"{self.stored_shape} read as {plan.layout}, {reason}",
            "size": f"{height} x {width} pixels, {bands} bands, {size_bytes / 2**20:.4g} MiB",
            "bands": f"{bands} of {plan.source_shape[2]}, {num_dropped} left out",
            "wavelengths": _describe_wavelengths(plan.wavelengths),
            "missing value": "NaN" if conversion.no_data is None else f"{conversion.no_data:.9g}",
            "valid pixels": f"{self.statistics.valid_share:.1%} of {num_looked_at} looked at",
            "values": _describe_values(self.statistics, plan.value_units),
            "scale": _describe_scale(conversion.scale_factor, conversion.offset),
            "place": _describe_place(plan),
            "stored as": conversion.dtype.name,
        }

    def to_json(self) -> dict[str, Any]:
        """The preview for a file of JSON."""
        plan, conversion = self.plan, self.plan.conversion
        return {
            **{"file": str(self.source), "sensor": self.sensor or None, "key": self.key},
            **{"stored_shape": list(self.stored_shape), "layout": plan.layout},
            **{"layout_reason": plan.layout_reason or None, "shape": list(plan.shape)},
            "bands": conversion.band_indices.tolist(),
            "wavelengths_nm": None if plan.wavelengths is None else plan.wavelengths.tolist(),
            "no_data": conversion.no_data,
            "valid_share_of_sample": self.statistics.valid_share,
            "sample_pixels": self.statistics.num_pixels,
            "scale_factor": _plain(conversion.scale_factor),
            "offset": _plain(conversion.offset),
            "units": plan.value_units,
            "georeference": plan.georeference and plan.georeference.to_json(),
            "dtype": conversion.dtype.name,
            "history": list(plan.history),
            "warnings": list(self.warnings),
            "options": dict(CHANGING_OPTIONS),
        }


def preview_ingest(
    source: Path,
    *,
    key: str | None = None,
    layout: str | None = None,
    size: tuple[int, int] | None = None,
    options: IngestOptions | None = None,
) -> IngestPreview:
    """Look at a file as `pipeline.ingest` would read it; arguments and errors as there."""
    with opened_with_plan(source, key, layout, size, options or IngestOptions()) as (volume, plan):
        summary, num_pixels = _summarise_sample(volume, plan)
        statistics = summary.statistics.result(num_pixels)
        is_single = plan.conversion.bin_starts is None
        band_indices = plan.conversion.band_indices if is_single else None
        warnings = summary.counts.warnings(statistics, band_indices)
        return IngestPreview(
            source, volume.sensor, volume.key, tuple(volume.shape), plan, statistics, warnings
        )


def _summarise_sample(volume: Volume, plan: IngestPlan) -> tuple[CopySummary, int]:
    """Counts and statistics of small windows over the image, and the number of their pixels."""
    summary, num_pixels = CopySummary(plan.conversion.num_bands), 0
    for rows, columns in sample_windows(plan.shape[:2]):
        band_slice = plan.conversion.band_slice
        source_values = read_image_part(volume, plan.layout, rows, columns, band_slice)
        stored_values = plan.conversion.apply(source_values, columns)
        num_pixels += source_values.shape[0] * source_values.shape[1]
        if volume.read_mask is not None:
            is_masked = ~volume.read_mask(rows, columns)
            stored_values = stored_values.copy()
            stored_values[is_masked] = plan.conversion.invalid_value
            source_values = source_values[~is_masked][None]  # the others are known to be invalid
        summary.add(source_values, stored_values, plan)
    return summary, num_pixels


def _describe_wavelengths(wavelengths: np.ndarray | None) -> str:
    if wavelengths is None:
        return "none in the file"
    order = "" if (np.diff(wavelengths) > 0).all() else ", not in ascending order"
    return f"{wavelengths.min():.6g}..{wavelengths.max():.6g} nm{order}"


def _describe_values(statistics: BandStatistics, units: str | None) -> str:
    if not statistics.num_valid:
        return "none that is valid"
    low, high = statistics.minimum.min(), statistics.maximum.max()
    return f"{low:.6g}..{high:.6g}" + (f", {units}" if units else "")


def _describe_scale(scale_factor: Any, offset: Any) -> str:
    if scale_factor is None and offset is None:
        return "values as stored"
    parts = (("times", scale_factor), ("plus", offset))
    return " ".join(
        f"{word} {np.min(value):.9g}" + ("" if np.ndim(value) == 0 else f"..{np.max(value):.9g}")
        for word, value in parts
        if value is not None
    )


def _describe_place(plan: IngestPlan) -> str:
    if plan.georeference is None:
        return "not known"
    crs = (plan.georeference.crs or "no coordinate system")[:60]
    width, height = abs(plan.georeference.transform[0]), abs(plan.georeference.transform[4])
    return f"{crs}, pixels of {width:.6g} x {height:.6g}"


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
