"""Concentrations and components together, as priors and refinements see them."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxhsi.linear_algebra import solve

_SCALE_DAMPING = 1e-6
"""Relative damping of the scales of `scale_to_sum`, for components that are nearly dependent.
Chosen by hand; not tuned."""
_MIN_RELATIVE_SCALE = 0.1
"""Least scale of a component relative to the median: one that hardly occurs has no estimate. Chosen
by hand; not tuned."""


class Factors(NamedTuple):
    """Concentrations and components, or what belongs to each of them (steps, masks)."""

    concentrations: Float[Array, "#n #p"]
    components: Float[Array, "#p #c"]


class ProximalContext(NamedTuple):
    """What a proximal step may need beside the factors.

    Attributes:
        step_sizes: of the gradient steps before it, (n, 1) and (1, 1) or scalars.
        support: concentrations that may differ from 0.
    """

    step_sizes: Factors
    support: Bool[Array, "n p"]


def scale_to_sum(factors: Factors, concentration_sum: float) -> Factors:
    """The same mixture with components scaled so that concentrations have a given mean sum.

    Scales d > 0 solve C d = sum by least squares: c_i becomes d_i c_i, and s_i becomes s_i / d_i.

    Args:
        factors: C and S.
        concentration_sum: wanted sum of each spectrum's concentrations.

    Returns:
        The scaled factors.

    >>> import jax.numpy as jnp
    >>> scaled = scale_to_sum(Factors(jnp.eye(2) * 4, jnp.eye(2)), 1.0)
    >>> scaled.concentrations.round(3).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    c, s = factors
    gram = c.T @ c
    damping = _SCALE_DAMPING * jnp.trace(gram) / len(gram) * jnp.eye(len(gram))
    # One scale a component, by all spectra at once: none alone has every component.
    scales = solve(gram + damping, concentration_sum * jnp.sum(c, axis=0)[:, None])[:, 0]
    least_scale = _MIN_RELATIVE_SCALE * jnp.median(scales)
    scales = jnp.maximum(scales, jnp.maximum(least_scale, 1e-12))
    return Factors(c * scales, s / scales[:, None])
