import numpy as np
import pytest

from jaxhsi import metrics
from jaxhsi.dgc.merge_tree import Tree
from jaxhsi.dgc.stability import Suggestion
from jaxhsi.workflows.merge_tree_files import (
    ClusterTree,
    choose_grouping,
    cut_to_grouping,
    read_cluster_tree,
    score_cuts,
    write_cluster_tree,
)

TREE = Tree(np.array([[0, 2], [1, 4], [3, 5]]), np.array([1.0, 2.0, 4.0]))
FOUND = ClusterTree(
    TREE,
    np.array([0.4, 0.3, 0.2, 0.1]),
    ("cluster 0 leaf", "cluster 1", "cluster 2 leaf", "cluster 3 lesion"),
    np.array([1.0, 0.9, 0.99, 0.7]),
    (Suggestion(3, "a reason"),),
)


def test_what_is_written_is_read(tmp_path):
    write_cluster_tree(tmp_path, FOUND)
    again = read_cluster_tree(tmp_path)
    np.testing.assert_array_equal(again.tree.pairs, TREE.pairs)
    np.testing.assert_array_equal(again.tree.heights, TREE.heights)
    np.testing.assert_array_equal(again.pixel_shares, FOUND.pixel_shares)
    np.testing.assert_array_equal(again.cut_stability, FOUND.cut_stability)
    assert again.cluster_names == FOUND.cluster_names
    assert again.suggested_cuts == FOUND.suggested_cuts
    write_cluster_tree(tmp_path, FOUND._replace(cut_stability=None, suggested_cuts=()))
    assert read_cluster_tree(tmp_path).cut_stability is None


def test_a_folder_without_a_tree_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no tree\.json"):
        read_cluster_tree(tmp_path)


def test_groups_of_a_cut_have_names():
    merge = cut_to_grouping(TREE, 3)
    assert merge.members_by_name() == {"group 0": [0, 2], "cluster 1": [1], "cluster 3": [3]}
    assert cut_to_grouping(TREE, 1).members_by_name() == {"group 0": [0, 1, 2, 3]}


def test_scores_of_cuts_are_those_of_merged_counts():
    confusion = np.array([[9, 1], [1, 5], [7, 0], [0, 4]])
    found = score_cuts(TREE, confusion)
    assert list(found) == ["1", "2", "3", "4"]
    merged = metrics.scores(np.array([[16, 1], [1, 5], [0, 4]]))
    assert found["3"] == {name: merged[name] for name in found["3"]}
    assert found["4"]["oa"] == metrics.scores(confusion)["oa"]
    assert found["1"]["nmi"] == 0


def test_what_is_asked_for_counts_before_what_was_saved(tmp_path):
    write_cluster_tree(tmp_path, FOUND)
    assert choose_grouping(tmp_path, 4) is None
    (tmp_path / "groups.yaml").write_text("# made by hand\nleaf: [0, 2]\nlesion: 3\n")
    merge, source = choose_grouping(tmp_path, 4)
    assert merge.members_by_name() == {"leaf": [0, 2], "lesion": [3], "cluster 1": [1]}
    assert source.endswith("groups.yaml")
    merge, source = choose_grouping(tmp_path, 4, groups="all=0,1,2,3")
    assert merge.group_names == ("all",)
    merge, source = choose_grouping(tmp_path, 4, cut_groups=2)
    assert merge.group_indices.tolist() == [0, 0, 0, 1]
    assert source == "--cut 2"
    assert choose_grouping(tmp_path, 4, ignore_groups=True) is None
    with pytest.raises(ValueError, match="--groups and --ignore_groups name different groups"):
        choose_grouping(tmp_path, 4, groups="a=0", ignore_groups=True)
