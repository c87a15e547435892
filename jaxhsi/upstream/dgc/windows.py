"""The prototype method over windows of cubes, in the form that every method has."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxhsi.dgc.state import Batch, SegmentationAlgorithm
from jaxhsi.dgc.views import ViewOptions, augment_view, cut_view_pairs
from jaxhsi.normalisation import BandStats
from jaxhsi.upstream.dgc.algorithm import Info, PrototypeDGC, State
from jaxhsi.upstream.dgc.centroids import unit
from jaxhsi.upstream.dgc.loss_terms import ViewPair
from jaxhsi.upstream.dgc.losses import random_balanced_labels


def over_windows(
    method: PrototypeDGC, clusters: int, view_options: ViewOptions, kick: float = 0.05
) -> SegmentationAlgorithm:
    """Draw what :attr:`PrototypeDGC.update` wants to be given: views, random labels, noise.

    Args:
        method: from :func:`jaxhsi.upstream.dgc.algorithm.prototype_dgc`. It is given bands of mean 0 and
            deviation 1, see :func:`jaxhsi.data.stream.standardised`.
        clusters: number of clusters k.
        view_options: how pairs of views are drawn and augmented.
        kick: deviation of the noise that moves dead centroids (upstream `trainer.py`, `ema_kick`).
    """

    def init(key: Key[Array, ""], spectra: Float[Array, "n c"]) -> State:
        """Random, as upstream, unless the method starts from the spectra."""
        return method.init(key, spectra)

    def step(key: Key[Array, ""], state: State, batch: Batch) -> tuple[State, Info]:
        k_views, k_labels, k_kick = jax.random.split(key, 3)
        keys = jax.random.split(k_views, (batch.window.shape[0], 3))
        pairs = cut_view_pairs(keys[:, 0], batch.window, batch.valid, view_options)
        stats = _standard(batch.window.shape[-1])
        changed = jax.vmap(
            jax.vmap(augment_view, in_axes=(0, 0, None, None)), in_axes=(0, 0, None, None)
        )
        crops = jnp.where(
            pairs.valid[..., None], changed(keys[:, 1:], pairs.crops, stats, view_options), 0
        )
        pixels = pairs.valid[:, 0].size
        labels = [random_balanced_labels(k, pixels, clusters) for k in jax.random.split(k_labels)]
        noise = kick * jax.random.normal(k_kick, state.params["centroids"].shape)
        pair = ViewPair(
            jnp.moveaxis(crops, 1, 0),
            jnp.stack(labels),
            noise,
            jnp.moveaxis(pairs.valid, 1, 0),
            pairs.maps,
        )
        return method.update(state, pair)

    def embed(state: State, x: Array, valid: Array) -> tuple[Array, Array]:
        """What the soft assignment compares: directions after the mean-shift, and centroids."""
        return unit(method.look(state.params, x, valid).shifted), state.params["centroids"]

    return SegmentationAlgorithm(init, step, method.predict, method.halo, method.full_rows, embed)


def _standard(bands: int) -> BandStats:
    """Statistics of standardised bands."""
    one = jnp.ones(())
    return BandStats(jnp.zeros(bands), jnp.ones(bands), one, one)
