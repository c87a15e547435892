import chex
import jax
import jax.numpy as jnp
import pytest
from sklearn.decomposition import PCA

from jaxhsi.dgc import pca_embedding as pca_module
from jaxhsi.dgc.pca_embedding import CLIP_DEVIATIONS, embed, fit_pca_embedding
from jaxhsi.normalisation import band_stats, normalise


def mixed_spectra(n: int = 400) -> jax.Array:
    k_a, k_s, k_n = jax.random.split(jax.random.key(0), 3)
    abundance = jax.random.dirichlet(k_a, jnp.ones(3), (n,))
    return 100 * abundance @ jax.random.uniform(k_s, (3, 20)) + jax.random.normal(k_n, (n, 20))


def test_one_block_is_scikit_learns_pca():
    x = mixed_spectra()
    pca_embedding = fit_pca_embedding(x, ("band",), 3)
    expected = PCA(3).fit_transform(normalise("band", x, band_stats(x)))
    got = embed(pca_embedding._replace(clip_limit=jnp.full(3, jnp.inf)), ("band",), x)
    expected = expected / expected[:, :1].std(ddof=1)
    chex.assert_trees_all_close(jnp.abs(got), jnp.abs(expected), atol=2e-3)


def test_embedding_is_centred_scaled_and_clipped():
    x = mixed_spectra().at[0].set(1e4)  # one glaring pixel
    pca_embedding = fit_pca_embedding(x, ("snv", "band"), 4)
    v = embed(pca_embedding, ("snv", "band"), x)
    unclipped = embed(pca_embedding._replace(clip_limit=jnp.full(4, jnp.inf)), ("snv", "band"), x)
    chex.assert_trees_all_close(unclipped.mean(0), jnp.zeros(4), atol=1e-3)
    assert float(unclipped[:, 0].std()) == pytest.approx(1, abs=0.01)
    chex.assert_trees_all_close(
        pca_embedding.clip_limit, CLIP_DEVIATIONS * unclipped.std(0), rtol=1e-3
    )
    assert bool((jnp.abs(v) <= pca_embedding.clip_limit).all())
    assert bool((jnp.abs(unclipped) > pca_embedding.clip_limit).any())


def test_each_block_has_the_same_say():
    """A block's scale does not matter: raw values in thousandths give the same pca_embedding."""
    x = mixed_spectra()
    big, small = (fit_pca_embedding(scale * x, ("none", "band"), 4) for scale in (1.0, 1e-3))
    kinds = ("none", "band")
    chex.assert_trees_all_close(embed(big, kinds, x), embed(small, kinds, 1e-3 * x), atol=5e-3)


def test_fewer_bands_than_dimensions():
    x = jax.random.normal(jax.random.key(0), (30, 2))
    assert embed(fit_pca_embedding(x, ("band",), 8), ("band",), x).shape == (30, 2)


def test_many_bands_have_the_same_leading_axes():
    """Above `MAX_EXACT_BANDS` the axes come from subspace iteration, not from all eigenvectors."""
    mixed, weights = mixed_spectra(), jax.random.normal(jax.random.key(1), (20, 1600))
    axes, variances = pca_module._principal_axes(mixed @ weights, 4)
    expected = PCA(4).fit(mixed @ weights)
    chex.assert_trees_all_close(variances, expected.explained_variance_.astype("f4"), rtol=1e-3)
    products = jnp.abs(jnp.sum(axes * expected.components_.T, axis=0))
    chex.assert_trees_all_close(products, jnp.ones(4), atol=1e-3)
    chex.assert_trees_all_close(axes.T @ axes, jnp.eye(4), atol=1e-5)


def test_many_equal_bands_are_an_error():
    with pytest.raises(ValueError, match="all sampled spectra are equal"):
        fit_pca_embedding(jnp.ones((10, 1600)), ("snv", "band"), 2)


def test_equal_spectra_are_an_error():
    with pytest.raises(ValueError, match="all sampled spectra are equal"):
        fit_pca_embedding(jnp.ones((10, 4)), ("band",), 2)


def test_too_few_spectra_are_an_error():
    with pytest.raises(ValueError, match="at least 2 valid spectra, got 1"):
        fit_pca_embedding(jnp.ones((1, 4)), ("band",), 2)
