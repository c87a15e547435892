import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from jaxhsi import metrics

GOLDEN = Path(__file__).parent / "golden"

# Worked by hand. 20 pixels; cluster 3 is dead.
COUNTS = np.array([[6, 1, 0], [0, 5, 1], [4, 0, 0], [0, 0, 0], [0, 1, 2]])

counts_matrices = hnp.arrays(
    np.int64, st.tuples(st.integers(1, 7), st.integers(1, 5)), elements=st.integers(0, 40)
).filter(lambda counts: counts.sum() > 0)


def label_pairs(clusters, classes):
    labels = [
        hnp.arrays(np.int64, (9, 11), elements=st.integers(-1, count - 1))
        for count in (clusters, classes)
    ]
    return st.tuples(*labels)


def test_confusion_counts_by_hand():
    pred = np.array([[0, 1, 1], [2, -1, 2]])
    truth = np.array([[1, 0, 0], [1, 1, -1]])
    np.testing.assert_array_equal(
        metrics.confusion_matrix(pred, truth, 3, 2), [[0, 1], [2, 0], [0, 1]]
    )
    np.testing.assert_array_equal(
        metrics.confusion_matrix(pred, truth, 3, 2, ignore=0), [[0, 1], [0, 0], [0, 1]]
    )


def test_confusion_of_nothing_is_zero():
    empty = np.full((2, 2), -1)
    np.testing.assert_array_equal(metrics.confusion_matrix(empty, empty, 2, 3), np.zeros((2, 3)))


def test_confusion_does_not_overflow_small_label_types():
    labels = np.full(7, 200, np.uint8)
    assert metrics.confusion_matrix(labels, labels, 201, 201)[200, 200] == 7


@given(label_pairs(4, 3), st.integers(0, 9), st.integers(0, 11))
def test_windows_add_up_to_the_whole(labels, row, column):
    pred, truth = labels
    whole = metrics.confusion_matrix(pred, truth, 4, 3, ignore=1)
    cuts = [(slice(None, row), slice(None)), (slice(row, None), slice(None, column)),
            (slice(row, None), slice(column, None))]  # fmt: skip
    parts = sum(metrics.confusion_matrix(pred[cut], truth[cut], 4, 3, ignore=1) for cut in cuts)
    np.testing.assert_array_equal(parts, whole)


def test_confusion_refuses_other_shapes_and_large_labels():
    with pytest.raises(ValueError, match="same window"):
        metrics.confusion_matrix(np.zeros((2, 3), int), np.zeros((3, 2), int), 2, 2)
    with pytest.raises(ValueError, match="pred holds label 5"):
        metrics.confusion_matrix(np.array([5]), np.array([0]), 5, 1)
    with pytest.raises(ValueError, match="truth holds label 2"):
        metrics.confusion_matrix(np.array([0]), np.array([2]), 1, 2)


def test_mappings_by_hand():
    np.testing.assert_array_equal(metrics.hungarian(COUNTS), [0, 1, -1, -1, 2])
    np.testing.assert_array_equal(metrics.best_merge(COUNTS), [0, 1, 0, -1, 2])


def test_hungarian_gives_up_a_majority_for_the_sum():
    # greedy 9 -> class 0 leaves 1; 8 + 7 is better
    np.testing.assert_array_equal(metrics.hungarian(np.array([[9, 8], [7, 1]])), [1, 0])


def test_hungarian_leaves_pairs_without_a_common_pixel_alone():
    # cluster 1 could only be matched to class 1, which is nowhere: no class is scored 0 for that
    counts = np.array([[5, 0], [1, 0]])
    np.testing.assert_array_equal(metrics.hungarian(counts), [0, -1])
    assert metrics.mean_iou(metrics.align_clusters(counts, metrics.hungarian(counts))) == 5 / 6


