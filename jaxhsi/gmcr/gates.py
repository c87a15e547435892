"""Gates: which components are in use, relaxed so that a gradient can open and close them.

Hard concrete gates are exactly 0 or 1 with a positive probability, and the expected number of open
ones is a closed form. The Gumbel-softmax pairs are upstream's: never quite closed, so that an
evaluation needs a threshold.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

BETA, LOW, HIGH = 0.66, -0.1, 1.1
"""Temperature and stretch of the hard concrete distribution, from Louizos et al. 2018."""
OPEN_THRESHOLD = 0.9999994
"""Upstream's gate is open in an evaluation above this, ten float32 steps under 1."""
USED_THRESHOLD = 0.5
"""Above this for any spectrum, a component takes part in upstream's ambiguity penalty."""


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


def gumbel_pair(
    energies: Float[Array, "*n 2"],
    gumbel: Float[Array, "*n 2"],
    temperature: Float[Array, ""] | float,
) -> Float[Array, "*n"]:
    """First entry of softmax((-e + g) / tau) over pairs of energies, in (0, 1).

    It is sigmoid of the difference of both over tau, and is computed so. Defect of upstream's
    evaluation: it draws noise as well, at tau = 0.01, so two evaluations of the same weights
    differ. Zeros for ``gumbel`` give the one without noise.

    Args:
        energies: of "in use" and "not in use"; the lower, the likelier.
        gumbel: standard Gumbel noise, -log(-log u).
        temperature: tau > 0.

    Source: upstream `core.py`, `EBSelectiveModule` (torch's gumbel_softmax, hard=False).
    """
    logits = (gumbel - energies) / temperature
    return jax.nn.sigmoid(logits[..., 0] - logits[..., 1])


def langevin_noise(
    normal: Float[Array, "..."], scale: float = 0.1, steps: int = 32, step_size: float = 0.05
) -> Float[Array, "..."]:
    """What upstream's "Langevin dynamics" add to an energy: noise and a constant shift.

    -step_size steps + scale sqrt(steps) normal; 0 without steps.

    Defect: the gradient it descends is that of sum(e) with respect to e, which is 1 everywhere.
    So there is no dynamics: both energies of a pair are shifted alike, which `gumbel_pair`
    ignores (the energy penalty and the mean energy do not). It applies in training only.

    Source: upstream `core.py`, `LangevinRefinedEnergyModule`.
    """
    return scale * steps**0.5 * normal - step_size * steps


def open_at_threshold(
    gates: Float[Array, "..."], threshold: float = OPEN_THRESHOLD
) -> Float[Array, "..."]:
    """1.0 where a gate is above the threshold, else 0.0: upstream's gates in an evaluation."""
    return (gates > threshold).astype(gates.dtype)


def in_use(gates: Float[Array, "n p"], threshold: float = USED_THRESHOLD) -> Bool[Array, " p"]:
    """Components whose gate is above the threshold for any of the spectra (`analyzer.py`)."""
    return (gates > threshold).any(0)
