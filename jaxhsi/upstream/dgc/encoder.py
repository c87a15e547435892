"""Upstream's patch encoder, for parity and for its checkpoints."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxhsi.dgc.networks import Encoder
from jaxhsi.functional_module import Params, functional_module
from jaxhsi.upstream.dgc.centroids import unit

_SPATIAL = 2
"""Number of 3x3 convolutions: value of the PyTorch code, `module/encoder.py`."""


class _UpstreamEncoder(nnx.Module):
    """Convolutions along the flattened pixel row, then over the image, each with a ReLU."""

    def __init__(
        self,
        num_bands: int,
        embed_dim: int,
        num_layers: int,
        kernel_size: int,
        use_bias: bool,
        dtype: Any,
        rngs: nnx.Rngs,
    ):
        layer_widths = [num_bands] + [embed_dim] * num_layers
        self.spectral = nnx.Dict(
            {
                str(i): _conv(layer_widths[i], embed_dim, (kernel_size,), use_bias, dtype, rngs)
                for i in range(num_layers)
            }
        )
        self.spatial = nnx.Dict(
            {
                str(i): _conv(embed_dim, embed_dim, (3, 3), use_bias, dtype, rngs)
                for i in range(_SPATIAL)
            }
        )

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w d"]:
        b, h, w, c = x.shape
        # Upstream flattens the image: the convolution runs on over the ends of rows.
        z = x.reshape(b, h * w, c)
        for i in range(len(self.spectral)):
            z = jax.nn.relu(self.spectral[str(i)](z))
        z = z.reshape(b, h, w, -1)
        for i in range(_SPATIAL):
            z = jax.nn.relu(self.spatial[str(i)](z))
        # Back to float32 before the norm, which bfloat16 would round to two digits.
        return unit(z.astype(jnp.float32))


def _conv(
    in_channels: int,
    out_channels: int,
    kernel_shape: tuple[int, ...],
    use_bias: bool,
    dtype: Any,
    rngs: nnx.Rngs,
) -> nnx.Conv:
    """A convolution started as PyTorch does: weights and bias uniform in +-1 / sqrt(fan in)."""
    fan_in = in_channels
    for side in kernel_shape:
        fan_in *= side

    def uniform(key: Array, shape: tuple[int, ...], dtype: Any, *_: Any) -> Array:
        return jax.random.uniform(key, shape, dtype, -(fan_in**-0.5), fan_in**-0.5)

    # Zero padding of kernel // 2 on both sides, like PyTorch's; an even kernel would lengthen it.
    padding = [(side // 2, side // 2) for side in kernel_shape]
    return nnx.Conv(
        in_channels,
        out_channels,
        kernel_shape,
        padding=padding,
        use_bias=use_bias,
        dtype=dtype,
        kernel_init=uniform,
        bias_init=uniform,
        rngs=rngs,
    )


def upstream_encoder(
    bands: int,
    embed_dim: int = 32,
    layers: int = 3,
    kernel: int = 9,
    bias: bool = False,
    dtype: Any = jnp.float32,
) -> Encoder:
    """Upstream's encoder: ``layers`` 1-D and two 3x3 convolutions, ReLUs, unit length.

    Its "spectral" convolutions run along the flattened pixel row (h * w) with the bands as
    channels. Defect: they mix ``kernel`` neighbouring *pixels*, from the end of one image row
    over into the start of the next, and never neighbouring bands.

    Parameters are ``{"spectral": {"0": {"kernel": (kernel, c, d)}, ...}, "spatial": {"0":
    {"kernel": (3, 3, d, d)}, ...}}``, with a ``"bias"`` (d,) each if asked for.

    Args:
        bands: c of the cubes.
        embed_dim: d of the embedding.
        layers: number of 1-D convolutions, >= 1.
        kernel: their width in pixels, odd.
        bias: whether convolutions have one.
        dtype: of the convolutions, e.g. ``jnp.bfloat16``; parameters and the result are float32.

    Returns:
        An encoder of full rows, with `principal_component_start`. The 1-D part reaches layers *
        (kernel // 2) flattened pixels, at most so many rows however narrow the cube is, and the 3x3
        part two rows: the halo is their sum, 14 at the defaults.

    Raises:
        ValueError: an even kernel, or no layer.

    Source: upstream `module/encoder.py`.
    """
    if kernel % 2 == 0 or layers < 1:
        raise ValueError(
            f"upstream's encoder needs an odd kernel and a layer, not kernel {kernel}, "
            f"layers {layers}"
        )
    init, apply = functional_module(
        lambda rngs: _UpstreamEncoder(bands, embed_dim, layers, kernel, bias, dtype, rngs)
    )
    halo = layers * (kernel // 2) + _SPATIAL
    return Encoder(init, apply, halo, full_rows=True, fit_linear_path=principal_component_start)


@jax.jit
def principal_component_start(params: Params, spectra: Float[Array, "n c"]) -> Params:
    """The encoder started as the principal components of each pixel's spectrum.

    The first convolution gives the d // 2 leading components and their negatives, divided by the
    deviation of the first, in its middle tap, so that the ReLU after it loses nothing; the others
    are the identity there. All other taps are zero and learn to use neighbours from there.

    Args:
        params: of the encoder.
        spectra: valid spectra of the data, standardised as the encoder is given them, (n, c).
    """
    # `eigh` sorts upwards; the leading components are the last columns.
    variances, axes = jnp.linalg.eigh(jnp.cov(spectra, rowvar=False))
    embed_dim = params["spectral"]["0"]["kernel"].shape[-1]
    basis = axes[:, ::-1][:, : embed_dim // 2] / jnp.sqrt(jnp.maximum(variances[-1], 1e-12))
    # A ReLU keeps half of each direction; with its negative nothing is lost.
    signed_basis = jnp.concatenate([basis, -basis], axis=1)
    first_tap = (
        jnp.zeros((spectra.shape[1], embed_dim)).at[:, : signed_basis.shape[1]].set(signed_basis)
    )

    def centred(kernel: Array, middle_tap: Array) -> Array:
        # Only the middle tap: at first each pixel is seen by itself.
        middle_index = tuple(side // 2 for side in kernel.shape[:-2])
        return jnp.zeros_like(kernel).at[middle_index].set(middle_tap)

    def start_layer(name: str, layer: str, layer_params: Params) -> Params:
        # Only the first layer changes the basis; the identity passes it on.
        middle_tap = first_tap if (name, layer) == ("spectral", "0") else jnp.eye(embed_dim)
        biases = {key: jnp.zeros_like(value) for key, value in layer_params.items()}
        return biases | {"kernel": centred(layer_params["kernel"], middle_tap)}

    return {
        name: {
            layer: start_layer(name, layer, layer_params) for layer, layer_params in part.items()
        }
        for name, part in params.items()
    }
