"""What the student of DGC is asked to say: posteriors of the mixture, the neighbours, the teacher.

All of it is computed from clean pixels and without gradient, but :func:`student_logits`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxhsi.dgc import gaussian_mixture
from jaxhsi.dgc.augmentation import AugmentedViews, project_augmented
from jaxhsi.dgc.gaussian_mixture import Mixture, WhitenedMixture
from jaxhsi.dgc.model import DGCModel
from jaxhsi.dgc.pca_embedding import embed, embed_projected
from jaxhsi.dgc.spatial_prior import (
    ResidualStatistics,
    effective_sample_ratio,
    neighbour_logits,
    residual_statistics,
)
from jaxhsi.dgc.state import Batch, State
from jaxhsi.dgc.views import match_views
from jaxhsi.functional_module import Params
from jaxhsi.normalisation import project_centred


class ClosedForm(NamedTuple):
    """Pixels in the PCA embedding and the mixture.

    Attributes:
        embedding: v, of the PCA embedding.
        whitened: v W, where the clusters have unit covariance.
        mixture_logits: log posterior of the mixture up to a constant of the pixel.
    """

    embedding: Float[Array, "n h w d"]
    whitened: Float[Array, "n h w d"]
    mixture_logits: Float[Array, "n h w k"]


class ProjectedPixels(NamedTuple):
    """All that is needed of the spectra of pixels.

    Attributes:
        embedding: v, of the PCA embedding.
        hidden: normalised spectra times the input weights of the encoder.
    """

    embedding: Float[Array, "n h w d"]
    hidden: Float[Array, "n h w hidden"]


class Targets(NamedTuple):
    """What the student is asked to say about its views, and where; all without gradient.

    Attributes:
        mixture: posterior of the mixture and the neighbours.
        teacher: posterior of the teacher.
        other_view: posterior of the teacher in the other view, on this view's grid.
        valid: pixels that count for ``mixture``.
        matched: pixels that the other view shows as well.
    """

    mixture: Float[Array, "n h w k"]
    teacher: Float[Array, "n h w k"]
    other_view: Float[Array, "n h w k"]
    valid: Bool[Array, "n h w"]
    matched: Bool[Array, "n h w"]


class CleanWindows(NamedTuple):
    """Windows as they are in the cube, by their mixture logits."""

    mixture_logits: Float[Array, "b h w k"]
    valid: Bool[Array, "b h w"]


def project_pixels(
    model: DGCModel,
    params: Params,
    state: State,
    centred: Float[Array, "n pixels c"] | AugmentedViews,
    image_shape: tuple[int, int],
) -> ProjectedPixels:
    """Spectra by the PCA embedding and by an encoder's input weights, in one product.

    Args:
        model: options of the method.
        params: of the student or the teacher.
        state: with the embedding, which is frozen.
        centred: pixels of images, row by row, less the mean spectrum; or views and how they are
            changed.
        image_shape: rows and columns of the images.
    """
    embedding, kinds = state.pca_embedding, model.options.normalisations
    input_weights = model.encoder.input_weights(params["encoder"])
    weights = jnp.concatenate([embedding.projection, input_weights], -1)
    if isinstance(centred, AugmentedViews):
        max_shift = model.view_options.band_shift
        projected = project_augmented(kinds, centred, weights, embedding.band_stats, max_shift)
    else:
        projected = project_centred(kinds, centred, weights, embedding.band_stats)
    projected = projected.reshape(len(projected), *image_shape, -1)
    v, hidden = jnp.split(projected, [embedding.projection.shape[-1]], -1)
    return ProjectedPixels(embed_projected(embedding, v), hidden)


def closed_form(
    embedding: Float[Array, "n h w d"], whitened_mixture: WhitenedMixture
) -> ClosedForm:
    """Pixels in the PCA embedding by the mixture of a state."""
    whitened = embedding @ whitened_mixture.whitening
    logits = gaussian_mixture.mixture_logits(whitened, whitened_mixture.centres)
    return ClosedForm(embedding, whitened, logits)


def encode(
    model: DGCModel,
    params: Params,
    hidden: Float[Array, "n h w hidden"],
    closed_form_pixels: ClosedForm,
    valid_mask: Bool[Array, "n h w"],
) -> Float[Array, "n h w d"]:
    """The encoder's whitened embedding z, with the parameters of the student or the teacher."""
    # Invalid pixels must not reach their neighbours through the convolutions.
    whitened = closed_form_pixels.whitened * valid_mask[..., None]
    return model.encoder.apply(params["encoder"], hidden, whitened, valid_mask)


