"""How well the cuts of a merge tree hold when the data change, and which of them to look at."""

from collections.abc import Sequence
from functools import partial
from operator import itemgetter
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key

from jaxhsi import metrics
from jaxhsi.dgc import gaussian_mixture as mixtures
from jaxhsi.dgc.gaussian_mixture import Mixture
from jaxhsi.dgc.merge_tree import (
    DEFAULT_WEIGHTS,
    ClusterRelations,
    MergeTree,
    MergeWeights,
    cut_tree,
    grow_merge_tree,
)
from jaxhsi.sharding import map_rows, replicate

MAX_HALF_SIZE = 4096
"""Pixels of a half at most, which bounds the time of the fits. Set by hand."""
MIXTURE_STARTS = 4
"""Starts of each fit; the trained mixture has more, but its fit is done once. Set by hand."""
STABLE_SCORE = 0.9
"""Adjusted Rand index from which two halves of the data are said to agree. Chosen by hand; not
tuned."""
MAX_SUGGESTIONS = 3
"""Cuts that are suggested; as many as a person may look at. Set by hand."""
OVERLAP_DISTANCE = 2.0
"""Deviations below which two clusters overlap, and how much nearer they are says little. Chosen by
hand; not tuned."""

_posterior = jax.jit(mixtures.posterior)


class CutSuggestion(NamedTuple):
    """A cut worth looking at.

    Attributes:
        num_groups: number of groups k.
        reason: in words.
    """

    num_groups: int
    reason: str


