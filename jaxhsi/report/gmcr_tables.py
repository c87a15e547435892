"""Tables of unmixing results for the screen."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from jaxhsi.report.tables import format_number

_HIGHEST_CONFIDENCE = 0.99
"""Confidence is shown as "> 99%" above this: it was calibrated on 1,354 components, of which two
are false, and says nothing about smaller rates of error (benchmarks/gmcr/confidence.py)."""

_SCORE_TITLES = (
    ("r2", "R2 on the data"),
    ("nmse", "nMSE on the data"),
    ("r2_noise_free", "R2 against noise-free data"),
    ("r2_of_truth", "R2 of the true mixture on the data"),
    ("matched_cosine_mean", "mean cosine of matches"),
    ("matched_cosine_min", "least cosine of matches"),
    ("concentration_error", "relative error of concentrations"),
)
"""Keys of ``scores.json``, and their titles."""


def component_table(
    component_names: Sequence[str],
    variance_shares: Sequence[float],
    sample_counts: Sequence[int],
    matches: Sequence[tuple[str, float]] | None,
    confidence: Sequence[float] | None = None,
) -> Table:
    """Share of the variance, samples that hold it, confidence and match of each component.

    Args:
        component_names: names of the components.
        variance_shares: of the sum of squares, see `jaxhsi.gmcr.metrics.variance_share`.
        sample_counts: number of samples with a concentration other than 0.
        matches: name of the matched true component and the cosine with it.
        confidence: how sure each component is, 0 to 1.
    """
    table = Table("component", "share of variance", "in samples", title="components")
    if confidence is not None:
        table.add_column("confidence")
    if matches is not None:
        table.add_column("matches")
        table.add_column("cosine")
    rows = zip(component_names, variance_shares, sample_counts, strict=True)
    for i, (name, variance_share, sample_count) in enumerate(rows):
        cells = [] if confidence is None else [_format_confidence(confidence[i])]
        if matches is not None:
            true_name, cosine = matches[i]
            cells += [true_name, format_number(None if np.isnan(cosine) else cosine)]
        table.add_row(name, f"{variance_share:.2%}", f"{sample_count:,}", *cells)
    return table


def unmixing_table(scores: Mapping[str, Mapping[str, Any]]) -> Table:
    """How well each cube or table was unmixed, and how fast."""
    columns = ("data", "spectra", "R2", "poorly explained", "components each", "per second")
    table = Table(*columns, title="concentrations")
    for name, row in scores.items():
        spectrum_word = "pixels" if "pixels" in row else "spectra"
        table.add_row(
            name,
            f"{row[spectrum_word]:,}",
            format_number(row["r2"]),
            f"{row['poorly_explained']:.2%}",
            f"{row['mean_components']:.2f}",
            f"{row[f'{spectrum_word}_per_second']:,.0f}",
        )
    return table


def fit_table(solver_scores: Mapping[str, Any], network_scores: Mapping[str, Any] | None) -> Table:
    """Fit of the solver beside that of the networks for new spectra."""
    table = Table("score", "solver", title="fit")
    if network_scores is not None:
        table.add_column("networks")
    for key, title in _SCORE_TITLES:
        if key in solver_scores:
            cells = [] if network_scores is None else [format_number(network_scores.get(key))]
            table.add_row(title, format_number(solver_scores[key]), *cells)
    return table


def _format_confidence(confidence: float) -> str:
    return "> 99%" if confidence > _HIGHEST_CONFIDENCE else f"{confidence:.0%}"
