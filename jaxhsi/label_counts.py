"""Pixels counted by cluster and by class, which add up over windows and cubes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Integer

from jaxhsi import metrics


@dataclass(frozen=True)
class Tally:
    """Counts over the labels of some pixels.

    Attributes:
        pixels: in each cluster, (k,).
        invalid: in none.
        confusion: clusters against classes, (k, c), of the pixels that have a class.
    """

    pixels: np.ndarray
    invalid: int
    confusion: np.ndarray

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.pixels + other.pixels,
            self.invalid + other.invalid,
            self.confusion + other.confusion,
        )


def no_pixels(clusters: int, classes: int) -> Tally:
    """A tally to begin with."""
    return Tally(np.zeros(clusters, np.int64), 0, np.zeros((clusters, classes), np.int64))


def tally(
    labels: Integer[np.ndarray, "h w"],
    truth: Integer[np.ndarray, "h w"] | None,
    clusters: int,
    classes: int,
) -> Tally:
    """Count a window.

    Args:
        labels: cluster of each pixel, -1 where not valid.
        truth: class of each pixel, -1 where unlabelled; None where nothing is known.
        clusters: number of clusters k.
        classes: number of classes c.
    """
    kept = labels[labels >= 0]
    confusion = np.zeros((clusters, classes), np.int64)
    if truth is not None:
        confusion = metrics.confusion(labels, truth, clusters, classes)
    return Tally(np.bincount(kept, minlength=clusters), labels.size - kept.size, confusion)


def active_clusters(total: Tally) -> int:
    """Clusters that hold more than 0.1 % of all valid pixels, those without a class too."""
    return metrics.active_clusters(total.pixels[:, None])


def scored(total: Tally, mappings: Mapping[str, np.ndarray] | None = None) -> dict[str, Any]:
    """All scores against the truth, see `metrics.scores`.

    `active_clusters` counts by all valid pixels, and `active_clusters_labelled` by those that
    have a class.

    Raises:
        ValueError: no pixel has a class.
    """
    found = metrics.scores(total.confusion, mappings)
    labelled = found.pop("active_clusters")
    return found | {
        "active_clusters": active_clusters(total),
        "active_clusters_labelled": labelled,
    }
