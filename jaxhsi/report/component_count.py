"""How sure the number of components is: numbers for ``scores.json`` and a picture."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxhsi.gmcr.diagnostics import ModelConfidence
from jaxhsi.gmcr.misfit_curve import MisfitCurve, count_at_tolerance
from jaxhsi.gmcr.solution import RestartVote
from jaxhsi.report.spectra_plots import (
    ESTIMATE_COLOUR,
    TRUTH_COLOUR,
    integer_ticks,
    plain_log_scale,
    save_figure,
)

SHOWN_TOLERANCES = (0.1, 0.03, 0.01, 0.003, 0.001)
"""Relative misfits whose number of components is shown."""


def tolerance_scores(
    curve: MisfitCurve, tolerance: float, *, is_image: bool = False
) -> dict[str, Any]:
    """Number of components at the stated tolerance, at the noise, and at others.

    Args:
        curve: misfit of each number of components.
        tolerance: that was asked for, or measured; 0 is the noise.
        is_image: the spectra are pixels, whose texture is structure too.
    """
    counts = {f"{each:g}": count_at_tolerance(curve, each) for each in SHOWN_TOLERANCES}
    return {
        "tolerance": float(tolerance),
        "count_at_noise": int(curve.count_at_noise),
        "noise_share": float(curve.noise_share),
        "counts": counts,
        "relative_misfit": curve.relative_misfit.astype(float).round(6).tolist(),
        "is_image": is_image,
    }


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
    path: Path,
    diagnostics: ModelConfidence,
    num_components: int,
    true_count: int | None = None,
    misfit: MisfitCurve | None = None,
    tolerance: float = 0.0,
) -> None:
    """Errors and description length against the number of components, and the number by tolerance.

    Args:
        path: of the picture.
        diagnostics: the curve and the plausible numbers.
        num_components: of the result.
        true_count: the true number where it is known.
        misfit: what each number of components leaves beyond the noise.
        tolerance: that the number belongs to; 0 is the noise.
    """
    count_curve, (low, high) = diagnostics.count_curve, diagnostics.plausible_counts
    num_panels = 2 if misfit is None else 3
    figure = Figure(figsize=(5 * num_panels, 3.6))
    if misfit is not None:
        _draw_misfit(figure.add_subplot(1, 3, 3), misfit, num_components, tolerance)
    axis_labels = "squared error of a value, 1 is noise", "description length, beyond the result's"
    for i, axis_label in enumerate(axis_labels):
        panel = figure.add_subplot(1, num_panels, i + 1)
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
            plain_log_scale(panel)
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


def _draw_misfit(panel: Axes, curve: MisfitCurve, num_components: int, tolerance: float) -> None:
    """Misfit beyond the noise by number of components; each tolerance with its number."""
    counts = curve.component_counts[1:]
    floor = 0.3 * min(SHOWN_TOLERANCES)
    panel.plot(counts, np.maximum(curve.relative_misfit[1:], floor), "o-", color=ESTIMATE_COLOUR)
    for shown in SHOWN_TOLERANCES:
        count = count_at_tolerance(curve, shown)
        panel.axhline(shown, color="grey", linewidth=0.6, linestyle=":")
        panel.annotate(
            f"at {shown:g}: {count} ",
            (1.0, shown),
            xycoords=panel.get_yaxis_transform(),
            fontsize=7,
            va="bottom",
            ha="right",
        )
    panel.axhline(max(curve.noise_share, floor), color="grey", linewidth=0.8, label="noise")
    if tolerance > 0:
        panel.axhline(max(tolerance, floor), color="black", linewidth=1.2, label="tolerance")
    panel.axvline(num_components, color="black", linewidth=0.8, label="result")
    panel.set_yscale("log")
    panel.set_xlim(0.5, min(counts[-1], 2 * curve.count_at_noise + 6) + 0.5)
    panel.set(xlabel="number of components", ylabel="misfit beyond the noise,\nshare of the data")
    # The curve falls from the left: the corner below it is free, those on the right hold numbers.
    panel.legend(fontsize=7, loc="lower left")
    integer_ticks(panel.xaxis)
