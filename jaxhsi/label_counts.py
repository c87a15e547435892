"""Pixels counted by cluster and by class, which add up over windows and cubes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Integer

from jaxhsi import metrics


@dataclass(frozen=True)
class LabelCounts:
    """Counts over the labels of some pixels.

    Attributes:
        cluster_pixels: in each cluster, (k,).
        invalid_pixels: in none.
        confusion_matrix: clusters against classes, (k, c), of the pixels that have a class.
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


def zero_counts(num_clusters: int, num_classes: int) -> LabelCounts:
    """A tally to begin with."""
    return LabelCounts(
        np.zeros(num_clusters, np.int64), 0, np.zeros((num_clusters, num_classes), np.int64)
    )


def count_labels(
    cluster_labels: Integer[np.ndarray, "h w"],
    true_classes: Integer[np.ndarray, "h w"] | None,
    num_clusters: int,
    num_classes: int,
) -> LabelCounts:
    """Count a window.

    Args:
        cluster_labels: cluster of each pixel, -1 where not valid.
        true_classes: class of each pixel, -1 where unlabelled; None where nothing is known.
        num_clusters: number of clusters k.
        num_classes: number of classes c.
    """
    valid_labels = cluster_labels[cluster_labels >= 0]
    confusion_matrix = np.zeros((num_clusters, num_classes), np.int64)
    if true_classes is not None:
        confusion_matrix = metrics.confusion(
            cluster_labels, true_classes, num_clusters, num_classes
        )
    return LabelCounts(
        np.bincount(valid_labels, minlength=num_clusters),
        cluster_labels.size - valid_labels.size,
        confusion_matrix,
    )


def count_active_clusters(label_counts: LabelCounts) -> int:
    """Clusters that hold more than 0.1 % of all valid pixels, those without a class too."""
    return metrics.active_clusters(label_counts.cluster_pixels[:, None])


def score_counts(
    label_counts: LabelCounts, class_mappings: Mapping[str, np.ndarray] | None = None
) -> dict[str, Any]:
    """All scores against the truth, see `metrics.scores`.

    `count_active_clusters` counts by all valid pixels, and `active_clusters_labelled` by those that
    have a class.

    Raises:
        ValueError: no pixel has a class.
    """
    all_scores = metrics.scores(label_counts.confusion_matrix, class_mappings)
    active_labelled = all_scores.pop("active_clusters")
    return all_scores | {
        "active_clusters": count_active_clusters(label_counts),
        "active_clusters_labelled": active_labelled,
    }
