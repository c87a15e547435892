"""The two small networks of `amortised`, and the unrolled fit that they share.

All is in noise units and in the space of the k components: b = D x / sigma is what each component
matches, G = D D'.
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
_SOLVED = 1e-12


class GatingNetwork(nnx.Module):
    """Gate logits from two looks at the evidence (in noise deviations) for each component.

    logit = sharpness (evidence2 - threshold) + MLP(asinh of both); the threshold starts at
    sqrt(2 log(k + 1) + 4), above what noise reaches in any of k components.
    """

    def __init__(self, count: int, hidden: int, rngs: nnx.Rngs) -> None:
        price = (2 * math.log(count + 1) + 4) ** 0.5
        self.threshold = nnx.Param(jnp.full((2, count), price, jnp.float32))
        self.log_sharpness = nnx.Param(jnp.full((2, count), math.log(4), jnp.float32))
        self.inner = nnx.Linear(2 * count, hidden, rngs=rngs)
        self.outer = nnx.Linear(hidden, count, kernel_init=nnx.initializers.zeros, rngs=rngs)

    def __call__(
        self, before: Float[Array, "n k"], now: Float[Array, "n k"] | None = None
    ) -> Float[Array, "n k"]:
        """Logits of the first look, or of the second, which sees the evidence of both."""
        sharpness = jnp.exp(self.log_sharpness[...])
        if now is None:
            return sharpness[0] * (before - self.threshold[0])
        seen = jnp.arcsinh(jnp.concatenate([before, now], axis=1))
        context = self.outer(nnx.relu(self.inner(seen)))
        return sharpness[1] * (now - self.threshold[1]) + context


class ConcentrationNetwork(nnx.Module):
    """Concentrations behind gates z: an unrolled fit, then gain and offset per component."""

    def __init__(self, count: int, iterations: int, rngs: nnx.Rngs) -> None:
        del rngs  # nothing is random
        self.iterations = iterations
        self.log_gain = nnx.Param(jnp.zeros(count))
        self.offset = nnx.Param(jnp.zeros(count))

    def __call__(
        self,
        gram: Float[Array, "k k"],
        matched: Float[Array, "n k"],
        start: Float[Array, "n k"],
        gates: Float[Array, "n k"],
    ) -> Float[Array, "n k"]:
        """Concentrations in noise units; `start` is where the fit begins."""
        fitted = gated_fit(gram, matched, start, gates, self.iterations)
        return jnp.exp(self.log_gain) * fitted + gates * self.offset


def gated_fit(
    gram: Float[Array, "k k"],
    matched: Float[Array, "n k"],
    start: Float[Array, "n k"],
    gates: Float[Array, "n k"],
    iterations: int,
) -> Float[Array, "n k"]:
    """Least squares on the components behind open gates z.

    a = z y with (Z G Z + I - Z^2) y = Z b, by conjugate gradients from y = z * start: every row
    at once, one product with G a step. With gates of 0 and 1 it is the exact restricted fit after
    as many steps as gates are open; a half-open gate shrinks its component.
    """

    def operate(y: Array) -> Array:
        return gates * ((gates * y) @ gram) + (1 - gates**2) * y

    def descend(carry: tuple, _: None) -> tuple[tuple, None]:
        y, residual, direction, power = carry
        image = operate(direction)
        length = _ratio(power, _dot(direction, image), power > least)
        y, residual = y + length * direction, residual - length * image
        new = _dot(residual, residual)
        direction = residual + _ratio(new, power, power > least) * direction
        return (y, residual, direction, new), None

    y = gates * start
    residual = gates * matched - operate(y)
    power = _dot(residual, residual)
    least = _SOLVED * _dot(matched, matched) + _TINY
    (y, *_), _ = jax.lax.scan(descend, (y, residual, residual, power), length=iterations)
    return gates * y


def _ratio(
    a: Float[Array, "n 1"], b: Float[Array, "n 1"], meant: Bool[Array, "n 1"]
) -> Float[Array, "n 1"]:
    """Quotient where meant, else 0, with a finite gradient in both cases."""
    return jnp.where(meant, a, 0.0) / jnp.where(meant, b, 1.0)


def _dot(a: Float[Array, "n k"], b: Float[Array, "n k"]) -> Float[Array, "n 1"]:
    return jnp.sum(a * b, axis=1, keepdims=True)


@lru_cache(maxsize=32)
def networks(count: int, hidden: int, iterations: int) -> dict[str, tuple[Callable, Callable]]:
    """Both networks for this many components, each as ``init(key) -> params`` and ``apply``."""
    return {
        "gating": functional_module(lambda rngs: GatingNetwork(count, hidden, rngs)),
        "concentration": functional_module(
            lambda rngs: ConcentrationNetwork(count, iterations, rngs)
        ),
    }
