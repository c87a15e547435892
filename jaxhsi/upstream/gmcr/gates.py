"""Upstream's gates: Gumbel-softmax pairs, which an evaluation compares with a threshold.

Source: upstream `core.py` and `mcr.py`.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxhsi.gmcr import mixing

OPEN_THRESHOLD = 0.9999994
"""Upstream's gate is open in an evaluation above this, ten float32 steps under 1: value of the
PyTorch code, `select_prob_threshld`."""


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
    # The sign: a low energy is a likely state.
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


def gated_mixture(
    concentrations: Float[Array, "n p"],
    gates: Float[Array, "n p"] | Float[Array, " p"],
    components: mixing.Components,
    aggregate: mixing.MixingFunction = mixing.linear,
) -> Float[Array, "n c"]:
    """Mixture of the components whose gates are open, aggregate(C z^2, S).

    For every model of the product C S this equals upstream's aggregate(C z, z S), without its
    (n, p, c) array.

    Defect: the gate multiplies the concentration and the component, so that it enters squared, and
    a half-open gate lets a quarter through.

    Args:
        concentrations: C >= 0, in the units of the spectra.
        gates: z in [0, 1], per sample and component, or per component.
        components: S.
        aggregate: forward model.

    Source: `EBSelectiveMCR.forward`.
    """
    return aggregate(concentrations * jnp.square(gates), components)
