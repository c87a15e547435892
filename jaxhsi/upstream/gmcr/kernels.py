"""Ambiguity: how alike the components in use are, by a kernel over pairs of spectra.

All kernels but the laplacian need only inner products, so no array of (p, p, c) is ever built.
Source: upstream `ambiguity_penalty.py`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Kernel = Callable[..., Float[Array, "p p"]]


def ambiguity_penalty(
    kernel: str,
    components: Float[Array, "p c"],
    used_mask: Bool[Array, " p"],
    **parameters: float | int | bool,
) -> Float[Array, ""]:
    """Mean of the kernel over pairs of components that are both in use.

    2 / (u (u - 1)) sum_{i<j} K(s_i, s_j), u the number in use; 0 if u < 2. Components that are not
    in use have no influence and no gradient. Where two spectra are equal the gradient is finite (0
    for that pair, if the kernel is one of distance).

    Args:
        kernel: a name in `KERNELS`.
        components: spectra.
        used_mask: which of them count.
        **parameters: of the kernel function of that name.

    Raises:
        ValueError: unknown kernel.
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel {kernel!r} is unknown; use one of {', '.join(KERNELS)}")
    # Zeros instead of spectra out of use: whatever these hold cannot reach the gradient.
    kernel_matrix = KERNELS[kernel](jnp.where(used_mask[:, None], components, 0.0), **parameters)
    # Each pair once, and none of a component with itself.
    used_pairs = jnp.triu(used_mask[:, None] & used_mask[None, :], 1)
    return jnp.where(used_pairs, kernel_matrix, 0.0).sum() / jnp.maximum(used_pairs.sum(), 1)


def gram(components: Float[Array, "p c"]) -> Float[Array, "p p"]:
    """Inner products s_i . s_j, in full float32 on every device."""
    return jnp.matmul(components, components.T, precision="highest")


def squared_distances(components: Float[Array, "p c"]) -> Float[Array, "p p"]:
    """||s_i - s_j||^2 by the Gram matrix.

    Less than 4 float32 steps of ||s_i||^2 + ||s_j||^2 is rounding, and returned as 0 with zero
    gradient.
    """
    inner_products = gram(components)
    squared_lengths = jnp.diagonal(inner_products)
    length_sums = squared_lengths[:, None] + squared_lengths[None, :]
    squared_distance = length_sums - 2 * inner_products
    return jnp.where(
        squared_distance > 4 * jnp.finfo(inner_products.dtype).eps * length_sums,
        squared_distance,
        0.0,
    )


def distances(components: Float[Array, "p c"]) -> Float[Array, "p p"]:
    """||s_i - s_j||; the gradient is 0 where it is 0."""
    squared_distance = squared_distances(components)
    # The root has an infinite slope at 0; both branches of a where are differentiated.
    is_apart = squared_distance > 0
    return jnp.where(is_apart, jnp.sqrt(jnp.where(is_apart, squared_distance, 1.0)), 0.0)


def linear(components: Float[Array, "p c"]) -> Float[Array, "p p"]:
    """K = s_i . s_j."""
    return gram(components)


def polynomial(
    components: Float[Array, "p c"], c: float = 1.0, d: float | int = 2
) -> Float[Array, "p p"]:
    """K = (s_i . s_j + c)^d."""
    return (gram(components) + c) ** d


def laplacian(components: Float[Array, "p c"], sigma: float = 1.0) -> Float[Array, "p p"]:
    """K = exp(-||s_i - s_j||_1 / sigma), a row of distances at a time, also in the gradient."""

    @jax.checkpoint
    def row(spectrum: Array) -> Array:
        differences = components - spectrum
        # The gradient of |0| is 1 in jax; between equal values it has to be 0.
        return jnp.where(differences == 0, 0.0, jnp.abs(differences)).sum(1)

    return jnp.exp(-jax.lax.map(row, components) / sigma)


def rbf(components: Float[Array, "p c"], sigma: float = 1.0) -> Float[Array, "p p"]:
    """K = exp(-||s_i - s_j||^2 / (2 sigma^2))."""
    return jnp.exp(-squared_distances(components) / (2 * sigma**2))


_MATERN = {0.5: (1, ()), 1.5: (3, (1,)), 2.5: (5, (1, 1 / 3)), 3.5: (7, (1, 2 / 5, 1 / 15))}
"""By nu: 2 nu, and the coefficients of a r, (a r)^2, (a r)^3 with a = sqrt(2 nu)."""
_MATERN_UPSTREAM = _MATERN | {3.5: (7, (1, 3 / 5, 1 / 15))}
"""With the defect of nu = 7/2: value of the PyTorch code, `ambiguity_penalty.py`."""


def matern(
    components: Float[Array, "p c"],
    nu: float = 1.5,
    lengthscale: float = 1.0,
    sigma: float = 1.0,
    as_upstream: bool = False,
) -> Float[Array, "p p"]:
    """K = sigma^2 P(a r) exp(-a r), r = ||s_i - s_j|| / lengthscale, a = sqrt(2 nu).

    P is 1 for nu = 1/2; 1 + t for 3/2; 1 + t + t^2 / 3 for 5/2; 1 + t + 2 t^2 / 5 + t^3 / 15 for
    7/2 (Rasmussen and Williams 2006, equation 4.16).

    Defects of upstream, with ``as_upstream``: 3/2 leaves sigma^2 out, and 7/2 has 21/5 r^2 where
    14/5 r^2 is meant. Its trainer never reaches the kernel: the name it compares with is
    "matern_penalty", while it accepts only "matern".

    Args:
        components: spectra.
        nu: smoothness, 0.5, 1.5, 2.5 or 3.5.
        lengthscale: > 0, in the units of the spectra.
        sigma: deviation.
        as_upstream: with its defects.

    Raises:
        ValueError: another nu.
    """
    if nu not in _MATERN:
        raise ValueError(f"nu {nu} has no closed form here; use one of {sorted(_MATERN)}")
    degree, coefficients = (_MATERN_UPSTREAM if as_upstream else _MATERN)[nu]
    scaled_distance = degree**0.5 * distances(components) / lengthscale
    series = 1.0 + sum(
        weight * scaled_distance**power for power, weight in enumerate(coefficients, 1)
    )
    variance = 1.0 if as_upstream and nu == 1.5 else sigma**2
    return variance * series * jnp.exp(-scaled_distance)


KERNELS: dict[str, Kernel] = {
    "linear": linear,
    "polynomial": polynomial,
    "laplacian": laplacian,
    "rbf": rbf,
    "matern": matern,
}
"""The kernels by name; upstream calls the second one "poly"."""
