"""Deep Global Clustering: a student encoder, its slow teacher and a global Gaussian mixture.

The objective that a step lowers, over the valid pixels i of two augmented views of each window:

    L = (1 - a) H(q, p) + a H(t, p) + P

    H(q, p) = mean_i -sum_k q_ik log p_ik          mixture_cross_entropy
    H(t, p) = mean_i -sum_k t_ik log p_ik          view_cross_entropy, over matched pixels
    P       = mean_i -log sum_k pi_ik exp(l_ik)    negative_pseudo_likelihood, on clean windows

    p_i  = softmax_k(-||z_i - m_k||^2 / 2 + r log pi_ik)   student, from the augmented view
    q_i  = softmax_k(l_ik + r log pi_ik)                   mixture and neighbours, clean view
    t_i  = the teacher's p at the same scene point of the other view, clean

| symbol | name in the code | meaning |
|---|---|---|
| x_i | ``window`` | raw spectrum of pixel i, (c,) |
| v_i | ``embedding`` | closed-form PCA embedding of x_i, (d,) |
| z_i | ``whitened`` | whitened embedding; the encoder's where it speaks |
| m_k | ``centres`` | whitened mean of cluster k, (d,) |
| l_ik | ``mixture_logits`` | -``||v_i W - m_k||``^2 / 2, log posterior up to a constant |
| pi_i | ``neighbour_logits`` | prior from the shares of clusters among the neighbours of i |
| r | ``effective_sample_ratio`` | 0..1, what a neighbour adds to the pixel's own evidence |
| a | ``consistency_weight`` | weight of the other view |

Three facts keep clusters from merging. The mixture has equal priors and one covariance
(`jaxhsi.dgc.gaussian_mixture`), so that a large cluster has no advantage. Its statistics follow
its own posterior alone, never the student. The neighbour prior is trained by the likelihood of
pixels that it does not see (`jaxhsi.dgc.spatial_prior`), and no gradient reaches it from p.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int, Key

from jaxhsi.dgc import gaussian_mixture
from jaxhsi.dgc.augmentation import AugmentedViews, draw_augmented_views
from jaxhsi.dgc.gaussian_mixture import WhitenedMixture
from jaxhsi.dgc.initialisation import init
from jaxhsi.dgc.losses import cross_entropy, masked_mean, mean_usage
from jaxhsi.dgc.merge_tree import cluster_relations
from jaxhsi.dgc.model import DGCModel
from jaxhsi.dgc.networks import Encoder
from jaxhsi.dgc.options import DGCOptions, ViewOptions
from jaxhsi.dgc.spatial_prior import (
    effective_sample_ratio,
    negative_pseudo_likelihood,
    neighbour_logits,
)
from jaxhsi.dgc.state import Batch, Info, SegmentationAlgorithm, State
from jaxhsi.dgc.targets import (
    CleanWindows,
    Targets,
    clean_windows,
    closed_form,
    encode,
    make_targets,
    project_pixels,
    student_logits,
)
from jaxhsi.dgc.views import cut_view_pairs
from jaxhsi.functional_module import Params
from jaxhsi.metrics import ACTIVE_SHARE
from jaxhsi.precision import with_float32_products
from jaxhsi.sharding import flatten_views

USAGE_RATE = 0.02
"""Rate of the running means of usage, residuals and relations: about the last fifty batches.

