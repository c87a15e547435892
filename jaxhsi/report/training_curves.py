"""How a run of dgc went: its loss, and the evaluation of its validation views, over the steps."""

import logging
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxhsi.report.spectra_plots import ESTIMATE_COLOUR, TRUTH_COLOUR, save_figure
from jaxhsi.training.best_state import METRIC_PREFIX
from jaxhsi.training.metrics_writer import read_metric_rows

CURVE_PANELS = (
    ("mutual information of two views' labels", "nats", {"mutual_information": ""}),
    ("effective clusters", "clusters", {"effective_clusters": ""}),
    ("agreement of two views' labels", "share of the pixels", {"agreement": ""}),
    ("loss", "loss (nats)", {"loss": ""}),
    ("NMI with the evaluation before", "NMI", {"nmi": ""}),
    ("VI from the evaluation before", "nats", {"vi": ""}),
    (
        "distance to the nearest centre",
        "noise deviations",
        {"mean_nearest_centre": "mean", "nearest_centre": "smallest"},
    ),
    ("variance of the embedding", "variance", {"variance": ""}),
)
"""Title and unit of each panel, and the metrics in it with their names in a legend."""

MAX_COLUMNS = 4
"""Panels side by side."""

MAX_MARKED_POINTS = 60
"""Points of a curve that are marked; more would hide the line."""

MIN_RANGE_SHARE = 0.2
"""Least range of an axis over its largest value: a curve that stays within a per cent is to look
as even as it is. Set by hand."""

CURVE_COLOURS = (ESTIMATE_COLOUR, "#7f7f7f")

_log = logging.getLogger(__name__)

Points = list[tuple[int, float]]


def plot_training_curves(path: Path, metrics: Path, best_step: int) -> None:
    """Draw the lines of ``metrics.jsonl``; panels without a metric are left out.

    Args:
        path: of the picture.
        metrics: file of the metrics of a run, of all its parts if it was resumed.
        best_step: step to mark.
    """
    rows = read_metric_rows(metrics)
    all_panels = [(*titles, _read_curves(rows, names)) for *titles, names in CURVE_PANELS]
    panels_with_curves = [each for each in all_panels if each[-1]]
    if not panels_with_curves:
        _log.warning("%s holds no metrics; the picture of the training is not drawn", metrics)
        return
    columns = min(len(panels_with_curves), MAX_COLUMNS)
    panel_rows = -(-len(panels_with_curves) // columns)
    figure = Figure(figsize=(3.5 * columns, 2.6 * panel_rows))
    for i, (title, unit, curves) in enumerate(panels_with_curves):
        panel = figure.add_subplot(panel_rows, columns, i + 1)
        _draw_curves(panel, curves)
        mark_label = f"best, step {best_step}" if i == 0 else ""
        _mark_step(panel, best_step, next(iter(curves.values())), mark_label)
        panel.set_title(title, fontsize=9)
        panel.set_ylabel(unit, fontsize=8)
        panel.tick_params(labelsize=7)
        panel.margins(y=0.12)
        _widen_range(panel)
        if i >= len(panels_with_curves) - columns:
            panel.set_xlabel("step", fontsize=8)
        if panel.get_legend_handles_labels()[0]:  # matplotlib leaves out empty labels
            panel.legend(fontsize=7)
    save_figure(figure, path)


def read_training_curves(metrics: Path) -> list[dict[str, Any]]:
    """The same curves for the page of a report; a last line that is cut is left out.

    Args:
        metrics: file of the metrics of a run, which may still be written to.

    Returns:
        For each panel its ``title``, ``unit``, and ``series`` of ``name``, ``x`` and ``y``.
    """
    rows = read_metric_rows(metrics)
    panels = []
    for title, unit, names in CURVE_PANELS:
        series = [
            {"name": name, "x": [step for step, _ in points], "y": [y for _, y in points]}
            for name, points in _read_curves(rows, names).items()
        ]
        if series:
            panels.append({"title": title, "unit": unit, "series": series})
    return panels


def _read_curves(rows: list[dict[str, Any]], legend_names: dict[str, str]) -> dict[str, Points]:
    """Points (step, value) of each metric that occurs in the rows, by its name in the legend."""
    curves = {}
    for name, legend_name in legend_names.items():
        key = name if name == "loss" else f"{METRIC_PREFIX}/{name}"
        points = [(row["step"], row[key]) for row in rows if key in row]
        if points:
            curves[legend_name] = points
    return curves


def _draw_curves(panel: Axes, curves: dict[str, Points]) -> None:
    """Draw up to two curves."""
    for colour, (legend_name, points) in zip(CURVE_COLOURS, curves.items(), strict=False):
        marker = "." if len(points) <= MAX_MARKED_POINTS else ""
        steps, values = zip(*points, strict=True)
        panel.plot(steps, values, marker, ls="-", color=colour, lw=1, label=legend_name)


def _widen_range(panel: Axes) -> None:
    """Give the axis of values the least range, around what it shows."""
    low, high = panel.get_ylim()
    missing = MIN_RANGE_SHARE * max(abs(low), abs(high)) - (high - low)
    if missing > 0:
        panel.set_ylim(low - missing / 2, high + missing / 2)


def _mark_step(panel: Axes, marked_step: int, points: Points, label: str) -> None:
    """A line at a step, and a dot on the curve if it has a value there."""
    panel.axvline(marked_step, color=TRUTH_COLOUR, lw=0.8, ls="--")
    for step, value in points:
        if step == marked_step:
            panel.plot([step], [value], "o", color=TRUTH_COLOUR, ms=4, label=label)
