"""Tables for the screen."""

from collections.abc import Mapping, Sequence

import numpy as np
from rich.table import Table


def format_number(value: float | None) -> str:
    """Four decimals, or a dash if there is no number."""
    return "-" if value is None else f"{value:.4f}"


def component_table(
    names: Sequence[str],
    shares: Sequence[float],
    samples: Sequence[int],
    cosines: Sequence[tuple[str, float]] | None,
    confidence: Sequence[float] | None = None,
) -> Table:
    """Share of the variance, samples that hold it, confidence and match of each component.

    Args:
        names: of the components.
        shares: of the sum of squares, see `jaxhsi.gmcr.metrics.variance_share`.
        samples: number of samples with a concentration other than 0.
        cosines: name of the matched true component and the cosine with it.
        confidence: how sure each is, 0 to 1.
    """
    table = Table("component", "share of variance", "in samples", title="components")
    if confidence is not None:
        table.add_column("confidence")
    if cosines is not None:
        table.add_column("matches")
        table.add_column("cosine")
    for i, (name, share, count) in enumerate(zip(names, shares, samples, strict=True)):
        cells = [] if confidence is None else [_sure(confidence[i])]
        cells += [] if cosines is None else [cosines[i][0], format_number(_known(cosines[i][1]))]
        table.add_row(name, f"{share:.2%}", f"{count:,}", *cells)
    return table


def _sure(chance: float) -> str:
    """No confidence is complete."""
    return "> 99%" if chance > 0.99 else f"{chance:.0%}"


def unmixing_table(scores: Mapping[str, dict]) -> Table:
    """How well each cube or table was unmixed, and how fast."""
    columns = ("data", "spectra", "R2", "poorly explained", "components each", "per second")
    table = Table(*columns, title="concentrations")
    for name, row in scores.items():
        unit = "pixels" if "pixels" in row else "spectra"
        table.add_row(
            name,
            f"{row[unit]:,}",
            format_number(row["r2"]),
            f"{row['poorly_explained']:.2%}",
            f"{row['mean_components']:.2f}",
            f"{row[f'{unit}_per_second']:,.0f}",
        )
    return table


def fit_table(scores: dict, amortised: dict | None) -> Table:
    """Count and fit of the solver beside those of the networks for new spectra."""
    table = Table("score", "solver", title="fit")
    if amortised is not None:
        table.add_column("networks")
    for name, title in (
        ("r2", "R2 on the data"),
        ("nmse", "nMSE on the data"),
        ("r2_noise_free", "R2 against noise-free data"),
        ("r2_of_truth", "R2 of the true mixture on the data"),
        ("matched_cosine_mean", "mean cosine of matches"),
        ("matched_cosine_min", "least cosine of matches"),
    ):
        if name in scores:
            other = [] if amortised is None else [format_number(amortised.get(name))]
            table.add_row(title, format_number(scores[name]), *other)
    return table


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
