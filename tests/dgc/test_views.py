import math

import chex
import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.dgc import views
from jaxhsi.dgc.options import ViewOptions

STILL = ViewOptions(crop=16, degrees=0.0, shift=0.0, scale=(1.0, 1.0))
seeds = st.integers(0, 2**31 - 1)


def ramp(size: int) -> jax.Array:
    """An image whose two channels are its own row and column."""
    grid = jnp.meshgrid(jnp.arange(size), jnp.arange(size), indexing="ij")
    return jnp.stack(grid, -1).astype(jnp.float32)


@settings(max_examples=50, deadline=None)
@given(seed=seeds)
def test_overlap_of_unturned_crops_is_in_range(seed):
    a, b = views.draw_view_maps(jax.random.key(seed), STILL)
    kept = 1 - jnp.abs(a[:, 2] - b[:, 2]) / STILL.crop
    assert 0.2 - 1e-5 <= float(kept.prod()) <= 0.8 + 1e-5


@settings(max_examples=50, deadline=None)
@given(seed=seeds, crop=st.sampled_from([8, 16, 33]))
def test_views_stay_inside_the_window(seed, crop):
    options = ViewOptions(crop=crop)
    pair = views.draw_view_maps(jax.random.key(seed), options)
    at = jax.vmap(lambda view: views.map_pixels(view, crop, crop))(pair)
    assert float(at.min()) >= 0
    assert float(at.max()) <= views.window_size(options) - 1


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_inverse_undoes_a_view(seed):
    view = views.draw_view_maps(jax.random.key(seed), ViewOptions())[0]
    identity = jnp.eye(2, 3)
    chex.assert_trees_all_close(
        views.compose_affine(views.invert_affine(view), view), identity, atol=1e-4
    )


def test_affine_turns_about_the_middle_of_the_crop():
    # A quarter turn of a 3 x 3 crop about (10, 20): pixel (0, 1) goes from above to the side.
    view = views._affine(jnp.array(math.pi / 2), jnp.array(1.0), jnp.array([10.0, 20.0]), 3)
    at = views.map_pixels(view, 3, 3)
    chex.assert_trees_all_close(at[1, 1], jnp.array([10.0, 20.0]), atol=1e-5)
    chex.assert_trees_all_close(at[0, 1], jnp.array([10.0, 19.0]), atol=1e-5)


def test_samples_of_a_ramp_are_the_positions():
    image = ramp(9)
    at = jax.random.uniform(jax.random.key(0), (5, 4, 2), maxval=8.0)
    values, inside = views.sample_bilinear(image, jnp.ones((9, 9), bool), at)
    chex.assert_trees_all_close(values, at, atol=5e-3)  # positions snap to pixels within 1e-3
    assert bool(inside.all())


def test_samples_touching_invalid_or_outside_pixels_are_invalid():
    valid = jnp.ones((4, 4), bool).at[2, 2].set(False)
    at = jnp.array([[[1.5, 1.5], [1.0, 1.0], [2.0, 2.0], [-0.5, 0.0], [3.0, 3.0], [3.2, 0.0]]])
    _, inside = views.sample_bilinear(ramp(4), valid, at)
    assert inside.tolist() == [[False, True, False, False, True, False]]


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_matched_pixels_are_the_same_points_of_the_scene(seed):
    """Carry each view's own window coordinates over to the other: they must agree there."""
    options = ViewOptions(crop=16)
    pair = views.draw_view_maps(jax.random.key(seed), options)
    at = jax.vmap(lambda view: views.map_pixels(view, 16, 16))(pair)
    seen, both = views.match_views(pair, at, jnp.ones((2, 16, 16), bool))
    error = jnp.where(both[..., None], seen - at, 0)
    assert float(jnp.abs(error).max()) < 2e-2
    assert int(both.sum()) > 0


def test_matched_of_a_known_shift():
    shift = jnp.array([[[1.0, 0, 0], [0, 1, 0]], [[1.0, 0, 2], [0, 1, 1]]])
    values = jnp.arange(32.0).reshape(2, 4, 4, 1)
    seen, both = views.match_views(shift, values, jnp.ones((2, 4, 4), bool))
    # Pixel (2, 1) of the first view is pixel (0, 0) of the second, and the other way round.
    assert float(seen[0, 2, 1, 0]) == 16
    assert float(seen[1, 0, 0, 0]) == float(values[0, 2, 1, 0])
    assert int(both[0].sum()) == int(both[1].sum()) == 2 * 3
    assert not bool(both[0, 0, 0])


def test_cut_takes_the_window_and_zeroes_the_invalid():
    window, valid = ramp(20) + 1, jnp.ones((20, 20), bool).at[5, 5].set(False)
    pair = jnp.array([[[1.0, 0, 3], [0, 1, 4]], [[1.0, 0, 4], [0, 1, 5]]])
    crops, inside = views.cut_views(window, valid, pair, 8)
    assert not bool(inside[0, 2, 1])
    assert not bool(inside[1, 1, 0])
    assert int((~inside).sum()) == 2
    assert float(jnp.abs(crops[0, 2, 1]).max()) == 0
    chex.assert_trees_all_close(crops[0, 0, 0], jnp.array([4.0, 5.0]))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"crop": 2}, "views.crop 2"),
        ({"overlap": (0.9, 0.2)}, "views.overlap"),
        ({"overlap": (0.0, 0.5)}, "views.overlap"),
        ({"scale": (0.0, 1.0)}, "views.scale"),
        ({"noise": -1.0}, "views.noise"),
        ({"dropout": 1.0}, "views.dropout"),
    ],
)
def test_options_out_of_range_are_named(wrong, named):
    with pytest.raises(ValueError, match=named):
        ViewOptions(**wrong)
