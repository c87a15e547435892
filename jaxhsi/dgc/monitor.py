"""Signs of over-merging, read without labels from a fixed set of views.

The criterion is the mutual information of the labels of two augmented views at the same points of
the scene, I(a; b) = sum p_ab log(p_ab / (p_a p_b)) in nats, over the whole probe. It falls when
clusters merge, for then the entropy of the labels falls, and when labels turn into noise, for then
the views agree no more. At most it is the entropy of the usage, and log k.

Source: the criterion is that of Ji, Henriques & Vedaldi 2019, "Invariant Information Clustering",
used here to choose a state and not to train one.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Integer, Key

from jaxhsi import metrics
from jaxhsi.dgc.augmentation import augment_view
from jaxhsi.dgc.options import ViewOptions
from jaxhsi.dgc.state import Batch, SegmentationAlgorithm
from jaxhsi.dgc.views import cut_view_pairs, match_views
from jaxhsi.normalisation import BandStats


class ValidationViews(NamedTuple):
    """Views of windows, drawn once for a whole run.

    Attributes:
        crops: two augmented views of each window, then the first of them as it is in the cube.
        valid: pixels of the two views that are valid; those of the third are the first's.
        maps: affine maps from crop to window, of the two views.
    """

    crops: Float[Array, "n 3 h w c"]
    valid: Bool[Array, "n 2 h w"]
    maps: Float[Array, "n 2 2 3"]


class ViewStatistics(NamedTuple):
    """Statistics of the validation views under a state; all that has to leave the devices.

    Attributes:
        label_pairs: matched points by their label in the first view and in the second.
        clean_labels: of the clean views, -1 where not valid.
        nearest_distances: distance of each centre to the nearest other one; None where the method
            has no embedding, or a single cluster.
        embedding_variance: of the embedding of the clean views, summed over its dimensions; None
            where there is no embedding.
    """

    label_pairs: Int[Array, "k k"]
    clean_labels: Int[Array, "n h w"]
    nearest_distances: Float[Array, " k"] | None
    embedding_variance: Float[Array, ""] | None


class ViewScores(NamedTuple):
    """Scores of one state; None where one is not defined.

    Attributes:
        mutual_information: the criterion, in nats, 0..log k.
        label_agreement: share of matched points that have the same label in both views, 0..1.
        effective_clusters: exp of the entropy of the usage over the clean views, 1..k.
        nmi: of the clean labels against those of the last evaluation, 0..1.
        vi: variation of information between the same, in nats, 0..2 log k.
        nearest_centre: distance of the two closest centres.
        mean_nearest_centre: mean over the centres of the distance to the nearest other one.
        embedding_variance: of the embedding.
    """

    mutual_information: float
    label_agreement: float | None
    effective_clusters: float
    nmi: float | None
    vi: float | None
    nearest_centre: float | None
    mean_nearest_centre: float | None
    embedding_variance: float | None


def draw_validation_views(
    key: Key[Array, ""], batch: Batch, band_stats: BandStats, view_options: ViewOptions
) -> ValidationViews:
    """Cut and augment a pair of views of each window, as a training step does.

    Args:
        key: for the draws.
        batch: windows of all training cubes.
        band_stats: of the bands, for the augmentation.
        view_options: how pairs of views are drawn and augmented.
    """

    def draw(drawn: tuple) -> ValidationViews:
        # One window after the other compiles three times faster than all at once, and is run once.
        keys, window, valid = drawn
        [maps], [crops], [inside] = cut_view_pairs(
            keys[:1], window[None], valid[None], view_options
        )
        changed = jax.lax.map(
            lambda view: augment_view(*view, band_stats, view_options), (keys[1:], crops)
        )
        changed = jnp.where(inside[..., None], changed, 0)
        return ValidationViews(jnp.concatenate([changed, crops[:1]]), inside, maps)

    keys = jax.random.split(key, (len(batch.window), 3))
    return jax.lax.map(draw, (keys, batch.window, batch.valid))


def evaluate_views(
    algorithm: SegmentationAlgorithm,
    num_clusters: int,
    state: Any,
    validation_views: ValidationViews,
) -> ViewStatistics:
    """Label the views and count matched points; to be jitted, it changes no state.

    Args:
        algorithm: whose state it is.
        num_clusters: number of clusters k.
        state: of the method.
        validation_views: from :func:`draw_validation_views`.
    """

    def one(view: Array) -> tuple:
        # One view after the other: the method is compiled once, for a third of the memory.
        x = jax.lax.dynamic_index_in_dim(validation_views.crops, view, axis=1, keepdims=False)
        valid = jax.lax.dynamic_index_in_dim(
            validation_views.valid, view % 2, axis=1, keepdims=False
        )
        labels, _ = algorithm.predict(state, x, valid)
        if algorithm.embed is None:
            return labels, None, None
        z, centres = algorithm.embed(state, x, valid)
        return labels, nearest_centre_distances(centres), embedding_variance(z, valid)

    labels, nearest, variance = jax.lax.map(one, jnp.arange(3))
    return ViewStatistics(
        count_label_pairs(
            labels[:2].swapaxes(0, 1), validation_views.valid, validation_views.maps, num_clusters
        ),
        labels[2],
        None if nearest is None or num_clusters < 2 else nearest[2],
        None if variance is None else variance[2],
    )


def count_label_pairs(
    labels: Int[Array, "n 2 h w"],
    valid_mask: Bool[Array, "n 2 h w"],
    affine_maps: Float[Array, "n 2 2 3"],
    num_clusters: int,
) -> Int[Array, "k k"]:
    """Count the points that both views show by their two labels, on the grids of both views.

    Between pixels the other view's label is the one with the largest bilinear weight.
    """
    # One-hot, since a label itself must not be interpolated.
    label_votes = jax.nn.one_hot(labels, num_clusters)
    other_labels, in_both = jax.vmap(match_views)(affine_maps, label_votes, valid_mask)
    other_labels = other_labels.argmax(-1)
    # The pair is ordered by view, whichever grid it was read on.
    mine_first = jnp.arange(2)[:, None, None] == 0
    first_labels, second_labels = (
        jnp.where(mine_first, labels, other_labels),
        jnp.where(mine_first, other_labels, labels),
    )
    # Points that do not count go to a row that is cut off.
    first_labels = jnp.where(in_both, first_labels, num_clusters)
    pair_counts = jnp.zeros((num_clusters + 1, num_clusters), jnp.int32)
    return pair_counts.at[first_labels.reshape(-1), second_labels.reshape(-1)].add(1)[:num_clusters]


def nearest_centre_distances(centres: Float[Array, "k d"]) -> Float[Array, " k"]:
    """Euclidean distance of each centre to the nearest other one, inf where there is none."""
    # k^2 d numbers are few; no expansion of the square is needed.
    squared_distances = jnp.square(centres[:, None] - centres).sum(-1)
    return jnp.sqrt(jnp.where(jnp.eye(len(centres), dtype=bool), jnp.inf, squared_distances).min(1))


def embedding_variance(z: Float[Array, "*n d"], valid_mask: Bool[Array, "*n"]) -> Float[Array, ""]:
    """Mean squared distance of embeddings to their mean, over the valid pixels."""
    pixel_weight = valid_mask[..., None] / jnp.maximum(valid_mask.sum(), 1)
    pixel_axes = tuple(range(valid_mask.ndim))
    mean_embedding = (pixel_weight * z).sum(pixel_axes)
    return (pixel_weight * jnp.square(z - mean_embedding)).sum()


def score_views(
    view_statistics: ViewStatistics, previous_labels: Integer[np.ndarray, "n h w"] | None
) -> ViewScores:
    """Figures of a look, on the host.

    Args:
        view_statistics: from :func:`evaluate_views`, moved to the host.
        previous_labels: clean labels at the last look, or None at the first.
    """
    label_pairs, num_clusters = (
        np.asarray(view_statistics.label_pairs, np.int64),
        len(view_statistics.label_pairs),
    )
    cluster_pixels = np.bincount(
        view_statistics.clean_labels[view_statistics.clean_labels >= 0], minlength=num_clusters
    )
    # At the first look there is nothing to compare with.
    label_changes = (
        None
        if previous_labels is None
        else metrics.confusion_matrix(
            view_statistics.clean_labels, previous_labels, num_clusters, num_clusters
        )
    )
    return ViewScores(
        # Rounding may take it below 0 where all pixels have one label.
        mutual_information=max(metrics.mutual_information(label_pairs), 0.0),
        label_agreement=float(np.trace(label_pairs) / label_pairs.sum())
        if label_pairs.any()
        else None,
        effective_clusters=float(np.exp(metrics.entropy(cluster_pixels))),
        nmi=None if label_changes is None else metrics.normalised_mutual_information(label_changes),
        vi=None if label_changes is None else metrics.variation_of_information(label_changes),
        nearest_centre=None
        if view_statistics.nearest_distances is None
        else float(np.min(view_statistics.nearest_distances)),
        mean_nearest_centre=None
        if view_statistics.nearest_distances is None
        else float(np.mean(view_statistics.nearest_distances)),
        embedding_variance=None
        if view_statistics.embedding_variance is None
        else float(view_statistics.embedding_variance),
    )
