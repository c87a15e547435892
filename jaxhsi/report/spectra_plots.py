"""Line plots of an unmixing run: components, concentrations, residual, count over training.

Figures are made without pyplot: no global state, no display.
"""

import json
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

MOST_PANELS = 48
FOUND, TRUE = "#1f77b4", "#d62728"


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
    """A panel for each component, under its title, on the true one where it is known.

    Args:
        path: of the picture.
        components: unit rows; the first 48 are shown.
        titles: one for each.
        truth: the true spectrum matched to each component, NaN where none is; scaled to unit rows.
        ranges: other spectra that each might be, of unit length; the space between is shaded.
        axis: number of each band.
        axis_name: its name.
    """
    shown = min(len(components), MOST_PANELS)
    columns = min(shown, 3 if shown <= 9 else 6)
    rows = -(-shown // columns)
    figure = Figure(
        figsize=(
            max(4.2, (4 if columns <= 3 else 2.2) * columns),
            0.5 + (2.2 if rows < 4 else 1.5) * rows,
        )
    )
    bands = np.arange(components.shape[1]) if axis is None else axis
    for i in range(shown):
        panel = figure.add_subplot(rows, columns, i + 1)
        if truth is not None and np.isfinite(truth[i]).all():
            unit = truth[i] / np.linalg.norm(truth[i])
            panel.plot(bands, unit, color=TRUE, linewidth=1.6, alpha=0.6, label="truth")
        if ranges is not None:
            unit = components[i] / max(np.linalg.norm(components[i]), 1e-30)
            every = np.concatenate([ranges[i], unit[None]]) * np.linalg.norm(components[i])
            low, high = every.min(0), every.max(0)
            panel.fill_between(bands, low, high, color=FOUND, alpha=0.3, linewidth=0, label="range")
        panel.plot(bands, components[i], color=FOUND, linewidth=0.8, label="found")
        panel.set_title(titles[i], fontsize=8)
        panel.tick_params(labelsize=6)
        panel.set_yticks([])
        if bands[0] > bands[-1]:
            panel.invert_xaxis()
        if i == 0 and (truth is not None or ranges is not None):
            panel.legend(fontsize=6)
        if i >= shown - columns:
            panel.set_xlabel(axis_name or "band", fontsize=7)
    save_figure(figure, path)


def plot_concentrations(
    path: Path,
    concentrations: Float[np.ndarray, "n k"],
    truth: Float[np.ndarray, "n k"] | None = None,
) -> None:
    """Concentrations as an image, and against the true ones where these are known.

    Args:
        path: of the picture.
        concentrations: samples by components; 400 samples are shown at most.
        truth: of the matched true component in the units of ``concentrations``, NaN where none is.
    """
    figure = Figure(figsize=(10 if truth is not None else 5.5, 4.2))
    panel = figure.add_subplot(1, 1 if truth is None else 2, 1)
    step = max(1, -(-len(concentrations) // 400))
    edges = (0.5, concentrations.shape[1] + 0.5, len(concentrations) + 0.5, 0.5)
    shown = concentrations[::step]
    image = panel.imshow(shown, aspect="auto", interpolation="nearest", extent=edges)
    whole(panel.xaxis, panel.yaxis)
    figure.colorbar(image, ax=panel)
    panel.set(xlabel="component", ylabel="sample", title="concentrations")
    if truth is not None:
        panel = figure.add_subplot(1, 2, 2)
        known = np.isfinite(truth)
        largest = float(truth[known].max(initial=1e-12))
        panel.plot([0, largest], [0, largest], color="grey", linewidth=0.8)
        panel.plot(truth[known], concentrations[known], ".", color=FOUND, markersize=3, alpha=0.5)
        panel.set(xlabel="true", ylabel="found", title="against the truth")
    save_figure(figure, path)


def plot_residual(
    path: Path,
    residual: Float[np.ndarray, "n c"],
    expected: Float[np.ndarray, " n"] | None = None,
    axis: Float[np.ndarray, " c"] | None = None,
    axis_name: str = "",
) -> None:
    """Root mean square of the residual by band and by sample, beside the noise told from the fit.

    Args:
        path: of the picture.
        residual: data minus reconstruction.
        expected: noise deviation of each sample.
        axis: number of each band.
        axis_name: its name.
    """
    figure = Figure(figsize=(10, 3.4))
    panel = figure.add_subplot(1, 2, 1)
    bands = np.arange(residual.shape[1]) if axis is None else axis
    panel.plot(bands, np.sqrt((residual**2).mean(0)), color=FOUND, linewidth=0.8, label="RMS")
    panel.plot(bands, residual.mean(0), color=TRUE, linewidth=0.8, label="mean")
    if bands[0] > bands[-1]:
        panel.invert_xaxis()
    panel.set(xlabel=axis_name or "band", title="residual by band")
    panel.legend(fontsize=7)
    panel = figure.add_subplot(1, 2, 2)
    samples, sizes = np.arange(1, len(residual) + 1), np.sqrt((residual**2).mean(1))
    panel.plot(samples, sizes, ".", color=FOUND, markersize=3, label="RMS")
    if expected is not None:
        panel.plot(samples, expected, color=TRUE, linewidth=0.8, label="noise law")
    whole(panel.xaxis)
    panel.set(xlabel="sample", title="residual by sample")
    panel.legend(fontsize=7)
    save_figure(figure, path)


def plot_training(path: Path, metrics: Path) -> None:
    """Number of components and loss over training, from the lines of ``metrics.jsonl``."""
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    steps: Int[np.ndarray, " s"] = np.array([row["step"] for row in rows])
    figure = Figure(figsize=(10, 3.4))
    for i, (name, title) in enumerate((("active", "components"), ("loss", "loss"))):
        panel = figure.add_subplot(1, 2, i + 1)
        panel.plot(steps, [row[name] for row in rows], color=FOUND, linewidth=1)
        panel.set(xlabel="step", title=title)
        if name == "active":
            whole(panel.yaxis)
    save_figure(figure, path)


def whole(*axes: Axis) -> None:
    """Ticks at whole numbers alone."""
    for axis in axes:
        axis.set_major_locator(MaxNLocator(integer=True))


def save_figure(figure: Figure, path: Path) -> None:
    """Write a picture, and the folder that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
