"""The method of segmentation that a configuration describes."""

from typing import Any

import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from jaxhsi.config.dgc import DGCConfig, OptimizerOptions
from jaxhsi.dgc.algorithm import dgc
from jaxhsi.dgc.networks import patch_encoder
from jaxhsi.dgc.state import SegmentationAlgorithm
from jaxhsi.upstream.dgc.algorithm import prototype_dgc
from jaxhsi.upstream.dgc.encoder import upstream_encoder


def build_optimizer(options: OptimizerOptions) -> optax.GradientTransformation:
    """AdamW behind a bound on the gradient's norm."""
    return optax.chain(
        optax.clip_by_global_norm(options.max_gradient_norm),
        optax.adamw(options.learning_rate, weight_decay=options.weight_decay),
    )


def build_method(
    config: DGCConfig, num_bands: int, mesh: Mesh | None = None
) -> SegmentationAlgorithm:
    """The method that a configuration describes.

    Args:
        config: the options; float32 where it has no precision, see `run_precision.with_precision`.
        num_bands: of the cubes.
        mesh: devices for its start and the views of its steps; None for those of the arrays.
    """
    if config.method == "upstream":
        return _upstream_method(config, num_bands, mesh)
    encoder = patch_encoder(
        num_bands,
        config.teacher_student.normalisations,
        config.teacher_student.resolved_dim(config.num_clusters, num_bands),
        hidden_width=config.encoder.hidden_width,
        num_channels=config.encoder.spatial_channels,
        num_blocks=config.encoder.num_blocks,
        dtype=_product_dtype(config),
    )
    return dgc(
        encoder,
        build_optimizer(config.optimizer),
        config.num_clusters,
        config.teacher_student,
        config.views,
        mesh,
    )


def _upstream_method(config: DGCConfig, num_bands: int, mesh: Mesh | None) -> SegmentationAlgorithm:
    size = config.upstream_encoder
    encoder = upstream_encoder(
        num_bands,
        size.embed_dim,
        size.num_layers,
        size.kernel_size,
        size.use_bias,
        _product_dtype(config),
    )
    optimizer = build_optimizer(config.optimizer)
    return prototype_dgc(
        encoder,
        config.num_clusters,
        size.embed_dim,
        optimizer,
        config.prototype,
        config.views,
        mesh,
    )


def _product_dtype(config: DGCConfig) -> Any:
    return jnp.dtype(config.precision or "float32")
