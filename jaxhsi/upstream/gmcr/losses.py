"""LossTerms of upstream's objective: one pure function each, every one returns ().

Several pools come as a list, one array each. Source: upstream `analyzer.py`, `BaseEBgMCR.fit`.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float


def reconstruction_error(
    x: Float[Array, "n c"], reconstructed: Float[Array, "n c"]
) -> Float[Array, ""]:
    """Mean squared error over spectra and bands, in the squared units of the data."""
    return jnp.square(reconstructed - x).mean()


def component_share(
    gates: Sequence[Float[Array, "n _"]], total: int | None = None
) -> Float[Array, ""]:
    """Mean share of the pool that a spectrum uses, sum_nj z_nj / (n m total), in [0, 1].

    Defect: with m pools the mean is over n m rows, and each row is already divided by the size of
    all pools; so the share is m times too small, and a second pool, even a closed one of the same
    size, quarters the price of a component.

    Args:
        gates: z of the m pools, (n, p_m) each. (Upstream stacks them: its sizes must be
            equal.)
        total: number of slots of all pools; None for the sum of p_m.
    """
    # Over all pools, as upstream divides by the length of its concatenation.
    slots = sum(z.shape[1] for z in gates) if total is None else total
    # Rows of all pools are counted, which makes the share too small; see above.
    return sum(z.sum() for z in gates) / (slots * sum(len(z) for z in gates))


def energy_penalty(energies: Sequence[Float[Array, "..."]]) -> Float[Array, ""]:
    """Mean square of the selection energies of all pools (with their noise; the sign is free)."""
    return sum(jnp.square(e).sum() for e in energies) / sum(e.size for e in energies)


def mean_energy(energies: Sequence[Float[Array, "..."]]) -> Float[Array, ""]:
    """Mean of all energies, of selection and of single channels.

    Upstream reports that of the refined energies -(e + `gates.langevin_noise`). Defect: its
    evaluation takes them from the last mini-batch of training, not from the data evaluated.
    """
    return sum(e.sum() for e in energies) / sum(e.size for e in energies)