def test_aligned_scores_by_hand():
    one_to_one = metrics.align_clusters(COUNTS, metrics.hungarian(COUNTS))
    np.testing.assert_array_equal(one_to_one, [[6, 1, 0], [0, 5, 1], [0, 1, 2], [4, 0, 0]])
    np.testing.assert_allclose(metrics.iou_per_class(one_to_one), [6 / 11, 5 / 8, 2 / 4])
    np.testing.assert_allclose(metrics.dice_per_class(one_to_one), [12 / 17, 10 / 13, 4 / 6])
    assert metrics.overall_accuracy(one_to_one) == 13 / 20
    # shares: predicted 7, 6, 3 of 20, true 10, 7, 3
    assert metrics.area_rmse(one_to_one) == pytest.approx(np.sqrt((9 + 1 + 0) / 400 / 3))
    merged = metrics.align_clusters(COUNTS, metrics.best_merge(COUNTS))
    np.testing.assert_array_equal(merged, [[10, 1, 0], [0, 5, 1], [0, 1, 2], [0, 0, 0]])
    assert metrics.mean_iou(merged) == pytest.approx((10 / 11 + 5 / 8 + 2 / 4) / 3)
    assert metrics.overall_accuracy(merged) == 17 / 20


def test_information_by_hand():
    independent = np.array([[1, 1], [1, 1]])
    assert metrics.mutual_information(independent) == pytest.approx(0, abs=1e-15)
    assert metrics.variation_of_information(independent) == pytest.approx(2 * np.log(2))
    identical = np.array([[3, 0], [0, 3]])
    assert metrics.entropy(identical.sum(1)) == pytest.approx(np.log(2))
    assert metrics.normalised_mutual_information(identical) == pytest.approx(1)
    assert metrics.variation_of_information(identical) == pytest.approx(0, abs=1e-15)


def test_collapse_scores_nothing():
    assert (
        metrics.normalised_mutual_information(np.array([[28], [5], [5]])) == 0
    )  # I is a rounding error here, not 0
    collapsed = np.array([[5, 4], [0, 0]])
    assert metrics.normalised_mutual_information(collapsed) == 0
    assert metrics.active_clusters(collapsed) == 1
    assert metrics.variation_of_information(collapsed) == pytest.approx(
        metrics.entropy(np.array([5, 4]))
    )


def test_active_means_more_than_a_thousandth():
    assert metrics.active_clusters(np.array([[9980], [10], [10]])) == 1
    assert metrics.active_clusters(np.array([[9978], [11], [11]])) == 3


def test_counts_beyond_32_bits_are_exact():
    counts = np.array([[3 * 2**40, 1], [0, 2**40]])
    assert metrics.align_clusters(counts, np.array([0, 1]))[0, 0] == 3 * 2**40
    assert metrics.overall_accuracy(counts) == 2**42 / (2**42 + 1)
    assert metrics.mean_dice(counts) == pytest.approx(1)


@given(label_pairs(5, 5))
def test_agrees_with_scikit_learn(labels):
    pred, truth = (np.maximum(label, 0).ravel() for label in labels)
    square = metrics.confusion_matrix(pred, truth, 5, 5)
    present = np.union1d(pred, truth)
    each = {"average": None, "labels": present, "zero_division": 0}
    np.testing.assert_allclose(
        metrics.iou_per_class(square)[present], sk.jaccard_score(truth, pred, **each)
    )
    np.testing.assert_allclose(
        metrics.dice_per_class(square)[present], sk.f1_score(truth, pred, **each)
    )
    assert np.isnan(np.delete(metrics.iou_per_class(square), present)).all()
    assert metrics.overall_accuracy(square) == pytest.approx(sk.accuracy_score(truth, pred))
    assert metrics.mutual_information(square) == pytest.approx(
        sk.mutual_info_score(truth, pred), abs=1e-9
    )
    if len(np.unique(pred)) > 1 and len(np.unique(truth)) > 1:
        theirs = sk.normalized_mutual_info_score(truth, pred, average_method="geometric")
        assert metrics.normalised_mutual_information(square) == pytest.approx(theirs, abs=1e-9)


