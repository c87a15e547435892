"""The loss terms of the prototype method over two views of a batch, and what they are given."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxhsi.dgc.views import match_views
from jaxhsi.upstream.dgc import losses
from jaxhsi.upstream.dgc.options import LossWeights


class LossTerms(NamedTuple):
    """Unweighted loss terms, means over the two views but for the sum `compactness`; 0 if unused.

    Attributes: as in :class:`LossWeights`.
    """

    compactness: Float[Array, ""]
    orthogonality: Float[Array, ""]
    usage_entropy: Float[Array, ""]
    uniform_assignment: Float[Array, ""]
    grid_consistency: Float[Array, ""]
    overlap_consistency: Float[Array, ""]
    assignment_entropy: Float[Array, ""]


class ViewPair(NamedTuple):
    """Pairs of crops and all that is drawn for a step.

    Attributes:
        crops: both views of each window.
        random_labels: random labels for `losses.uniform_assignment`, from
            `losses.random_balanced_labels`.
        centroid_noise: noise for dead centroids, normal of deviation 0.05 losses.
        valid: pixels that count; None for all.
        affine_maps: affine maps of the crops, for the overlap consistency; None if it has no
            weight.
    """

    crops: Float[Array, "2 b h w c"]
    random_labels: Int[Array, "2 n"]
    centroid_noise: Float[Array, "k d"]
    valid: Bool[Array, "2 b h w"] | None = None
    affine_maps: Float[Array, "b 2 2 3"] | None = None


class ModelOutput(NamedTuple):
    """Output of the model for some images."""

    embeddings: Float[Array, "*n d"]
    shifted_embeddings: Float[Array, "*n d"]
    probabilities: Float[Array, "*n k"]


def loss_terms(
    loss_weights: LossWeights, centroids: Array, model_output: ModelOutput, view_pair: ViewPair
) -> LossTerms:
    """The terms that have a weight; each view by itself, then the sum or mean over the two."""
    # A pair in either case, for `each` to take apart.
    masks = (None, None) if view_pair.valid is None else view_pair.valid
    # Zeros for terms without a weight, which then cost nothing to compile.
    term_values = dict.fromkeys(LossTerms._fields, jnp.zeros(()))

    def each(term: Callable, *inputs: Any) -> Array:
        return (term(*(a[0] for a in inputs)) + term(*(a[1] for a in inputs))) / 2

    def compactness(z: Array, p: Array, mask: Array | None) -> Array:
        return losses.compactness(z, p, centroids, mask)

    if loss_weights.compactness:
        # Upstream sums this term over the views and averages the others.
        term_values["compactness"] = 2 * each(
            compactness, model_output.embeddings, model_output.probabilities, masks
        )
    if loss_weights.orthogonality:
        term_values["orthogonality"] = losses.orthogonality(centroids)
    if loss_weights.usage_entropy:
        term_values["usage_entropy"] = each(
            losses.minimised_usage_entropy, model_output.probabilities, masks
        )
    if loss_weights.uniform_assignment:
        term_values["uniform_assignment"] = each(
            losses.uniform_assignment, model_output.probabilities, view_pair.random_labels, masks
        )
    if loss_weights.grid_consistency:
        mask = None if view_pair.valid is None else view_pair.valid.all(0)
        term_values["grid_consistency"] = losses.grid_consistency(*model_output.probabilities, mask)
    if loss_weights.overlap_consistency:
        term_values["overlap_consistency"] = _overlap(model_output.probabilities, view_pair)
    if loss_weights.assignment_entropy:
        term_values["assignment_entropy"] = each(
            losses.assignment_entropy, model_output.probabilities, masks
        )
    return LossTerms(**term_values)


def terms_with_weight(
    loss_weights: LossWeights, loss_values: LossTerms, num_clusters: int
) -> list[Array]:
    """The terms that have a weight, none below zero, for the sum of them by weights above zero.

    Where the usage has a weight below zero, its entropy H becomes log k - H.
    """
    weighted_terms = []
    for name, weight in loss_weights._asdict().items():
        if weight:
            term = getattr(loss_values, name)
            # Rules that weigh by the size of a term need terms that are not negative.
            weighted_terms.append(term if weight > 0 else jnp.log(num_clusters) - term)
    return weighted_terms


def _overlap(probabilities: Float[Array, "2 b h w k"], view_pair: ViewPair) -> Float[Array, ""]:
    """Consistency of each view with the other at the same points of the scene."""
    if view_pair.affine_maps is None:
        raise ValueError("the overlap consistency has a weight: give the crops' affine maps")
    valid_mask = (
        jnp.ones(probabilities.shape[:-1], bool) if view_pair.valid is None else view_pair.valid
    )
    matched_p, in_both = jax.vmap(match_views, in_axes=(0, 1, 1), out_axes=1)(
        view_pair.affine_maps, probabilities, valid_mask
    )
    return losses.overlap_consistency(probabilities, matched_p, in_both)
