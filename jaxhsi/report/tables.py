"""Tables for the screen."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from rich.console import Console
from rich.table import Table

from jaxhsi.cluster_groups import Grouping

CLASS_SCORES = (
    ("mean_iou", "mean IoU"),
    ("dice", "mean Dice"),
    ("area_rmse", "area RMSE"),
    ("oa", "overall accuracy"),
)
"""Scores that need classes, and their titles."""

INFORMATION_SCORES = (
    ("nmi", "NMI"),
    ("vi", "variation of information"),
    ("entropy", "entropy of the clusters"),
)
"""Scores that need none."""

MATCHING_TITLES = {"hungarian": "Hungarian", "merge": "best merge", "manual": "as named"}
"""How clusters get a class."""


def share_table(
    cluster_pixels: Int[np.ndarray, " k"],
    cluster_names: Sequence[str],
    square_metres: Sequence[float | None] = (),
) -> Table:
    """Pixels and share of each cluster, and its area where it is known."""
    table = Table("cluster", "is", "pixels", "share", title="clusters")
    if known := any(area is not None for area in square_metres):
        table.add_column("m2")
    for cluster, (count, name) in enumerate(zip(cluster_pixels, cluster_names, strict=True)):
        area = [f"{square_metres[cluster]:,.6g}"] if known else []
        share = f"{count / max(cluster_pixels.sum(), 1):.2%}"
        table.add_row(str(cluster), name, f"{count:,}", share, *area)
    return table


def evaluation_table(scores: dict, class_names: Sequence[str]) -> Table:
    """Scores of label maps, a column for each way in which clusters get a class."""
    ways = [way for way in MATCHING_TITLES if way in scores["alignment"]]
    table = Table(
        "score", *(MATCHING_TITLES[way] for way in ways), title="scores against the labels"
    )
    for name, title in CLASS_SCORES:
        table.add_row(title, *(f"{scores[name][way]:.4f}" for way in ways))
    for i, label in enumerate(class_names):
        cells = (scores["per_class_iou"][way][i] for way in ways)
        table.add_row(f"IoU of {label}", *map(_number, cells))
    for name, title in INFORMATION_SCORES:
        table.add_row(title, f"{scores[name]:.4f}")
    return table


def score_table(initial_scores: dict, trained_scores: dict, class_names: Sequence[str]) -> Table:
    """Scores of the closed-form start beside those after training."""
    table = Table("score", "start", "trained", title="scores against the labels")
    for name, title in CLASS_SCORES:
        for way in ("merge", "hungarian"):
            table.add_row(
                f"{title} ({way})",
                *(f"{s[name][way]:.4f}" for s in (initial_scores, trained_scores)),
            )
    for name, title in INFORMATION_SCORES:
        table.add_row(title, *(f"{s[name]:.4f}" for s in (initial_scores, trained_scores)))
    for way in ("merge", "hungarian"):
        for i, label in enumerate(class_names):
            cells = (s["per_class_iou"][way][i] for s in (initial_scores, trained_scores))
            table.add_row(f"IoU of {label} ({way})", *map(_number, cells))
    return table


def print_lines(console: Console, title: str, lines: Sequence[str]) -> None:
    """A title and lines under it; nothing where there are none."""
    for line in [title, *(f"  {line}" for line in lines)] if lines else []:
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def group_table(grouping: Grouping, pixel_shares: Float[np.ndarray, " k"]) -> Table:
    """Named groups, the clusters in them and their share of the pixels."""
    table = Table("group", "name", "clusters", "share", title="groups")
    for i, (name, members) in enumerate(grouping.members_by_name().items()):
        listed = ", ".join(map(str, members))
        table.add_row(str(i), name, listed, f"{pixel_shares[members].sum():.2%}")
    return table


def vote_table(
    cluster_names: Sequence[str],
    pixel_shares: Float[np.ndarray, " k"],
    vote_counts: Int[np.ndarray, "k c"],
    class_names: Sequence[str],
    decisions: Sequence[tuple[str, str]],
) -> Table:
    """Labelled pixels of each class in each cluster, and what it is called and why.

    Args:
        cluster_names: their names.
        pixel_shares: of the pixels.
        vote_counts: labelled pixels of each class.
        class_names: of the classes.
        decisions: for each cluster, the name of its class and what decided it.
    """
    table = Table("cluster", "share", "labelled pixels", "is", "decided by")
    table.title = "clusters named by labels"
    for i, row in enumerate(vote_counts):
        found = ", ".join(f"{row[c]:,} {class_names[c]}" for c in np.argsort(-row) if row[c])
        table.add_row(cluster_names[i], f"{pixel_shares[i]:.2%}", found or "none", *decisions[i])
    return table


def _number(value: float | None) -> str:
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
        cells += [] if cosines is None else [cosines[i][0], _number(_known(cosines[i][1]))]
        table.add_row(name, f"{share:.2%}", f"{count:,}", *cells)
    return table


def _sure(chance: float) -> str:
    """No confidence is complete."""
    return "> 99%" if chance > 0.99 else f"{chance:.0%}"


def quantity_table(scores: Mapping[str, dict]) -> Table:
    """How well each cube or table was unmixed, and how fast."""
    columns = ("data", "spectra", "R2", "beyond noise", "components each", "per second")
    table = Table(*columns, title="concentrations")
    for name, row in scores.items():
        unit = "pixels" if "pixels" in row else "spectra"
        table.add_row(
            name,
            f"{row[unit]:,}",
            _number(row["r2"]),
            f"{row['beyond_noise']:.2%}",
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
            other = [] if amortised is None else [_number(amortised.get(name))]
            table.add_row(title, _number(scores[name]), *other)
    return table


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
