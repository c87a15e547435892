"""State and diagnostics of the gated solver."""

from typing import NamedTuple

from jaxtyping import Array, Float, Int

from jaxhsi.gmcr.component_pool import ComponentPool
from jaxhsi.gmcr.noise_covariance import NoiseModel
from jaxhsi.gmcr.noise_model import SignalDependentNoise


class State(NamedTuple):
    """State of the solver: all that a checkpoint needs.

    Attributes:
        step: gate steps taken.
        phase: phases completed.
        pool: components.
        previous_pool: components at the end of the last phase, before any were added; without the
            whitener.
        gate_logits: of the components' gates.
        noise_level: noise variance of the spectra.
        phase_noise_level: ``noise_level`` at the end of the last phase.
        component_counts: number of components after the last phase and the one before it; -1 for
            none.
        num_added: components that the last phase added.
        noise_drift: mean absolute change of the log noise variance from the beginning of the last
            phase to its end. The fluctuation by the gates' draws in between does not count.
        noise_model: deviations of the noise from white; the solver only carries it along, for the
            caller who whitens the spectra.
    """

    step: Int[Array, ""]
    phase: Int[Array, ""]
    pool: ComponentPool
    previous_pool: ComponentPool
    gate_logits: Float[Array, " p"]
    noise_level: SignalDependentNoise
    phase_noise_level: SignalDependentNoise
    component_counts: Int[Array, "2"]
    num_added: Int[Array, ""]
    noise_drift: Float[Array, ""]
    noise_model: NoiseModel | None = None


class Info(NamedTuple):
    """Diagnostics of a gate step.

    Attributes:
        loss: half the mean squared residual of a value in noise units; about 1/2 at the end.
        num_active: components whose gate is more likely open than closed.
        uncertain_gates: gates whose probability to be open lies between 0.1 and 0.95.
        components_per_spectrum: mean number of components of a spectrum.
        evidence_factor: m of this step.
    """

    loss: Float[Array, ""]
    num_active: Int[Array, ""]
    uncertain_gates: Int[Array, ""]
    components_per_spectrum: Float[Array, ""]
    evidence_factor: Float[Array, ""]
