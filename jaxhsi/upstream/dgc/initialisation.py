"""The first state of upstream's clustering: random as upstream's, or from spectra of the data."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxhsi.functional_module import Params
from jaxhsi.upstream.dgc.centroids import kmeans_centroids, random_centroids
from jaxhsi.upstream.dgc.mean_shift import log_bandwidth
from jaxhsi.upstream.dgc.model import PrototypeModel
from jaxhsi.upstream.dgc.state import State

INITIALISATION_PIXELS = 4096
"""Spectra that the centroids of a data-driven start are clustered from, at most; set by hand."""


def init(
    model: PrototypeModel, key: Key[Array, ""], spectra: Float[Array, "n c"] | None = None
) -> State:
    """The first state: random, as upstream's, or from spectra of the data.

    Args:
        model: encoder, optimizer and options.
        key: for all that is drawn.
        spectra: of the data, with standardised bands; only a data-driven start needs them.

    Raises:
        ValueError: a data-driven start without spectra.
    """
    # One key each, so that the start from data draws the same encoder.
    encoder_key, centroid_key = jax.random.split(key)
    params = {
        "encoder": model.encoder.init(encoder_key),
        "centroids": random_centroids(centroid_key, model.num_clusters, model.embed_dim),
        "log_bandwidth": log_bandwidth(model.options.initial_bandwidth),
    }
    if model.options.data_initialisation:
        params |= _params_from_data(model, params["encoder"], centroid_key, spectra)
    # Copies: buffers that are donated may not be shared.
    initial_arrays = jax.tree.map(jnp.copy, (model.even_usage, model.initial_balance))
    return State(jnp.zeros((), jnp.int32), params, model.optimizer.init(params), *initial_arrays)


def _params_from_data(
    model: PrototypeModel, encoder_params: Params, key: Key[Array, ""], spectra: Array | None
) -> Params:
    """Encoder and centroids that start from spectra, each an image of one pixel."""
    if spectra is None:
        raise ValueError("a data-driven start was asked for: give spectra of the data")
    encoder_params = model.encoder.fit_linear_path(encoder_params, spectra)
    # An image of one pixel each: the convolutions then see no neighbours.
    pixel_images = spectra[:INITIALISATION_PIXELS, None, None]
    embeddings = jax.jit(model.encoder.apply)(encoder_params, pixel_images)[:, 0, 0]
    return {
        "encoder": encoder_params,
        "centroids": kmeans_centroids(key, embeddings, model.num_clusters),
    }
