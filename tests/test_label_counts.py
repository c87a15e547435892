import numpy as np
import pytest

from jaxhsi.label_counts import active_clusters, no_pixels, scored, tally


def test_windows_add_up_to_the_whole():
    rng = np.random.default_rng(0)
    labels, truth = rng.integers(-1, 4, (9, 8)), rng.integers(-1, 3, (9, 8))
    whole = tally(labels, truth, 4, 3)
    parts = [tally(labels[i : i + 4], truth[i : i + 4], 4, 3) for i in range(0, 9, 4)]
    total = sum(parts, no_pixels(4, 3))
    np.testing.assert_array_equal(total.confusion, whole.confusion)
    np.testing.assert_array_equal(total.pixels, whole.pixels)
    assert total.invalid == whole.invalid == (labels < 0).sum()
    assert whole.pixels.sum() + whole.invalid == 72
    assert whole.confusion.sum() == ((labels >= 0) & (truth >= 0)).sum()


def test_without_a_truth_nothing_is_confused():
    found = tally(np.array([[0, 2, -1]]), None, 3, 2)
    assert found.pixels.tolist() == [1, 0, 1]
    assert not found.confusion.any()


def test_active_clusters_are_those_of_all_valid_pixels():
    labels, truth = np.array([[0, 0, 1, 2]]), np.array([[1, 0, -1, -1]])
    total = tally(labels, truth, 4, 2)
    assert active_clusters(total) == 3
    found = scored(total, {"manual": np.array([0, -1, -1, -1])})
    assert found["active_clusters"] == 3
    assert found["active_clusters_labelled"] == 1
    assert found["oa"]["manual"] == 0.5


def test_scores_need_a_class():
    with pytest.raises(ValueError, match="no pixel was counted"):
        scored(tally(np.array([[0, 1]]), None, 2, 2))
