"""Options of the default segmentation method."""

from dataclasses import dataclass

import optax

from jaxhsi.dgc.networks import Encoder
from jaxhsi.dgc.views import ViewOptions
from jaxhsi.normalisation import Normalisation

MAX_DEFAULT_DIMENSIONS = 8
"""Dimensions of an embedding whose size is not asked for, at most.

Set by hand: beyond k - 1 dimensions clusters of one covariance differ no more, and further ones
add noise to their borders (``six dimensions`` in ``benchmarks/dgc/stability.py`` varies it).
"""


@dataclass(frozen=True, kw_only=True)
class DGCOptions:
    """What a user may set.

    Attributes:
        normalisations: of the spectra, for the PCA embedding and the first layer.
        embedding_dim: d of the embedding; if not given as many as there are clusters, up to 8.
            Clusters of one covariance differ in k - 1 directions; more of them add noise to their
            borders.
        consistency_weight: weight a of the other view against 1 - a for the mixture. At 0.5 the
            student drifts from the evidence over a thousand steps; at 0.1 it does not.
        neighbour_radius: how many pixels away the spatial prior reaches; 0 leaves it out.
        teacher_rate: share of the student that the teacher takes over in a step.
        mixture_rate: share of a batch's statistics that the mixture takes over in a step.
        mixture_starts: K-means++ starts of the mixture; the likeliest is kept. Among 32 it was
            missed by far on two seeds in ten (SalinasA, 8 clusters).

    >>> DGCOptions().resolved_dim(num_clusters=4, num_bands=200)
    4
    >>> DGCOptions(embedding_dim=6).resolved_dim(num_clusters=4, num_bands=3)
    3
    """

    normalisations: tuple[Normalisation, ...] = ("snv", "band")
    embedding_dim: int | None = None
    consistency_weight: float = 0.1
    neighbour_radius: int = 2
    teacher_rate: float = 0.02
    mixture_rate: float = 0.01
    mixture_starts: int = 64

    def resolved_dim(self, num_clusters: int, num_bands: int) -> int:
        """Dimensions d of the embedding: at most the number of bands."""
        # A PCA has no more dimensions than bands.
        return min(self.embedding_dim or min(num_clusters, MAX_DEFAULT_DIMENSIONS), num_bands)


@dataclass(frozen=True, kw_only=True)
class DGCModel:
    """All that is fixed while a step is compiled.

    Attributes:
        encoder: of the form of :func:`jaxhsi.dgc.networks.patch_encoder`.
        optimizer: for the student, e.g. ``optax.chain(clip_by_global_norm(1), adamw(...))``.
        num_clusters: number of clusters k.
        options: of the method.
        view_options: how pairs of views are drawn and augmented.
    """

    encoder: Encoder
    optimizer: optax.GradientTransformation
    num_clusters: int
    options: DGCOptions
    view_options: ViewOptions
