"""How sure the number of components is: numbers for ``scores.json`` and a picture."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxhsi.gmcr.diagnostics import ModelConfidence
from jaxhsi.gmcr.solution import RestartVote
from jaxhsi.report.spectra_plots import ESTIMATE_COLOUR, TRUTH_COLOUR, integer_ticks, save_figure


def diagnostic_scores(diagnostics: ModelConfidence, restarts: RestartVote | None) -> dict[str, Any]:
    """Plausible numbers of components, confidence of each, and the curve over their number."""
    curve_parts = diagnostics.count_curve._asdict().items()
    scores = {
        "plausible_counts": list(diagnostics.plausible_counts),
        "confidence": diagnostics.component_confidence.astype(float).round(4).tolist(),
        "evidence": diagnostics.evidence_ratio.astype(float).tolist(),
        "curve": {name: np.asarray(part).tolist() for name, part in curve_parts},
    }
    if restarts is not None:
        scores["restarts"] = restarts.component_counts.tolist()
    return scores


def plot_component_count(
    path: Path, diagnostics: ModelConfidence, num_components: int, true_count: int | None = None
) -> None:
    """Errors and description length against the number of components.

    Args:
        path: of the picture.
        diagnostics: the curve and the plausible numbers.
        num_components: of the result.
        true_count: the true number where it is known.
    """
    count_curve, (low, high) = diagnostics.count_curve, diagnostics.plausible_counts
    figure = Figure(figsize=(10, 3.6))
    axis_labels = "squared error of a value, 1 is noise", "description length, beyond the result's"
    for i, axis_label in enumerate(axis_labels):
        panel = figure.add_subplot(1, 2, i + 1)
        panel.axvspan(low - 0.4, high + 0.4, color="grey", alpha=0.2, label="plausible")
        if true_count is not None:
            panel.axvline(true_count, color=TRUTH_COLOUR, linestyle="--", linewidth=2, label="true")
        panel.axvline(num_components, color="black", linewidth=0.8, label="result")
        panel.set(xlabel="number of components", ylabel=axis_label)
        if i == 0:
            panel.plot(
                count_curve.component_counts,
                count_curve.mean_square_residual,
                ".-",
                color="grey",
                label="all entries",
            )
            panel.errorbar(
                count_curve.component_counts,
                count_curve.held_out_error,
                count_curve.held_out_standard_error,
                color=ESTIMATE_COLOUR,
                marker="o",
                capsize=3,
                label="held-out entries",
            )
            panel.set_yscale("log")
            panel.legend(fontsize=7)
        else:
            panel.plot(
                count_curve.component_counts,
                count_curve.description_lengths,
                "o-",
                color=ESTIMATE_COLOUR,
            )
            panel.set_yscale("symlog", linthresh=100)
        integer_ticks(panel.xaxis)
    save_figure(figure, path)
