"""All that is fixed while a step of the default segmentation method is compiled."""

from dataclasses import dataclass

import optax
from jax.sharding import Mesh

from jaxhsi.dgc.networks import Encoder
from jaxhsi.dgc.options import DGCOptions, ViewOptions


@dataclass(frozen=True, kw_only=True)
class DGCModel:
    """All that is fixed while a step is compiled.

    Attributes:
        encoder: of the form of :func:`jaxhsi.dgc.networks.patch_encoder`.
        optimizer: for the student, e.g. ``optax.chain(clip_by_global_norm(1), adamw(...))``.
        num_clusters: number of clusters k.
        options: of the method.
        view_options: how pairs of views are drawn and augmented.
        mesh: devices that the starts of the mixture and the views of a step are spread over; None
            for those that the arrays are on.
    """

    encoder: Encoder
    optimizer: optax.GradientTransformation
    num_clusters: int
    options: DGCOptions
    view_options: ViewOptions
    mesh: Mesh | None = None
