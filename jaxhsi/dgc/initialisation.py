"""Closed-form start of the default method."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxhsi.dgc import gaussian_mixture
from jaxhsi.dgc.merge_tree import sample_relations
from jaxhsi.dgc.model import DGCModel
from jaxhsi.dgc.pca_embedding import embed, fit_pca_embedding
from jaxhsi.dgc.spatial_prior import init_neighbour_prior, init_residual_statistics
from jaxhsi.dgc.state import State
from jaxhsi.precision import with_float32_products


@with_float32_products
def init(model: DGCModel, key: Key[Array, ""], spectra: Float[Array, "n c"]) -> State:
    """The closed-form start: PCA embedding, mixture, an encoder that adds nothing yet.

    Args:
        model: options of the method.
        key: of the K-means++ draws and the encoder's weights.
        spectra: valid spectra drawn at random over the whole data set, in the units of the data.

    Raises:
        ValueError: fewer spectra than clusters, or all of them equal.
    """
    # One key each, so that another encoder does not change the clusters.
    mixture_key, encoder_key = jax.random.split(key)
    options = model.options
    embedding_dim = options.resolved_dim(model.num_clusters, spectra.shape[1])
    pca_embedding = fit_pca_embedding(spectra, options.normalisations, embedding_dim)
    embedded_pixels = jax.jit(embed, static_argnums=1)(
        pca_embedding, options.normalisations, spectra
    )
    mixture = gaussian_mixture.fit_mixture(
        mixture_key, embedded_pixels, model.num_clusters, options.mixture_starts, mesh=model.mesh
    )
    params = {
        "encoder": model.encoder.init(encoder_key),
        "neighbour_prior": init_neighbour_prior(options.neighbour_radius),
    }
    return State(
        step=jnp.zeros((), jnp.int32),
        params=params,
        teacher_params=jax.tree.map(jnp.copy, params),  # donated buffers may not be shared
        optimizer_state=model.optimizer.init(params),
        pca_embedding=pca_embedding,
        mixture=mixture,
        cluster_usage=jnp.copy(mixture.cluster_share),
        residual_statistics=init_residual_statistics(),
        cluster_relations=sample_relations(
            jax.jit(gaussian_mixture.posterior)(embedded_pixels, mixture)
        ),
    )
