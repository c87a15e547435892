import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from jaxhsi.dgc.merge_tree import (
    ClusterRelations,
    MergeTree,
    MergeWeights,
    cluster_relations,
    cut_tree,
    grow_merge_tree,
    mixing_ratio,
    sample_relations,
)

PLAIN = MergeWeights(0.0, 0.0, 0.0)


def apart(usage: np.ndarray) -> ClusterRelations:
    """Nobody is confused with anybody, and who touches whom is chance."""
    return ClusterRelations(usage, np.outer(usage, usage), np.diag(usage))


def hard(labels: np.ndarray, clusters: int) -> jnp.ndarray:
    return jax.nn.one_hot(jnp.asarray(labels), clusters)


compiled = jax.jit(cluster_relations)


def random_case(seed: int, clusters: int) -> tuple[np.ndarray, ClusterRelations]:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(clusters, 0.3), (1, 6, 7)).astype(np.float32)
    valid = jnp.asarray(rng.random((1, 6, 7)) < 0.8)
    return rng.normal(size=(clusters, 3)), compiled(jnp.asarray(p), valid)


def test_relations_of_a_map_by_hand():
    labels = np.array([[[0, 0, 1], [0, 2, 1]]])
    valid = jnp.ones(labels.shape, bool)
    found = cluster_relations(hard(labels, 3), valid)
    np.testing.assert_allclose(found.usage, [3 / 6, 2 / 6, 1 / 6], rtol=1e-6)
    np.testing.assert_allclose(found.confusion, np.diag([3, 2, 1]) / 6, rtol=1e-6)
    # Beside: 00 01 02 21; below: 00 02 11. Each unlike pair counts half in either direction.
    touch = np.array([[2, 0.5, 1], [0.5, 1, 0.5], [1, 0.5, 0]]) / 7
    np.testing.assert_allclose(found.neighbour_pairs, touch, rtol=1e-6)


def test_relations_leave_out_what_is_not_valid():
    labels = np.array([[[0, 0, 1], [0, 2, 1]]])
    valid = jnp.ones(labels.shape, bool).at[0, 1, 1].set(False)
    found = cluster_relations(hard(labels, 3).at[0, 1, 1].set(jnp.nan), valid)
    np.testing.assert_allclose(found.usage, [3 / 5, 2 / 5, 0], rtol=1e-6)
    np.testing.assert_allclose(
        found.neighbour_pairs[:2, :2], np.array([[2, 0.5], [0.5, 1]]) / 4, rtol=1e-6
    )
    none = cluster_relations(hard(labels, 3), jnp.zeros_like(valid))
    assert not any(np.asarray(part).any() for part in none)


def test_relations_add_up_to_one():
    _, found = random_case(0, 4)
    for part in found:
        assert float(part.sum()) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(found.neighbour_pairs, found.neighbour_pairs.T, rtol=1e-6)


def test_mixing_tells_salt_and_pepper_from_blocks():
    rng = np.random.default_rng(0)
    salt = rng.integers(0, 2, (1, 64, 64))
    blocks = np.zeros((1, 64, 64), int)
    blocks[:, :, 32:] = 1
    valid = jnp.ones(salt.shape, bool)
    mixed = mixing_ratio(np.asarray(cluster_relations(hard(salt, 3), valid).neighbour_pairs))
    assert mixed[0, 1] == pytest.approx(1, abs=0.03)
    assert mixed[0, 2] == 0  # the third is nowhere
    assert (
        mixing_ratio(np.asarray(cluster_relations(hard(blocks, 3), valid).neighbour_pairs))[0, 1]
        < 0.05
    )


