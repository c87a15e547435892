"""How sure the number of components is: numbers for ``scores.json``, a sentence, a picture."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxhsi.gmcr.algorithm import Opinions
from jaxhsi.gmcr.diagnostics import Certainty
from jaxhsi.report.spectra_plots import FOUND, TRUE, save_figure, whole


def certainty_scores(found: Certainty, opinions: Opinions | None) -> dict[str, Any]:
    """What ``scores.json`` holds of it."""
    scores = {
        "plausible": list(found.plausible),
        "confidence": found.confidence.astype(float).round(4).tolist(),
        "evidence": found.evidence.astype(float).tolist(),
        "curve": {name: np.asarray(part).tolist() for name, part in found.curve._asdict().items()},
    }
    if opinions is not None:
        scores["restarts"] = opinions.counts.tolist()
    return scores


def certainty_sentence(scores: dict[str, Any], count: int, *, asked: bool = False) -> str:
    """The number, which others are plausible, and what restarts say.

    Args:
        scores: of `certainty_scores`.
        count: components of the answer.
        asked: whether this many were asked for.
    """
    low, high = scores["plausible"]
    told = f"{count} components" + ", as asked for" * asked
    told += "; no other number is plausible" if low == high else f"; {low} to {high} are plausible"
    restarts = scores.get("restarts", [])
    if len(restarts) > 1 or (asked and restarts):
        told += f"; restarts found {', '.join(map(str, restarts))}"
    return told


def plot_count(path: Path, found: Certainty, count: int, true: int | None = None) -> None:
    """Errors and description length against the number of components.

    Args:
        path: of the picture.
        found: what is shown.
        count: components of the answer.
        true: their number where it is known.
    """
    curve, (low, high) = found.curve, found.plausible
    figure = Figure(figsize=(10, 3.6))
    titles = "squared error of a value, 1 is noise", "description, beyond the answer's"
    for i, title in enumerate(titles):
        panel = figure.add_subplot(1, 2, i + 1)
        panel.axvspan(low - 0.4, high + 0.4, color="grey", alpha=0.2, label="plausible")
        if true is not None:
            panel.axvline(true, color=TRUE, linestyle="--", linewidth=2, label="true")
        panel.axvline(count, color="black", linewidth=0.8, label="answer")
        panel.set(xlabel="number of components", ylabel=title)
        if i == 0:
            panel.plot(curve.counts, curve.residual, ".-", color="grey", label="all entries")
            error = (curve.counts, curve.held_out, curve.spread)
            panel.errorbar(*error, color=FOUND, marker="o", capsize=3, label="held-out entries")
            panel.set_yscale("log")
            panel.legend(fontsize=7)
        else:
            panel.plot(curve.counts, curve.lengths, "o-", color=FOUND)
            panel.set_yscale("symlog", linthresh=100)
        whole(panel.xaxis)
    save_figure(figure, path)