def weighted_neighbour_logits(
    params: Params, state: State, closed_form_pixels: ClosedForm, valid_mask: Bool[Array, "n h w"]
) -> Float[Array, "n h w k"]:
    """What the neighbours add to the logits: r log pi, without gradient."""
    log_prior = neighbour_logits(
        params["neighbour_prior"], jax.nn.softmax(closed_form_pixels.mixture_logits), valid_mask
    )
    # The prior learns from pixels that it does not see, never from the student's own labels.
    return lax.stop_gradient(effective_sample_ratio(state.residual_statistics) * log_prior)


def student_logits(
    model: DGCModel,
    params: Params,
    state: State,
    whitened_mixture: WhitenedMixture,
    centred: Float[Array, "n pixels c"] | AugmentedViews,
    valid_mask: Bool[Array, "n h w"],
) -> Float[Array, "n h w k"]:
    """Logits of pixels by the encoder and their neighbours, with given parameters."""
    pixels = project_pixels(model, params, state, centred, valid_mask.shape[1:])
    closed_form_pixels = closed_form(pixels.embedding, whitened_mixture)
    z = encode(model, params, pixels.hidden, closed_form_pixels, valid_mask)
    own_logits = gaussian_mixture.mixture_logits(z, whitened_mixture.centres)
    return own_logits + weighted_neighbour_logits(params, state, closed_form_pixels, valid_mask)


def make_targets(
    model: DGCModel,
    state: State,
    whitened_mixture: WhitenedMixture,
    centred: Float[Array, "n pixels c"],
    valid_mask: Bool[Array, "n h w"],
    affine_maps: Float[Array, "b 2 2 3"],
) -> tuple[Targets, Mixture]:
    """Targets for the student from clean views, and the views' mixture statistics.

    Args:
        model: options of the method.
        state: whose teacher and mixture speak.
        whitened_mixture: of ``state.mixture``.
        centred: clean views less the mean spectrum, n = 2 b: both views of a window side by side.
        valid_mask: their pixels that count.
        affine_maps: affine maps of the views, see :mod:`jaxhsi.dgc.views`.
    """
    pixels = project_pixels(model, state.teacher_params, state, centred, valid_mask.shape[1:])
    closed_form_pixels = closed_form(pixels.embedding, whitened_mixture)
    v, posterior = closed_form_pixels.embedding, jax.nn.softmax(closed_form_pixels.mixture_logits)
    added_logits = weighted_neighbour_logits(
        state.teacher_params, state, closed_form_pixels, valid_mask
    )
    z = encode(model, state.teacher_params, pixels.hidden, closed_form_pixels, valid_mask)
    # Evidence and neighbours multiply, since the neighbours did not see the pixel.
    mixture_target = jax.nn.softmax(closed_form_pixels.mixture_logits + added_logits)
    own_logits = gaussian_mixture.mixture_logits(z, whitened_mixture.centres)
    teacher_posterior = jax.nn.softmax(own_logits + added_logits)
    # Both views of a window side by side again: each is looked up in the other.
    pair_shape = (len(affine_maps), 2)
    other_view, in_both = jax.vmap(match_views)(
        affine_maps,
        teacher_posterior.reshape(*pair_shape, *teacher_posterior.shape[1:]),
        valid_mask.reshape(*pair_shape, *valid_mask.shape[1:]),
    )
    # The statistics follow the mixture's own posterior: the student cannot move the clusters.
    mixture_statistics = gaussian_mixture.mixture_statistics(
        v.reshape(-1, v.shape[-1]),
        posterior.reshape(-1, model.num_clusters),
        valid_mask.reshape(-1),
    )
    targets = Targets(
        mixture_target,
        teacher_posterior,
        other_view.reshape(teacher_posterior.shape),
        valid_mask,
        in_both.reshape(valid_mask.shape),
    )
    return targets, mixture_statistics


def clean_windows(
    model: DGCModel, state: State, whitened_mixture: WhitenedMixture, batch: Batch
) -> tuple[CleanWindows, ResidualStatistics]:
    """The middle of each window as it is in the cube, and its residual statistics.

    Rotated views do not serve here: neighbours that are drawn from one pixel share its noise.
    """
    crop_size = model.view_options.crop
    # As large as a crop, which bounds the work of this term.
    first_pixel = (batch.window.shape[1] - crop_size) // 2
    middle_slice = slice(first_pixel, first_pixel + crop_size)
    valid_mask = batch.valid[:, middle_slice, middle_slice]
    window = batch.window[:, middle_slice, middle_slice]
    v = embed(state.pca_embedding, model.options.normalisations, window)
    closed_form_pixels = closed_form(v, whitened_mixture)
    window_residuals = residual_statistics(
        closed_form_pixels.whitened,
        jax.nn.softmax(closed_form_pixels.mixture_logits),
        whitened_mixture.centres,
        valid_mask,
    )
    return CleanWindows(closed_form_pixels.mixture_logits, valid_mask), window_residuals
