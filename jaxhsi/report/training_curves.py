"""How a run of dgc went: its loss, and what a look at the probe said, over the steps."""

import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxhsi.report.spectra_plots import ESTIMATE_COLOUR, TRUTH_COLOUR, save_figure
from jaxhsi.training.best_state import PREFIX

CURVE_PANELS = (
    ("mutual information of two views' labels (nats)", {"mutual_information": ""}),
    ("effective clusters", {"effective_clusters": ""}),
    ("agreement of two views' labels", {"agreement": ""}),
    ("loss", {"loss": ""}),
    ("NMI with the look before", {"nmi": ""}),
    ("VI from the look before (nats)", {"vi": ""}),
    (
        "distance to the nearest centre",
        {"mean_nearest_centre": "mean", "nearest_centre": "smallest"},
    ),
    ("variance of the embedding", {"variance": ""}),
)
"""Title, and the figures shown with their names in a legend."""


def plot_training_curves(path: Path, metrics: Path, best_step: int) -> None:
    """Eight panels from the lines of ``metrics.jsonl``; those without a figure are left out.

    Args:
        path: of the picture.
        metrics: lines of a run, of all its parts if it was resumed.
        best_step: that is marked.
    """
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    curves = [(title, _curves(rows, names)) for title, names in CURVE_PANELS]
    curves = [(title, found) for title, found in curves if found]
    columns = min(len(curves), 4)
    height = -(-len(curves) // columns)
    figure = Figure(figsize=(3.5 * columns, 2.6 * height))
    for i, (title, found) in enumerate(curves):
        panel = figure.add_subplot(height, columns, i + 1)
        for colour, (name, points) in zip(
            (ESTIMATE_COLOUR, "#7f7f7f"), found.items(), strict=False
        ):
            marker = "." if len(points) <= 60 else ""
            panel.plot(*zip(*points, strict=True), marker, ls="-", color=colour, lw=1, label=name)
        _mark(panel, best_step, next(iter(found.values())), f"best, step {best_step}" * (i == 0))
        panel.set_title(title, fontsize=9)
        panel.tick_params(labelsize=7)
        panel.margins(y=0.12)
        if i >= len(curves) - columns:
            panel.set_xlabel("step", fontsize=8)
        if panel.get_legend_handles_labels()[0]:  # empty labels are not shown
            panel.legend(fontsize=7)
    save_figure(figure, path)


def _curves(rows: list[dict[str, Any]], names: dict[str, str]) -> dict[str, list]:
    """Points (step, value) of each figure that is in the lines at all, by its shown name."""
    found = {}
    for name, shown in names.items():
        key = name if name == "loss" else f"{PREFIX}/{name}"
        points = [(row["step"], row[key]) for row in rows if key in row]
        if points:
            found[shown] = points
    return found


def _mark(panel: Axes, step: int, points: list, label: str) -> None:
    """A line at the best step, and a dot where the curve was looked at then."""
    panel.axvline(step, color=TRUTH_COLOUR, lw=0.8, ls="--")
    for at, value in points:
        if at == step:
            panel.plot([at], [value], "o", color=TRUTH_COLOUR, ms=4, label=label)
