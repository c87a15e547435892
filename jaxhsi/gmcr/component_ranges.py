"""The range of each component over answers that are as good."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxhsi.callbacks import OnProgress, ignore_progress
from jaxhsi.gmcr.nonlinear import whiten_for_diagnostics
from jaxhsi.gmcr.rotational_ambiguity import BandBoundaries, FittedMixture, band_boundaries
from jaxhsi.gmcr.solution import Solution

MAX_AMBIGUITY_COMPONENTS = 24
"""Components; the search takes as many times as long as there are, and each step longer."""


def rotational_ambiguity(
    solution: Solution,
    spectra: Float[np.ndarray | Array, "n c"],
    *,
    non_negative: bool = True,
    on_progress: OnProgress = ignore_progress,
) -> BandBoundaries | None:
    """The extremes of each component; None for more than 24 components.

    Args:
        solution: of these spectra.
        spectra: as linear mixtures, see `alternate.straightened`.
        non_negative: components and concentrations were not to be negative.
        on_progress: called with the extremes that were looked for.
    """
    if len(solution.components) > MAX_AMBIGUITY_COMPONENTS:
        return None
    framed, _, noise = whiten_for_diagnostics(solution, spectra)
    mixture = FittedMixture(
        jnp.asarray(framed.concentrations) / noise,
        jnp.asarray(solution.components),
        jnp.asarray(framed.components),
        jnp.asarray(solution.concentrations != 0),
        jnp.asarray(solution.in_library),
    )
    return jax.device_get(band_boundaries(mixture, non_negative, partial(on_progress, "ranges")))
