"""The gating network and the concentration network, and the unrolled fit that they share.

Everything is in noise units and in the space of the k components: b = D x / sigma is the
correlation of a spectrum with each component, G = D D'. For their training see
`jaxhsi.gmcr.amortised`.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from jaxhsi.functional_module import functional_module

_TINY = 1e-20
"""Guards divisions by zero; results do not depend on it."""
_SOLVED = 1e-12
"""Squared relative residual below which the conjugate gradients stop: 1e-6 of b, which is the
precision of float32."""
_INITIAL_SHARPNESS = 4
"""Slope of a gate's logit at the threshold, per noise deviation. Learnt from there on. Chosen by
hand; not tuned."""


class GatingNetwork(nnx.Module):
    """Gate logits from two estimates of the evidence (in noise deviations) for each component.

    logit = sharpness (evidence2 - threshold) + MLP(asinh of both); the threshold starts at
    sqrt(2 log(k + 1) + 4), above what noise reaches in any of k components.
    """

    def __init__(self, num_components: int, hidden_width: int, rngs: nnx.Rngs) -> None:
        threshold = (2 * math.log(num_components + 1) + 4) ** 0.5
        shape = (2, num_components)
        self.threshold = nnx.Param(jnp.full(shape, threshold, jnp.float32))
        # Its logarithm is learnt, so that the slope stays positive.
        log_sharpness = math.log(_INITIAL_SHARPNESS)
        self.log_sharpness = nnx.Param(jnp.full(shape, log_sharpness, jnp.float32))
        self.hidden_layer = nnx.Linear(2 * num_components, hidden_width, rngs=rngs)
        # The MLP begins at zero: the untrained network is the threshold test alone.
        zeros = nnx.initializers.zeros
        self.output_layer = nnx.Linear(hidden_width, num_components, kernel_init=zeros, rngs=rngs)

    def __call__(
        self,
        first_evidence: Float[Array, "n k"],
        second_evidence: Float[Array, "n k"] | None = None,
    ) -> Float[Array, "n k"]:
        """Logits from the first evidence, or from both where the second is given."""
        sharpness = jnp.exp(self.log_sharpness[...])
        if second_evidence is None:
            return sharpness[0] * (first_evidence - self.threshold[0])
        # Linear for weak evidence, logarithmic for strong: both scales are told apart.
        inputs = jnp.arcsinh(jnp.concatenate([first_evidence, second_evidence], axis=1))
        correction = self.output_layer(nnx.relu(self.hidden_layer(inputs)))
        return sharpness[1] * (second_evidence - self.threshold[1]) + correction


class ConcentrationNetwork(nnx.Module):
    """Concentrations behind gates z: an unrolled fit, then gain and offset per component."""

    def __init__(self, num_components: int, num_iterations: int, rngs: nnx.Rngs) -> None:
        del rngs  # nothing is random
        self.num_iterations = num_iterations
        self.log_gain = nnx.Param(jnp.zeros(num_components))
        self.offset = nnx.Param(jnp.zeros(num_components))

    def __call__(
        self,
        gram: Float[Array, "k k"],
        correlations: Float[Array, "n k"],
        initial: Float[Array, "n k"],
        gates: Float[Array, "n k"],
    ) -> Float[Array, "n k"]:
        """Concentrations in noise units; the fit begins at ``initial``."""
        # The fit does the work; the network learns only what it gets wrong on average.
        fitted = gated_least_squares(gram, correlations, initial, gates, self.num_iterations)
        return jnp.exp(self.log_gain) * fitted + gates * self.offset


def gated_least_squares(
    gram: Float[Array, "k k"],
    correlations: Float[Array, "n k"],
    initial: Float[Array, "n k"],
    gates: Float[Array, "n k"],
    num_iterations: int,
) -> Float[Array, "n k"]:
    """Least squares on the components behind open gates z, by conjugate gradients.

    a = z y with (Z G Z + I - Z^2) y = Z b, from y = z * initial: every row at once, one product
    with G an iteration. With gates of 0 and 1 it is the exact restricted fit after as many
    iterations as gates are open; a half-open gate shrinks its component.

    Args:
        gram: G.
        correlations: b.
        initial: concentrations to begin with.
        gates: z in [0, 1].
        num_iterations: of the conjugate gradients.

    Returns:
        Concentrations a, 0 behind closed gates.

    >>> import jax.numpy as jnp
    >>> b, gates = jnp.array([[3.0, 5.0]]), jnp.array([[1.0, 0.0]])
    >>> gated_least_squares(jnp.eye(2), b, jnp.zeros((1, 2)), gates, 1).tolist()
    [[3.0, 0.0]]
    """

    def operate(y: Array) -> Array:
        return gates * ((gates * y) @ gram) + (1 - gates**2) * y

    def descend(carry: tuple, _: None) -> tuple[tuple, None]:
        y, residual, direction, power = carry
        image = operate(direction)
        # Rows that are solved stand still, where both powers are rounding.
        step_size = _ratio(power, _dot(direction, image), power > solved_power)
        y, residual = y + step_size * direction, residual - step_size * image
        new_power = _dot(residual, residual)
        direction = residual + _ratio(new_power, power, power > solved_power) * direction
        return (y, residual, direction, new_power), None

    y = gates * initial
    residual = gates * correlations - operate(y)
    power = _dot(residual, residual)
    solved_power = _SOLVED * _dot(correlations, correlations) + _TINY
    (y, *_), _ = jax.lax.scan(descend, (y, residual, residual, power), length=num_iterations)
    return gates * y


def _ratio(
    a: Float[Array, "n 1"], b: Float[Array, "n 1"], mask: Bool[Array, "n 1"]
) -> Float[Array, "n 1"]:
    """Quotient where the mask is set, else 0, with a finite gradient in both cases."""
    return jnp.where(mask, a, 0.0) / jnp.where(mask, b, 1.0)


def _dot(a: Float[Array, "n k"], b: Float[Array, "n k"]) -> Float[Array, "n 1"]:
    return jnp.sum(a * b, axis=1, keepdims=True)


@lru_cache(maxsize=32)  # one entry per shape: the same functions are compiled once
def build_networks(
    num_components: int, hidden_width: int, num_iterations: int
) -> dict[str, tuple[Callable, Callable]]:
    """Both networks for this many components, each as ``init(key) -> params`` and ``apply``.

    Args:
        num_components: k.
        hidden_width: of the gating network.
        num_iterations: of the concentration network's fit.

    Returns:
        The pairs of functions, by the names "gating" and "concentration".
    """
    return {
        "gating": functional_module(lambda rngs: GatingNetwork(num_components, hidden_width, rngs)),
        "concentration": functional_module(
            lambda rngs: ConcentrationNetwork(num_components, num_iterations, rngs)
        ),
    }
