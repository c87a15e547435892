"""What is counted while values are copied: missing bands, and pixels of one value in all bands."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from jaxhsi.data.ingest.band_selection import format_band_list
from jaxhsi.data.ingest.empty_bands import empty_by_counts
from jaxhsi.data.statistics import BandStatistics

UNIFORM_SHARE = 0.01
"""Share of the pixels with the same value in all bands from which it is told: a cluster of DGC may
be as small as that. A measured spectrum is not constant."""

MIN_BANDS = 3  # of a cube, for equal values in all bands to mean anything
MAX_UNIFORM_VALUES = 32  # different ones that are counted
MISSING_BAND_SHARE = 0.2  # of the pixels that miss a band, from which it is named


class ValueCounts:
    """Counts over the pixels of a cube, part by part in any order."""

    def __init__(self, num_bands: int):
        """Begin with no pixel."""
        self.num_void = self.num_partial = 0
        self.missing = np.zeros(num_bands, np.int64)
        self.uniform: dict[float, int] = {}

    def add_missing(self, is_present: Bool[np.ndarray, "n c"]) -> None:
        """Count pixels that miss a band.

        Args:
            is_present: whether each band has a value, for pixels that miss one at least.
        """
        is_void = ~is_present.any(axis=-1)
        self.num_void += int(is_void.sum())
        self.num_partial += int((~is_void).sum())
        self.missing += (~is_present[~is_void]).sum(axis=0)

    def add_uniform(self, values: Shaped[np.ndarray, "h w c"], no_data: float | None) -> None:
        """Count pixels whose stored values are the same in all bands and not the no-data value."""
        if values.shape[-1] < MIN_BANDS:
            return
        first = values[..., 0]
        is_alike = (first == values[..., -1]) & (first == values[..., values.shape[-1] // 2])
        if not is_alike.any():
            return
        candidates = values[is_alike]
        uniform = candidates[(candidates == candidates[:, :1]).all(axis=-1), 0]
        for value, count in zip(*np.unique(uniform, return_counts=True), strict=True):
            number = float(str(value))  # -0.01 of float32 as a user writes it
            is_new = number not in self.uniform
            if float(value) != no_data and not (is_new and len(self.uniform) >= MAX_UNIFORM_VALUES):
                self.uniform[number] = self.uniform.get(number, 0) + int(count)

    def merge(self, other: "ValueCounts") -> None:
        """Take in the counts of other pixels."""
        self.num_void += other.num_void
        self.num_partial += other.num_partial
        self.missing = self.missing + other.missing
        for value, count in other.uniform.items():
            self.uniform[value] = self.uniform.get(value, 0) + count

    def to_json(self) -> dict[str, Any]:
        """For a file of JSON; exact."""
        uniform = [[value, count] for value, count in self.uniform.items()]
        return {
            **{"void": self.num_void, "partial": self.num_partial},
            **{"missing": self.missing.tolist(), "uniform": uniform},
        }

    @staticmethod
    def from_json(stored: dict[str, Any]) -> "ValueCounts":
        """From what `to_json` gave."""
        counts = ValueCounts(len(stored["missing"]))
        counts.num_void, counts.num_partial = stored["void"], stored["partial"]
        counts.missing = np.array(stored["missing"], np.int64)
        counts.uniform = dict(stored["uniform"])
        return counts

    def empty_bands(self, num_pixels: int) -> Bool[np.ndarray, " c"]:
        """Bands that are missing in (nearly) all pixels that have any, of `num_pixels` in all."""
        return empty_by_counts(self.missing, num_pixels - self.num_void)

    def warnings(
        self, statistics: BandStatistics, band_indices: np.ndarray | None
    ) -> tuple[str, ...]:
        """What a user should know of the values, each with the option that changes it.

        Args:
            statistics: of the valid pixels.
            band_indices: of the bands in the file; None where bands were joined.
        """
        lines = []
        num_pixels = statistics.num_pixels
        for value, count in sorted(self.uniform.items(), key=lambda item: -item[1]):
            if count >= UNIFORM_SHARE * num_pixels:
                lines.append(
                    f"{count / num_pixels:.1%} of the pixels hold {value:.9g} in every band; if "
                    f"that is no measurement, leave them out with --no_data {value:.9g}"
                )
        if band_indices is not None:
            lines += self._missing_lines(num_pixels, band_indices)
            lines += _constant_lines(statistics, band_indices)
        return tuple(lines)

    def _missing_lines(self, num_pixels: int, band_indices: np.ndarray) -> list[str]:
        num_inside = max(1, num_pixels - self.num_void)
        is_often_missing = self.missing >= MISSING_BAND_SHARE * num_inside
        if not is_often_missing.any():
            return []
        bands = format_band_list(band_indices[is_often_missing])
        return [
            f"bands {bands} are missing in up to {self.missing.max() / num_inside:.1%} of the "
            f"pixels with data, which makes these invalid; --bad_bands '{bands}' drops the bands"
        ]


def _constant_lines(statistics: BandStatistics, band_indices: np.ndarray) -> list[str]:
    if statistics.num_valid < 2:
        return []
    is_constant = statistics.minimum == statistics.maximum
    if not is_constant.any() or is_constant.all():
        return []
    bands = format_band_list(band_indices[is_constant])
    values = np.unique(statistics.minimum[is_constant])
    shown = ", ".join(f"{value:.6g}" for value in values[:3])
    return [
        f"bands {bands} hold one value ({shown}) in all pixels; --bad_bands '{bands}' drops them"
    ]
