"""Tables of dgc for the screen: shares, scores, groups and votes of clusters."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from rich.table import Table

from jaxhsi.cluster_groups import Grouping
from jaxhsi.report.areas import area_unit
from jaxhsi.report.tables import format_number

CLASS_SCORES = (
    ("mean_iou", "mean IoU"),
    ("dice", "mean Dice"),
    ("area_rmse", "area RMSE"),
    ("oa", "overall accuracy"),
)
"""Scores that need a class for every cluster, and their titles."""

INFORMATION_SCORES = (
    ("nmi", "NMI"),
    ("vi", "variation of information"),
    ("entropy", "entropy of the clusters"),
)
"""Scores of clusters without a class, and their titles."""

MAX_TITLE_CUBES = 6
"""Names of cubes in a title; set by hand."""

MATCHING_TITLES = {"hungarian": "Hungarian", "merge": "best merge", "manual": "as named"}
"""Ways to give each cluster a class, see `jaxhsi.metrics.clustering_scores`, and their titles."""


def share_table(
    cluster_pixels: Int[np.ndarray, " k"],
    cluster_names: Sequence[str],
    square_metres: Sequence[float | None] = (),
    *,
    kind: str = "cluster",
    chosen_shares: Sequence[float | None] = (),
    chosen_names: Sequence[str] = (),
) -> Table:
    """Pixels and share of each cluster, and its area where it is known, in a unit that fits.

    Args:
        cluster_pixels: pixels of each cluster.
        cluster_names: names of the clusters; all empty to leave them out.
        square_metres: area of each cluster in m2; None where unknown, empty to leave it out.
        kind: what the rows are, "cluster" or "group".
        chosen_shares: share of each cluster in the pixels of some of them, None for the others;
            empty to leave it out.
        chosen_names: names of these.
    """
    names_title = ["name" if kind == "group" else "is"] if any(cluster_names) else []
    table = Table(kind, *names_title, "pixels", "share", title=f"{kind}s")
    if chosen_names:
        table.add_column(f"of {', '.join(chosen_names)}")
    has_areas = any(area is not None for area in square_metres)
    if has_areas:
        unit_name, unit = area_unit([area for area in square_metres if area is not None])
        table.add_column(unit_name)
    num_pixels = max(cluster_pixels.sum(), 1)
    for index, (count, name) in enumerate(zip(cluster_pixels, cluster_names, strict=True)):
        cells = [str(index), *([name] if names_title else [])]
        cells += [f"{count:,}", f"{count / num_pixels:.2%}"]
        if chosen_names:
            cells.append("" if chosen_shares[index] is None else f"{chosen_shares[index]:.2%}")
        if has_areas:
            cells.append(f"{square_metres[index] / unit:,.6g}")
        table.add_row(*cells)
    return table


def evaluation_table(
    scores: Mapping[str, Any], class_names: Sequence[str], cube_names: Sequence[str]
) -> Table:
    """Scores of label maps, a column for each way to give clusters a class.

    Args:
        scores: of `jaxhsi.label_counts.score_counts`.
        class_names: names of the classes.
        cube_names: cubes that the scores are of.
    """
    matchings = [matching for matching in MATCHING_TITLES if matching in scores["alignment"]]
    column_titles = [MATCHING_TITLES[matching] for matching in matchings]
    table = Table("score", *column_titles, title=scored_cubes_title(cube_names))
    for name, title in CLASS_SCORES:
        table.add_row(title, *(f"{scores[name][matching]:.4f}" for matching in matchings))
    for i, class_name in enumerate(class_names):
        iou_cells = (scores["per_class_iou"][matching][i] for matching in matchings)
        table.add_row(f"IoU of {class_name}", *map(format_number, iou_cells))
    for name, title in INFORMATION_SCORES:
        table.add_row(title, f"{scores[name]:.4f}")
    return table


MATCHING_NOTE = (
    "Best merge: every cluster counts as the class that most of its pixels have. Hungarian: each "
    "class is matched to one cluster and all other clusters count as wrong, so with more clusters "
    "than classes these scores are low even where every cluster is pure."
)
"""What the two ways to score clusters mean."""


def report_scores(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Scores of a run for the page of its report.

    Args:
        scores: content of ``scores.json`` of a run with true classes.

    Returns:
        ``caption``, ``heads``, ``rows`` and a ``note``.
    """
    class_names, start = scores["classes"], scores["start"]
    rows: list[list[Any]] = []
    for matching in ("merge", "hungarian"):
        title = MATCHING_TITLES[matching]
        for name, score_title in CLASS_SCORES:
            rows.append([f"{score_title} ({title})", start[name][matching], scores[name][matching]])
        for i, class_name in enumerate(class_names):
            cells = (each["per_class_iou"][matching][i] for each in (start, scores))
            rows.append([f"IoU of {class_name} ({title})", *cells])
    rows += [[title, start[name], scores[name]] for name, title in INFORMATION_SCORES]
    return {
        "caption": scored_cubes_title(scores.get("scored_cubes", list(scores["cubes"]))),
        "heads": ["score", "start", "trained"],
        "rows": rows,
        "note": MATCHING_NOTE,
    }


