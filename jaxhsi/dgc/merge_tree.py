"""A merge tree over clusters: any number of groups from one training, nested by construction.

The criteria of a merge are running means over the whole data set (`ClusterRelations`); the tree
itself is grown once, on the host, from k x k numbers.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

EMPTY_SHARE = 1e-5
"""Share of the pixels below which a cluster counts as empty: one in a hundred thousand. Chosen by
hand; not tuned."""


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

    The defaults were chosen by hand while looking at the scores of the scenes of
    `benchmarks/dgc/quality.py`.

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
        members = [[cluster] for cluster in range(self.num_clusters)]
        for first_child, second_child in self.merged_nodes.tolist():
            members.append(sorted(members[first_child] + members[second_child]))
        return members

    def node_parents(self) -> list[int]:
        """Node above each node; -1 above the last."""
        parent_nodes = [-1] * (self.num_clusters + len(self.merged_nodes))
        for merge_index, (first_child, second_child) in enumerate(self.merged_nodes.tolist()):
            parent_nodes[first_child] = parent_nodes[second_child] = self.num_clusters + merge_index
        return parent_nodes


def cluster_relations(
    probabilities: Float[Array, "b h w k"], valid_mask: Bool[Array, "b h w"]
) -> ClusterRelations:
    """Relations in some windows; neighbours are pixels beside or below one another, both valid.

    Args:
        probabilities: probabilities of the clusters, rows sum to 1.
        valid_mask: pixels that count.
    """
    probabilities = jnp.where(valid_mask[..., None], probabilities, 0)
    beside_pairs = _joint(probabilities[:, :, :-1], probabilities[:, :, 1:])
    below_pairs = _joint(probabilities[:, :-1], probabilities[:, 1:])
    num_pairs = (valid_mask[:, :, :-1] & valid_mask[:, :, 1:]).sum()
    num_pairs = num_pairs + (valid_mask[:, :-1] & valid_mask[:, 1:]).sum()
    pair_shares = (beside_pairs + below_pairs) / jnp.maximum(num_pairs, 1)
    num_pixels = jnp.maximum(valid_mask.sum(), 1)
    return ClusterRelations(
        probabilities.sum((0, 1, 2)) / num_pixels,
        (pair_shares + pair_shares.T) / 2,
        _joint(probabilities, probabilities) / num_pixels,
    )


def sample_relations(probabilities: Float[Array, "n k"]) -> ClusterRelations:
    """Relations of pixels drawn here and there: who touches whom is left to chance."""
    usage = probabilities.mean(0)
    return ClusterRelations(
        usage, jnp.outer(usage, usage), probabilities.T @ probabilities / len(probabilities)
    )


def _joint(
    first_rows: Float[Array, "*n k"], second_rows: Float[Array, "*n k"]
) -> Float[Array, "k k"]:
    num_clusters = first_rows.shape[-1]
    return first_rows.reshape(-1, num_clusters).T @ second_rows.reshape(-1, num_clusters)


def mixing_ratio(joint_shares: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    """How far two clusters are mixed, among the pairs that lie in the two of them alone.

    With s = n_aa + 2 n_ab + n_bb, m_ab = n_ab s / ((n_aa + n_ab) (n_bb + n_ab)), cut at 1:
    0 where the two never meet, 1 where they meet as often as if by chance, as salt and pepper do.
    It is 1 minus the correlation of "the first is b" with "the second is b" over these pairs.
    0 where one of them is empty.

    Args:
        joint_shares: symmetric, not negative: see `ClusterRelations`.
    """
    diagonal = np.diag(joint_shares)
    row_totals = diagonal[:, None] + joint_shares
    pair_totals = row_totals + row_totals.T
    chance_product = row_totals * row_totals.T
    # Empty clusters have no pairs: 0 rather than a division by zero.
    is_used = chance_product > 0
    ratio = joint_shares * pair_totals / np.where(is_used, chance_product, 1)
    return np.where(is_used, np.minimum(ratio, 1), 0)


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
    # In float64: shares of rare clusters are sums of many small numbers.
    usage, neighbour_pairs, confusion = (np.asarray(part, np.float64) for part in relations)
    # A bound above 0: a group without pixels must have a centre too.
    mean_weights = np.maximum(usage, 1e-12)
    centres = np.asarray(centres, np.float64)
    weighted_centres = mean_weights[:, None] * centres
    centre_distances = np.linalg.norm(centres[:, None] - centres, axis=-1)
    groups = _Groups(
        usage, mean_weights, weighted_centres, neighbour_pairs, confusion, centre_distances
    )
    node_numbers, merged_pairs, heights = list(range(len(centres))), [], [0.0]
    # As in centroid linkage, a later merge may bridge a shorter distance; its height does not fall,
    # so that a cut by height is a cut by number.
    while len(node_numbers) > 1:
        a, b, merge_distance = _nearest(groups, weights)
        merged_pairs.append(sorted((node_numbers[a], node_numbers[b])))
        heights.append(max(merge_distance, heights[-1]))
        groups, node_numbers[a] = groups.join(a, b), len(centres) + len(merged_pairs) - 1
        del node_numbers[b]
    return MergeTree(np.array(merged_pairs, np.int64).reshape(-1, 2), np.array(heights[1:]))


class _Groups(NamedTuple):
    """Sums over the clusters of each group, from which a merge makes those of the next step.

    Attributes:
        usage: share of the pixels.
        mean_weights: of the clusters in a group's centre.
        weighted_centres: centres times their weights.
        neighbour_pairs: see `ClusterRelations`.
        confusion: see `ClusterRelations`.
        centre_distances: between the centres.
    """

    usage: Float[np.ndarray, " g"]
    mean_weights: Float[np.ndarray, " g"]
    weighted_centres: Float[np.ndarray, "g d"]
    neighbour_pairs: Float[np.ndarray, "g g"]
    confusion: Float[np.ndarray, "g g"]
    centre_distances: Float[np.ndarray, "g g"]

    def join(self, a: int, b: int) -> "_Groups":
        """Group b, the later one, added to group a."""
        usage, mean_weights, weighted_centres = (_join_rows(part, a, b) for part in self[:3])
        neighbour_pairs, confusion, distances = (
            _join_rows(_join_rows(part, a, b).T, a, b).T for part in self[3:]
        )
        centres = weighted_centres / mean_weights[:, None]
        distances[a] = distances[:, a] = np.linalg.norm(centres - centres[a], axis=-1)
        return _Groups(usage, mean_weights, weighted_centres, neighbour_pairs, confusion, distances)


def _join_rows(rows: np.ndarray, a: int, b: int) -> np.ndarray:
    joined = np.delete(rows, b, axis=0)
    joined[a] += rows[b]
    return joined


def _nearest(groups: _Groups, weights: MergeWeights) -> tuple[int, int, float]:
    """The two groups to join next and their distance, see :func:`grow_merge_tree`."""
    distance = groups.centre_distances.copy()
    np.fill_diagonal(distance, np.inf)
    is_empty = groups.usage < EMPTY_SHARE
    if is_empty.any():
        empty_distance = np.where(is_empty[:, None], distance, np.inf)
        a, b = sorted(map(int, np.unravel_index(empty_distance.argmin(), empty_distance.shape)))
        return a, b, 0.0
    distance *= 1 - weights.touch * mixing_ratio(groups.neighbour_pairs)
    distance *= 1 - weights.confusion * mixing_ratio(groups.confusion)
    # The harmonic mean, as in the criterion of Ward, which the smaller group dominates.
    usage_sums = groups.usage[:, None] + groups.usage
    usage_products = np.outer(groups.usage, groups.usage)
    distance *= (2 * usage_products / usage_sums) ** (weights.size / 2)
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
    group_nodes, members = np.arange(tree.num_clusters), tree.node_members()
    for merge_index in range(tree.num_clusters - num_groups):
        group_nodes[members[tree.num_clusters + merge_index]] = tree.num_clusters + merge_index
    first_nodes = dict.fromkeys(group_nodes.tolist())  # in the order of the first clusters
    group_number = {node: group_index for group_index, node in enumerate(first_nodes)}
    return np.array([group_number[node] for node in group_nodes.tolist()], np.int64)
