"""Concentrations along samples in an order: elution profiles, kinetics, titration curves."""

from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from jaxhsi.report.spectra_plots import integer_ticks, save_figure

MAX_PROFILES = 10
"""Components that are drawn at most: the default cycle of matplotlib has as many colours."""


def plot_profiles(
    path: Path,
    concentrations: Float[np.ndarray, "n k"],
    names: tuple[str, ...],
    run_lengths: tuple[int, ...],
    *,
    sample_axis: Float[np.ndarray, " n"] | None = None,
    sample_axis_name: str = "",
) -> None:
    """A line for each component along the samples, in a panel for each run.

    Args:
        path: of the picture.
        concentrations: samples by components; the first ten components are drawn, which is said.
        names: of the components.
        run_lengths: samples of each run.
        sample_axis: number of each sample, such as its time; None to count them.
        sample_axis_name: its name.
    """
    num_runs, num_drawn = len(run_lengths), min(concentrations.shape[1], MAX_PROFILES)
    figure = Figure(figsize=(7, 0.8 + 2.6 * num_runs))
    ends = np.cumsum(run_lengths)
    for run, (length, end) in enumerate(zip(run_lengths, ends, strict=True)):
        panel = figure.add_subplot(num_runs, 1, run + 1)
        rows = slice(end - length, end)
        places = np.arange(1, length + 1) if sample_axis is None else sample_axis[rows]
        for i in range(num_drawn):
            panel.plot(places, concentrations[rows, i], linewidth=1, label=names[i])
        panel.set_ylabel("concentration (units of the data)", fontsize=7)
        if num_runs > 1:
            panel.set_title(f"run {run + 1}", fontsize=8)
        if sample_axis is None:
            integer_ticks(panel.xaxis)
        if run == 0:
            left_out = concentrations.shape[1] - num_drawn
            panel.legend(fontsize=6, title=f"and {left_out} more" if left_out else None)
    panel.set_xlabel(sample_axis_name or "sample", fontsize=8)
    save_figure(figure, path)
