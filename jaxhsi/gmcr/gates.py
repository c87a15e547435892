"""Hard-concrete gates: which components are in use, relaxed so that gates can open and close.

A hard-concrete gate is exactly 0 or 1 with positive probability, and the expected number of open
gates has a closed form.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

TEMPERATURE, STRETCH_LOW, STRETCH_HIGH = 0.66, -0.1, 1.1
"""Temperature and stretch of the hard-concrete distribution, from Louizos et al. 2018, section 4
(2/3, rounded, and the interval of their experiments)."""
MIN_GATE_LOGIT, MAX_GATE_LOGIT = -3.0, 5.0
"""Range of the gate logits: within it a gate is open with a probability of 0.19 to 0.999, so that
each still gets samples of both kinds and can change back. Set by hand."""


def hard_concrete(
    uniform: Float[Array, "..."],
    logits: Float[Array, "..."],
    temperature: float = TEMPERATURE,
    stretch_low: float = STRETCH_LOW,
    stretch_high: float = STRETCH_HIGH,
) -> Float[Array, "..."]:
    """Sample of a gate in [0, 1] that is 0 or 1 with positive probability.

    z = min(1, max(0, s (high - low) + low)), s = sigmoid((log u - log(1 - u) + logit) / beta).

    Args:
        uniform: u in (0, 1); 0 and 1 themselves are moved inside.
        logits: log alpha; the shapes broadcast.
        temperature: beta > 0.
        stretch_low: below 0, so that zeros occur.
        stretch_high: above 1, so that ones occur.

    Returns:
        The gates, of the broadcast shape.

    Source: Louizos, Welling and Kingma 2018, equations 10 and 11.

    >>> import jax.numpy as jnp
    >>> hard_concrete(jnp.array([0.01, 0.5, 0.99]), jnp.zeros(3)).tolist()
    [0.0, 0.5, 1.0]
    """
    # Draws of exactly 0 or 1 happen in float32, and their logits are infinite.
    u = jnp.clip(uniform, jnp.finfo(uniform.dtype).tiny, 1 - jnp.finfo(uniform.dtype).epsneg)
    s = jax.nn.sigmoid((jnp.log(u) - jnp.log1p(-u) + logits) / temperature)
    return jnp.clip(s * (stretch_high - stretch_low) + stretch_low, 0.0, 1.0)


def open_probability(
    logits: Float[Array, "..."],
    temperature: float = TEMPERATURE,
    stretch_low: float = STRETCH_LOW,
    stretch_high: float = STRETCH_HIGH,
) -> Float[Array, "..."]:
    """Probability that a hard-concrete gate is not 0: sigmoid(logit - beta log(-low / high)).

    Args:
        logits: log alpha.
        temperature: beta > 0.
        stretch_low: below 0.
        stretch_high: above 1.

    Returns:
        Probabilities in (0, 1).

    Source: Louizos et al. 2018, equation 12.

    >>> import jax.numpy as jnp
    >>> f"{open_probability(jnp.array(0.0)):.2f}"
    '0.83'
    """
    return jax.nn.sigmoid(logits - temperature * jnp.log(-stretch_low / stretch_high))


def expected_l0(
    logits: Float[Array, "..."],
    temperature: float = TEMPERATURE,
    stretch_low: float = STRETCH_LOW,
    stretch_high: float = STRETCH_HIGH,
) -> Float[Array, ""]:
    """Expected number of open gates, the sum of `open_probability`; same arguments.

    Source: Louizos et al. 2018, equation 12.
    """
    return open_probability(logits, temperature, stretch_low, stretch_high).sum()


def expected_gate(
    logits: Float[Array, "..."],
    stretch_low: float = STRETCH_LOW,
    stretch_high: float = STRETCH_HIGH,
) -> Float[Array, "..."]:
    """Gate for evaluation, without noise: min(1, max(0, sigmoid(logit) (high - low) + low)).

    Args:
        logits: log alpha.
        stretch_low: below 0.
        stretch_high: above 1.

    Returns:
        Gates in [0, 1].

    Source: Louizos et al. 2018, equation 13.

    >>> import jax.numpy as jnp
    >>> expected_gate(jnp.array([-5.0, 0.0, 5.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    # The stretch makes exact zeros and ones possible without any noise.
    stretched = jax.nn.sigmoid(logits) * (stretch_high - stretch_low) + stretch_low
    return jnp.clip(stretched, 0.0, 1.0)


def initial_gate_logits(evidence: Float[Array, " p"]) -> Float[Array, " p"]:
    """Gate logits at the beginning of a phase: open, the more so the higher the log-evidence."""
    return jnp.clip(2 + evidence, 0.5, MAX_GATE_LOGIT)