def measure_stability(
    key: Key[Array, ""],
    embedded_pixels: Float[Array, "n d"],
    mixture: Mixture,
    neighbour_pairs: Float[Array, "k k"],
    num_repeats: int = 3,
    merge_weights: MergeWeights = DEFAULT_WEIGHTS,
    *,
    mesh: Mesh | None = None,
) -> Float[np.ndarray, "repeats k"]:
    """How far the trees of two halves of a sample agree, for every cut.

    The sample is split at random; the mixture is fitted to each half by itself, a tree is grown
    from each fit, and all pixels of both halves are labelled by both. The score of a cut is the
    adjusted Rand index of the two labellings: 1 where they are the same, about 0 where they have
    no more in common than chance. A sample has no neighbours: who touches whom is carried over
    from the trained clusters by the share of each that falls to the fitted ones.

    Args:
        key: of the splits and the fits.
        embedded_pixels: in any order, at least two for each cluster; 8,192 of them are used.
        mixture: the trained clusters.
        neighbour_pairs: theirs, see :class:`jaxhsi.dgc.merge_tree.ClusterRelations`.
        num_repeats: splits.
        merge_weights: of the trees.
        mesh: devices that the fits are spread over; the one that the pixels are on if None.

    Returns:
        Scores of the cuts into 1, 2, ... k groups.

    Raises:
        ValueError: fewer than two pixels for each cluster.
    """
    num_clusters = len(mixture.cluster_share)
    half_size = min(len(embedded_pixels) // 2, MAX_HALF_SIZE)
    if half_size < num_clusters:
        raise ValueError(
            f"halves of {len(embedded_pixels)} pixels cannot start {num_clusters} clusters each"
        )
    touch = np.asarray(neighbour_pairs, np.float64)
    drawn_pixels, fit_keys = _draw_halves(key, embedded_pixels, num_repeats, half_size)
    # Disjoint, so that the two fits of a repeat share no pixel.
    halves = drawn_pixels.reshape(2 * num_repeats, half_size, -1)
    if mesh is not None:
        fit_keys, halves = replicate(mesh, (fit_keys, halves))
    half_mixtures = _fit_halves(fit_keys, halves, num_clusters, mesh)
    agreement_scores = np.empty((num_repeats, num_clusters))
    for repeat_index, pixels in enumerate(drawn_pixels):
        trained_posterior = np.asarray(_posterior(pixels, mixture), np.float64)
        # Each tree labels both halves: a cut is stable where the two labellings agree.
        half_results = [
            _half_result(
                jax.tree.map(itemgetter(2 * repeat_index + half), half_mixtures),
                pixels,
                trained_posterior,
                touch,
                merge_weights,
            )
            for half in range(2)
        ]
        agreement_scores[repeat_index] = [
            _agreement(half_results, k) for k in range(1, num_clusters + 1)
        ]
    return agreement_scores


def _draw_halves(
    key: Array, embedded_pixels: Array, num_repeats: int, half_size: int
) -> tuple[Float[Array, "repeats m d"], Key[Array, " fits"]]:
    """Pixels of each repeat, one half after the other; and a key for the fit of each half."""
    drawn_pixels, fit_keys = [], []
    for split_key in jax.random.split(key, num_repeats):
        order_key, fit_key = jax.random.split(split_key)
        pixel_order = jax.random.permutation(order_key, len(embedded_pixels))
        drawn_pixels.append(embedded_pixels[pixel_order[: 2 * half_size]])
        fit_keys.append(jax.random.split(fit_key))
    return jnp.stack(drawn_pixels), jnp.concatenate(fit_keys)


@partial(jax.jit, static_argnums=(2, 3))
def _fit_halves(
    fit_keys: Key[Array, " fits"],
    halves: Float[Array, "fits n d"],
    num_clusters: int,
    mesh: Mesh | None,
) -> Mixture:
    def fit(row: tuple[Array, Array]) -> Mixture:
        return mixtures.fit_mixture(*row, num_clusters, MIXTURE_STARTS)

    return map_rows(mesh, fit, (fit_keys, halves))


def _half_result(
    half_mixture: Mixture,
    all_pixels: Array,
    trained_posterior: np.ndarray,
    neighbour_pairs: np.ndarray,
    merge_weights: MergeWeights,
) -> tuple[MergeTree, np.ndarray]:
    """The tree of a fit to a part of the pixels, and its labels of all of them."""
    probabilities = np.asarray(_posterior(all_pixels, half_mixture), np.float64)
    cluster_overlap = (
        trained_posterior.T @ probabilities / np.maximum(trained_posterior.sum(0)[:, None], 1e-12)
    )
    # Fitted clusters inherit the neighbours of the trained ones that they consist of.
    half_relations = ClusterRelations(
        probabilities.mean(0),
        cluster_overlap.T @ neighbour_pairs @ cluster_overlap,
        probabilities.T @ probabilities / len(probabilities),
    )
    # In the noise deviations of the half itself, as its own fit measures them.
    centres = np.asarray(mixtures.whiten_mixture(half_mixture).centres)
    return grow_merge_tree(centres, half_relations, merge_weights), probabilities.argmax(1)


def _agreement(half_results: Sequence[tuple[MergeTree, np.ndarray]], num_groups: int) -> float:
    # Both trees label all pixels: groups need no common numbers to be compared.
    first_labels, second_labels = (
        cut_tree(tree, num_groups)[labels] for tree, labels in half_results
    )
    return metrics.adjusted_rand_index(
        metrics.confusion_matrix(first_labels, second_labels, num_groups, num_groups)
    )


def cut_gaps(tree: MergeTree) -> Float[np.ndarray, " k"]:
    """How much farther apart the groups of a cut are than those of the next finer one.

    gap_k = (h_k-1 + 2) / (h_k + 2), at least 1, where h_k is the height of the merge that left k
    groups, and 2 the distance in deviations below which clusters overlap. NaN where there is no
    such pair: 1 group, all of them, or groups without pixels left to merge.

    Returns:
        Gaps of the cuts into 1, 2, ... k groups.
    """
    # NaN, not 0: one group and all of them have no gap to compare.
    gap_ratios = np.full(tree.num_clusters, np.nan)
    for num_groups in range(2, tree.num_clusters):
        finer_height, coarser_height = (
            tree.heights[tree.num_clusters - num_groups - 1],
            tree.heights[tree.num_clusters - num_groups],
        )
        if finer_height > 0:
            gap_ratios[num_groups - 1] = (coarser_height + OVERLAP_DISTANCE) / (
                finer_height + OVERLAP_DISTANCE
            )
    return gap_ratios


def suggest_cuts(
    tree: MergeTree, stability_scores: Float[np.ndarray, " k"]
) -> tuple[CutSuggestion, ...]:
    """Up to three cuts worth looking at, the first the most so, each with its reason.

    Of the cuts on which two halves of the data agree (`STABLE_SCORE`; where there are none, of
    those on which they agree best) the ones after which the tree makes the largest step up.

    Args:
        tree: of the trained clusters.
        stability_scores: mean of :func:`measure_stability` over the repeats.
    """
    gap_ratios = cut_gaps(tree)
    defined_cuts = [k for k in range(2, tree.num_clusters) if not np.isnan(gap_ratios[k - 1])]
    if not defined_cuts:
        return ()
    # Stability first, then the gap: a large gap that does not repeat is chance.
    stable_cuts = [k for k in defined_cuts if stability_scores[k - 1] >= STABLE_SCORE]
    if not stable_cuts:
        best_cut = max(defined_cuts, key=lambda k: stability_scores[k - 1])
        return (
            CutSuggestion(
                best_cut,
                _reason(
                    best_cut, gap_ratios, stability_scores, "no cut is stable; this one is most"
                ),
            ),
        )
    ordered_cuts = sorted(stable_cuts, key=lambda k: -gap_ratios[k - 1])[:MAX_SUGGESTIONS]
    places = [f"the stable cut with the {nth}largest gap" for nth in ("", "second ", "third ")]
    return tuple(
        CutSuggestion(k, _reason(k, gap_ratios, stability_scores, place))
        for k, place in zip(ordered_cuts, places[: len(ordered_cuts)], strict=True)
    )


def _reason(
    num_groups: int, gap_ratios: np.ndarray, stability_scores: np.ndarray, place: str
) -> str:
    gap_ratio, stability_score = gap_ratios[num_groups - 1], stability_scores[num_groups - 1]
    return (
        f"{place} (the next merge goes {gap_ratio:.2f} times as far); two halves of the data agree "
        f"to {stability_score:.2f}"
    )
