import chex
import jax
import jax.numpy as jnp
import pytest

from jaxhsi.dgc.networks import Encoder, patch_encoder
from jaxhsi.normalisation import band_stats, project_normalised
from tests.helpers.dgc_method import stirred

BANDS, DIM = 10, 4


@pytest.fixture
def encoder() -> Encoder:
    return patch_encoder(BANDS, ("snv", "band"), DIM, hidden_width=6, num_channels=5)


@pytest.fixture
def inputs() -> tuple:
    k_x, k_v = jax.random.split(jax.random.key(0))
    x = 50 + 5 * jax.random.normal(k_x, (2, 15, 17, BANDS))
    v = jax.random.normal(k_v, (2, 15, 17, DIM))
    return x, v, jnp.ones((2, 15, 17), bool), band_stats(x.reshape(-1, BANDS))


def embed(encoder: Encoder, params, x, v, valid, stats) -> jax.Array:
    projected = project_normalised(("snv", "band"), x, encoder.input_weights(params), stats)
    return encoder.apply(params, projected, v, valid)


def test_starts_as_the_closed_form_embedding(encoder, inputs):
    params = encoder.init(jax.random.key(0))
    chex.assert_trees_all_equal(embed(encoder, params, *inputs), inputs[1])


def test_init_is_pure(encoder):
    a, b, c = (encoder.init(jax.random.key(seed)) for seed in (0, 0, 1))
    chex.assert_trees_all_equal(a, b)
    assert not jnp.allclose(a["mix"], c["mix"])


def test_a_pixel_reaches_as_far_as_the_halo_and_no_further(encoder, inputs):
    params = stirred(encoder.init(jax.random.key(0)))
    x, v, valid, stats = inputs
    touched = embed(encoder, params, x.at[0, 7, 8].add(30.0), v, valid, stats)
    changed = jnp.abs(touched - embed(encoder, params, *inputs)).max(-1)[0] > 0
    rows, columns = jnp.nonzero(changed)
    assert int(jnp.abs(rows - 7).max()) == encoder.halo
    assert int(jnp.abs(columns - 8).max()) == encoder.halo


def test_invalid_pixels_do_not_reach_their_neighbours(encoder, inputs):
    params = stirred(encoder.init(jax.random.key(0)))
    x, v, valid, stats = inputs
    valid = valid.at[:, 7, 8].set(False)
    base = embed(encoder, params, x, v, valid, stats)
    other = embed(encoder, params, x.at[:, 7, 8].set(0), v.at[:, 7, 8].set(9.0), valid, stats)
    chex.assert_trees_all_equal(base[valid], other[valid])


def test_bfloat16_is_close_and_returns_float32(inputs):
    small = patch_encoder(
        BANDS, ("snv", "band"), DIM, hidden_width=6, num_channels=5, dtype=jnp.bfloat16
    )
    exact = patch_encoder(BANDS, ("snv", "band"), DIM, hidden_width=6, num_channels=5)
    params = stirred(exact.init(jax.random.key(0)))
    got, expected = embed(small, params, *inputs), embed(exact, params, *inputs)
    assert got.dtype == jnp.float32
    chex.assert_tree_all_finite(got)
    assert float(jnp.abs(got - expected).mean()) < 0.03 * float(jnp.abs(expected).mean())


def test_gradients_reach_every_parameter(encoder, inputs):
    params = stirred(encoder.init(jax.random.key(0)))
    gradient = jax.grad(lambda p: (embed(encoder, p, *inputs) ** 2).mean())(params)
    assert all(float(jnp.abs(leaf).max()) > 0 for leaf in jax.tree.leaves(gradient))
