import numpy as np
import pytest

from jaxhsi.dgc.cluster_tree import ClusterTree
from jaxhsi.dgc.merge_tree import MergeTree
from jaxhsi.dgc.stability import CutSuggestion
from jaxhsi.workflows.merge_tree_files import (
    choose_grouping,
    read_cluster_tree,
    write_cluster_tree,
)

TREE = MergeTree(np.array([[0, 2], [1, 4], [3, 5]]), np.array([1.0, 2.0, 4.0]))
CLUSTER_TREE = ClusterTree(
    TREE,
    np.array([0.4, 0.3, 0.2, 0.1]),
    ("cluster 0 leaf", "cluster 1", "cluster 2 leaf", "cluster 3 lesion"),
    np.array([1.0, 0.9, 0.99, 0.7]),
    (CutSuggestion(3, "a reason"),),
)


def test_a_written_tree_is_read_back(tmp_path):
    write_cluster_tree(tmp_path, CLUSTER_TREE)
    read_back = read_cluster_tree(tmp_path)
    np.testing.assert_array_equal(read_back.tree.merged_nodes, TREE.merged_nodes)
    np.testing.assert_array_equal(read_back.tree.heights, TREE.heights)
    np.testing.assert_array_equal(read_back.pixel_shares, CLUSTER_TREE.pixel_shares)
    np.testing.assert_array_equal(read_back.cut_stability, CLUSTER_TREE.cut_stability)
    assert read_back.cluster_names == CLUSTER_TREE.cluster_names
    assert read_back.suggested_cuts == CLUSTER_TREE.suggested_cuts
    write_cluster_tree(tmp_path, CLUSTER_TREE._replace(cut_stability=None, suggested_cuts=()))
    assert read_cluster_tree(tmp_path).cut_stability is None


def test_a_folder_without_a_tree_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no tree\.json"):
        read_cluster_tree(tmp_path)


def test_options_have_priority_over_saved_groups(tmp_path):
    write_cluster_tree(tmp_path, CLUSTER_TREE)
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
