"""How well the cuts of a merge tree hold when the data change, and which of them to look at."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
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

MAX_HALF_SIZE = 4096  # pixels of a half at most
MIXTURE_STARTS = 4  # of each fit
STABLE_SCORE = 0.9  # adjusted Rand index from which two halves of the data are said to agree
MAX_SUGGESTIONS = 3  # cuts that are suggested
OVERLAP_DISTANCE = (
    2.0  # deviations; clusters that lie nearer overlap, and how much nearer says little
)

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
    v: Float[Array, "n d"],
    mixture: Mixture,
    neighbour_pairs: Float[Array, "k k"],
    repeats: int = 3,
    weights: MergeWeights = DEFAULT_WEIGHTS,
) -> Float[np.ndarray, "repeats k"]:
    """How far the trees of two halves of a sample agree, for every cut.

    The sample is split at random; the mixture is fitted to each half by itself, a tree is grown
    from each fit, and all pixels of both halves are labelled by both. The score of a cut is the
    adjusted Rand index of the two labellings: 1 where they are the same, about 0 where they have
    no more in common than chance. A sample has no neighbours: who touches whom is carried over
    from the trained clusters by the share of each that falls to the fitted ones.

    Args:
        key: of the splits and the fits.
        v: embedded pixels in any order, at least two for each cluster; 8,192 of them are used.
        mixture: the trained clusters.
        neighbour_pairs: theirs, see :class:`jaxhsi.dgc.merge_tree.ClusterRelations`.
        repeats: splits.
        weights: of the trees.

    Returns:
        Scores of the cuts into 1, 2, ... k groups.

    Raises:
        ValueError: fewer than two pixels for each cluster.
    """
    clusters, half = len(mixture.cluster_share), min(len(v) // 2, MAX_HALF_SIZE)
    if half < clusters:
        raise ValueError(f"halves of {len(v)} pixels cannot start {clusters} clusters each")
    found = np.empty((repeats, clusters))
    for i, k_split in enumerate(jax.random.split(key, repeats)):
        k_order, k_fit = jax.random.split(k_split)
        drawn = v[jax.random.permutation(k_order, len(v))[: 2 * half]]
        trained = np.asarray(_posterior(drawn, mixture), np.float64)
        sides = [
            _side(k, part, drawn, trained, np.asarray(neighbour_pairs, np.float64), weights)
            for k, part in zip(jax.random.split(k_fit), (drawn[:half], drawn[half:]), strict=True)
        ]
        found[i] = [_agreement(sides, k) for k in range(1, clusters + 1)]
    return found


def _side(
    key: Array,
    part: Array,
    every: Array,
    trained: np.ndarray,
    touch: np.ndarray,
    weights: MergeWeights,
) -> tuple[MergeTree, np.ndarray]:
    """The tree of a fit to a part of the pixels, and its labels of all of them."""
    fitted = mixtures.fit_mixture(key, part, trained.shape[1], MIXTURE_STARTS)
    p = np.asarray(_posterior(every, fitted), np.float64)
    carried = trained.T @ p / np.maximum(trained.sum(0)[:, None], 1e-12)
    known = ClusterRelations(p.mean(0), carried.T @ touch @ carried, p.T @ p / len(p))
    centres = np.asarray(mixtures.whiten_mixture(fitted).centres)
    return grow_merge_tree(centres, known, weights), p.argmax(1)


def _agreement(sides: Sequence[tuple[MergeTree, np.ndarray]], k: int) -> float:
    one, other = (cut_tree(tree, k)[labels] for tree, labels in sides)
    return metrics.adjusted_rand_index(metrics.confusion_matrix(one, other, k, k))


def cut_gaps(tree: MergeTree) -> Float[np.ndarray, " k"]:
    """How much farther apart the groups of a cut are than those of the next finer one.

    gap_k = (h_k-1 + 2) / (h_k + 2), at least 1, where h_k is the height of the merge that left k
    groups, and 2 the distance in deviations below which clusters overlap. NaN where there is no
    such pair: 1 group, all of them, or groups without pixels left to merge.

    Returns:
        Gaps of the cuts into 1, 2, ... k groups.
    """
    found = np.full(tree.num_clusters, np.nan)
    for k in range(2, tree.num_clusters):
        finer, coarser = (
            tree.heights[tree.num_clusters - k - 1],
            tree.heights[tree.num_clusters - k],
        )
        if finer > 0:
            found[k - 1] = (coarser + OVERLAP_DISTANCE) / (finer + OVERLAP_DISTANCE)
    return found


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
    gap = cut_gaps(tree)
    known = [k for k in range(2, tree.num_clusters) if not np.isnan(gap[k - 1])]
    if not known:
        return ()
    stable = [k for k in known if stability_scores[k - 1] >= STABLE_SCORE]
    if not stable:
        best = max(known, key=lambda k: stability_scores[k - 1])
        return (
            CutSuggestion(
                best, _reason(best, gap, stability_scores, "no cut is stable; this one is most")
            ),
        )
    order = sorted(stable, key=lambda k: -gap[k - 1])[:MAX_SUGGESTIONS]
    places = [f"the stable cut with the {nth}largest gap" for nth in ("", "second ", "third ")]
    return tuple(
        CutSuggestion(k, _reason(k, gap, stability_scores, place))
        for k, place in zip(order, places[: len(order)], strict=True)
    )


def _reason(k: int, gap: np.ndarray, scores: np.ndarray, place: str) -> str:
    return (
        f"{place} (the next merge goes {gap[k - 1]:.2f} times as far); two halves of the data "
        f"agree to {scores[k - 1]:.2f}"
    )
