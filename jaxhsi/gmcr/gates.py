"""Gates: which components are in use, relaxed so that a gradient can open and close them.

Hard concrete gates are exactly 0 or 1 with a positive probability, and the expected number of open
ones is a closed form.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

BETA, LOW, HIGH = 0.66, -0.1, 1.1
"""Temperature and stretch of the hard concrete distribution, from Louizos et al. 2018."""


def hard_concrete(
    uniform: Float[Array, "..."],
    logits: Float[Array, "..."],
    beta: float = BETA,
    low: float = LOW,
    high: float = HIGH,
) -> Float[Array, "..."]:
    """Sample of a gate in [0, 1] that is 0 or 1 with positive probability.

    z = min(1, max(0, s (high - low) + low)), s = sigmoid((log u - log(1 - u) + logit) / beta).

    Args:
        uniform: u in (0, 1); 0 and 1 themselves are moved inside.
        logits: log alpha; the shapes broadcast.
        beta: temperature > 0.
        low: < 0, stretches below 0, so that zeros occur.
        high: > 1.

    Source: Louizos, Welling and Kingma 2018, equations 10 and 11.
    """
    u = jnp.clip(uniform, jnp.finfo(uniform.dtype).tiny, 1 - jnp.finfo(uniform.dtype).epsneg)
    s = jax.nn.sigmoid((jnp.log(u) - jnp.log1p(-u) + logits) / beta)
    return jnp.clip(s * (high - low) + low, 0.0, 1.0)


def open_probability(
    logits: Float[Array, "..."], beta: float = BETA, low: float = LOW, high: float = HIGH
) -> Float[Array, "..."]:
    """Probability that a hard concrete gate is not 0: sigmoid(logit - beta log(-low / high)).

    Source: Louizos et al. 2018, equation 12.
    """
    return jax.nn.sigmoid(logits - beta * jnp.log(-low / high))


def expected_l0(
    logits: Float[Array, "..."], beta: float = BETA, low: float = LOW, high: float = HIGH
) -> Float[Array, ""]:
    """Expected number of open gates, the sum of `open_probability`."""
    return open_probability(logits, beta, low, high).sum()


def expected_gate(
    logits: Float[Array, "..."], low: float = LOW, high: float = HIGH
) -> Float[Array, "..."]:
    """Gate for evaluation, without noise: min(1, max(0, sigmoid(logit) (high - low) + low)).

    Source: Louizos et al. 2018, equation 13.
    """
    return jnp.clip(jax.nn.sigmoid(logits) * (high - low) + low, 0.0, 1.0)
