import dataclasses
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jaxhsi.dgc.monitor import (
    ViewStatistics,
    count_label_pairs,
    draw_validation_views,
    embedding_variance,
    evaluate_views,
    nearest_centre_distances,
    score_views,
)
from jaxhsi.dgc.views import draw_view_maps
from jaxhsi.normalisation import band_stats
from jaxhsi.sharding import compile_evaluation, device_mesh, replicate, shard_batch
from tests.helpers.dgc_method import VIEWS, batch, first_state, method
from tests.helpers.scenes import BANDS, CLASSES
from tests.helpers.upstream_method import upstream_method

STILL = jnp.broadcast_to(jnp.array([[1.0, 0, 0], [0, 1, 0]]), (1, 2, 2, 3))
DRAW = jax.jit(draw_validation_views, static_argnums=3)
COUNT = jax.jit(count_label_pairs, static_argnums=3)
SIX = settings(max_examples=6, deadline=None)


def seen(pairs, labels=((0,),)) -> ViewStatistics:
    return ViewStatistics(np.array(pairs, np.int32), np.array([labels], np.int32), None, None)


@cache
def probe(**views):
    drawn, options = batch(0, 8), dataclasses.replace(VIEWS, **views)
    stats = band_stats(drawn.window.reshape(-1, BANDS))
    return DRAW(jax.random.key(1), drawn, stats, options)


@pytest.mark.parametrize(
    ("pairs", "information", "agreement"),
    [
        ([[4, 0], [0, 4]], np.log(2), 1.0),
        ([[0, 4], [4, 0]], np.log(2), 0.0),  # the criterion asks what is told, not its name
        ([[8, 0], [0, 0]], 0.0, 1.0),  # merged: all agree on nothing
        ([[2, 2], [2, 2]], 0.0, 0.5),  # noise
        ([[3, 1], [1, 3]], 0.75 * np.log(1.5) + 0.25 * np.log(0.5), 0.75),
    ],
)
def test_information_by_hand(pairs, information, agreement):
    found = score_views(seen(pairs), None)
    assert found.mutual_information == pytest.approx(information, abs=1e-12)
    assert found.label_agreement == agreement


def test_no_matched_point_tells_nothing():
    found = score_views(seen([[0, 0], [0, 0]]), None)
    assert (found.mutual_information, found.label_agreement) == (0.0, None)


def test_usage_and_stability_by_hand():
    labels = [[0, 0, 1, 1, -1]]
    first = score_views(seen([[1, 0], [0, 1]], labels), None)
    assert first.effective_clusters == pytest.approx(2)
    assert (first.nmi, first.vi) == (None, None)
    swapped = np.array([[[1, 1, 0, 0, 0]]], np.int32)
    again = score_views(seen([[1, 0], [0, 1]], labels), swapped)
    assert (again.nmi, again.vi) == (pytest.approx(1), pytest.approx(0, abs=1e-12))
    merged = score_views(seen([[1, 0], [0, 0]], [[0, 0, 0, 0, -1]]), swapped)
    assert merged.effective_clusters == pytest.approx(1)
    assert (merged.nmi, merged.vi) == (0, pytest.approx(np.log(2)))


@SIX
@given(arrays(np.int32, (4, 4), elements=st.integers(0, 50)))
def test_merging_clusters_never_gains(table):
    table[0, 0] += 1
    merge = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    whole, less = (score_views(seen(t), None) for t in (table, merge.T @ table @ merge))
    assert less.mutual_information <= whole.mutual_information + 1e-9


def test_views_that_are_the_same_fill_the_diagonal():
    labels = jnp.array([[0, 1], [1, 2]])[None, None].repeat(2, 1)
    valid = jnp.ones((1, 2, 2, 2), bool).at[0, 0, 0, 0].set(False)
    # Three points, seen on the grids of both views; the invalid one counts on neither.
    np.testing.assert_array_equal(COUNT(labels, valid, STILL, 3), np.diag([0, 4, 2]))


