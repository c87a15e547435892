"""Spectra of labels: count, mean, deviation and quartiles, gathered window by window.

Mean and deviation are those of all pixels. The quartiles are those of a uniform random sample of
at most 512 pixels of each label: their standard error is about 6 % of the standard deviation of a
band with normal values. A pixel is in the sample by a number that depends on its cube and position
alone, so the sample does not depend on how a cube is cut into windows, and samples of parts, or of
clusters that are put together, are again uniform samples.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int, Integer, UInt64

SAMPLE_SIZE = 512
"""Pixels of a label that its quartiles are taken of. Set by hand: 16 labels of 200 bands are 7 MB;
the standard error of a quartile is 0.06 standard deviations of normal values."""

QUARTILES = (0.25, 0.5, 0.75)
_SPLITMIX_INCREMENT, _SPLITMIX_FACTORS = (
    0x9E3779B97F4A7C15,
    (0xBF58476D1CE4E5B9, 0x94D049BB133111EB),
)
"""Constants of SplitMix64 (Steele, Lea and Flood 2014), which spreads whole numbers evenly."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelSpectra:
    """Spectra of k labels over some pixels; those of parts add up.

    Attributes:
        pixel_counts: pixels of each label.
        means: their mean spectrum, 0 where there is none.
        squared_deviations: sum of the squared deviations from the mean.
        sample_labels: label of each pixel of the sample.
        sample_priorities: random number of each; those of lowest priority of a label stay.
        sample_spectra: their spectra.
    """

    pixel_counts: Int[np.ndarray, " k"]
    means: Float[np.ndarray, "k c"]
    squared_deviations: Float[np.ndarray, "k c"]
    sample_labels: Int[np.ndarray, " m"]
    sample_priorities: UInt64[np.ndarray, " m"]
    sample_spectra: Float32[np.ndarray, "m c"]

    def __add__(self, other: "LabelSpectra") -> "LabelSpectra":
        """Spectra of both parts (Chan, Golub and LeVeque 1979 for the deviations)."""
        counts = self.pixel_counts + other.pixel_counts
        other_share = (other.pixel_counts / np.maximum(counts, 1))[:, None]
        shift = other.means - self.means
        between = shift**2 * self.pixel_counts[:, None] * other_share
        sample = _lowest_priorities(
            np.concatenate([self.sample_labels, other.sample_labels]),
            np.concatenate([self.sample_priorities, other.sample_priorities]),
        )
        spectra = np.concatenate([self.sample_spectra, other.sample_spectra])
        return LabelSpectra(
            pixel_counts=counts,
            means=self.means + shift * other_share,
            squared_deviations=self.squared_deviations + other.squared_deviations + between,
            sample_labels=sample.labels,
            sample_priorities=sample.priorities,
            sample_spectra=spectra[sample.positions],
        )

    def with_sample_of(self, other: "LabelSpectra") -> "LabelSpectra":
        """Counts and moments of these pixels, with the sample of others.

        Samples add up to the same in any grouping, means and deviations to within rounding: where
        the moments of parts are to be added in another order than their samples.

        Args:
            other: spectra of the same labels.
        """
        return replace(
            self,
            sample_labels=other.sample_labels,
            sample_priorities=other.sample_priorities,
            sample_spectra=other.sample_spectra,
        )

    @property
    def deviations(self) -> Float[np.ndarray, "k c"]:
        """Standard deviation of each band, divided by n - 1; NaN for fewer than two pixels."""
        freedom = self.pixel_counts[:, None] - 1.0
        variances = self.squared_deviations / np.maximum(freedom, 1)
        return np.where(freedom > 0, np.sqrt(variances), np.nan)

    def quartiles(self) -> Float[np.ndarray, "k 3 c"]:
        """Lower quartile, median and upper quartile of the sample; NaN where there is no pixel."""
        values = np.full((len(self.pixel_counts), 3, self.means.shape[1]), np.nan)
        for label in np.unique(self.sample_labels):
            rows = self.sample_spectra[self.sample_labels == label]
            values[label] = np.quantile(rows, QUARTILES, axis=0)
        return values

    def grouped(self, group_indices: Integer[np.ndarray, " k"], num_groups: int) -> "LabelSpectra":
        """Spectra of groups of labels.

        Args:
            group_indices: group of each label.
            num_groups: number of groups.
        """
        total = empty_label_spectra(num_groups, self.means.shape[1])
        for label, group in enumerate(group_indices.tolist()):
            is_label = self.sample_labels == label
            counts = np.zeros(num_groups, np.int64)
            counts[group] = self.pixel_counts[label]
            means, squares = np.zeros_like(total.means), np.zeros_like(total.means)
            means[group], squares[group] = self.means[label], self.squared_deviations[label]
            total = total + LabelSpectra(
                pixel_counts=counts,
                means=means,
                squared_deviations=squares,
                sample_labels=np.full(int(is_label.sum()), group, np.int64),
                sample_priorities=self.sample_priorities[is_label],
                sample_spectra=self.sample_spectra[is_label],
            )
        return total


