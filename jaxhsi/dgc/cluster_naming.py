"""Names of clusters from labelled pixels, given only where there is evidence for them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Integer

from jaxhsi.dgc.merge_tree import MergeTree

UNNAMED = "unnamed"
"""Name of the group of the clusters that no label speaks for."""

MIN_CLUSTER_SHARE = 0.1
"""Labelled share of a cluster's pixels that is evidence for a name. Below it the labels may be the
rim of a shape that lies in another cluster: a rim of one pixel is 4 % of a shape of 100 x 100."""

MIN_CLASS_SHARE = 0.05
"""Share of a class's labelled pixels in a cluster that is evidence too, for labels that are few."""


class ClusterNames(NamedTuple):
    """Which class each cluster is named after.

    Attributes:
        class_indices: class of each cluster, -1 where it is unnamed.
        deciding_nodes: node of the merge tree whose labels decided: the cluster itself, or one
            above it; -1 where it is unnamed.
    """

    class_indices: Int[np.ndarray, " k"]
    deciding_nodes: Int[np.ndarray, " k"]


def name_clusters(
    tree: MergeTree,
    votes: Integer[np.ndarray, "k c"],
    cluster_pixels: Integer[np.ndarray, " k"] | None = None,
) -> ClusterNames:
    """Name clusters by the labelled pixels in them, and others like their near relatives.

    A cluster takes the class of more than half of its labelled pixels, if these are evidence:
    `MIN_CLUSTER_SHARE` of the cluster's pixels, or `MIN_CLASS_SHARE` of all labelled pixels of the
    class. Without such labels of its own it is named like the named clusters under the nearest node
    above it, if that node lies lower than any that joins two classes (a cluster that is further
    from its relatives than classes are from each other is unnamed). Where labels are areas and not
    seeds, `MIN_CLUSTER_SHARE` of all pixels or more, so much of the node must be labelled, too, and
    more than half of that alike: what nobody drew near a drawn area is rather something else.

    Args:
        tree: over the clusters.
        votes: labelled pixels of each class in each cluster.
        cluster_pixels: pixels of each cluster in the labelled cubes; None where labels are single
            pixels that somebody chose, each of which is evidence.

    Raises:
        ValueError: there is not a single vote.
    """
    if not votes.any():
        raise ValueError("no labelled pixel lies in any cluster; nothing can be named")
    own_class = np.where(_has_evidence(votes, cluster_pixels), votes.argmax(1), -1)
    separation_height = _lowest_join(tree, own_class)
    class_indices = own_class.copy()
    deciding_nodes = np.where(own_class < 0, -1, np.arange(len(votes)))
    members, parents = tree.node_members(), tree.node_parents()
    for cluster in np.flatnonzero(own_class < 0).tolist():
        node = parents[cluster]
        while node >= 0 and tree.heights[node - tree.num_clusters] < separation_height:
            classes = {int(c) for c in own_class[members[node]] if c >= 0}
            if classes:
                if not _node_has_evidence(votes, cluster_pixels, members[node]):
                    break
                class_indices[cluster], deciding_nodes[cluster] = classes.pop(), node
                break
            node = parents[node]
    return ClusterNames(class_indices.astype(np.int64), deciding_nodes.astype(np.int64))


def _has_evidence(
    votes: Integer[np.ndarray, "k c"], cluster_pixels: Integer[np.ndarray, " k"] | None
) -> Bool[np.ndarray, " k"]:
    labelled, most = votes.sum(1), votes.max(1)
    is_majority = 2 * most > labelled
    if cluster_pixels is None:
        return is_majority
    class_votes = votes.sum(0)[votes.argmax(1)]
    is_enough = labelled >= MIN_CLUSTER_SHARE * cluster_pixels
    is_enough |= most >= MIN_CLASS_SHARE * class_votes
    return is_majority & is_enough


def _node_has_evidence(
    votes: Integer[np.ndarray, "k c"],
    cluster_pixels: Integer[np.ndarray, " k"] | None,
    members: list[int],
) -> bool:
    """Whether labels speak for one class in all clusters under a node together."""
    node_votes = votes[members].sum(0)
    if 2 * node_votes.max() <= node_votes.sum():
        return False
    if cluster_pixels is None or votes.sum() < MIN_CLUSTER_SHARE * cluster_pixels.sum():
        return True
    return bool(node_votes.sum() >= MIN_CLUSTER_SHARE * cluster_pixels[members].sum())


def _lowest_join(tree: MergeTree, own_class: Integer[np.ndarray, " k"]) -> float:
    """Height of the lowest node that joins two classes; below all nodes where there is but one."""
    for node, members in enumerate(tree.node_members()[tree.num_clusters :]):
        if len({int(c) for c in own_class[members] if c >= 0}) > 1:
            return float(tree.heights[node])
    return -np.inf
