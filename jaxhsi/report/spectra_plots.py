"""Line plots of an unmixing run: components, concentrations, residual, count over training.

Figures are made without pyplot: no global state, no display.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from jaxhsi.report.component_ranges import shaded_range
from jaxhsi.report.figure_text import show_text_literally
from jaxhsi.storage.replacement import replace_file
from jaxhsi.training.metrics_writer import read_metric_rows

MAX_PANELS = 48
"""Components that are drawn at most. Set by hand: panels of 6 x 8 are legible."""
MAX_SAMPLES = 400
MAX_SAMPLE_NAMES = 60
"""Rows of the image of concentrations; more are thinned out evenly. Set by hand."""
_MAX_PHASE_LABELS = 12
"""Phases up to which each has its number; set by hand."""
ESTIMATE_COLOUR, TRUTH_COLOUR = "#1f77b4", "#d62728"
"""Blue and red of matplotlib's default cycle."""


def plot_components(
    path: Path,
    components: Float[np.ndarray, "k c"],
    titles: tuple[str, ...],
    *,
    truth: Float[np.ndarray, "k c"] | None = None,
    ranges: Float[np.ndarray, "k e c"] | None = None,
    axis: Float[np.ndarray, " c"] | None = None,
    axis_name: str = "",
) -> None:
    """Write the figure of `components_figure` to a file."""
    figure = components_figure(
        components, titles, truth=truth, ranges=ranges, axis=axis, axis_name=axis_name
    )
    save_figure(figure, path)


