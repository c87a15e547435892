"""Result of the gated solver."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxhsi.gmcr.misfit_curve import MisfitCurve
from jaxhsi.gmcr.mixing import MixingParameters
from jaxhsi.gmcr.noise_covariance import NoiseModel
from jaxhsi.gmcr.noise_model import SignalDependentNoise


class RestartVote(NamedTuple):
    """Comparison of the restarts that a solution was selected from, itself among them.

    Attributes:
        component_counts: number of components of each restart.
        description_lengths: of each restart, less that of the solution, in units of chi-squared.
        agreement: share of the restarts that contain each component of the solution, up to noise.
    """

    component_counts: Int[np.ndarray, " r"]
    description_lengths: Float[np.ndarray, " r"]
    agreement: Float[np.ndarray, " k"]


class Solution(NamedTuple):
    """Components and concentrations of a table of spectra.

    Attributes:
        components: unit rows.
        concentrations: in the units of the data.
        noise_level: noise variance, offset and spikes apart.
        gate_probabilities: probability that the gate of each component is open.
        in_library: components that are spectra of the library.
        converged: whether the last phase changed nothing.
        noise_model: deviations of the noise from white: covariance, offset and spikes.
        mixing_parameters: of the forward model, where it has some.
        restart_vote: of the restarts, where there was a vote.
        noise_ratios: noise deviation of each sample's run relative to what ``noise_level`` says of
            its spectrum divided by it; None where all runs are alike.
        misfit_curve: what each number of components would leave of the data.
        tolerance: relative misfit below which structure was not counted; 0 is the noise.
    """

    components: Float[Array, "k c"]
    concentrations: Float[Array, "n k"]
    noise_level: SignalDependentNoise
    gate_probabilities: Float[Array, " k"]
    in_library: Bool[Array, " k"]
    converged: bool
    noise_model: NoiseModel
    mixing_parameters: MixingParameters = ()
    restart_vote: RestartVote | None = None
    noise_ratios: Float[np.ndarray, "n 1"] | None = None
    misfit_curve: MisfitCurve | None = None
    tolerance: float = 0.0