def test_points_are_matched_by_the_maps():
    # The second view begins a column later: its column j is the first view's column j + 1.
    maps = STILL.at[0, 1, 1, 2].set(1.0)
    scene = jnp.arange(4) % 3
    labels = jnp.stack([scene[:3], scene[1:]])[None, :, None].repeat(3, 2)
    pairs = COUNT(labels, jnp.ones((1, 2, 3, 3), bool), maps, 3)
    np.testing.assert_array_equal(pairs, np.diag([0, 6, 6]))


@SIX
@given(st.integers(0, 1000))
def test_rows_are_the_first_view(seed):
    maps = jax.jit(draw_view_maps, static_argnums=1)(jax.random.key(seed), VIEWS)[None]
    labels = jnp.stack([jnp.zeros((12, 12), int), jnp.ones((12, 12), int)])[None]
    pairs = COUNT(labels, jnp.ones(labels.shape, bool), maps, 2)
    assert pairs[0, 1] == pairs.sum() > 0


def test_distances_of_centres_by_hand():
    centres = jnp.array([[0.0, 0], [3, 4], [3, 6]])
    np.testing.assert_allclose(nearest_centre_distances(centres), [5, 2, 2])
    assert nearest_centre_distances(centres[:1])[0] == jnp.inf


def test_variance_by_hand():
    z = jnp.array([[0.0, 0], [2, 4], [99, 99]])
    assert float(embedding_variance(z, jnp.array([True, True, False]))) == 1 + 4
    assert float(embedding_variance(z, jnp.zeros(3, bool))) == 0


def test_a_probe_is_two_changed_views_and_one_as_it_is():
    drawn = probe()
    assert drawn.crops.shape == (8, 3, 12, 12, BANDS)
    assert np.abs(drawn.crops[:, 0] - drawn.crops[:, 2]).max() > 1
    calm = probe(gain=0.0, noise=0.0, dropout=0.0, band_shift=0)
    np.testing.assert_allclose(calm.crops[:, 0], calm.crops[:, 2], rtol=1e-6)
    np.testing.assert_allclose(calm.crops[:, 2], drawn.crops[:, 2], rtol=1e-6)


def test_a_good_state_tells_more_than_one_whose_clusters_are_one():
    dgc, drawn = method(), probe()
    state = first_state(dgc)
    found = score_views(jax.jit(partial(evaluate_views, dgc, CLASSES))(state, drawn), None)
    assert found.mutual_information > 0.3
    assert found.label_agreement > 0.9
    assert found.effective_clusters > 1.5

    def merged(state, x, valid):
        return jnp.where(valid, 0, -1), jnp.ones(valid.shape)

    spoilt = dataclasses.replace(dgc, predict=merged)
    found = score_views(jax.jit(partial(evaluate_views, spoilt, CLASSES))(state, drawn), None)
    assert found[:3] == (0.0, 1.0, 1.0)


def test_embeddings_are_watched_where_there_are_some():
    dgc, drawn = upstream_method(), probe()
    state = dgc.init(jax.random.key(0), jnp.zeros((1, BANDS)))
    found = jax.jit(partial(evaluate_views, dgc, 3))(state, drawn)
    centres = state.params["centroids"]
    np.testing.assert_allclose(
        found.nearest_distances, nearest_centre_distances(centres), rtol=1e-6
    )
    assert 0 < float(found.embedding_variance) <= 1  # unit vectors
    labels, _ = dgc.predict(state, drawn.crops[:, 2], drawn.valid[:, 0])
    np.testing.assert_array_equal(found.clean_labels, labels)


@pytest.mark.parametrize("devices", [8, 3])
def test_many_devices_see_what_one_sees(devices):
    dgc, drawn = method(), probe()
    state, found = first_state(dgc), []
    for count in (1, devices):
        mesh = device_mesh(count)
        looked = compile_evaluation(mesh, partial(evaluate_views, dgc, CLASSES), 8)
        found.append(jax.device_get(looked(replicate(mesh, state), shard_batch(mesh, drawn))))
    one, eight = found
    np.testing.assert_array_equal(one.label_pairs, eight.label_pairs)
    np.testing.assert_array_equal(one.clean_labels, eight.clean_labels)
    # Sums over the devices are taken in another order.
    np.testing.assert_allclose(one.embedding_variance, eight.embedding_variance, rtol=1e-5)
    np.testing.assert_allclose(one.nearest_distances, eight.nearest_distances, rtol=1e-5)
