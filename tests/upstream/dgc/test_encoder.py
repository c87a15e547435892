"""Upstream's encoder: form, start, reach; its values are compared in test_prototype.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.upstream.dgc.encoder import upstream_encoder

KEY = jax.random.key(0)


def compiled(*sizes, **options):
    encoder = upstream_encoder(*sizes, **options)
    return encoder._replace(init=jax.jit(encoder.init), apply=jax.jit(encoder.apply))


def pixels(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def test_parameters_are_a_nested_dictionary_of_float32():
    params = jax.eval_shape(upstream_encoder(11, 8, bias=True).init, KEY)
    spectral = {str(i): {"kernel": (9, 11 if i == 0 else 8, 8), "bias": (8,)} for i in range(3)}
    spatial = {str(i): {"kernel": (3, 3, 8, 8), "bias": (8,)} for i in range(2)}
    assert jax.tree.map(lambda a: a.shape, params) == {"spectral": spectral, "spatial": spatial}
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}


def test_start_is_pytorchs():
    """Uniform in +-1 / sqrt(fan in), whose deviation is 1 / sqrt(3 fan in)."""
    kernel = compiled(40, 16).init(KEY)["spectral"]["0"]["kernel"]
    bound = (9 * 40) ** -0.5
    assert np.abs(kernel).max() <= bound
    assert np.std(kernel) == pytest.approx(bound / 3**0.5, rel=0.03)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_embeddings_are_unit_vectors_in_float32(dtype):
    encoder = compiled(5, 8, dtype=dtype)
    z = encoder.apply(encoder.init(KEY), pixels(2, 6, 7, 5))
    assert z.shape == (2, 6, 7, 8)
    assert z.dtype == jnp.float32
    length = np.linalg.norm(z, axis=-1)
    np.testing.assert_allclose(length[length > 0], 1, rtol=1e-5)


def test_bfloat16_stays_close():
    x, exact, coarse = pixels(1, 8, 8, 5), compiled(5, 8), compiled(5, 8, dtype=jnp.bfloat16)
    params = exact.init(KEY)
    error = np.abs(exact.apply(params, x) - coarse.apply(params, x)).max()
    assert 0 < error < 0.05


def test_it_mixes_pixels_over_row_ends_and_no_bands():
    """Its defect: the last pixel of a row reaches the first ones of the next."""
    encoder = compiled(3, 8, layers=1)
    params = encoder.init(KEY)
    x = pixels(1, 20, 30, 3)
    other = x.copy()
    other[0, 9, 29] += 3
    moved = np.asarray(encoder.apply(params, other)) != np.asarray(encoder.apply(params, x))
    changed = np.argwhere(moved.any(-1)[0])
    assert (changed[:, 1] < 6).any()  # 24 columns away: only over the end of the row
    # Flattened reach 4 either way, then two pixels in every direction.
    assert set(changed[:, 0]) <= set(range(7, 13))
    assert set(changed[:, 1]) <= set(range(23, 30)) | set(range(0, 6))


@pytest.mark.parametrize("width", [1, 5, 16])
def test_tiles_of_full_rows_with_the_halo_agree_with_the_whole(width):
    encoder = compiled(3, 4)
    params = encoder.init(KEY)
    x = pixels(1, 50, width, 3)
    tile = encoder.apply(params, x[:, 20 - encoder.halo : 24 + encoder.halo])
    whole = encoder.apply(params, x)
    kept = tile[:, encoder.halo : -encoder.halo]
    np.testing.assert_allclose(kept, whole[:, 20:24], atol=1e-5)
    assert encoder.full_rows


@pytest.mark.parametrize("wrong", [{"kernel": 8}, {"layers": 0}])
def test_impossible_layers_are_refused(wrong):
    with pytest.raises(ValueError, match="odd kernel and a layer"):
        upstream_encoder(3, 4, **wrong)
