"""Names of clusters from labels: only where there is evidence."""

import numpy as np
import pytest

from jaxhsi.dgc.cluster_naming import MIN_CLASS_SHARE, MIN_CLUSTER_SHARE, name_clusters
from jaxhsi.dgc.merge_tree import MergeTree

TREE = MergeTree(np.array([[0, 1], [2, 3], [4, 5]]), np.array([1.0, 2.0, 3.0]))


@pytest.mark.parametrize(
    ("votes", "owner", "deciding"),
    [
        ([[5, 1], [0, 2], [0, 9], [1, 0]], [0, 1, 1, 0], [0, 1, 2, 3]),  # its own pixels
        ([[5, 1], [0, 0], [0, 9], [0, 0]], [0, 0, 1, 1], [0, 4, 2, 5]),  # none: the relative
        ([[2, 2], [0, 1], [9, 0], [0, 0]], [1, 1, 0, 0], [4, 1, 2, 5]),  # a tie: with it
        # Nearer relatives differ from each other: what is further away is unnamed.
        ([[0, 0], [0, 0], [0, 1], [1, 0]], [-1, -1, 1, 0], [-1, -1, 2, 3]),
        # A single class: nothing tells how far it reaches.
        ([[3, 0], [0, 0], [0, 0], [0, 0]], [0, -1, -1, -1], [0, -1, -1, -1]),
    ],
)
def test_clicks_name_clusters_and_near_relatives(votes, owner, deciding):
    names = name_clusters(TREE, np.array(votes))
    assert names.class_indices.tolist() == owner
    assert names.deciding_nodes.tolist() == deciding


def test_a_pixel_of_the_rim_of_a_shape_names_nothing():
    """A shape of 6,700 pixels whose rim reaches into the background of 17,124."""
    votes = np.array([[6000, 0], [700, 300], [1, 0], [0, 0]])
    names = name_clusters(TREE, votes, np.array([6100, 1000, 17_124, 9_000]))
    assert names.class_indices.tolist() == [0, 0, -1, -1]


def test_few_labels_that_are_all_in_few_clusters_are_evidence():
    votes = np.array([[20, 0], [0, 0], [0, 15], [0, 1]])
    names = name_clusters(TREE, votes, np.full(4, 100_000))
    assert names.class_indices.tolist() == [0, 0, 1, 1]
    assert names.deciding_nodes.tolist() == [0, 4, 2, 3]


def test_areas_around_which_nothing_is_drawn_do_not_name_their_relatives():
    """Clusters of the background, touched by the rim of a leaf, are nearer to its lesion."""
    votes = np.array([[3390, 27], [61, 0], [0, 191], [70, 0]])
    tree = MergeTree(np.array([[1, 3], [2, 4], [0, 5]]), np.array([0.7, 19.5, 47.5]))
    names = name_clusters(tree, votes, np.array([3420, 2053, 193, 2248]))
    assert names.class_indices.tolist() == [0, -1, 1, -1]


def test_relatives_of_a_well_labelled_cluster_take_its_name():
    votes = np.array([[800, 0], [0, 0], [0, 900], [0, 0]])
    names = name_clusters(TREE, votes, np.array([1000, 500, 1000, 9_000]))
    assert names.class_indices.tolist() == [0, 0, 1, -1]


@pytest.mark.parametrize(("labelled", "named"), [(99, False), (100, True)])
def test_shares_that_are_enough(labelled, named):
    assert (MIN_CLUSTER_SHARE, MIN_CLASS_SHARE) == (0.1, 0.05)
    votes = np.array([[90_000, 0], [0, 90_000], [labelled, 0], [0, 0]])
    names = name_clusters(TREE, votes, np.array([90_000, 90_000, 1000, 1000]))
    assert (names.class_indices[2] == 0) == named


def test_no_majority_is_no_name():
    votes = np.array([[40, 35, 25], [0, 50, 50], [90, 5, 5], [0, 0, 0]])
    names = name_clusters(TREE, votes, np.full(4, 100))
    assert names.class_indices.tolist() == [-1, -1, 0, -1]


def test_without_a_vote_nothing_is_named():
    with pytest.raises(ValueError, match="nothing can be named"):
        name_clusters(TREE, np.zeros((4, 2), int))
