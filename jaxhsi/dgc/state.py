"""What a step of DGC takes and gives: batches, the state, diagnostics."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int

from jaxhsi.base import Algorithm
from jaxhsi.dgc.gaussian_mixture import Mixture
from jaxhsi.dgc.merge_tree import ClusterRelations
from jaxhsi.dgc.pca_embedding import PCAEmbedding
from jaxhsi.dgc.spatial_prior import ResidualStatistics
from jaxhsi.functional_module import Params


class Batch(NamedTuple):
    """Windows of cubes.

    Attributes:
        window: raw spectra; zero where not valid.
        valid: pixels whose bands are all finite and not the no-data value.
    """

    window: Float[Array, "b h w c"]
    valid: Bool[Array, "b h w"]


@dataclass(frozen=True)
class SegmentationAlgorithm(Algorithm):
    """An `Algorithm` that labels cubes; the default method and upstream's have this form.

    ``init(key, spectra (n, c)) -> state`` takes spectra drawn over the whole data set;
    ``step(key, state, batch: Batch)``; ``predict(state, x (b, h, w, c), valid (b, h, w)) ->
    (labels, confidence)``, both ``(b, h, w)``.

    Attributes:
        halo: margin in pixels that a tile needs to be labelled like the whole image.
        full_rows: tiles must span the full width of the cube.
        embed: ``embed(state, x, valid) -> (z (b, h, w, d), centres (k, d))``, where labels come
            from distances between the two; None where they do not. Only the monitor uses it.
    """

    halo: int
    full_rows: bool
    embed: Callable[..., tuple[Float[Array, "b h w d"], Float[Array, "k d"]]] | None = None


class State(NamedTuple):
    """All that a checkpoint needs.

    Attributes:
        step: number of steps taken.
        params: of the student: ``encoder`` and ``neighbour_prior``.
        teacher_params: running mean of ``params``; it predicts.
        optimizer_state: of optax.
        pca_embedding: closed-form embedding, frozen.
        mixture: global dictionary of clusters.
        cluster_usage: running share of the pixels that the teacher gives each cluster.
        residual_statistics: running means of products of neighbouring residuals.
        cluster_relations: running means of pairs of clusters in the teacher's labels, for
            :func:`jaxhsi.dgc.merge_tree.grow_merge_tree`.
    """

    step: Int[Array, ""]
    params: Params
    teacher_params: Params
    optimizer_state: Any
    pca_embedding: PCAEmbedding
    mixture: Mixture
    cluster_usage: Float[Array, " k"]
    residual_statistics: ResidualStatistics
    cluster_relations: ClusterRelations


class Info(NamedTuple):
    """Diagnostics of one step; nothing in it is needed to go on.

    Attributes:
        loss: what was minimised.
        mixture_cross_entropy: of the student against mixture and neighbours, in nats.
        view_cross_entropy: of the student against the teacher in the other view, in nats.
        negative_pseudo_likelihood: of the pixels under the priors of their neighbours, in nats.
        effective_sample_ratio: of the neighbours, see
            :func:`jaxhsi.dgc.spatial_prior.effective_sample_ratio`.
        teacher_agreement: share of matched pixels that student and teacher label alike.
        overlap_share: share of the crops' pixels that have a match in the other view.
        valid_share: share of the crops' pixels that are valid.
        cluster_usage: see :class:`State`.
        active_clusters: clusters with a running share above
            :data:`jaxhsi.metrics.ACTIVE_SHARE`.
        gradient_norm: before clipping.
    """

    loss: Float[Array, ""]
    mixture_cross_entropy: Float[Array, ""]
    view_cross_entropy: Float[Array, ""]
    negative_pseudo_likelihood: Float[Array, ""]
    effective_sample_ratio: Float[Array, ""]
    teacher_agreement: Float[Array, ""]
    overlap_share: Float[Array, ""]
    valid_share: Float[Array, ""]
    cluster_usage: Float[Array, " k"]
    active_clusters: Int[Array, ""]
    gradient_norm: Float[Array, ""]
