"""Patch encoders, seen from outside as pure functions of parameters."""

from collections.abc import Callable
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Key

from jaxhsi.functional_module import Params, functional_module
from jaxhsi.normalisation_names import Normalisation


class Encoder(NamedTuple):
    """A patch encoder as a pair of pure functions.

    Attributes:
        init: ``init(key) -> params``, a nested dictionary of float32 arrays.
        apply: ``apply(params, x, ...) -> z`` from ``(b, h, w, c)`` to ``(b, h, w, d)``; where there
            are ``input_weights``, x are spectra that were multiplied by them.
        halo: how far in rows (and, unless ``full_rows``, columns) a pixel of the input can
            reach into the output; tiles predicted with this margin agree with the whole image.
        full_rows: the encoder also mixes pixels along the flattened row, so that tiles must span
            the full width of the cube.
        input_weights: ``input_weights(params) -> (blocks, c, hidden)`` that normalised spectra are
            multiplied by before all else; None where an encoder takes the spectra themselves.
        fit_linear_path: ``fit_linear_path(params, spectra (n, c)) -> params`` fits the linear path
            of the encoder to spectra; None where it has none.
    """

    init: Callable[[Key[Array, ""]], Params]
    apply: Callable[..., Float[Array, "b h w d"]]
    halo: int
    full_rows: bool = False
    input_weights: Callable[[Params], Float[Array, "blocks c hidden"]] | None = None
    fit_linear_path: Callable[[Params, Float[Array, "n c"]], Params] | None = None


class ResidualBlock(nnx.Module):
    """z + conv(gelu(conv(z))), two 3x3 convolutions, the second started at zero."""

    def __init__(self, dim: int, channels: int, dtype: Any, rngs: nnx.Rngs):
        size = (3, 3)
        he = nnx.initializers.he_normal()
        zeros = nnx.initializers.zeros
        self.enter = nnx.Conv(
            dim, channels, size, use_bias=False, kernel_init=he, dtype=dtype, rngs=rngs
        )
        self.leave = nnx.Conv(
            channels, dim, size, use_bias=False, kernel_init=zeros, dtype=dtype, rngs=rngs
        )

    def __call__(self, z: Array, keep: Array) -> Array:
        """Invalid pixels count as zero, like pixels beyond the edge of the image."""
        # Masked twice: the first convolution leaks valid values into invalid pixels.
        inner = nnx.gelu(self.enter(z * keep)) * keep
        return z + self.leave(inner).astype(z.dtype)


class PatchEncoder(nnx.Module):
    """Mixes the bands of each pixel first, then its neighbourhood.

    z = v + A gelu(sum_b normalise_b(x) B_b + bias), then residual 3x3 blocks, where v is the
    closed-form embedding of the pixel. A and the last layer of every block start at zero, so
    that training starts at z = v exactly. The products with B are made outside, in one with those
    of the closed form.
    """

    def __init__(
        self,
        bands: int,
        kinds: tuple[Normalisation, ...],
        dim: int,
        hidden: int,
        channels: int,
        depth: int,
        dtype: Any,
        rngs: nnx.Rngs,
    ):
        self.depth = depth
        # He's initialisation, over the inputs of all normalisations together.
        scale = (2 / (len(kinds) * bands)) ** 0.5
        self.mix = nnx.Param(scale * jax.random.normal(rngs.params(), (len(kinds), bands, hidden)))
        self.bias = nnx.Param(jnp.zeros(hidden))
        zeros = nnx.initializers.zeros
        self.leave = nnx.Linear(
            hidden, dim, use_bias=False, kernel_init=zeros, dtype=dtype, rngs=rngs
        )
        for i in range(depth):
            setattr(self, f"block_{i}", ResidualBlock(dim, channels, dtype, rngs))

    def __call__(
        self,
        projected: Float[Array, "b h w hidden"],
        v: Float[Array, "b h w d"],
        valid: Bool[Array, "b h w"],
    ) -> Float[Array, "b h w d"]:
        """Embed spectra, normalised and multiplied by B, whose closed-form embedding is v."""
        hidden = projected + self.bias[...]
        z = v + self.leave(nnx.gelu(hidden)).astype(v.dtype)
        # Once, for all blocks.
        keep = valid[..., None].astype(v.dtype)
        for i in range(self.depth):
            z = getattr(self, f"block_{i}")(z, keep)
        return z


def patch_encoder(
    num_bands: int,
    normalisations: tuple[Normalisation, ...],
    embedding_dim: int,
    *,
    hidden_width: int = 48,
    num_channels: int = 16,
    num_blocks: int = 2,
    dtype: Any = jnp.float32,
) -> Encoder:
    """The default encoder; ``apply(params, projected, v, valid)``, see :class:`PatchEncoder`.

    Args:
        num_bands: c of the cubes.
        normalisations: normalisations that the first layer sees.
        embedding_dim: d of the embedding.
        hidden_width: width of the per-pixel layer.
        num_channels: width of the spatial blocks.
        num_blocks: number of spatial blocks; each reaches two pixels further.
        dtype: of the products and convolutions, e.g. ``jnp.bfloat16``; parameters and sums
            between layers stay float32.
    """
    init, apply = functional_module(
        lambda rngs: PatchEncoder(
            num_bands,
            normalisations,
            embedding_dim,
            hidden_width,
            num_channels,
            num_blocks,
            dtype,
            rngs,
        )
    )
    return Encoder(init, apply, halo=2 * num_blocks, input_weights=itemgetter("mix"))
