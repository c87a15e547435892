"""Priors of concentrations that are not sparse, and of those that change little between samples."""

import jax.numpy as jnp

from jaxhsi.gmcr.noise_model import SignalDependentNoise, noise_deviation
from jaxhsi.gmcr.priors import Prior, smoothness
from jaxhsi.gmcr.solution import Solution


def dense_concentrations() -> Prior:
    """All concentrations may differ from 0, without a price for those that do.

    Where components overlap in nearly all samples, as along an elution, the sparsest concentrations
    are not the likeliest: a faint edge of a peak that costs more than it gains is there.
    """
    return Prior(frees_zeros=True)


def smooth_concentrations(
    weight: float, run_lengths: tuple[int, ...] | None, solution: Solution
) -> Prior:
    """Smoothness of concentrations by a weight in units of the noise, whatever the data's are.

    Args:
        weight: 1 smooths over about three samples, 100 over ten.
        run_lengths: of the runs of samples; one if None.
        solution: of the linear solver, which knows the noise.
    """
    mean_square = jnp.mean((solution.concentrations @ solution.components) ** 2)
    deviation = noise_deviation(SignalDependentNoise(*solution.noise_level), mean_square)
    return smoothness(weight / float(deviation) ** 2, "concentrations", run_lengths=run_lengths)