def scored_cubes_title(cube_names: Sequence[str]) -> str:
    """Which cubes scores are of.

    >>> scored_cubes_title(["a", "b"])
    'scores of 2 cube(s) with true classes: a, b'
    """
    listed = ", ".join(cube_names[:MAX_TITLE_CUBES])
    more = ", ..." if len(cube_names) > MAX_TITLE_CUBES else ""
    return f"scores of {len(cube_names)} cube(s) with true classes: {listed}{more}"


def score_table(
    initial_scores: Mapping[str, Any],
    trained_scores: Mapping[str, Any],
    class_names: Sequence[str],
    cube_names: Sequence[str],
) -> Table:
    """Scores of the closed-form start beside those after training.

    Args:
        initial_scores: of the start.
        trained_scores: after training.
        class_names: names of the classes.
        cube_names: cubes that the scores are of.
    """
    both_scores = (initial_scores, trained_scores)
    table = Table("score", "start", "trained", title=scored_cubes_title(cube_names))
    for name, title in CLASS_SCORES:
        for matching in ("merge", "hungarian"):
            score_cells = (f"{scores[name][matching]:.4f}" for scores in both_scores)
            table.add_row(f"{title} ({matching})", *score_cells)
    for name, title in INFORMATION_SCORES:
        table.add_row(title, *(f"{scores[name]:.4f}" for scores in both_scores))
    for matching in ("merge", "hungarian"):
        for i, class_name in enumerate(class_names):
            iou_cells = (scores["per_class_iou"][matching][i] for scores in both_scores)
            table.add_row(f"IoU of {class_name} ({matching})", *map(format_number, iou_cells))
    return table


def group_table(grouping: Grouping, pixel_shares: Float[np.ndarray, " k"]) -> Table:
    """Named groups, the clusters in them and their share of the pixels.

    Args:
        grouping: of the clusters.
        pixel_shares: share of each cluster, 0 to 1.
    """
    table = Table("group", "name", "clusters", "share", title="groups")
    for index, (name, members) in enumerate(grouping.members_by_name().items()):
        member_list = ", ".join(map(str, members))
        table.add_row(str(index), name, member_list, f"{pixel_shares[members].sum():.2%}")
    return table


def vote_table(
    cluster_names: Sequence[str],
    pixel_shares: Float[np.ndarray, " k"],
    vote_counts: Int[np.ndarray, "k c"],
    class_names: Sequence[str],
    decisions: Sequence[tuple[str, str]],
) -> Table:
    """Labelled pixels of each class in each cluster, the name of the cluster, and the reason.

    Args:
        cluster_names: names of the clusters.
        pixel_shares: share of each cluster, 0 to 1.
        vote_counts: labelled pixels of each class in each cluster.
        class_names: names of the classes.
        decisions: for each cluster, the name of its class and what decided it.
    """
    table = Table("cluster", "share", "labelled pixels", "is", "decided by")
    table.title = "clusters named by labels"
    for i, row in enumerate(vote_counts):
        votes = ", ".join(f"{row[c]:,} {class_names[c]}" for c in np.argsort(-row) if row[c])
        table.add_row(cluster_names[i], f"{pixel_shares[i]:.2%}", votes or "none", *decisions[i])
    return table
