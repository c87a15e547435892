import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.cluster_groups import make_grouping, match_group_names, parse_groups


def test_groups_are_read_from_text():
    assert parse_groups("background=0,3 tissue=1,2") == {"background": [0, 3], "tissue": [1, 2]}
    spaced = " healthy leaf = 1, 2 ; the rest=0 "
    assert parse_groups(spaced) == {"healthy leaf": [1, 2], "the rest": [0]}
    assert parse_groups("") == {}


@pytest.mark.parametrize("text", ["background", "a=1,b", "=1", "a=1 b", "a=-1", "a=1,", "a=1.5"])
def test_text_of_another_form_is_refused(text):
    with pytest.raises(ValueError, match="is not of the form"):
        parse_groups(text)


def test_a_name_given_twice_is_refused():
    with pytest.raises(ValueError, match="'a' is given twice"):
        parse_groups("a=1 a=2")


def test_named_groups_come_first_and_the_rest_keep_their_numbers():
    merge = make_grouping({"tissue": [3, 1], "ground": [0]}, 5)
    assert merge.group_names == ("tissue", "ground", "cluster 2", "cluster 4")
    assert merge.group_indices.tolist() == [1, 0, 2, 0, 3]
    labels = np.array([[0, 1, -1], [2, 3, 4]], np.int16)
    assert merge.apply(labels).tolist() == [[1, 0, -1], [2, 0, 3]]
    assert merge.apply(labels).dtype == np.int16


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ({"a": [5]}, "names cluster 5; there are 0 to 4"),
        ({"a": [-1]}, "names cluster -1"),
        ({"a": [1], "b": [2, 1]}, "cluster 1 is named twice, in 'a' and in 'b'"),
        ({"a": [1, 1]}, "cluster 1 is named twice"),
        ({"a": []}, "'a' has no clusters"),
        ({"cluster 3": [0]}, "has the name of a cluster"),
    ],
)
def test_groups_that_cannot_be_are_refused(groups, words):
    with pytest.raises(ValueError, match=words):
        make_grouping(groups, 5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", None]), min_size=1, max_size=9))
def test_members_make_the_same_merge_again(owners):
    groups: dict[str, list[int]] = {}
    for cluster, name in enumerate(owners):
        if name is not None:
            groups.setdefault(name, []).append(cluster)
    merge = make_grouping(groups, len(owners))
    again = make_grouping(merge.members_by_name(), len(owners))
    assert again.group_names == merge.group_names
    np.testing.assert_array_equal(again.group_indices, merge.group_indices)
    assert set(merge.group_indices.tolist()) == set(range(len(merge.group_names)))


def test_names_match_whatever_their_case():
    found = match_group_names(("Tissue", "sky", "cluster 3"), ("background", "tissue"))
    assert found.tolist() == [1, -1, -1]
