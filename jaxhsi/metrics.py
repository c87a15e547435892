"""Scores of a clustering against truth, as pure functions of a confusion matrix.

`confusion_matrix` counts one window; counts add up over windows, cubes and hosts (int64, so exact
for any image), and every score is a function of the sum. Rows are clusters, columns are classes.

    counts = sum(confusion(pred, truth, k, c) for pred, truth in windows)
    scores(counts)

Clusters get a meaning from a mapping cluster -> class, `hungarian` (one to one) or `best_merge`
(many to one), and `align_clusters` turns counts and mapping into a confusion of classes by classes.
The scores equal those of the reference's `hsi_global_clustering/eval.py`, except Dice.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int64, Integer
from scipy.optimize import linear_sum_assignment

ACTIVE_SHARE = 1e-3  # an active cluster holds more than this part of the counted pixels


def confusion_matrix(
    predicted: Integer[np.ndarray, "..."],
    truth: Integer[np.ndarray, "..."],
    num_clusters: int,
    num_classes: int,
    ignore: int | None = None,
) -> Int64[np.ndarray, "k c"]:
    """Counts `n[k, c]`, the pixels of cluster k that belong to class c.

    Args:
        predicted: cluster of each pixel; negative means none, and the pixel is left out.
        truth: class of each pixel, same shape; negative means unlabelled, left out as well.
        num_clusters: k; the labels are 0..k-1.
        num_classes: c; the labels are 0..c-1.
        ignore: a class whose pixels are left out, such as 0 for "unlabelled".

    Raises:
        ValueError: shapes differ, or a label is too large.
    """
    if predicted.shape != truth.shape:
        raise ValueError(
            f"pred is {predicted.shape} and truth {truth.shape}; cut both to the same window"
        )
    is_counted = (predicted >= 0) & (truth >= 0)
    if ignore is not None:
        is_counted &= truth != ignore
    rows, columns = predicted[is_counted].astype(np.int64), truth[is_counted].astype(np.int64)
    for name, labels, count in (("pred", rows, num_clusters), ("truth", columns, num_classes)):
        if labels.size and labels.max() >= count:
            raise ValueError(f"{name} holds label {labels.max()}; raise its count, {count}, above")
    flat_counts = np.bincount(rows * num_classes + columns, minlength=num_clusters * num_classes)
    return flat_counts.astype(np.int64).reshape(num_clusters, num_classes)


# What each cluster means --------------------------------------------------------------------------


def hungarian(counts: Integer[np.ndarray, "k c"]) -> Int64[np.ndarray, "k"]:
    """One-to-one mapping cluster -> class with the most pixels in agreement (Kuhn 1955).

    -1 is a cluster without a class: those beyond the number of classes, and pairs without a
    common pixel, among which any choice would be arbitrary.
    """
    rows, columns = linear_sum_assignment(counts, maximize=True)
    mapping = np.full(len(counts), -1, np.int64)
    mapping[rows] = np.where(counts[rows, columns] > 0, columns, -1)
    return mapping


def best_merge(counts: Integer[np.ndarray, "k c"]) -> Int64[np.ndarray, "k"]:
    """Many-to-one mapping: each cluster to its majority class, the first on a tie; -1 if empty."""
    return np.where(counts.sum(1) > 0, counts.argmax(1), -1).astype(np.int64)


def align_clusters(
    counts: Integer[np.ndarray, "k c"], mapping: Integer[np.ndarray, "k"]
) -> Integer[np.ndarray, "c+1 c"]:
    """Confusion of classes by classes: the rows of `counts` added up by their class.

    One row more than there are classes: the last holds the pixels of unmatched clusters (-1).
    They are predictions of no class, so the scores below count every one of them as a miss.

    Raises:
        ValueError: the mapping names a class that the counts lack.
    """
    classes = counts.shape[1]
    if mapping.size and not -1 <= mapping.min() <= mapping.max() < classes:
        raise ValueError(f"mapping {mapping.tolist()} must hold -1..{classes - 1}")
    aligned = np.zeros((classes + 1, classes), counts.dtype)
    np.add.at(aligned, mapping, counts)  # -1 is the last row
    return aligned


# Agreement of classes, from an aligned or square confusion ----------------------------------------


def _areas(
    aligned: Integer[np.ndarray, "r c"],
) -> tuple[Integer[np.ndarray, "c"], Integer[np.ndarray, "c"], Integer[np.ndarray, "c"]]:
    """Pixels of each class: in agreement, predicted, true."""
    rows, classes = aligned.shape
    if rows < classes:
        raise ValueError(f"confusion is {aligned.shape}; bring it through align(counts, mapping)")
    return np.diag(aligned), aligned[:classes].sum(1), aligned.sum(0)


def _ratio(part: np.ndarray, whole: np.ndarray) -> Float[np.ndarray, "c"]:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _mean(per_class: Float[np.ndarray, "c"]) -> float:
    present_classes = per_class[~np.isnan(per_class)]
    return float(present_classes.mean()) if present_classes.size else 0.0


def iou_per_class(aligned: Integer[np.ndarray, "r c"]) -> Float[np.ndarray, "c"]:
    """Intersection over union, TP / (TP + FP + FN), 0..1; NaN where the union is empty."""
    both, predicted, true = _areas(aligned)
    return _ratio(both, predicted + true - both)


def mean_iou(aligned: Integer[np.ndarray, "r c"]) -> float:
    """Mean IoU over classes with a non-empty union (eval.py, iou_score); 0 if there is none."""
    return _mean(iou_per_class(aligned))


def dice_per_class(aligned: Integer[np.ndarray, "r c"]) -> Float[np.ndarray, "c"]:
    """Dice, the F1 score, 2 TP / (2 TP + FP + FN), 0..1; NaN where the union is empty.

    Not as in eval.py: dice_score there divides by TP + FP + FN and so returns 2 IoU, up to 2.
    """
    both, predicted, true = _areas(aligned)
    return _ratio(2 * both, predicted + true)


def mean_dice(aligned: Integer[np.ndarray, "r c"]) -> float:
    """Mean Dice over classes with a non-empty union; 0 if there is none."""
    return _mean(dice_per_class(aligned))


def area_rmse(aligned: Integer[np.ndarray, "r c"]) -> float:
    """Root mean square over all classes of (predicted - true share), 0..1 (eval.py, area_rmse)."""
    _, predicted, true = _areas(aligned)
    return float(np.sqrt(np.mean(((predicted - true) / max(aligned.sum(), 1)) ** 2)))


def overall_accuracy(aligned: Integer[np.ndarray, "r c"]) -> float:
    """Share of pixels whose class is right, 0..1; 0 without pixels."""
    return float(_areas(aligned)[0].sum() / max(aligned.sum(), 1))


# Information, from raw counts: no mapping needed --------------------------------------------------


def entropy(areas: Integer[np.ndarray, "n"]) -> float:
    """H = -sum p log p of the shares p of `areas`, in nats (eval.py, cluster_entropy)."""
    area_shares = areas[areas > 0] / max(areas.sum(), 1)
    return float(-(area_shares * np.log(area_shares)).sum()) + 0.0  # no negative zero


def mutual_information(counts: Integer[np.ndarray, "k c"]) -> float:
    """I = sum p_kc log(p_kc / (p_k p_c)), in nats (eval.py, mutual_information)."""
    joint_shares = counts / max(counts.sum(), 1)
    independent_shares = joint_shares.sum(1, keepdims=True) * joint_shares.sum(0, keepdims=True)
    is_counted = joint_shares > 0
    return float(
        (
            joint_shares[is_counted]
            * np.log(joint_shares[is_counted] / independent_shares[is_counted])
        ).sum()
    )


def normalised_mutual_information(counts: Integer[np.ndarray, "k c"]) -> float:
    """I / sqrt(H_k H_c), 0..1 (eval.py, normalized_mutual_information; geometric mean).

    0 if either side has a single label: a collapsed clustering tells nothing.
    """
    scale = np.sqrt(entropy(counts.sum(1)) * entropy(counts.sum(0)))
    if scale == 0:  # before rounding errors of I are divided by it
        return 0.0
    return float(np.clip(mutual_information(counts) / scale, 0.0, 1.0))


def variation_of_information(counts: Integer[np.ndarray, "k c"]) -> float:
    """VI = H_k + H_c - 2 I >= 0, in nats, a metric on clusterings (Meila 2007; eval.py)."""
    total = entropy(counts.sum(1)) + entropy(counts.sum(0)) - 2 * mutual_information(counts)
    return max(total, 0.0)


def adjusted_rand_index(counts: Integer[np.ndarray, "k c"]) -> float:
    """Adjusted Rand index of two labellings (Hubert and Arabie 1985): 1 alike, 0 as by chance.

    With P the pairs of pixels that lie together in both, A and B those together in either, and
    E = A B / all pairs: (P - E) / ((A + B) / 2 - E). 1 where both have a single label.
    """

    def pairs(areas: np.ndarray) -> float:
        areas = areas.astype(np.float64)
        return float((areas * (areas - 1) / 2).sum())

    joint_pairs, row_pairs, column_pairs = pairs(counts), pairs(counts.sum(1)), pairs(counts.sum(0))
    expected_pairs = row_pairs * column_pairs / max(pairs(counts.sum(keepdims=True)), 1.0)
    max_excess = (row_pairs + column_pairs) / 2 - expected_pairs
    return (joint_pairs - expected_pairs) / max_excess if max_excess > 0 else 1.0


def active_clusters(counts: Integer[np.ndarray, "k c"]) -> int:
    """Clusters that hold more than 0.1 % of the counted pixels."""
    return int((counts.sum(1) > ACTIVE_SHARE * counts.sum()).sum())


def clustering_scores(
    counts: Integer[np.ndarray, "k c"],
    mappings: Mapping[str, Integer[np.ndarray, "k"]] | None = None,
) -> dict:
    """All scores of a clustering, ready for JSON (None for a class that is nowhere).

    Those that need classes come under `hungarian` and `merge`, the two mappings, which are
    given as `alignment`; `normalised_mutual_information`, `vi`, `entropy` (of the clusters) and
    `active_clusters` need none.

    Args:
        counts: clusters against classes.
        mappings: more mappings by their names, whose scores come beside those of the two.

    Raises:
        ValueError: no pixel was counted.
    """
    if not counts.sum():
        raise ValueError(
            "no pixel was counted: every label is negative or ignored; check the labels and the "
            "ignored label"
        )
    alignment = {"hungarian": hungarian(counts), "merge": best_merge(counts), **(mappings or {})}
    aligned = {name: align_clusters(counts, mapping) for name, mapping in alignment.items()}

    def each(score) -> dict:
        return {name: score(matrix) for name, matrix in aligned.items()}

    return {
        "mean_iou": each(mean_iou),
        "per_class_iou": each(lambda matrix: _listed(iou_per_class(matrix))),
        "dice": each(mean_dice),
        "per_class_dice": each(lambda matrix: _listed(dice_per_class(matrix))),
        "area_rmse": each(area_rmse),
        "oa": each(overall_accuracy),
        "nmi": normalised_mutual_information(counts),
        "vi": variation_of_information(counts),
        "entropy": entropy(counts.sum(1)),
        "active_clusters": active_clusters(counts),
        "alignment": {name: mapping.tolist() for name, mapping in alignment.items()},
    }


def _listed(per_class: Float[np.ndarray, "c"]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in per_class]