def _golden_cases():
    spec = importlib.util.spec_from_file_location("make_metrics", GOLDEN / "make_metrics.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cases = json.loads((GOLDEN / "metrics.json").read_text())
    return [(case["recipe"][2], module.draw(*case["recipe"]), case["scores"]) for case in cases]


@pytest.mark.parametrize(("classes", "labels", "expected"), _golden_cases())
def test_equals_the_pytorch_reference(classes, labels, expected):
    counts = metrics.confusion_matrix(*labels, classes, classes)
    ours = {
        "iou_score": metrics.mean_iou(counts),
        "dice_score": 2 * metrics.mean_iou(counts),  # what its formula amounts to
        "area_rmse": metrics.area_rmse(counts),
        "mutual_information": metrics.mutual_information(counts),
        "normalized_mutual_information": metrics.normalised_mutual_information(counts),
        "variation_of_information": metrics.variation_of_information(counts),
        "entropy_pred": metrics.entropy(counts.sum(1)),
        "entropy_truth": metrics.entropy(counts.sum(0)),
    }
    assert ours == pytest.approx(expected, rel=1e-5, abs=2e-6)


@given(counts_matrices, st.randoms(use_true_random=False))
def test_names_of_clusters_do_not_matter(counts, random):
    order = random.sample(range(len(counts)), len(counts))
    one, other = metrics.clustering_scores(counts), metrics.clustering_scores(counts[order])
    for name in ("nmi", "vi", "active_clusters"):
        assert one[name] == pytest.approx(other[name], abs=1e-9)
    assert one["oa"] == pytest.approx(other["oa"])
    for name in ("mean_iou", "dice", "area_rmse"):  # ties of the one-to-one mapping may differ
        assert one[name]["merge"] == pytest.approx(other[name]["merge"])


@given(counts_matrices)
def test_scores_keep_to_their_ranges_and_lose_no_pixel(counts):
    found = metrics.clustering_scores(counts)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    for mapping in found["alignment"].values():
        aligned = metrics.align_clusters(counts, np.array(mapping))
        assert aligned.sum() == counts.sum()
        np.testing.assert_array_equal(aligned.sum(0), counts.sum(0))
    matched = [label for label in found["alignment"]["hungarian"] if label >= 0]
    assert len(set(matched)) == len(matched)
    assert found["oa"]["hungarian"] <= found["oa"]["merge"] <= 1
    assert 0 <= found["nmi"] <= 1
    assert found["vi"] >= 0
    for name in ("mean_iou", "dice", "area_rmse"):
        assert all(0 <= value <= 1 for value in found[name].values())


def test_scores_name_the_parts():
    found = metrics.clustering_scores(COUNTS)
    assert found["alignment"] == {"hungarian": [0, 1, -1, -1, 2], "merge": [0, 1, 0, -1, 2]}
    assert found["per_class_iou"]["merge"] == pytest.approx([10 / 11, 5 / 8, 2 / 4])
    assert found["active_clusters"] == 4
    absent = metrics.clustering_scores(np.array([[4, 0], [0, 0]]))
    assert absent["per_class_iou"]["hungarian"] == [1.0, None]


def test_scores_refuse_an_empty_count():
    with pytest.raises(ValueError, match="no pixel was counted"):
        metrics.clustering_scores(np.zeros((2, 2), int))


def test_align_refuses_a_foreign_class_and_scores_a_raw_rectangle():
    with pytest.raises(ValueError, match="must hold -1"):
        metrics.align_clusters(COUNTS, np.array([0, 1, 2, 3, 0]))
    with pytest.raises(ValueError, match="align"):
        metrics.mean_iou(np.ones((2, 3), int))


def test_adjusted_rand_by_hand_and_by_chance():
    # Hubert & Arabie: 2 pairs together in both, 4 and 3 in either, 15 pairs in all.
    counts = np.array([[2, 1, 0], [0, 1, 0], [0, 0, 2]])
    both, one, other = 1 + 1, 3 + 1, 1 + 1 + 1
    expected = one * other / 15
    rand = (both - expected) / ((one + other) / 2 - expected)
    assert metrics.adjusted_rand_index(counts) == pytest.approx(rand)
    assert metrics.adjusted_rand_index(np.diag([5, 3, 2])) == 1.0
    assert metrics.adjusted_rand_index(np.array([[7]])) == 1.0
    independent = np.outer([600, 400], [300, 700])
    assert metrics.adjusted_rand_index(independent) == pytest.approx(0, abs=1e-5)
