"""Closed-form start of the embedding: normalised spectra, two levels of PCA, clipped."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxhsi.normalisation import BandStats, Normalisation, band_stats, normalise, project_normalised

BLOCK_DIMENSIONS = 12
"""Principal components of each normalisation; the value of the first trials of this start, not
tuned since."""
CLIP_DEVIATIONS = 8.0
"""Deviations at which a component is clipped. Chosen by hand while looking at the scores of the
scenes of `benchmarks/dgc/quality.py`. The result is sensitive: in the first trials clipping at 4
moved the overall accuracy on SalinasA with 8 clusters from 0.874 to 0.738."""
MIN_VARIANCE = 1e-30
"""Least variance under a root; only guards the division where all spectra are equal."""
MAX_EXACT_BANDS = 1500
"""Bands up to which all eigenvectors of the covariance are computed, in about two seconds on two
cores; the time grows with the third power: ten minutes for 10,000 bands."""
_SPARE_AXES = 20
_POWER_STEPS = 12


class PCAEmbedding(NamedTuple):
    """A frozen map from raw spectra to a small embedding.

    v = clip(sum_b normalise_b(x) P_b + offset, +-limit)

    Attributes:
        band_stats: what the normalisations refer to.
        projection: P_b, one ``(c, d)`` block for each normalisation.
        offset: minus the projected mean, so that v has mean zero.
        clip_limit: eight deviations of each component. Otherwise a few glare or dead pixels would
            dominate the covariance of the mixture.
    """

    band_stats: BandStats
    projection: Float[Array, "blocks c d"]
    offset: Float[Array, " d"]
    clip_limit: Float[Array, " d"]


def fit_pca_embedding(
    spectra: Float[Array, "n c"], normalisations: Sequence[Normalisation], embedding_dim: int = 6
) -> PCAEmbedding:
    """Fit the embedding to a sample of spectra, without labels and without iterations.

    Each normalisation is reduced to its 12 leading principal components and divided by the root
    of its total variance, so that none outweighs another; the concatenation is reduced to
    ``embedding_dim`` components and divided by the deviation of the first.

    Args:
        spectra: valid spectra drawn at random over the data set, in the units of the data.
        normalisations: the normalisations; ``("snv", "band")`` speaks of shape and of brightness.
        embedding_dim: number of components kept.

    Raises:
        ValueError: fewer than two spectra, or all of them equal; the latter not under
            `jax.eval_shape`, where there are no values.
    """
    if spectra.shape[0] < 2:
        raise ValueError(f"the start needs at least 2 valid spectra, got {spectra.shape[0]}")
    pca_embedding, is_varied = _fit(spectra, tuple(normalisations), embedding_dim)
    if not isinstance(is_varied, jax.core.Tracer) and not is_varied:
        raise ValueError(
            "all sampled spectra are equal: there is nothing to segment; "
            "check the data, its no-data value and its units"
        )
    return pca_embedding


@partial(jax.jit, static_argnums=(1, 2))
def _fit(
    spectra: Float[Array, "n c"], kinds: tuple[Normalisation, ...], dim: int
) -> tuple[PCAEmbedding, Bool[Array, ""]]:
    """The embedding, and whether anything varies."""
    spectra_stats = band_stats(spectra)
    normalised_blocks = [normalise(kind, spectra, spectra_stats) for kind in kinds]
    block_bases = [_block_basis(block) for block in normalised_blocks]
    reduced_blocks = [
        (b - b.mean(0)) @ basis for b, basis in zip(normalised_blocks, block_bases, strict=True)
    ]
    # Blocks have the same total variance by now: the axes weigh them alike.
    outer_axes, variances = _principal_axes(jnp.concatenate(reduced_blocks, 1), dim)
    # By the first deviation alone: dividing each by its own would blow up noise.
    outer_axes = outer_axes / jnp.sqrt(jnp.maximum(variances[0], MIN_VARIANCE))
    split_axes = jnp.split(outer_axes, _ends([basis.shape[1] for basis in block_bases]))
    # Both levels as one matrix a block, so that pixels are projected once.
    projection = jnp.stack([a @ b for a, b in zip(block_bases, split_axes, strict=True)])
    block_means = jnp.stack([b.mean(0) for b in normalised_blocks])
    offset = -jnp.einsum("bc,bcd->d", block_means, projection)
    pca_embedding = PCAEmbedding(spectra_stats, projection, offset, jnp.full_like(offset, jnp.inf))
    pca_embedding = pca_embedding._replace(
        # Measured without clipping, hence the infinite limit above.
        clip_limit=CLIP_DEVIATIONS * embed(pca_embedding, kinds, spectra).std(0)
    )
    # By the spectra too: rounding of their mean may leave equal ones a variance above zero.
    return pca_embedding, (variances[0] > 0) & (spectra != spectra[0]).any()


def embed(
    pca_embedding: PCAEmbedding, normalisations: Sequence[Normalisation], x: Float[Array, "*n c"]
) -> Float[Array, "*n d"]:
    """Raw spectra to the pca_embedding's embedding v; see :class:`PCAEmbedding`."""
    return embed_projected(
        pca_embedding,
        project_normalised(normalisations, x, pca_embedding.projection, pca_embedding.band_stats),
    )


