"""Closed-form segmentation of single spectra: PCA embedding and mixture, no training, no space.

It is the start of `jaxhsi.dgc.algorithm` by itself, for a look at a cube in seconds and for tables
of spectra that are no image.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxhsi.dgc.gaussian_mixture import Mixture, fit_mixture, posterior, whiten_mixture
from jaxhsi.dgc.merge_tree import MergeTree, grow_merge_tree, sample_relations
from jaxhsi.dgc.options import DGCOptions
from jaxhsi.dgc.pca_embedding import PCAEmbedding, embed, fit_pca_embedding
from jaxhsi.normalisation_names import Normalisation


class ClosedFormModel(NamedTuple):
    """What labels spectra; arrays alone.

    Attributes:
        pca_embedding: from raw spectra to the embedding.
        mixture: of the embedded spectra.
    """

    pca_embedding: PCAEmbedding
    mixture: Mixture


def fit_closed_form(
    key: Key[Array, ""],
    spectra: Float[Array, "n c"],
    num_clusters: int,
    normalisations: Sequence[Normalisation] = ("snv", "band"),
    embedding_dim: int | None = None,
    mixture_starts: int = 64,
) -> ClosedFormModel:
    """Fit embedding and mixture to spectra.

    Args:
        key: of the K-means++ draws.
        spectra: valid spectra in the units of the data.
        num_clusters: number of clusters k.
        normalisations: of the spectra.
        embedding_dim: d of the embedding; as `jaxhsi.dgc.options.DGCOptions` chooses it if None.
        mixture_starts: K-means++ starts, of which the likeliest is kept.

    Raises:
        ValueError: fewer spectra than clusters, or all of them equal.

    Examples:
        >>> import jax.numpy as jnp
        >>> spectra = jnp.array([[1.0, 2, 3], [1, 2, 3.1], [3, 2, 1], [3.1, 2, 1]])
        >>> model = fit_closed_form(jax.random.key(0), spectra, 2, ("band",), mixture_starts=2)
        >>> labels, _ = label_spectra(model, spectra, ("band",))
        >>> bool((labels[:2] == labels[0]).all() and labels[0] != labels[2] == labels[3])
        True
    """
    options = DGCOptions(embedding_dim=embedding_dim)
    dimensions = options.resolved_dim(num_clusters, spectra.shape[1])
    pca_embedding = fit_pca_embedding(spectra, normalisations, dimensions)
    embedded = _embed(pca_embedding, tuple(normalisations), spectra)
    return ClosedFormModel(pca_embedding, fit_mixture(key, embedded, num_clusters, mixture_starts))


@partial(jax.jit, static_argnums=2)
def label_spectra(
    model: ClosedFormModel, spectra: Float[Array, "*n c"], normalisations: tuple[str, ...]
) -> tuple[Int[Array, "*n"], Float[Array, "*n"]]:
    """Likeliest cluster of each spectrum, and its probability.

    Args:
        model: of :func:`fit_closed_form`.
        spectra: in the units of the data.
        normalisations: with which the model was fitted.
    """
    embedded = embed(model.pca_embedding, normalisations, spectra)
    probabilities = posterior(embedded, model.mixture)
    return probabilities.argmax(-1), probabilities.max(-1)


def closed_form_tree(
    model: ClosedFormModel, spectra: Float[Array, "n c"], normalisations: Sequence[Normalisation]
) -> MergeTree:
    """Merge tree of the clusters; without space, who touches whom is left to chance.

    Args:
        model: of :func:`fit_closed_form`.
        spectra: that it was fitted to.
        normalisations: with which.
    """
    embedded = _embed(model.pca_embedding, tuple(normalisations), spectra)
    relations = sample_relations(jax.jit(posterior)(embedded, model.mixture))
    return grow_merge_tree(np.asarray(whiten_mixture(model.mixture).centres), relations)


_embed = jax.jit(embed, static_argnums=1)
