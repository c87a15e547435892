"""A contact sheet: one cube in false colours, and its label maps under several choices."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from jaxhsi.metrics import hungarian
from jaxhsi.report.figure_text import show_text_literally
from jaxhsi.report.label_pictures import Picture, colour_label_map
from jaxhsi.storage.replacement import replace_file

PANEL_INCHES = 2.1
"""Side of a panel. Set by hand: seven in a row fit a screen."""


class Panel(NamedTuple):
    """A label map on the sheet.

    Attributes:
        column: what its column is called.
        num_clusters: number of clusters, the row that it is in.
        labels: of the pixels, -1 where not valid.
        agreement: share of labelled pixels that it agrees with, or None.
    """

    column: str
    num_clusters: int
    labels: np.ndarray
    agreement: float | None = None


def save_contact_sheet(
    path: Path,
    title: str,
    picture: Picture,
    panels: Sequence[Panel],
    *,
    places: Sequence[tuple[float, float]] = (),
) -> None:
    """Save a sheet: false colours at the top left, a row for each number of clusters.

    Within a row the last panel gives the colours: clusters of the others that share most pixels
    with one of its own are drawn alike.

    Args:
        path: of the picture.
        title: above it.
        picture: false colours.
        panels: label maps, row by row.
        places: rows and columns of labelled pixels, marked in the false colours.
    """
    columns = list(dict.fromkeys(panel.column for panel in panels))
    rows = list(dict.fromkeys(panel.num_clusters for panel in panels))
    size = (PANEL_INCHES * (len(columns) + 1), PANEL_INCHES * len(rows) * _aspect(picture) + 0.7)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=10)
    axes = figure.subplots(len(rows), len(columns) + 1, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    axes[0, 0].imshow(picture)
    axes[0, 0].set_title("false colours", fontsize=9)
    if places:
        y, x = np.transpose(places)
        axes[0, 0].plot(x, y, "+", color="white", markeredgewidth=1.5, markersize=7)
    for row, num_clusters in enumerate(rows):
        in_row = [panel for panel in panels if panel.num_clusters == num_clusters]
        for panel in in_row:
            axis = axes[row, columns.index(panel.column) + 1]
            labels = _in_colours_of(in_row[-1].labels, panel.labels, num_clusters)
            axis.imshow(colour_label_map(labels, num_clusters), interpolation="nearest")
            agreement = "" if panel.agreement is None else f", agrees {panel.agreement:.0%}"
            axis.set_title(f"{panel.column}, {num_clusters} clusters{agreement}", fontsize=8)
    show_text_literally(figure)
    with replace_file(path, "wb") as file:
        figure.savefig(file, dpi=130, format="png")


def _aspect(picture: Picture) -> float:
    return min(max(picture.shape[0] / picture.shape[1], 0.3), 3.0)


def _in_colours_of(reference: np.ndarray, labels: np.ndarray, num_clusters: int) -> np.ndarray:
    """Labels renumbered so that each has the number of the reference's most similar cluster."""
    both = (reference >= 0) & (labels >= 0)
    counts = np.zeros((num_clusters, num_clusters), np.int64)
    np.add.at(counts, (labels[both], reference[both]), 1)
    numbers = hungarian(counts)
    free = iter(sorted(set(range(num_clusters)) - set(numbers.tolist())))
    numbers = np.array([number if number >= 0 else next(free) for number in numbers])
    return np.where(labels < 0, -1, numbers[labels])