Set by hand; they are diagnostics and slow statistics, none of which needs a close match.
"""


class LossTerms(NamedTuple):
    """The parts of the objective, and the share of matched pixels labelled alike."""

    mixture_cross_entropy: Float[Array, ""]
    view_cross_entropy: Float[Array, ""]
    negative_pseudo_likelihood: Float[Array, ""]
    teacher_agreement: Float[Array, ""]


def dgc(
    encoder: Encoder,
    optimizer: optax.GradientTransformation,
    num_clusters: int,
    options: DGCOptions,
    view_options: ViewOptions,
    mesh: Mesh | None = None,
) -> SegmentationAlgorithm:
    """The default method: the functions of this module with their options bound.

    Args: see :class:`DGCModel`.
    """
    model = DGCModel(
        encoder=encoder,
        optimizer=optimizer,
        num_clusters=num_clusters,
        options=options,
        view_options=view_options,
        mesh=mesh,
    )
    return SegmentationAlgorithm(
        init=partial(init, model),
        step=partial(step, model),
        predict=partial(predict, model),
        halo=max(encoder.halo, options.neighbour_radius),
        full_rows=encoder.full_rows,
        embed=partial(embed_pixels, model),
    )


def loss_fn(
    model: DGCModel,
    params: Params,
    state: State,
    whitened_mixture: WhitenedMixture,
    augmented_views: AugmentedViews,
    targets: Targets,
    windows: CleanWindows,
) -> tuple[Float[Array, ""], LossTerms]:
    """The objective L of the module's docstring and its terms; differentiate for ``params``.

    Args:
        model: options of the method.
        params: of the student.
        state: whose frozen embedding and statistics are used.
        whitened_mixture: of ``state.mixture``.
        augmented_views: that the student sees.
        targets: what it is to say of them, from the clean views.
        windows: clean windows, for the neighbour prior.
    """
    log_p = jax.nn.log_softmax(
        student_logits(model, params, state, whitened_mixture, augmented_views, targets.valid)
    )
    mixture_term = cross_entropy(targets.mixture, log_p, targets.valid)
    view_term = cross_entropy(targets.other_view, log_p, targets.matched)
    # A diagnostic alone; no gradient passes an argmax.
    same_label = log_p.argmax(-1) == targets.other_view.argmax(-1)
    label_agreement = masked_mean(same_label.astype(jnp.float32), targets.matched)
    log_prior = neighbour_logits(
        params["neighbour_prior"], jax.nn.softmax(windows.mixture_logits), windows.valid
    )
    prior_term = negative_pseudo_likelihood(log_prior, windows.mixture_logits, windows.valid)
    view_weight = model.options.consistency_weight
    # The evidence dominates; a student that follows its teacher alone drifts.
    label_term = (1 - view_weight) * mixture_term + view_weight * view_term
    return label_term + prior_term, LossTerms(mixture_term, view_term, prior_term, label_agreement)


@with_float32_products
def step(model: DGCModel, key: Key[Array, ""], state: State, batch: Batch) -> tuple[State, Info]:
    """One step: targets from clean views, a gradient step of the student, running means.

    Args:
        model: options of the method.
        key: of the views and their augmentation.
        state: before the step; may be donated.
        batch: windows of :func:`jaxhsi.dgc.views.window_size` pixels a side.
    """
    # Three keys a window, of the cut and of each view; one for the noise of all.
    num_windows = len(batch.window)
    keys, noise_key = jax.random.split(key, (num_windows, 3)), jax.random.fold_in(key, num_windows)
    return update(model, keys, noise_key, state, batch)


def update(
    model: DGCModel,
    keys: Key[Array, "b 3"],
    noise_key: Key[Array, ""],
    state: State,
    batch: Batch,
) -> tuple[State, Info]:
    """:func:`step` with the keys of each window: of the cut, and of the change of each view.

    Args:
        model: options of the method.
        keys: three a window.
        noise_key: of the noise that all views share.
        state: before the step; may be donated.
        batch: as for :func:`step`.
    """
    affine_maps, clean_views, valid_mask = cut_view_pairs(
        keys[:, 0], batch.window, batch.valid, model.view_options
    )
    view_keys, clean_views, valid_mask = flatten_views(
        model.mesh, (keys[:, 1:], clean_views, valid_mask)
    )
    whitened_mixture = gaussian_mixture.whiten_mixture(state.mixture)
    band_stats = state.pca_embedding.band_stats
    # Pixels in one row, as all that follows takes them: XLA then makes this array once.
    pixels = clean_views.reshape(len(clean_views), -1, clean_views.shape[-1])
    centred_views = pixels - band_stats.mean
    # Targets come from the clean views; only the student sees augmented ones.
    targets, mixture_statistics = make_targets(
        model, state, whitened_mixture, centred_views, valid_mask, affine_maps
    )
    window_pixels, batch_residuals = clean_windows(model, state, whitened_mixture, batch)
    augmented_views = draw_augmented_views(
        (view_keys, noise_key), centred_views, band_stats, model.view_options
    )
    (loss, terms), gradient = jax.value_and_grad(partial(loss_fn, model), has_aux=True)(
        state.params, state, whitened_mixture, augmented_views, targets, window_pixels
    )
    updates, optimizer_state = model.optimizer.update(gradient, state.optimizer_state, state.params)
    params = optax.apply_updates(state.params, updates)
    # By the teacher: the student changes too fast to be measured by its last step.
    cluster_usage = _follow(
        state.cluster_usage, mean_usage(targets.teacher, valid_mask), USAGE_RATE, valid_mask
    )
    info = Info(
        loss=loss,
        mixture_cross_entropy=terms.mixture_cross_entropy,
        view_cross_entropy=terms.view_cross_entropy,
        negative_pseudo_likelihood=terms.negative_pseudo_likelihood,
        effective_sample_ratio=effective_sample_ratio(state.residual_statistics),
        teacher_agreement=terms.teacher_agreement,
        overlap_share=targets.matched.mean(),
        valid_share=valid_mask.mean(),
        cluster_usage=cluster_usage,
        active_clusters=(cluster_usage > ACTIVE_SHARE).sum(),
        gradient_norm=optax.tree.norm(gradient),
    )
    relations = cluster_relations(targets.teacher, valid_mask)
    return state._replace(
        step=state.step + 1,
        params=params,
        teacher_params=optax.incremental_update(
            params, state.teacher_params, model.options.teacher_rate
        ),
        optimizer_state=optimizer_state,
        mixture=_follow(state.mixture, mixture_statistics, model.options.mixture_rate, valid_mask),
        cluster_usage=cluster_usage,
        residual_statistics=_follow(
            state.residual_statistics, batch_residuals, USAGE_RATE, window_pixels.valid
        ),
        cluster_relations=_follow(state.cluster_relations, relations, USAGE_RATE, valid_mask),
    ), info


@with_float32_products
def predict(
    model: DGCModel, state: State, x: Float[Array, "b h w c"], valid_mask: Bool[Array, "b h w"]
) -> tuple[Int[Array, "b h w"], Float[Array, "b h w"]]:
    """Cluster of each pixel by the teacher (-1 where not valid) and its probability (0 there)."""
    whitened_mixture = gaussian_mixture.whiten_mixture(state.mixture)
    pixels = x.reshape(len(x), -1, x.shape[-1])
    centred = pixels - state.pca_embedding.band_stats.mean
    probabilities = jax.nn.softmax(
        student_logits(model, state.teacher_params, state, whitened_mixture, centred, valid_mask)
    )
    labels = jnp.where(valid_mask, probabilities.argmax(-1), -1).astype(jnp.int32)
    return labels, jnp.where(valid_mask, probabilities.max(-1), 0)


@with_float32_products
def embed_pixels(
    model: DGCModel, state: State, x: Float[Array, "b h w c"], valid_mask: Bool[Array, "b h w"]
) -> tuple[Float[Array, "b h w d"], Float[Array, "k d"]]:
    """The teacher's whitened embeddings, and the centres that they are compared with."""
    whitened_mixture = gaussian_mixture.whiten_mixture(state.mixture)
    pixels = x.reshape(len(x), -1, x.shape[-1])
    centred = pixels - state.pca_embedding.band_stats.mean
    projected = project_pixels(model, state.teacher_params, state, centred, x.shape[1:3])
    closed_form_pixels = closed_form(projected.embedding, whitened_mixture)
    z = encode(model, state.teacher_params, projected.hidden, closed_form_pixels, valid_mask)
    return z, whitened_mixture.centres


def _follow(running_mean: Any, batch_mean: Any, rate: float, valid: Bool[Array, "..."]) -> Any:
    """Moving average of statistics; a batch without any valid pixel leaves them as they are."""
    # The means of an empty batch are zeros, which must not pull anything down.
    rate = jnp.where(valid.any(), rate, 0.0)
    return optax.incremental_update(batch_mean, running_mean, rate)