def test_mixing_knows_nothing_of_drawn_pixels_but_their_doubts():
    p = jnp.asarray([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    found = sample_relations(p)
    np.testing.assert_allclose(mixing_ratio(np.asarray(found.neighbour_pairs)), 1, rtol=1e-5)
    doubts = mixing_ratio(np.asarray(found.confusion))
    assert doubts[0, 1] == pytest.approx(1)
    assert doubts[0, 2] == 0


def test_two_clusters_without_extras_merge_at_their_distance():
    tree = grow_merge_tree(np.array([[0.0, 0], [3, 4]]), apart(np.array([0.3, 0.7])), PLAIN)
    assert tree.merged_nodes.tolist() == [[0, 1]]
    assert tree.heights.tolist() == [5.0]


def test_one_cluster_has_a_tree_too():
    tree = grow_merge_tree(np.zeros((1, 2)), apart(np.ones(1)))
    assert tree.merged_nodes.shape == (0, 2)
    assert tree.num_clusters == 1
    assert cut_tree(tree, 1).tolist() == [0]


def test_ward_is_ward():
    """With size 1 and nothing else the cost is Ward's, but for a constant."""
    rng = np.random.default_rng(1)
    centres, usage = rng.normal(size=(9, 2)), np.full(9, 1 / 9)
    tree = grow_merge_tree(centres, apart(usage), MergeWeights(0.0, 0.0, 1.0))
    ward = linkage(centres, "ward")
    np.testing.assert_array_equal(tree.merged_nodes, np.sort(ward[:, :2], 1))
    np.testing.assert_allclose(tree.heights, ward[:, 2] / 3, rtol=1e-6)


def test_a_small_distinct_cluster_is_not_swallowed():
    centres = np.array([[0.0, 0], [2, 0], [10, 0], [0, 8]])
    usage = np.array([0.4, 0.3, 0.285, 0.015])
    assert cut_tree(grow_merge_tree(centres, apart(usage)), 3).tolist() == [0, 0, 1, 2]
    # By Ward's criterion it would be.
    ward = grow_merge_tree(centres, apart(usage), MergeWeights(0.0, 0.0, 1.0))
    assert cut_tree(ward, 2).tolist() == [0, 0, 1, 0]


def test_what_is_mixed_or_confused_merges_earlier():
    centres, usage = np.array([[0.0], [2.0], [4.2]]), np.full(3, 1 / 3)
    known = apart(usage)
    assert grow_merge_tree(centres, known).merged_nodes[0].tolist() == [0, 1]
    touch = np.array([[0.3, 0.01, 0.0], [0.01, 0.17, 0.16], [0.0, 0.16, 0.19]])
    assert grow_merge_tree(centres, known._replace(neighbour_pairs=touch)).merged_nodes[
        0
    ].tolist() == [1, 2]
    doubts = np.array([[1, 0, 0], [0, 0.5, 0.4], [0, 0.4, 0.5]]) / 3
    assert grow_merge_tree(centres, known._replace(confusion=doubts)).merged_nodes[0].tolist() == [
        1,
        2,
    ]


def test_clusters_without_pixels_merge_first():
    centres = np.array([[0.0], [1.0], [9.0], [5.1], [0.5]])
    tree = grow_merge_tree(centres, apart(np.array([0.5, 0.4, 0.1, 0.0, 0.0])))
    assert tree.heights[:2].tolist() == [0, 0]
    assert tree.heights[2] > 0
    groups = cut_tree(tree, 3)
    assert len(set(groups[:3].tolist())) == 3  # every group has pixels
    assert groups[3] == groups[2]  # 9 is nearer to 5.1 than 1 is


@pytest.mark.parametrize(
    "weights", [MergeWeights(touch=1.0), MergeWeights(confusion=-0.1), MergeWeights(size=-1)]
)
def test_weights_out_of_range_are_refused(weights):
    with pytest.raises(ValueError, match="out of range"):
        grow_merge_tree(np.zeros((2, 1)), apart(np.full(2, 0.5)), weights)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9))
def test_cuts_are_nested_and_heights_never_fall(seed, clusters):
    tree = grow_merge_tree(*random_case(seed, clusters))
    assert (np.diff(tree.heights) >= 0).all()
    finer = cut_tree(tree, clusters)
    assert finer.tolist() == list(range(clusters))
    for k in range(clusters - 1, 0, -1):
        coarser = cut_tree(tree, k)
        assert sorted(set(coarser.tolist())) == list(range(k))
        # Each finer group lies in one coarser group.
        assert len({(f, c) for f, c in zip(finer, coarser, strict=True)}) == k + 1
        finer = coarser


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_scipy_cuts_the_tree_alike(seed):
    tree = grow_merge_tree(*random_case(seed, 7))
    if len(set(tree.heights.tolist())) < 6:
        return  # scipy cuts by heights and cannot part equal ones
    sizes = [len(members) for members in tree.node_members()[7:]]
    matrix = np.column_stack([tree.merged_nodes, tree.heights, sizes]).astype(float)
    for k in range(1, 8):
        theirs = fcluster(matrix, k, "maxclust")
        pairs = set(zip(cut_tree(tree, k).tolist(), theirs.tolist(), strict=True))
        assert len(pairs) == k


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_the_clusters_does_not_matter(seed):
    centres, known = random_case(seed, 6)
    order = np.random.default_rng(seed).permutation(6)
    turned = ClusterRelations(
        *(np.asarray(p)[order] if p.ndim == 1 else np.asarray(p)[order][:, order] for p in known)
    )
    one, other = grow_merge_tree(centres, known), grow_merge_tree(centres[order], turned)
    np.testing.assert_allclose(one.heights, other.heights, rtol=1e-5)
    for k in range(1, 7):
        both = set(zip(cut_tree(one, k)[order].tolist(), cut_tree(other, k).tolist(), strict=True))
        assert len(both) == k


@pytest.mark.parametrize("k", [0, 4])
def test_cuts_that_cannot_be_are_refused(k):
    tree = grow_merge_tree(np.arange(3.0)[:, None], apart(np.full(3, 1 / 3)))
    with pytest.raises(ValueError, match=f"1 to 3 groups, not {k}"):
        cut_tree(tree, k)


TREE = MergeTree(np.array([[0, 1], [2, 3], [4, 5]]), np.array([1.0, 2.0, 3.0]))


def test_members_and_parents():
    assert TREE.node_members()[4:] == [[0, 1], [2, 3], [0, 1, 2, 3]]
    assert TREE.node_parents() == [4, 4, 5, 5, 6, 6, -1]
