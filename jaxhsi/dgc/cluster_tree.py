"""The merge tree of a trained clustering, with what is known of its clusters and its cuts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Integer, Key

from jaxhsi import label_counts, metrics
from jaxhsi.cluster_groups import Grouping, default_cluster_name, make_grouping
from jaxhsi.dgc import gaussian_mixture as mixtures
from jaxhsi.dgc.merge_tree import ClusterRelations, MergeTree, cut_tree, grow_merge_tree
from jaxhsi.dgc.pca_embedding import embed
from jaxhsi.dgc.stability import CutSuggestion, measure_stability, suggest_cuts
from jaxhsi.dgc.state import State
from jaxhsi.normalisation import Normalisation

CUT_SCORES = ("mean_iou", "per_class_iou", "oa", "nmi")
"""Scores of `metrics.scores` that are computed for every cut of a tree."""


class ClusterTree(NamedTuple):
    """The merge tree of a run and what describes its clusters and cuts.

    Attributes:
        tree: merges of the clusters.
        pixel_shares: share of the labelled pixels of each cluster, 0 to 1.
        cluster_names: name of each cluster; with the majority class of its pixels where the true
            classes are known.
        cut_stability: adjusted Rand index between two halves of the data for the cuts into 1, 2,
            ... k groups, see :func:`jaxhsi.dgc.stability.measure_stability`; None if not computed.
        suggested_cuts: cuts worth looking at, the first the most so.
    """

    tree: MergeTree
    pixel_shares: Float[np.ndarray, " k"]
    cluster_names: tuple[str, ...]
    cut_stability: Float[np.ndarray, " k"] | None
    suggested_cuts: tuple[CutSuggestion, ...]


def embed_sample(
    initial_state: Any, normalisations: Sequence[Normalisation], spectra: Float[Array, "n c"]
) -> Float[Array, "n d"] | None:
    """A sample of spectra in the closed-form embedding of the default method.

    Args:
        initial_state: what ``init`` returned.
        normalisations: of the spectra, as the method has them.
        spectra: raw spectra, in the units of the cubes.

    Returns:
        The embedded spectra, or None for a method without a closed-form embedding (upstream's).
    """
    if not isinstance(initial_state, State):
        return None
    # The same function and static argument as in ``init``, so that nothing is compiled again.
    compiled_embed = jax.jit(embed, static_argnums=1)
    return compiled_embed(initial_state.pca_embedding, normalisations, spectra)


def build_cluster_tree(
    key: Key[Array, ""],
    trained_state: Any,
    sample_embedding: Float[Array, "n d"] | None,
    cluster_pixels: Integer[np.ndarray, " k"],
    majority_classes: Integer[np.ndarray, " k"] | None = None,
    class_names: Sequence[str] = (),
    *,
    mesh: Mesh | None = None,
) -> ClusterTree:
    """Build the merge tree of a trained state and measure how stable its cuts are.

    Upstream's method has neither noise deviations nor relations between clusters. For it, the
    tree uses the distances between the centroids alone, and no cut is suggested.

    Args:
        key: of the random halves of the data (`stability`).
        trained_state: state after training, on the host.
        sample_embedding: result of :func:`embed_sample`; no stability is computed without it.
        cluster_pixels: number of pixels labelled as each cluster.
        majority_classes: majority class of each cluster, -1 for none; None if unknown.
        class_names: names of the classes.
        mesh: devices that the fits to halves of the data are spread over; one if None.

    Returns:
        The tree with shares, names, stability and suggestions.
    """
    pixel_shares = label_counts.pixel_shares(cluster_pixels)
    cut_stability, suggested_cuts = None, ()
    if isinstance(trained_state, State):
        centres = np.asarray(mixtures.whiten_mixture(trained_state.mixture).centres)
        tree = grow_merge_tree(centres, trained_state.cluster_relations)
    else:
        # Without neighbours and without doubts: only the distances are left to decide.
        independent = ClusterRelations(
            pixel_shares, np.outer(pixel_shares, pixel_shares), np.diag(pixel_shares)
        )
        tree = grow_merge_tree(np.asarray(trained_state.params["centroids"]), independent)
    # Each half of the sample must hold at least a pixel a cluster, and a tree of one or two
    # clusters has no cut to choose.
    if sample_embedding is not None and len(sample_embedding) >= 2 * tree.num_clusters > 4:
        mixture = jax.tree.map(jnp.asarray, trained_state.mixture)
        touch = jnp.asarray(trained_state.cluster_relations.neighbour_pairs)
        stability_scores = measure_stability(key, sample_embedding, mixture, touch, mesh=mesh)
        cut_stability = stability_scores.mean(0)
        suggested_cuts = suggest_cuts(tree, cut_stability)
    # Named last: names depend on the clusters alone, not on the tree.
    cluster_names = name_clusters(tree.num_clusters, majority_classes, class_names)
    return ClusterTree(tree, pixel_shares, cluster_names, cut_stability, suggested_cuts)


def name_clusters(
    num_clusters: int,
    majority_classes: Integer[np.ndarray, " k"] | None = None,
    class_names: Sequence[str] = (),
) -> tuple[str, ...]:
    """Names of clusters, followed by their majority class where there is one.

    Args:
        num_clusters: number of clusters k.
        majority_classes: index into `class_names` of each cluster, -1 for none; None if unknown.
        class_names: names of the classes.

    >>> name_clusters(2, np.array([1, -1]), ["soil", "leaf"])
    ('cluster 0 leaf', 'cluster 1')
    """
    class_indices = [-1] * num_clusters if majority_classes is None else majority_classes.tolist()
    return tuple(
        default_cluster_name(k) + (f" {class_names[index]}" if index >= 0 else "")
        for k, index in enumerate(class_indices)
    )


def score_cuts(
    tree: MergeTree, confusion_matrix: Integer[np.ndarray, "k c"]
) -> dict[str, dict[str, Any]]:
    """Scores of every cut against true classes.

    Args:
        tree: merge tree of the clusters.
        confusion_matrix: pixels of each cluster (rows) in each class (columns).

    Returns:
        Number of groups, as text -> the scores named in `CUT_SCORES`, see `metrics.scores`.
    """
    scores_by_cut = {}
    for num_groups in range(1, tree.num_clusters + 1):
        group_matrix = np.zeros((num_groups, confusion_matrix.shape[1]), np.int64)
        np.add.at(group_matrix, cut_tree(tree, num_groups), confusion_matrix)
        # Each cut gets its own mapping to classes, as a clustering of that size would.
        all_scores = metrics.clustering_scores(group_matrix)
        scores_by_cut[str(num_groups)] = {name: all_scores[name] for name in CUT_SCORES}
    return scores_by_cut


def cut_to_grouping(tree: MergeTree, num_groups: int) -> Grouping:
    """The groups of a cut as named groups: "group 0", "group 1", ...

    A cluster that is alone in its group keeps its own name.

    Args:
        tree: merge tree of the clusters.
        num_groups: groups of the cut, 1 to the number of clusters.

    Raises:
        ValueError: the tree has no such cut.

    >>> tree = MergeTree(np.array([[0, 2], [1, 3]]), np.array([1.0, 2.0]))
    >>> cut_to_grouping(tree, 2).members_by_name()
    {'group 0': [0, 2], 'cluster 1': [1]}
    """
    group_of_cluster = cut_tree(tree, num_groups)
    members = [np.flatnonzero(group_of_cluster == group).tolist() for group in range(num_groups)]
    clusters_by_name = {
        default_cluster_name(each[0]) if len(each) == 1 else f"group {i}": each
        for i, each in enumerate(members)
    }
    return make_grouping(clusters_by_name, tree.num_clusters)