class _Sample(NamedTuple):
    """Positions of the pixels that stay in a sample, their labels and priorities."""

    positions: Int[np.ndarray, " m"]
    labels: Int[np.ndarray, " m"]
    priorities: UInt64[np.ndarray, " m"]


def empty_label_spectra(num_labels: int, num_bands: int) -> LabelSpectra:
    """Spectra of no pixel.

    >>> empty_label_spectra(2, 5).pixel_counts.tolist()
    [0, 0]
    """
    return LabelSpectra(
        pixel_counts=np.zeros(num_labels, np.int64),
        means=np.zeros((num_labels, num_bands)),
        squared_deviations=np.zeros((num_labels, num_bands)),
        sample_labels=np.zeros(0, np.int64),
        sample_priorities=np.zeros(0, np.uint64),
        sample_spectra=np.zeros((0, num_bands), np.float32),
    )


def pixel_priorities(
    cube_name: str, rows: slice, columns: slice, num_columns: int
) -> UInt64[np.ndarray, "h w"]:
    """A random number for each pixel of a window, of its cube and its position alone.

    Args:
        cube_name: name of the cube.
        rows: of the window, with start and stop.
        columns: of the window.
        num_columns: columns of the cube.

    >>> whole = pixel_priorities("a", slice(0, 4), slice(0, 6), 6)
    >>> (pixel_priorities("a", slice(2, 4), slice(3, 6), 6) == whole[2:4, 3:6]).all()
    np.True_
    """
    row_starts = np.arange(rows.start, rows.stop, dtype=np.uint64)[:, None] * np.uint64(num_columns)
    positions = row_starts + np.arange(columns.start, columns.stop, dtype=np.uint64)
    seed = zlib.crc32(cube_name.encode()) << 32
    values = (positions + np.uint64(seed)) * np.uint64(_SPLITMIX_INCREMENT)
    for shift, factor in zip((30, 27), _SPLITMIX_FACTORS, strict=True):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    return values ^ (values >> np.uint64(31))


