import numpy as np

from jaxhsi import metrics
from jaxhsi.dgc.cluster_tree import cut_to_grouping, score_cuts
from jaxhsi.dgc.merge_tree import MergeTree

TREE = MergeTree(np.array([[0, 2], [1, 4], [3, 5]]), np.array([1.0, 2.0, 4.0]))


def test_groups_of_a_cut_have_names():
    merge = cut_to_grouping(TREE, 3)
    assert merge.members_by_name() == {"group 0": [0, 2], "cluster 1": [1], "cluster 3": [3]}
    assert cut_to_grouping(TREE, 1).members_by_name() == {"group 0": [0, 1, 2, 3]}


def test_scores_of_cuts_are_those_of_merged_counts():
    confusion = np.array([[9, 1], [1, 5], [7, 0], [0, 4]])
    scores = score_cuts(TREE, confusion)
    assert list(scores) == ["1", "2", "3", "4"]
    merged = metrics.clustering_scores(np.array([[16, 1], [1, 5], [0, 4]]))
    assert scores["3"] == {name: merged[name] for name in scores["3"]}
    assert scores["4"]["oa"] == metrics.clustering_scores(confusion)["oa"]
    assert scores["1"]["nmi"] == 0
