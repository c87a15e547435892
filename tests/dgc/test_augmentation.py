from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.dgc import augmentation
from jaxhsi.dgc.augmentation import AugmentedViews
from jaxhsi.dgc.options import ViewOptions
from jaxhsi.normalisation import BandStats, band_stats, project_normalised

BANDS = 9
STRONG = ViewOptions(band_shift=2, gain=0.3, noise=0.5, dropout=0.3)


def drawn_views(side: int) -> tuple[AugmentedViews, BandStats]:
    """Three views far from zero, strongly changed."""
    x_key, noise_key, *view_keys = jax.random.split(jax.random.key(0), 5)
    x = 500 + 20 * jax.random.normal(x_key, (3, side**2, BANDS))
    stats = band_stats(x.reshape(-1, BANDS))
    options = replace(STRONG, crop=side)
    keys = (jnp.stack(view_keys), noise_key)
    return augmentation.draw_augmented_views(keys, x - stats.mean, stats, options), stats


def changed(views: AugmentedViews, stats: BandStats) -> jax.Array:
    return jnp.stack(
        [
            augmentation.augment(
                jax.tree.map(lambda leaf, i=i: leaf[i], views.augmentation),
                view + stats.mean,
                views.noise,
                stats.mean,
                STRONG.band_shift,
            )
            for i, view in enumerate(views.centred)
        ]
    )


def test_shift_bands_repeats_the_edge_and_does_not_roll():
    x = jnp.arange(5.0).reshape(1, 1, 5)
    assert augmentation.shift_bands(x, jnp.array(2), 2)[0, 0].tolist() == [2, 3, 4, 4, 4]
    assert augmentation.shift_bands(x, jnp.array(-1), 2)[0, 0].tolist() == [0, 0, 1, 2, 3]
    assert augmentation.shift_bands(x, jnp.array(0), 0)[0, 0].tolist() == [0, 1, 2, 3, 4]


def test_augment_has_the_stated_size():
    x = jnp.broadcast_to(jnp.linspace(1, 2, 40), (64, 64, 40))
    stats = band_stats(jnp.linspace(0, 1, 8)[:, None] + jnp.ones(40))
    none = ViewOptions(band_shift=0, gain=0.0, noise=0.0, dropout=0.0)
    chex.assert_trees_all_close(augmentation.augment_view(jax.random.key(0), x, stats, none), x)
    noisy = ViewOptions(band_shift=0, gain=0.0, noise=0.3, dropout=0.0)
    deviation = (augmentation.augment_view(jax.random.key(0), x, stats, noisy) - x).std()
    assert float(deviation) == pytest.approx(0.3 * float(stats.deviation[0]), rel=0.03)
    lossy = ViewOptions(band_shift=0, gain=0.0, noise=0.0, dropout=0.5)
    changed = augmentation.augment_view(jax.random.key(0), x, stats, lossy) != x
    per_band = changed.reshape(-1, 40).mean(0)
    assert set(per_band.tolist()) == {0.0, 1.0}
    assert 0.2 < float(per_band.mean()) < 0.8


@pytest.mark.parametrize("kinds", [("snv", "band"), ("none", "l2"), ("log", "snv")])
@pytest.mark.parametrize("side", [6, 64])  # noise of its own for each pixel, and four times
def test_projections_are_those_of_the_changed_views(kinds, side):
    views, stats = drawn_views(side)
    weights = jax.random.normal(jax.random.key(3), (2, BANDS, 4))

    def mean_square(weights, project):
        return jnp.square(project(weights)).mean()

    def of_changed(weights):
        return project_normalised(kinds, changed(views, stats), weights, stats)

    def without_copy(weights):
        return augmentation.project_augmented(kinds, views, weights, stats, STRONG.band_shift)

    expected, found = of_changed(weights), without_copy(weights)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)
    gradients = [jax.grad(mean_square)(weights, each) for each in (of_changed, without_copy)]
    chex.assert_trees_all_close(*gradients, rtol=2e-3, atol=2e-3)


def test_noise_is_shared_by_views_and_repeats_after_whole_rows():
    views, stats = drawn_views(64)
    assert views.noise.shape == (1024, BANDS)
    lossless = views._replace(
        augmentation=views.augmentation._replace(
            gain=jnp.ones(3),
            band_shift=jnp.zeros(3, jnp.int32),
            is_lost=jnp.zeros((3, BANDS), bool),
        )
    )
    noise = changed(lossless, stats) - views.centred - stats.mean
    np.testing.assert_allclose(noise[0, :1024], noise[0, 3072:], atol=1e-3)
    np.testing.assert_allclose(noise[0], noise[1], atol=1e-3)
    assert len(np.unique(np.asarray(noise[0, :1024, 0]))) > 1000
    assert drawn_views(6)[0].noise.shape == (36, BANDS)
