"""Unrolled mean-shift over embeddings of pixels, and the soft assignment to centroids.

Source: upstream `module/clustering.py`, `UnrolledMeanShift.forward`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxhsi.upstream.dgc.centroids import unit

_EPS = 1e-6
"""Added to the sum of weights: value of the PyTorch code, `module/clustering.py`."""

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
    num_iterations: int = 5,
    window_side: int = 5,
    valid_mask: Bool[Array, "b h w"] | None = None,
    zero_border: bool = False,
) -> Float[Array, "b h w d"]:
    """Move each pixel's embedding to the weighted mean of its window, some times over.

    t_i <- sum_j w_ij z_j / (sum_j w_ij + 1e-6), w_ij = exp(-||t_i - z_j||^2 / (2 s^2)), from
    t = z, over the kernel x kernel window j of *unmoved* embeddings. The moving point carries no
    gradient, so only the last iteration is differentiated: with respect to z_j and s.

    Args:
        z: embeddings, (b, h, w, d).
        bandwidth: kernel width s > 0 in units of z, ().
        num_iterations: >= 0; 0 returns z.
        window_side: odd side of the window, >= 3.
        valid_mask: pixels that count as neighbours; None for all of them, (b, h, w).
        zero_border: count zero embeddings beyond the edge as neighbours, with weight
            exp(-||t_i||^2 / (2 s^2)), as upstream's zero-padded unfold does. That pulls edge
            pixels towards zero, so it is off unless parity is wanted.

    Raises:
        ValueError: ``window_side`` is even or below 3.

    Source: upstream with ``use_approx=True``.
    """
    if window_side < 3 or window_side % 2 == 0:
        raise ValueError(f"mean-shift kernel {window_side} has no centre; give an odd number >= 3")
    if num_iterations == 0:
        return z
    # Tiles of (kernel - 1)^2 pixels: the windows of a tile lie in 2 x 2 tiles, so both sums are
    # batched matrix products, 2 to 3 times faster on CPU than a sum over shifted copies.
    tile_side = window_side - 1
    points, neighbour_points = _tiles(z, tile_side), _neighbourhoods(z, tile_side)
    window_weights = jnp.asarray(_window(window_side), z.dtype)
    if valid_mask is not None or not zero_border:
        valid_mask = jnp.ones(z.shape[:3], bool) if valid_mask is None else valid_mask
        neighbour_mask = _neighbourhoods(
            valid_mask[..., None].astype(z.dtype), tile_side, float(zero_border)
        )
        window_weights = window_weights * neighbour_mask.swapaxes(1, 2)

    def shift(points: Array, neighbour_points: Array, scale: Array) -> Array:
        weights = window_weights * jnp.exp(-scale * _squared_distance(points, neighbour_points))
        total_weight = weights.sum(-1, keepdims=True) + _EPS
        return jnp.matmul(weights, neighbour_points, precision=_PRECISION) / total_weight

    scale = 0.5 / bandwidth**2
    fixed_inputs = lax.stop_gradient((neighbour_points, scale))
    # Upstream detaches the moving point; only its neighbours learn.
    points = lax.stop_gradient(points)
    points = lax.fori_loop(0, num_iterations - 1, lambda _, t: shift(t, *fixed_inputs), points)
    return _untile(shift(points, neighbour_points, scale), z.shape, tile_side)


def full_mean_shift(
    z: Float[Array, "b h w d"], bandwidth: Float[Array, ""], num_iterations: int = 5
) -> Float[Array, "b h w d"]:
    """Mean-shift over all pairs of pixels of a patch, which all move and all carry gradient.

    z_i <- sum_j w_ij z_j / (sum_j w_ij + 1e-6), w_ij = exp(-||z_i - z_j||^2 / (2 s^2)), memory
    (h w)^2 per patch. Arguments as for `local_mean_shift`.

    Source: upstream with ``use_approx=False``.
    """
    points = z.reshape(z.shape[0], -1, z.shape[-1])
    for _ in range(num_iterations):
        weights = jnp.exp(-0.5 / bandwidth**2 * _squared_distance(points, points))
        total_weight = weights.sum(-1, keepdims=True) + _EPS
        points = jnp.matmul(weights, points, precision=_PRECISION) / total_weight
    return points.reshape(z.shape)


def _squared_distance(a: Float[Array, "b i d"], c: Float[Array, "b j d"]) -> Float[Array, "b i j"]:
    # The square is expanded: no array of pairs by dimensions is made.
    inner = jnp.einsum("bid,bjd->bij", a, c, precision=_PRECISION)
    return jnp.square(a).sum(-1)[:, :, None] + jnp.square(c).sum(-1)[:, None] - 2 * inner


def _window(window_side: int) -> np.ndarray:
    """Which pixels of the 2 x 2 tiles around a tile lie in the window of each of its pixels."""
    tile_side = window_side - 1
    # Along one axis; the window is the product of both.
    in_window = np.arange(2 * tile_side) - np.arange(tile_side)[:, None]
    in_window = (in_window >= 0) & (in_window < window_side)
    return np.einsum("yY,xX->yxYX", in_window, in_window).reshape(tile_side**2, 4 * tile_side**2)


def _split(
    z: Float[Array, "b H W d"], tile_side: int
) -> Float[Array, "b rows columns tile tile d"]:
    b, height, width, d = z.shape
    rows, columns = height // tile_side, width // tile_side
    return z.reshape(b, rows, tile_side, columns, tile_side, d).swapaxes(2, 3)


def _tiles(z: Float[Array, "b h w d"], tile_side: int) -> Float[Array, "tiles pixels d"]:
    """Cut into tiles, zero-padded to whole ones."""
    _, h, w, d = z.shape
    padded = jnp.pad(z, ((0, 0), (0, -h % tile_side), (0, -w % tile_side), (0, 0)))
    return _split(padded, tile_side).reshape(-1, tile_side * tile_side, d)


def _neighbourhoods(
    z: Float[Array, "b h w d"], tile_side: int, fill_value: float = 0.0
) -> Float[Array, "tiles near d"]:
    """The 2 x 2 tiles, offset by half a tile, that hold the windows of each tile's pixels."""
    _, h, w, d = z.shape
    half_side = tile_side // 2
    rows, columns = ((half_side, half_side + -side % tile_side) for side in (h, w))
    padded = jnp.pad(z, ((0, 0), rows, columns, (0, 0)), constant_values=fill_value)
    shifted_tiles = _split(padded, tile_side)
    shifted_tiles = jnp.concatenate([shifted_tiles[:, :-1], shifted_tiles[:, 1:]], axis=3)
    shifted_tiles = jnp.concatenate([shifted_tiles[:, :, :-1], shifted_tiles[:, :, 1:]], axis=4)
    return shifted_tiles.reshape(-1, 4 * tile_side * tile_side, d)


def _untile(
    points: Float[Array, "tiles pixels d"], image_shape: tuple[int, ...], tile_side: int
) -> Float[Array, "b h w d"]:
    b, h, w, d = image_shape
    rows, columns = -(-h // tile_side), -(-w // tile_side)
    image = points.reshape(b, rows, columns, tile_side, tile_side, d).swapaxes(2, 3)
    return image.reshape(b, rows * tile_side, columns * tile_side, d)[:, :h, :w]
