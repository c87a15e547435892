"""The merge tree of clusters, for the screen and as a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.tree import Tree as ScreenTree

from jaxhsi.dgc.merge_tree import MergeTree
from jaxhsi.report.palettes import cluster_colours
from jaxhsi.report.spectra_plots import save_figure

DISTANCE_TICKS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Distances in noise deviations that the axis of the picture names."""


def format_tree(
    tree: MergeTree, pixel_shares: Float[np.ndarray, " k"], cluster_names: Sequence[str]
) -> ScreenTree:
    """The tree from its root down, for `rich`.

    Each merge shows its share of the pixels, the largest cut in which it is one group, and the
    distance that it bridges.

    Args:
        tree: merge tree of the clusters.
        pixel_shares: share of each cluster, 0 to 1.
        cluster_names: names of the clusters.
    """
    members = tree.node_members()
    node_shares = [pixel_shares[each].sum() for each in members]
    root = len(members) - 1

    def describe_node(node: int) -> str:
        if node < tree.num_clusters:
            return f"{cluster_names[node]}  {node_shares[node]:.2%}"
        merge_index = node - tree.num_clusters
        num_groups = len(tree.merged_nodes) - merge_index
        together = "in 1 group" if node == root else f"up to {num_groups} groups"
        distance = tree.heights[merge_index]
        return f"{node_shares[node]:.2%}  together {together} (distance {distance:.2f})"

    screen_tree = ScreenTree(describe_node(root))
    open_branches = [(root, screen_tree)]
    while open_branches:
        node, branch = open_branches.pop()
        if node >= tree.num_clusters:
            children = tree.merged_nodes[node - tree.num_clusters].tolist()
            for child in sorted(children, key=lambda each: -node_shares[each]):
                open_branches.append((child, branch.add(describe_node(child))))
    return screen_tree


def draw_tree(
    path: Path,
    tree: MergeTree,
    pixel_shares: Float[np.ndarray, " k"],
    cluster_names: Sequence[str],
    marked_cuts: Sequence[int] = (),
) -> None:
    """Save a dendrogram: clusters at the left in the colours of the maps, the root at the right.

    Distances are drawn as their square roots, so that small ones can be told apart.

    Args:
        path: of the picture.
        tree: merge tree of the clusters.
        pixel_shares: share of each cluster, 0 to 1.
        cluster_names: names of the clusters.
        marked_cuts: numbers of groups that a dashed line marks.
    """
    num_clusters, node_rows = tree.num_clusters, _node_rows(tree)
    node_depth = np.concatenate([np.zeros(num_clusters), np.sqrt(tree.heights)])
    figure = Figure(figsize=(8.5, 1.3 + 0.27 * num_clusters))
    panel = figure.add_subplot()
    _draw_branches(panel, tree, pixel_shares, node_depth, node_rows)
    labels = [f"{cluster_names[i]}  {pixel_shares[i]:.1%}" for i in range(num_clusters)]
    panel.set_yticks(node_rows[:num_clusters], labels, fontsize=8)
    panel.tick_params(axis="y", length=0, pad=8)
    max_depth = max(float(node_depth.max()), 1.0)
    shown_ticks = [tick for tick in DISTANCE_TICKS if np.sqrt(tick) <= max_depth]
    panel.set_xticks(np.sqrt(shown_ticks), [str(tick) for tick in shown_ticks], fontsize=8)
    panel.set(xlim=(-0.02 * max_depth, 1.04 * max_depth), ylim=(num_clusters - 0.4, -1.2))
    # A cut into one group or into all clusters lies between no two merges.
    drawn_cuts = sorted({k for k in marked_cuts if 1 < k < num_clusters})
    dashed_note = "; dashed: suggested numbers of groups" if drawn_cuts else ""
    axis_title = "distance in noise deviations, shorter where clusters are mixed"
    panel.set_xlabel(axis_title + dashed_note, fontsize=8)
    for num_groups in drawn_cuts:
        neighbours = [2 * num_clusters - num_groups - 1, 2 * num_clusters - num_groups]
        position = node_depth[neighbours].mean()
        panel.axvline(position, color="0.5", linewidth=0.8, linestyle="--", zorder=0)
        panel.text(
            position, -0.75, str(num_groups), ha="center", fontsize=8, backgroundcolor="white"
        )
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)
    save_figure(figure, path)


def _draw_branches(
    panel: Axes,
    tree: MergeTree,
    pixel_shares: Float[np.ndarray, " k"],
    node_depth: np.ndarray,
    node_rows: np.ndarray,
) -> None:
    """Draw each branch in the colour of the largest cluster under it."""
    num_clusters = tree.num_clusters
    palette = cluster_colours(num_clusters) / 255
    largest_leaf = [
        max(members, key=lambda leaf: pixel_shares[leaf]) for members in tree.node_members()
    ]
    for merge_index, pair in enumerate(tree.merged_nodes.tolist()):
        node = num_clusters + merge_index
        for child in pair:
            panel.plot(
                [node_depth[child], node_depth[node]],
                [node_rows[child]] * 2,
                color=palette[largest_leaf[child]],
                linewidth=2.4,
            )
        child_rows = [node_rows[child] for child in pair]
        panel.plot([node_depth[node]] * 2, child_rows, color="0.35", linewidth=1.2)
    leaf_rows = node_rows[:num_clusters]
    panel.scatter(np.zeros(num_clusters), leaf_rows, c=palette, marker="s", s=70, zorder=3)


def _node_rows(tree: MergeTree) -> np.ndarray:
    """Row of the picture of each node; the clusters are ordered so that no branches cross."""
    leaf_order = [2 * tree.num_clusters - 2]  # the root, replaced by its children again and again
    while any(node >= tree.num_clusters for node in leaf_order):
        leaf_order = [
            child
            for node in leaf_order
            for child in (
                tree.merged_nodes[node - tree.num_clusters].tolist()
                if node >= tree.num_clusters
                else [node]
            )
        ]
    node_rows = np.zeros(2 * tree.num_clusters - 1)
    node_rows[leaf_order] = np.arange(tree.num_clusters)
    for merge_index, pair in enumerate(tree.merged_nodes.tolist()):
        node_rows[tree.num_clusters + merge_index] = node_rows[pair].mean()
    return node_rows
