"""The merge tree of clusters, for the screen and as a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from rich.tree import Tree as Branches

from jaxhsi.dgc.merge_tree import Tree
from jaxhsi.report import label_pictures
from jaxhsi.report.spectra_plots import save_figure

DISTANCE_TICKS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def format_tree(
    tree: Tree, pixel_shares: Float[np.ndarray, " k"], cluster_names: Sequence[str]
) -> Branches:
    """The tree from its root down.

    Each merge comes with its share of the pixels, the largest cut in which it is one group, and
    the distance that it bridges.

    Args:
        tree: of the clusters.
        pixel_shares: of the pixels.
        cluster_names: of the clusters.
    """
    members = tree.members()

    def text(node: int) -> str:
        share = f"{pixel_shares[members[node]].sum():.2%}"
        if node < tree.clusters:
            return f"{cluster_names[node]}  {share}"
        merge = node - tree.clusters
        together = "in 1 group" if node == root else f"up to {len(tree.pairs) - merge} groups"
        return f"{share}  together {together} (distance {tree.heights[merge]:.2f})"

    root = len(members) - 1
    top = Branches(text(root))
    waiting = [(root, top)]
    while waiting:
        node, branch = waiting.pop()
        if node >= tree.clusters:
            pair = tree.pairs[node - tree.clusters].tolist()
            for child in sorted(pair, key=lambda n: -pixel_shares[members[n]].sum()):
                waiting.append((child, branch.add(text(child))))
    return top


def draw_tree(
    path: Path,
    tree: Tree,
    pixel_shares: Float[np.ndarray, " k"],
    cluster_names: Sequence[str],
    marked_cuts: Sequence[int] = (),
) -> None:
    """A dendrogram: clusters at the left in the colours of the maps, the root at the right.

    Distances are drawn as their square roots, so that the near ones can be told apart.

    Args:
        path: of the picture.
        tree: of the clusters.
        pixel_shares: of the pixels.
        cluster_names: of the clusters.
        marked_cuts: numbers of groups whose place is marked.
    """
    count, places = tree.clusters, _places(tree)
    depth = np.concatenate([np.zeros(count), np.sqrt(tree.heights)])
    palette = label_pictures.cluster_colours(count) / 255
    largest = [max(m, key=lambda leaf: pixel_shares[leaf]) for m in tree.members()]
    figure = Figure(figsize=(8.5, 1.3 + 0.27 * count))
    panel = figure.add_subplot()
    for merge, pair in enumerate(tree.pairs.tolist()):
        node = count + merge
        for child in pair:
            colour = palette[largest[child]]
            panel.plot(
                [depth[child], depth[node]], [places[child]] * 2, color=colour, linewidth=2.4
            )
        panel.plot(
            [depth[node]] * 2, [places[child] for child in pair], color="0.35", linewidth=1.2
        )
    panel.scatter(np.zeros(count), places[:count], c=palette, marker="s", s=70, zorder=3)
    labels = [f"{cluster_names[i]}  {pixel_shares[i]:.1%}" for i in range(count)]
    panel.set_yticks(places[:count], labels, fontsize=8)
    panel.tick_params(axis="y", length=0, pad=8)
    end = max(float(depth.max()), 1.0)
    ticks = [tick for tick in DISTANCE_TICKS if np.sqrt(tick) <= end]
    panel.set_xticks(np.sqrt(ticks), [str(tick) for tick in ticks], fontsize=8)
    panel.set(xlim=(-0.02 * end, 1.04 * end), ylim=(count - 0.4, -1.2))
    marked = sorted({k for k in marked_cuts if 1 < k < count})
    dashed = "; dashed: suggested numbers of groups" if marked else ""
    named = f"distance in noise deviations, shorter where clusters are mixed{dashed}"
    panel.set_xlabel(named, fontsize=8)
    for k in marked:
        at = depth[[2 * count - k - 1, 2 * count - k]].mean()
        panel.axvline(at, color="0.5", linewidth=0.8, linestyle="--", zorder=0)
        panel.text(at, -0.75, str(k), ha="center", fontsize=8, backgroundcolor="white")
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)
    save_figure(figure, path)


def _places(tree: Tree) -> np.ndarray:
    """Height on the page of each node: clusters in an order in which no lines cross."""
    order = [2 * tree.clusters - 2]
    while any(node >= tree.clusters for node in order):
        order = [
            leaf
            for node in order
            for leaf in (
                tree.pairs[node - tree.clusters].tolist() if node >= tree.clusters else [node]
            )
        ]
    places = np.zeros(2 * tree.clusters - 1)
    places[order] = np.arange(tree.clusters)
    for merge, pair in enumerate(tree.pairs.tolist()):
        places[tree.clusters + merge] = places[pair].mean()
    return places
