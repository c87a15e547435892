"""Pairs of views for upstream's step, with all else that it draws at random."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from jaxhsi.dgc.augmentation import augment_view
from jaxhsi.dgc.state import Batch
from jaxhsi.dgc.views import cut_view_pairs
from jaxhsi.normalisation import BandStats
from jaxhsi.upstream.dgc.loss_terms import ViewPair
from jaxhsi.upstream.dgc.losses import random_balanced_labels
from jaxhsi.upstream.dgc.model import PrototypeModel


def draw_pair(model: PrototypeModel, key: Key[Array, ""], batch: Batch) -> ViewPair:
    """Views of each window, random labels and the noise of dead centroids."""
    view_key, label_key, noise_key = jax.random.split(key, 3)
    window_keys = jax.random.split(view_key, (batch.window.shape[0], 3))
    view_pairs = cut_view_pairs(window_keys[:, 0], batch.window, batch.valid, model.view_options)
    # Over the two views, then over the windows.
    augment_both = jax.vmap(augment_view, in_axes=(0, 0, None, None))
    augment_all = jax.vmap(augment_both, in_axes=(0, 0, None, None))
    # Upstream standardises cubes beforehand: a band has mean 0 and deviation 1.
    unit_stats = _standard_stats(batch.window.shape[-1])
    augmented_views = augment_all(
        window_keys[:, 1:], view_pairs.crops, unit_stats, model.view_options
    )
    # Upstream has no mask: invalid pixels are zeros for the encoder.
    crops = jnp.where(view_pairs.valid[..., None], augmented_views, 0)
    num_pixels = view_pairs.valid[:, 0].size
    # One set a view, as upstream draws them.
    random_labels = [
        random_balanced_labels(k, num_pixels, model.num_clusters)
        for k in jax.random.split(label_key)
    ]
    centroids_shape = (model.num_clusters, model.embed_dim)
    return ViewPair(
        crops=jnp.moveaxis(crops, 1, 0),
        random_labels=jnp.stack(random_labels),
        centroid_noise=model.noise_deviation * jax.random.normal(noise_key, centroids_shape),
        valid=jnp.moveaxis(view_pairs.valid, 1, 0),
        affine_maps=view_pairs.maps,
    )


def _standard_stats(num_bands: int) -> BandStats:
    """Statistics of standardised bands."""
    one = jnp.ones(())
    return BandStats(jnp.zeros(num_bands), jnp.ones(num_bands), one, one)