def embed_projected(
    pca_embedding: PCAEmbedding, projected: Float[Array, "*n d"]
) -> Float[Array, "*n d"]:
    """The embedding v of normalised spectra that were multiplied by the projection."""
    limit = pca_embedding.clip_limit
    return jnp.clip(projected + pca_embedding.offset, -limit, limit)


def _block_basis(block: Float[Array, "n c"]) -> Float[Array, "c m"]:
    basis, variances = _principal_axes(block, min(BLOCK_DIMENSIONS, block.shape[1]))
    return basis / jnp.sqrt(jnp.maximum(variances.sum(), MIN_VARIANCE))


def _principal_axes(
    x: Float[Array, "n c"], num_axes: int
) -> tuple[Float[Array, "c m"], Float[Array, " m"]]:
    """Leading eigenvectors of the covariance and their variances, largest first."""
    if x.shape[1] <= MAX_EXACT_BANDS:
        covariance = jnp.cov(x, rowvar=False).reshape(x.shape[1], x.shape[1])
        variances, axes = jnp.linalg.eigh(covariance)
    else:
        variances, axes = _leading_eigenvectors(x - x.mean(0), num_axes + _SPARE_AXES)
    variances, axes = variances[::-1][:num_axes], axes[:, ::-1][:, :num_axes]
    # eigh leaves the signs open; fixing them makes the start the same on every machine.
    signs = jnp.sign(axes[jnp.abs(axes).argmax(0), jnp.arange(axes.shape[1])])
    return axes * signs, jnp.maximum(variances, 0.0)


def _leading_eigenvectors(
    centred: Float[Array, "n c"], count: int
) -> tuple[Float[Array, " m"], Float[Array, "c m"]]:
    """Largest eigenvalues, ascending, and eigenvectors of the covariance, without forming it.

    Subspace iteration from random vectors (Halko, Martinsson and Tropp 2011, algorithm 4.4): those
    of variances well above the others are exact to rounding, those within noise one choice of many.
    """
    vectors = jax.random.normal(jax.random.key(0), (centred.shape[1], count), centred.dtype)

    def power_step(_, vectors: Array) -> Array:
        return jnp.linalg.qr(centred.T @ (centred @ vectors))[0]

    vectors = lax.fori_loop(0, _POWER_STEPS, power_step, jnp.linalg.qr(vectors)[0])
    coordinates = centred @ vectors
    variances, rotation = jnp.linalg.eigh(coordinates.T @ coordinates / (len(centred) - 1))
    return variances, vectors @ rotation


def _ends(sizes: Sequence[int]) -> list[int]:
    return [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]
