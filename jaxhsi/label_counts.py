"""Counts of pixels by cluster and by class, which add up over windows and cubes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from jaxhsi import metrics


@dataclass(frozen=True)
class LabelCounts:
    """Pixels of a part of the data, counted by cluster and by class.

    Counts are int64, so that sums over windows, cubes and hosts are exact.

    Attributes:
        cluster_pixels: pixels of each cluster, (k,).
        invalid_pixels: pixels without a cluster, because they are not valid.
        confusion_matrix: pixels of each cluster (rows) in each class (columns), (k, c); pixels
            without a class are not in it.
    """

    cluster_pixels: np.ndarray
    invalid_pixels: int
    confusion_matrix: np.ndarray

    def __add__(self, other: "LabelCounts") -> "LabelCounts":
        return LabelCounts(
            self.cluster_pixels + other.cluster_pixels,
            self.invalid_pixels + other.invalid_pixels,
            self.confusion_matrix + other.confusion_matrix,
        )

    def to_json(self) -> dict[str, Any]:
        """All counts as JSON; `from_json` gives them back."""
        return {
            "pixels": self.cluster_pixels.tolist(),
            "invalid_pixels": self.invalid_pixels,
            "confusion": self.confusion_matrix.tolist(),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "LabelCounts":
        """The counts that `to_json` wrote.

        Args:
            record: that it gave.

        >>> counts = zero_counts(3, 0)
        >>> LabelCounts.from_json(counts.to_json()).confusion_matrix.shape
        (3, 0)
        """
        return cls(
            np.array(record["pixels"], np.int64),
            record["invalid_pixels"],
            np.array(record["confusion"], np.int64),
        )


def zero_counts(num_clusters: int, num_classes: int) -> LabelCounts:
    """Counts of no pixel at all, the neutral element of the addition.

    Args:
        num_clusters: number of clusters k.
        num_classes: number of classes c.

    >>> zero_counts(3, 2).confusion_matrix.shape
    (3, 2)
    """
    return LabelCounts(
        np.zeros(num_clusters, np.int64), 0, np.zeros((num_clusters, num_classes), np.int64)
    )


def count_labels(
    cluster_labels: Integer[np.ndarray, "h w"],
    true_classes: Integer[np.ndarray, "h w"] | None,
    num_clusters: int,
    num_classes: int,
) -> LabelCounts:
    """Count the pixels of a window.

    Args:
        cluster_labels: cluster of each pixel, -1 where it is not valid.
        true_classes: class of each pixel, -1 where it is unlabelled; None if unknown.
        num_clusters: number of clusters k.
        num_classes: number of classes c.

    >>> counts = count_labels(np.array([[0, 2, -1]]), np.array([[1, 0, 0]]), 3, 2)
    >>> counts.cluster_pixels.tolist(), counts.invalid_pixels
    ([1, 0, 1], 1)
    """
    valid_labels = cluster_labels[cluster_labels >= 0]
    confusion_matrix = np.zeros((num_clusters, num_classes), np.int64)
    if true_classes is not None:
        confusion_matrix = metrics.confusion_matrix(
            cluster_labels, true_classes, num_clusters, num_classes
        )
    return LabelCounts(
        np.bincount(valid_labels, minlength=num_clusters),
        cluster_labels.size - valid_labels.size,
        confusion_matrix,
    )


def pixel_shares(cluster_pixels: Integer[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Share of each cluster in the counted pixels; 0 if nothing was counted.

    Args:
        cluster_pixels: pixels of each cluster.

    >>> pixel_shares(np.array([3, 1])).tolist()
    [0.75, 0.25]
    """
    return cluster_pixels / max(cluster_pixels.sum(), 1)


def count_active_clusters(label_counts: LabelCounts) -> int:
    """Number of clusters with more than 0.1 % of all valid pixels, with or without a class.

    Args:
        label_counts: counts over all of the data.

    >>> count_active_clusters(LabelCounts(np.array([9_999, 1]), 0, np.zeros((2, 1), int)))
    1
    """
    return metrics.active_clusters(label_counts.cluster_pixels[:, None])


def score_counts(
    label_counts: LabelCounts, class_mappings: Mapping[str, np.ndarray] | None = None
) -> dict[str, Any]:
    """All scores against the true classes, see `metrics.scores`.

    Args:
        label_counts: counts over all of the data.
        class_mappings: name of a mapping -> class of each cluster, -1 for none; scored beside the
            Hungarian and the best mapping.

    Returns:
        The scores; ``active_clusters`` counts by all valid pixels, ``active_clusters_labelled``
        by those that have a class.

    Raises:
        ValueError: no pixel has a class.
    """
    all_scores = metrics.clustering_scores(label_counts.confusion_matrix, class_mappings)
    active_labelled = all_scores.pop("active_clusters")
    return all_scores | {
        "active_clusters": count_active_clusters(label_counts),
        "active_clusters_labelled": active_labelled,
    }