def add_window(
    label_spectra: LabelSpectra,
    labels: Integer[np.ndarray, "h w"],
    spectra: Float32[np.ndarray, "h w c"],
    priorities: UInt64[np.ndarray, "h w"],
) -> LabelSpectra:
    """Add the pixels of a window.

    Args:
        label_spectra: of the pixels before.
        labels: label of each pixel, -1 where it has none.
        spectra: of the pixels.
        priorities: see :func:`pixel_priorities`.

    >>> labels, spectra = np.array([[0, -1, 0]]), np.array([[[1.0], [9.0], [3.0]]], np.float32)
    >>> priorities = pixel_priorities("a", slice(0, 1), slice(0, 3), 3)
    >>> total = add_window(empty_label_spectra(1, 1), labels, spectra, priorities)
    >>> total.pixel_counts.tolist(), total.means.tolist(), total.deviations.round(3).tolist()
    ([2], [[2.0]], [[1.414]])
    """
    has_label = labels >= 0
    if not has_label.any():
        return label_spectra
    num_labels = len(label_spectra.pixel_counts)
    pixel_labels, pixel_priority = labels[has_label].astype(np.int64), priorities[has_label]
    pixels = spectra[has_label]
    counts = np.bincount(pixel_labels, minlength=num_labels)
    present = np.flatnonzero(counts)
    rows = np.searchsorted(present, pixel_labels)
    membership = (np.arange(len(present))[:, None] == rows).astype(np.float32)
    divisor = counts[present].astype(np.float32)[:, None]
    # Twice over the window: squares of deviations lose no digits, as those of values would.
    means = membership @ pixels / divisor
    deviations = pixels - means[rows]
    correction = membership @ deviations / divisor
    squares = membership @ deviations**2
    sample = _lowest_priorities(pixel_labels, pixel_priority, _priority_limits(label_spectra))
    part = empty_label_spectra(num_labels, spectra.shape[-1])
    part.means[present] = means.astype(np.float64) + correction
    part.squared_deviations[present] = squares
    return label_spectra + replace(
        part,
        pixel_counts=counts.astype(np.int64),
        sample_labels=sample.labels,
        sample_priorities=sample.priorities,
        sample_spectra=pixels[sample.positions],
    )


def stack_labels(parts: Sequence[LabelSpectra]) -> LabelSpectra:
    """Spectra of the labels of all parts, one after the other; none of them are put together.

    Args:
        parts: at least one.

    >>> stack_labels([empty_label_spectra(2, 5), empty_label_spectra(1, 5)]).means.shape
    (3, 5)
    """
    starts = np.cumsum([0, *(len(part.pixel_counts) for part in parts[:-1])])
    labels = [part.sample_labels + start for part, start in zip(parts, starts, strict=True)]
    return LabelSpectra(
        pixel_counts=np.concatenate([part.pixel_counts for part in parts]),
        means=np.concatenate([part.means for part in parts]),
        squared_deviations=np.concatenate([part.squared_deviations for part in parts]),
        sample_labels=np.concatenate(labels),
        sample_priorities=np.concatenate([part.sample_priorities for part in parts]),
        sample_spectra=np.concatenate([part.sample_spectra for part in parts]),
    )


def _priority_limits(label_spectra: LabelSpectra) -> UInt64[np.ndarray, " k"]:
    """Priority above which a pixel of a label cannot enter the sample."""
    num_labels = len(label_spectra.pixel_counts)
    limits = np.zeros(num_labels, np.uint64)
    np.maximum.at(limits, label_spectra.sample_labels, label_spectra.sample_priorities)
    is_full = np.bincount(label_spectra.sample_labels, minlength=num_labels) >= SAMPLE_SIZE
    return np.where(is_full, limits, np.uint64(np.iinfo(np.uint64).max))


def _lowest_priorities(
    labels: Int[np.ndarray, " n"],
    priorities: UInt64[np.ndarray, " n"],
    limits: UInt64[np.ndarray, " k"] | None = None,
) -> _Sample:
    """The pixels of lowest priority of each label, up to the size of the sample."""
    positions = np.arange(len(labels))
    if limits is not None:
        positions = np.flatnonzero(priorities <= limits[labels])
    order = positions[np.lexsort((priorities[positions], labels[positions]))]
    sorted_labels = labels[order]
    # Rank within the label: the distance to the first pixel of the label.
    ranks = np.arange(len(order)) - np.searchsorted(sorted_labels, sorted_labels)
    chosen = order[ranks < SAMPLE_SIZE]
    return _Sample(chosen, labels[chosen].astype(np.int64), priorities[chosen])
