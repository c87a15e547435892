"""Unrolled mean-shift over embeddings of pixels, and the soft assignment to centroids.

Source: upstream `module/clustering.py`, `UnrolledMeanShift.forward`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxhsi.upstream.dgc.centroids import unit

_EPS = 1e-6  # added to the sum of weights, as upstream does

# Squared distances are differences of larger numbers; TF32 products would not resolve them.
_PRECISION = lax.Precision.HIGHEST


def bandwidth(log_bandwidth: Float[Array, ""]) -> Float[Array, ""]:
    """Kernel width log(1 + e^x) > 0 from its unbounded parameter."""
    return jax.nn.softplus(log_bandwidth)


def log_bandwidth(bandwidth: float | Float[Array, ""]) -> Float[Array, ""]:
    """Inverse of `bandwidth`: log(e^s - 1) for s > 0."""
    return jnp.log(jnp.expm1(jnp.asarray(bandwidth, jnp.float32)))


def soft_assignment(
    z: Float[Array, "*n d"], centroids: Float[Array, "k d"], temperature: float = 0.05
) -> Float[Array, "*n k"]:
    """Probabilities softmax_k(z_i . c_k / (||z_i|| temperature)); rows sum to 1.

    Args:
        z: embeddings of any length; a zero one is assigned uniformly, (*n, d).
        centroids: taken as they are, of unit length for a cosine, (k, d).
        temperature: > 0; smaller is sharper.
    """
    similarity = jnp.matmul(unit(z), centroids.T, precision=_PRECISION)
    return jax.nn.softmax(similarity / temperature, axis=-1)


def local_mean_shift(
    z: Float[Array, "b h w d"],
    bandwidth: Float[Array, ""],
    iterations: int = 5,
    kernel: int = 5,
    mask: Bool[Array, "b h w"] | None = None,
    border: bool = False,
) -> Float[Array, "b h w d"]:
    """Move each pixel's embedding to the weighted mean of its window, some times over.

    t_i <- sum_j w_ij z_j / (sum_j w_ij + 1e-6), w_ij = exp(-||t_i - z_j||^2 / (2 s^2)), from
    t = z, over the kernel x kernel window j of *unmoved* embeddings. The moving point carries no
    gradient, so only the last iteration is differentiated: with respect to z_j and s.

    Args:
        z: embeddings, (b, h, w, d).
        bandwidth: kernel width s > 0 in units of z, ().
        iterations: >= 0; 0 returns z.
        kernel: odd side of the window, >= 3.
        mask: pixels that count as neighbours; None for all of them, (b, h, w).
        border: count zero embeddings beyond the edge as neighbours, with weight
            exp(-||t_i||^2 / (2 s^2)), as upstream's zero-padded unfold does. That pulls edge
            pixels towards zero, so it is off unless parity is wanted.

    Raises:
        ValueError: ``kernel`` is even or below 3.

    Source: upstream with ``use_approx=True``.
    """
    if kernel < 3 or kernel % 2 == 0:
        raise ValueError(f"mean-shift kernel {kernel} has no centre; give an odd number >= 3")
    if iterations == 0:
        return z
    # Tiles of (kernel - 1)^2 pixels: the windows of a tile lie in 2 x 2 tiles, so both sums are
    # batched matrix products, 2 to 3 times faster on CPU than a sum over shifted copies.
    tile = kernel - 1
    points, near = _tiles(z, tile), _neighbourhoods(z, tile)
    window_weights = jnp.asarray(_window(kernel), z.dtype)
    if mask is not None or not border:
        mask = jnp.ones(z.shape[:3], bool) if mask is None else mask
        neighbour_mask = _neighbourhoods(mask[..., None].astype(z.dtype), tile, float(border))
        window_weights = window_weights * neighbour_mask.swapaxes(1, 2)

    def shift(points: Array, near: Array, scale: Array) -> Array:
        weights = window_weights * jnp.exp(-scale * _squared_distance(points, near))
        total = weights.sum(-1, keepdims=True) + _EPS
        return jnp.matmul(weights, near, precision=_PRECISION) / total

    scale = 0.5 / bandwidth**2
    fixed_inputs = lax.stop_gradient((near, scale))
    points = lax.stop_gradient(points)
    points = lax.fori_loop(0, iterations - 1, lambda _, t: shift(t, *fixed_inputs), points)
    return _untile(shift(points, near, scale), z.shape, tile)


def full_mean_shift(
    z: Float[Array, "b h w d"], bandwidth: Float[Array, ""], iterations: int = 5
) -> Float[Array, "b h w d"]:
    """Mean-shift over all pairs of pixels of a patch, which all move and all carry gradient.

    z_i <- sum_j w_ij z_j / (sum_j w_ij + 1e-6), w_ij = exp(-||z_i - z_j||^2 / (2 s^2)), memory
    (h w)^2 per patch. Arguments as for `local_mean_shift`.

    Source: upstream with ``use_approx=False``.
    """
    points = z.reshape(z.shape[0], -1, z.shape[-1])
    for _ in range(iterations):
        weights = jnp.exp(-0.5 / bandwidth**2 * _squared_distance(points, points))
        total = weights.sum(-1, keepdims=True) + _EPS
        points = jnp.matmul(weights, points, precision=_PRECISION) / total
    return points.reshape(z.shape)


def _squared_distance(a: Float[Array, "b i d"], c: Float[Array, "b j d"]) -> Float[Array, "b i j"]:
    inner = jnp.einsum("bid,bjd->bij", a, c, precision=_PRECISION)
    return jnp.square(a).sum(-1)[:, :, None] + jnp.square(c).sum(-1)[:, None] - 2 * inner


def _window(kernel: int) -> np.ndarray:
    """Which pixels of the 2 x 2 tiles around a tile lie in the window of each of its pixels."""
    tile = kernel - 1
    along = np.arange(2 * tile) - np.arange(tile)[:, None]
    along = (along >= 0) & (along < kernel)
    return np.einsum("yY,xX->yxYX", along, along).reshape(tile**2, 4 * tile**2)


def _split(z: Float[Array, "b H W d"], tile: int) -> Float[Array, "b rows columns tile tile d"]:
    b, height, width, d = z.shape
    return z.reshape(b, height // tile, tile, width // tile, tile, d).swapaxes(2, 3)


def _tiles(z: Float[Array, "b h w d"], tile: int) -> Float[Array, "tiles pixels d"]:
    """Cut into tiles, zero-padded to whole ones."""
    _, h, w, d = z.shape
    padded = jnp.pad(z, ((0, 0), (0, -h % tile), (0, -w % tile), (0, 0)))
    return _split(padded, tile).reshape(-1, tile * tile, d)


def _neighbourhoods(
    z: Float[Array, "b h w d"], tile: int, fill: float = 0.0
) -> Float[Array, "tiles near d"]:
    """The 2 x 2 tiles, offset by half a tile, that hold the windows of each tile's pixels."""
    _, h, w, d = z.shape
    r = tile // 2
    padding = ((0, 0), (r, r + -h % tile), (r, r + -w % tile), (0, 0))
    around = _split(jnp.pad(z, padding, constant_values=fill), tile)
    around = jnp.concatenate([around[:, :-1], around[:, 1:]], axis=3)
    around = jnp.concatenate([around[:, :, :-1], around[:, :, 1:]], axis=4)
    return around.reshape(-1, 4 * tile * tile, d)


def _untile(
    points: Float[Array, "tiles pixels d"], shape: tuple[int, ...], tile: int
) -> Float[Array, "b h w d"]:
    b, h, w, d = shape
    rows, columns = -(-h // tile), -(-w // tile)
    image = points.reshape(b, rows, columns, tile, tile, d).swapaxes(2, 3)
    return image.reshape(b, rows * tile, columns * tile, d)[:, :h, :w]