def components_figure(
    components: Float[np.ndarray, "k c"],
    titles: tuple[str, ...],
    *,
    truth: Float[np.ndarray, "k c"] | None = None,
    ranges: Float[np.ndarray, "k e c"] | None = None,
    axis: Float[np.ndarray, " c"] | None = None,
    axis_name: str = "",
) -> Figure:
    """A panel for each component, under its title, on the true one where it is known.

    Args:
        components: unit rows; the first 48 are shown.
        titles: one for each.
        truth: the true spectrum matched to each component, NaN where none is; scaled to unit rows.
        ranges: other spectra that each might be, of unit length; the space between is shaded.
        axis: number of each band.
        axis_name: its name.
    """
    num_panels = min(len(components), MAX_PANELS)
    num_rows = -(-num_panels // (3 if num_panels <= 9 else 6))
    num_columns = -(-num_panels // num_rows)  # four are two and two, not three and one
    figure_width = max(4.2, (4 if num_columns <= 3 else 2.2) * num_columns)
    figure = Figure(figsize=(figure_width, 0.5 + (2.2 if num_rows < 4 else 1.5) * num_rows))
    band_axis = np.arange(components.shape[1]) if axis is None else axis
    for i in range(num_panels):
        panel = figure.add_subplot(num_rows, num_columns, i + 1)
        if truth is not None and np.isfinite(truth[i]).all():
            true_unit = truth[i] / np.linalg.norm(truth[i])
            panel.plot(
                band_axis, true_unit, color=TRUTH_COLOUR, linewidth=1.6, alpha=0.6, label="truth"
            )
        if ranges is not None:
            low, high = shaded_range(components[i], ranges[i])
            style = {"color": ESTIMATE_COLOUR, "alpha": 0.3, "linewidth": 0, "label": "range"}
            panel.fill_between(band_axis, low, high, **style)
        panel.plot(band_axis, components[i], color=ESTIMATE_COLOUR, linewidth=0.8, label="estimate")
        panel.set_title(titles[i], fontsize=8)
        panel.tick_params(labelsize=6)
        panel.set_yticks([])
        if band_axis[0] > band_axis[-1]:  # wavenumbers are drawn from high to low
            panel.invert_xaxis()
        if i == 0 and (truth is not None or ranges is not None):
            panel.legend(fontsize=6)
        if i >= num_panels - num_columns:
            panel.set_xlabel(axis_name or "band", fontsize=7)
    figure.supylabel("intensity (spectra of unit length)", fontsize=8)
    show_text_literally(figure)  # it may be shown without being saved
    return figure


def plot_concentrations(
    path: Path,
    concentrations: Float[np.ndarray, "n k"],
    truth: Float[np.ndarray, "n k"] | None = None,
    sample_names: tuple[str, ...] | None = None,
) -> None:
    """Concentrations as an image, and against the true ones where these are known.

    Args:
        path: of the picture.
        concentrations: samples by components; 400 samples are drawn at most.
        truth: of the matched true component in the units of ``concentrations``, NaN where none is.
        sample_names: of the samples; of up to 60 they are written.
    """
    figure = Figure(figsize=(10 if truth is not None else 5.5, 4.2))
    panel = figure.add_subplot(1, 1 if truth is None else 2, 1)
    sample_step = max(1, -(-len(concentrations) // MAX_SAMPLES))
    image_edges = (0.5, concentrations.shape[1] + 0.5, len(concentrations) + 0.5, 0.5)
    image = panel.imshow(
        concentrations[::sample_step], aspect="auto", interpolation="nearest", extent=image_edges
    )
    integer_ticks(panel.xaxis, panel.yaxis)
    figure.colorbar(image, ax=panel, label="concentration (units of the data)")
    panel.set(xlabel="component", ylabel="sample", title="concentrations")
    if sample_names is not None and len(concentrations) <= MAX_SAMPLE_NAMES:
        places = np.arange(1, len(concentrations) + 1)
        labels = [name if len(name) <= 16 else f"{name[:15]}…" for name in sample_names]
        size = min(8.0, 220 / len(labels))
        panel.set_yticks(places, labels, fontsize=size)
    if truth is not None:
        panel = figure.add_subplot(1, 2, 2)
        has_truth = np.isfinite(truth)
        largest_truth = float(truth[has_truth].max(initial=1e-12))
        panel.plot([0, largest_truth], [0, largest_truth], color="grey", linewidth=0.8)
        style = {"color": ESTIMATE_COLOUR, "markersize": 3, "alpha": 0.5}
        panel.plot(truth[has_truth], concentrations[has_truth], ".", **style)
        panel.set(xlabel="true concentration", ylabel="estimate", title="against the truth")
    save_figure(figure, path)


def plot_residual(
    path: Path,
    residual: Float[np.ndarray, "n c"],
    expected: Float[np.ndarray, " n"] | None = None,
    axis: Float[np.ndarray, " c"] | None = None,
    axis_name: str = "",
) -> None:
    """Root mean square of the residual by band and by sample, beside the expected noise.

    Args:
        path: of the picture.
        residual: data minus reconstruction.
        expected: noise deviation of each sample.
        axis: number of each band.
        axis_name: its name.
    """
    figure = Figure(figsize=(10, 3.4))
    panel = figure.add_subplot(1, 2, 1)
    band_axis = np.arange(residual.shape[1]) if axis is None else axis
    band_rms = np.sqrt((residual**2).mean(0))
    panel.plot(band_axis, band_rms, color=ESTIMATE_COLOUR, linewidth=0.8, label="RMS")
    panel.plot(band_axis, residual.mean(0), color=TRUTH_COLOUR, linewidth=0.8, label="mean")
    if band_axis[0] > band_axis[-1]:
        panel.invert_xaxis()
    value_label = "residual (units of the data)"
    panel.set(xlabel=axis_name or "band", ylabel=value_label, title="residual by band")
    panel.legend(fontsize=7)
    panel = figure.add_subplot(1, 2, 2)
    sample_numbers = np.arange(1, len(residual) + 1)
    residual_rms = np.sqrt((residual**2).mean(1))
    panel.plot(sample_numbers, residual_rms, ".", color=ESTIMATE_COLOUR, markersize=3, label="RMS")
    if expected is not None:
        # Marks, since lines between samples that have no order say nothing.
        style = {"color": TRUTH_COLOUR, "markersize": 4, "label": "expected noise"}
        panel.plot(sample_numbers, expected, "_", **style)
    integer_ticks(panel.xaxis)
    panel.set(xlabel="sample", ylabel=value_label, title="residual by sample")
    panel.legend(fontsize=7)
    save_figure(figure, path)


def plot_training(path: Path, metrics: Path, phase_steps: int | None = None) -> None:
    """Number of components and loss over training, from the lines of ``metrics.jsonl``.

    Args:
        path: of the picture.
        metrics: file of the metrics.
        phase_steps: steps of a phase, after which components are added or removed; None for none.
    """
    metric_rows = read_metric_rows(metrics)
    training_steps: Int[np.ndarray, " s"] = np.array([row["step"] for row in metric_rows])
    figure = Figure(figsize=(10, 3.4))
    loss_label = "loss (noise units; 1/2 is noise)" if phase_steps else "loss"
    axis_labels = {"num_active": "components", "loss": loss_label}
    for i, (metric_name, axis_label) in enumerate(axis_labels.items()):
        panel = figure.add_subplot(1, 2, i + 1)
        panel.plot(
            training_steps,
            [row[metric_name] for row in metric_rows],
            color=ESTIMATE_COLOUR,
            linewidth=1,
        )
        title = metric_name.replace("num_active", "components")
        panel.set(xlabel="step", ylabel=axis_label)
        panel.set_title(title, pad=14 if phase_steps else None)  # numbers of phases are below it
        if metric_name == "num_active":
            integer_ticks(panel.yaxis)
        elif phase_steps:
            # With components just added, the loss is far above that at the end.
            plain_log_scale(panel)
        if phase_steps:
            _mark_phases(panel, int(training_steps.max(initial=0)), phase_steps)
    save_figure(figure, path)


def plain_log_scale(panel: Axes) -> None:
    """A logarithmic scale of values with plain numbers: 1.2, not 1.2 x 10^0."""
    panel.set_yscale("log")
    low, high = panel.get_ylim()
    factors = (2.0, 5.0) if high > 10 * low else tuple(range(2, 10))
    panel.yaxis.set_minor_locator(LogLocator(subs=factors))
    if high < 2 * low:  # hardly a digit apart: the ticks of a linear scale
        panel.yaxis.set_major_locator(MaxNLocator(5))
        panel.yaxis.set_minor_locator(NullLocator())
    for set_formatter in (panel.yaxis.set_major_formatter, panel.yaxis.set_minor_formatter):
        set_formatter(StrMethodFormatter("{x:g}"))


def _mark_phases(panel: Axes, last_step: int, phase_steps: int) -> None:
    """Dotted lines between phases, with the number of each phase where there is room."""
    ends = range(phase_steps, last_step + 1, phase_steps)
    for end in ends:
        panel.axvline(end, color="0.6", linewidth=0.7, linestyle=":")
    for number, end in enumerate(ends, 1):
        if len(ends) <= _MAX_PHASE_LABELS:
            place = (end - phase_steps / 2, 1.0)
            panel.annotate(
                f"phase {number}" if number == 1 else str(number),
                place,
                xycoords=("data", "axes fraction"),
                va="bottom",
                ha="center",
                fontsize=6,
                color="0.4",
            )


def integer_ticks(*axes: Axis) -> None:
    """Ticks at integers only."""
    for axis in axes:
        axis.set_major_locator(MaxNLocator(integer=True))


def save_figure(figure: Figure, path: Path) -> None:
    """Write a picture; its folder is made if needed."""
    show_text_literally(figure)
    figure.tight_layout()
    with replace_file(path, "wb") as file:
        figure.savefig(file, dpi=110, format="png")
