import numpy as np
import pytest

from jaxhsi.label_counts import count_active_clusters, count_labels, score_counts, zero_counts


def test_windows_add_up_to_the_whole():
    rng = np.random.default_rng(0)
    labels, truth = rng.integers(-1, 4, (9, 8)), rng.integers(-1, 3, (9, 8))
    whole = count_labels(labels, truth, 4, 3)
    parts = [count_labels(labels[i : i + 4], truth[i : i + 4], 4, 3) for i in range(0, 9, 4)]
    total = sum(parts, zero_counts(4, 3))
    np.testing.assert_array_equal(total.confusion_matrix, whole.confusion_matrix)
    np.testing.assert_array_equal(total.cluster_pixels, whole.cluster_pixels)
    assert total.invalid_pixels == whole.invalid_pixels == (labels < 0).sum()
    assert whole.cluster_pixels.sum() + whole.invalid_pixels == 72
    assert whole.confusion_matrix.sum() == ((labels >= 0) & (truth >= 0)).sum()


def test_without_a_truth_nothing_is_confused():
    found = count_labels(np.array([[0, 2, -1]]), None, 3, 2)
    assert found.cluster_pixels.tolist() == [1, 0, 1]
    assert not found.confusion_matrix.any()


def test_active_clusters_are_those_of_all_valid_pixels():
    labels, truth = np.array([[0, 0, 1, 2]]), np.array([[1, 0, -1, -1]])
    total = count_labels(labels, truth, 4, 2)
    assert count_active_clusters(total) == 3
    found = score_counts(total, {"manual": np.array([0, -1, -1, -1])})
    assert found["active_clusters"] == 3
    assert found["active_clusters_labelled"] == 1
    assert found["oa"]["manual"] == 0.5


def test_scores_need_a_class():
    with pytest.raises(ValueError, match="no pixel was counted"):
        score_counts(count_labels(np.array([[0, 1]]), None, 2, 2))
