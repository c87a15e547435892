import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.dgc.gaussian_mixture import posterior
from jaxhsi.dgc.options import DGCOptions
from jaxhsi.dgc.pca_embedding import embed
from jaxhsi.dgc.state import Batch, SegmentationAlgorithm, State
from tests.helpers.dgc_method import batch, first_state, method, noisy
from tests.helpers.scenes import BANDS, CLASSES, blobs


def accuracy(dgc: SegmentationAlgorithm, state: State, noise: float = 0.0) -> float:
    cube, truth = blobs(3)
    cube = noisy(cube, noise)
    labels, _ = dgc.predict(state, jnp.asarray(cube)[None], jnp.ones((1, *truth.shape), bool))
    table = np.zeros((CLASSES, CLASSES))
    np.add.at(table, (np.asarray(labels[0]), truth), 1)
    return table.max(0).sum() / truth.size


def train(dgc: SegmentationAlgorithm, state: State, steps: range, noise: float = 0.0) -> tuple:
    step = jax.jit(dgc.step, donate_argnums=1)
    for number in steps:
        key = jax.random.fold_in(jax.random.key(1), number)
        state, info = step(key, state, batch(number, noise=noise))
    return state, info


def test_the_start_is_good_and_training_keeps_every_cluster():
    dgc = method()
    state = first_state(dgc)
    start = accuracy(dgc, state)
    state, info = train(dgc, state, range(60))
    assert start > 0.95
    assert accuracy(dgc, state) >= start - 0.01
    assert int(info.active_clusters) == CLASSES
    assert float(info.teacher_agreement) > 0.9


def test_training_earns_its_keep_under_noise():
    dgc, noise = method(), 1.0
    spectra = noisy(blobs(0)[0], noise).reshape(-1, BANDS)
    state = dgc.init(jax.random.key(0), jnp.asarray(spectra))
    start = accuracy(dgc, state, noise)
    state, info = train(dgc, state, range(120), noise)
    assert float(info.effective_sample_ratio) > 0.4  # most of the noise of neighbours is their own
    assert accuracy(dgc, state, noise) > start + 0.05


def test_the_start_is_the_mixture_alone():
    dgc = method()
    state = first_state(dgc)
    cube = jnp.asarray(blobs(3)[0])
    labels, _ = dgc.predict(state, cube[None], jnp.ones((1, *cube.shape[:2]), bool))
    v = embed(state.pca_embedding, DGCOptions().normalisations, cube.reshape(-1, BANDS))
    np.testing.assert_array_equal(labels.ravel(), posterior(v, state.mixture).argmax(-1))


@pytest.mark.parametrize(
    ("asked", "clusters", "bands", "dim"),
    [(None, 2, 50, 2), (None, 16, 50, 8), (None, 6, 4, 4), (5, 2, 50, 5)],
)
def test_as_many_dimensions_as_clusters(asked, clusters, bands, dim):
    assert DGCOptions(embedding_dim=asked).resolved_dim(clusters, bands) == dim


def test_the_loss_falls():
    dgc = method()
    state = first_state(dgc)
    step = jax.jit(dgc.step)
    fixed = jax.random.key(2)  # the same views and noise, so that the numbers compare
    before = step(fixed, state, batch(0))[1]
    state, _ = train(dgc, state, range(60))
    after = step(fixed, state, batch(0))[1]
    assert float(after.loss) < float(before.loss)


def test_one_trace_whatever_the_batch():
    dgc = method()
    state = first_state(dgc)
    step = jax.jit(
        chex.assert_max_traces(lambda *arguments: dgc.step(*arguments), n=1), donate_argnums=1
    )
    for number in range(3):
        state, _ = step(jax.random.key(number), state, batch(number))
    assert int(state.step) == 3
    chex.clear_trace_counter()


def test_a_step_is_a_pure_function_of_its_arguments():
    dgc = method()
    state = first_state(dgc)
    once, again = (jax.jit(dgc.step)(jax.random.key(0), state, batch(0)) for _ in range(2))
    chex.assert_trees_all_equal(once, again)


def test_invalid_pixels_change_nothing():
    """Whatever an invalid pixel holds, losses, clusters and parameters come out the same."""
    dgc = method()
    state, step = first_state(dgc), jax.jit(dgc.step)
    window, valid = batch(0)
    valid = valid.at[:, 3:6, 4:9].set(False)
    holes = (step(jax.random.key(0), state, Batch(window.at[~valid].set(v), valid)) for v in (0, 5))
    chex.assert_trees_all_close(*holes, rtol=1e-5, atol=1e-6)


def test_a_batch_without_valid_pixels_leaves_the_clusters():
    dgc = method()
    state = first_state(dgc)
    window, valid = batch(0)
    after, info = jax.jit(dgc.step)(
        jax.random.key(0), state, Batch(jnp.zeros_like(window), jnp.zeros_like(valid))
    )
    chex.assert_trees_all_equal(after.mixture, state.mixture)
    chex.assert_tree_all_finite((after.params, info))


def test_predict_says_nothing_of_invalid_pixels():
    dgc = method()
    cube, truth = blobs(0)
    valid = jnp.ones((1, *truth.shape), bool).at[0, 5, 5].set(False)
    labels, confidence = dgc.predict(first_state(dgc), jnp.asarray(cube)[None], valid)
    assert int(labels[0, 5, 5]) == -1
    assert float(confidence[0, 5, 5]) == 0
    assert int((labels < 0).sum()) == 1


def test_bfloat16_trains():
    dgc = method(dtype=jnp.bfloat16)
    state, info = train(dgc, first_state(dgc), range(10))
    chex.assert_tree_all_finite((state.params, info))
    assert accuracy(dgc, state) > 0.95


@pytest.mark.parametrize("kind", ["none", "band", "l2", "snv", "log"])
def test_every_normalisation_trains(kind):
    dgc = method(normalisations=(kind,))
    state, info = train(dgc, first_state(dgc), range(3))
    chex.assert_tree_all_finite((state.params, info))


def test_relations_start_from_the_sample_and_follow_the_teacher():
    dgc = method()
    first = first_state(dgc)
    np.testing.assert_allclose(
        first.cluster_relations.neighbour_pairs,
        np.outer(first.cluster_relations.usage, first.cluster_relations.usage),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        first.cluster_relations.confusion.sum(0), first.cluster_relations.usage, rtol=1e-4
    )
    after, _ = train(dgc, first, range(60))
    for part in after.cluster_relations:
        assert float(part.sum()) == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(
        after.cluster_relations.usage.sum(), after.cluster_usage.sum(), rtol=1e-4
    )
    # Blocks of 12 pixels touch along their edges alone.
    assert float(jnp.trace(after.cluster_relations.neighbour_pairs)) > 0.6
