"""A merge tree over clusters: any number of groups from one training, nested by construction.

The criteria of a merge are running means over the whole data set (`ClusterRelations`); the tree
itself is grown once, on the host, from k x k numbers.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Integer

EMPTY_SHARE = 1e-5  # a cluster with less than one pixel in a hundred thousand is not used


class ClusterRelations(NamedTuple):
    """Statistics of pairs of clusters, all of them means over many pixels.

    Attributes:
        usage: E[p_k], share of the pixels.
        neighbour_pairs: E[(p_i p_j' + p_j p_i') / 2] over pairs of neighbouring pixels i, j.
        confusion: E[p p'] over pixels.
    """

    usage: Float[Array, " k"]
    neighbour_pairs: Float[Array, "k k"]
    confusion: Float[Array, "k k"]


class MergeWeights(NamedTuple):
    """How much each part counts in :func:`grow_merge_tree`.

    Attributes:
        touch: share, 0 to below 1, of its distance that a pair loses which is mixed in space
            as if by chance.
        confusion: share, 0 to below 1, of its distance that a pair loses whose pixels do not
            decide between the two at all.
        size: 0: small and large clusters are alike; 1: Ward's criterion, by which small
            clusters go first.
    """

    touch: float = 0.5
    confusion: float = 0.5
    size: float = 0.25


DEFAULT_WEIGHTS = MergeWeights()


class MergeTree(NamedTuple):
    """Merges in their order, as `scipy.cluster.hierarchy` numbers them.

    Attributes:
        merged_nodes: the two nodes of each merge, the smaller number first; 0..k-1 are the
            clusters, k + m is the result of merge m.
        heights: distance that each merge bridges, in noise deviations; never falls.
    """

    merged_nodes: Int[np.ndarray, "merges 2"]
    heights: Float[np.ndarray, " merges"]

    @property
    def num_clusters(self) -> int:
        """Number of leaves k."""
        return len(self.merged_nodes) + 1

    def node_members(self) -> list[list[int]]:
        """Clusters under each node, ascending; the last node holds all."""
        found = [[cluster] for cluster in range(self.num_clusters)]
        for a, b in self.merged_nodes.tolist():
            found.append(sorted(found[a] + found[b]))
        return found

    def node_parents(self) -> list[int]:
        """Node above each node; -1 above the last."""
        found = [-1] * (self.num_clusters + len(self.merged_nodes))
        for merge, (a, b) in enumerate(self.merged_nodes.tolist()):
            found[a] = found[b] = self.num_clusters + merge
        return found


def cluster_relations(
    probabilities: Float[Array, "b h w k"], valid: Bool[Array, "b h w"]
) -> ClusterRelations:
    """Relations in some windows; neighbours are pixels beside or below one another, both valid.

    Args:
        probabilities: probabilities of the clusters, rows sum to 1.
        valid: pixels that count.
    """
    probabilities = jnp.where(valid[..., None], probabilities, 0)
    beside = _joint(probabilities[:, :, :-1], probabilities[:, :, 1:])
    below = _joint(probabilities[:, :-1], probabilities[:, 1:])
    pairs = (valid[:, :, :-1] & valid[:, :, 1:]).sum() + (valid[:, :-1] & valid[:, 1:]).sum()
    touch = (beside + below) / jnp.maximum(pairs, 1)
    pixels = jnp.maximum(valid.sum(), 1)
    return ClusterRelations(
        probabilities.sum((0, 1, 2)) / pixels,
        (touch + touch.T) / 2,
        _joint(probabilities, probabilities) / pixels,
    )


def sample_relations(p: Float[Array, "n k"]) -> ClusterRelations:
    """Relations of pixels drawn here and there: who touches whom is left to chance."""
    usage = p.mean(0)
    return ClusterRelations(usage, jnp.outer(usage, usage), p.T @ p / len(p))


def _joint(a: Float[Array, "*n k"], b: Float[Array, "*n k"]) -> Float[Array, "k k"]:
    return a.reshape(-1, a.shape[-1]).T @ b.reshape(-1, b.shape[-1])


def mixing_ratio(joint: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    """How far two clusters are mixed, among the pairs that lie in the two of them alone.

    With s = n_aa + 2 n_ab + n_bb, m_ab = n_ab s / ((n_aa + n_ab) (n_bb + n_ab)), cut at 1:
    0 where the two never meet, 1 where they meet as often as if by chance, as salt and pepper do.
    It is 1 minus the correlation of "the first is b" with "the second is b" over these pairs.
    0 where one of them is empty.

    Args:
        joint: symmetric, not negative: `Relations.neighbour_pairs` or `Relations.confusion`.
    """
    own = np.diag(joint)
    first = own[:, None] + joint
    total = first + first.T
    chance = first * first.T
    seen = chance > 0
    return np.where(seen, np.minimum(joint * total / np.where(seen, chance, 1), 1), 0)


def grow_merge_tree(
    centres: Float[np.ndarray, "k d"],
    relations: ClusterRelations,
    weights: MergeWeights = DEFAULT_WEIGHTS,
) -> MergeTree:
    """Grow a tree by joining, again and again, the two groups with the smallest distance.

    d_ab = ||c_a - c_b|| (1 - touch m_ab) (1 - confusion q_ab) (2 u_a u_b / (u_a + u_b))^(size / 2)

    where the centre c of a group is the mean of its clusters by usage u, m is `mixing_ratio` of who
    touches whom, q that of who is confused with whom, and the other names are the weights. So
    without neighbours and doubts it is the distance in noise deviations; clusters that lie in
    each other like salt and pepper, or that pixels do not decide between, count as nearer. Size
    has little say: a rare material that lies far from all others is not swallowed for being rare.
    Groups without pixels (`EMPTY_SHARE`) join their nearest neighbour first, at height 0.

    Args:
        centres: of the clusters, where the noise has unit deviation
            (:class:`jaxhsi.dgc.gaussian_mixture.WhitenedMixture`).
        relations: of the clusters.
        weights: of the parts.

    Raises:
        ValueError: a weight out of range.
    """
    if not (0 <= weights.touch < 1 and 0 <= weights.confusion < 1 and weights.size >= 0):
        raise ValueError(f"{weights} is out of range: shares from 0 to below 1, size from 0")
    leaves = ClusterRelations(*(np.asarray(part, np.float64) for part in relations))
    nodes, groups = list(range(len(centres))), np.eye(len(centres))
    pairs, heights = [], [0.0]
    while len(nodes) > 1:
        a, b, distance = _nearest(np.asarray(centres, np.float64), leaves, groups, weights)
        pairs.append(sorted((nodes[a], nodes[b])))
        heights.append(max(distance, heights[-1]))
        groups[a] += groups[b]
        groups, nodes[a] = np.delete(groups, b, 0), len(centres) + len(pairs) - 1
        del nodes[b]
    return MergeTree(np.array(pairs, np.int64).reshape(-1, 2), np.array(heights[1:]))


def _nearest(
    centres: Float[np.ndarray, "k d"],
    relations: ClusterRelations,
    groups: Float[np.ndarray, "g k"],
    weights: MergeWeights,
) -> tuple[int, int, float]:
    """The two groups to join next and their distance, see :func:`grow_merge_tree`."""
    usage = groups @ relations.usage
    share = groups * np.maximum(relations.usage, 1e-12)  # a group without pixels has a centre too
    means = share @ centres / share.sum(1, keepdims=True)
    distance = np.linalg.norm(means[:, None] - means, axis=-1)
    np.fill_diagonal(distance, np.inf)
    dead = usage < EMPTY_SHARE
    if dead.any():
        order = np.where(dead[:, None], distance, np.inf)
        a, b = sorted(map(int, np.unravel_index(order.argmin(), order.shape)))
        return a, b, 0.0
    distance *= 1 - weights.touch * mixing_ratio(groups @ relations.neighbour_pairs @ groups.T)
    distance *= 1 - weights.confusion * mixing_ratio(groups @ relations.confusion @ groups.T)
    distance *= (2 * np.outer(usage, usage) / (usage[:, None] + usage)) ** (weights.size / 2)
    a, b = sorted(map(int, np.unravel_index(distance.argmin(), distance.shape)))
    return a, b, float(distance[a, b])


def cut_tree(tree: MergeTree, num_groups: int) -> Int[np.ndarray, " clusters"]:
    """Group, 0..k-1, of each cluster once the tree is cut into k groups.

    Groups are numbered by their first cluster. Every group of ``cut_tree(tree, k + 1)``
    lies in one of ``cut_tree(tree, k)``.

    Raises:
        ValueError: k is not in 1..number of clusters.
    """
    if not 1 <= num_groups <= tree.num_clusters:
        raise ValueError(f"the tree has 1 to {tree.num_clusters} groups, not {num_groups}")
    group, members = np.arange(tree.num_clusters), tree.node_members()
    for merge in range(tree.num_clusters - num_groups):
        group[members[tree.num_clusters + merge]] = tree.num_clusters + merge
    first = dict.fromkeys(group.tolist())  # in the order of the first clusters
    number = {node: i for i, node in enumerate(first)}
    return np.array([number[node] for node in group.tolist()], np.int64)


def majority_label(
    tree: MergeTree, votes: Integer[np.ndarray, "k c"]
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """A class for every cluster from the votes of a few labelled pixels.

    A cluster takes the class with the most votes. Where it has none, or two classes have as
    many, the votes of all clusters under the next node above it are counted together, and so on
    up the tree: its nearest relatives decide. If even all votes together are a tie, the first
    class wins.

    Args:
        tree: over the clusters.
        votes: labelled pixels of each class in each cluster.

    Returns:
        Class of each cluster, and the node of the tree that decided it (the cluster itself where
        its own votes did).

    Raises:
        ValueError: there is not a single vote.
    """
    if not votes.any():
        raise ValueError("no labelled pixel lies in any cluster; nothing can be named")
    counts = np.array([votes[members].sum(0) for members in tree.node_members()])
    most = counts.max(1, keepdims=True)
    clear = (most[:, 0] > 0) & ((counts == most).sum(1) == 1)
    clear[-1] = True
    parents, deciding = tree.node_parents(), np.arange(tree.num_clusters)
    for cluster in range(tree.num_clusters):
        while not clear[deciding[cluster]]:
            deciding[cluster] = parents[deciding[cluster]]
    return counts.argmax(1)[deciding].astype(np.int64), deciding
