"""Options of the gated solver and of the amortised networks.

The defaults were chosen by hand on the built-in mixtures and on measured data, and are the same for
every table in `benchmarks/`. Where the sensitivity of the result is known it is given per option.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SolverOptions:
    """Options of the gated solver; see `jaxhsi.gmcr.algorithm` for the objective.

    Attributes:
        non_negative: components and concentrations have no negative values.
        max_active: largest number of components in one spectrum. Sets memory and time; it does not
            change the result while it exceeds the true number by a few.
        evidence_factor: factor of the component penalties; a component must lower the squared
            residual by this many times what noise alone could. Set by hand: 1 accepts noise in
            large tables, values well above 1 lose rare components.
        evidence_factor_start: the same factor at the beginning of the first phase; it falls to
            ``evidence_factor`` during the phase.
        later_evidence_factor_start: the same factor at the beginning of the later phases.
        steps_per_phase: gate steps of a phase; pools of 192 slots and more take every second one.
        noise_refit_every: gate steps between two fits of the noise variance; it divides
            ``steps_per_phase``.
        gate_rate: step size of the gate logits.
        newton_step_size: share of the damped Newton step that components take in a gate step.
        gate_ridge: ridge penalty of a component whose gate is half closed.
        refits: alternating least-squares iterations of one fit at the end of a phase.
        initial_penalty: factor of the coefficient penalty in the first of these iterations; it
            falls to 1.
        second_pass_penalty: coefficient penalty at the beginning of the second fit, as a share of
            the squared norm of a spectrum; 0 leaves this fit at the plain penalty.
        prune_candidates: number of weakest components that are left out one at a time to test
            whether they are needed.
        mask_spikes: leave out values far outside the noise, in up to three neighbouring bands, that
            do not repeat in other spectra; they are listed in the result.
        max_phases: largest number of phases; the result says so if it had not converged by then.

    Raises:
        ValueError: a value is out of its range.

    >>> SolverOptions(steps_per_phase=40).noise_refit_every
    20
    >>> SolverOptions(steps_per_phase=50)
    Traceback (most recent call last):
    ...
    ValueError: noise_refit_every 20 does not divide steps_per_phase 50
    """

    non_negative: bool = True
    max_active: int = 12
    evidence_factor: float = 1.2
    evidence_factor_start: float = 4.0
    later_evidence_factor_start: float = 2.0
    steps_per_phase: int = 80
    noise_refit_every: int = 20
    gate_rate: float = 0.25
    newton_step_size: float = 0.8
    gate_ridge: float = 0.1
    refits: int = 10
    initial_penalty: float = 30.0
    second_pass_penalty: float = 0.006
    prune_candidates: int = 3
    mask_spikes: bool = True
    max_phases: int = 8

    def __post_init__(self):
        """Check the ranges."""
        counts = ("max_active", "steps_per_phase", "noise_refit_every", "refits")
        for name in (*counts, "prune_candidates"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} is out of range; give 1 or more")
        if self.initial_penalty < 1:
            raise ValueError(
                f"initial_penalty {self.initial_penalty} is out of range; give 1 or more"
            )
        if not 0 <= self.second_pass_penalty < 1:
            raise ValueError(
                f"second_pass_penalty {self.second_pass_penalty} is no share; "
                "give 0 or more, below 1"
            )
        # Convergence is that a phase equals the one before.
        if self.max_phases < 2:
            raise ValueError(
                f"max_phases {self.max_phases} cannot show convergence; give 2 or more"
            )
        if self.steps_per_phase % self.noise_refit_every:
            raise ValueError(
                f"noise_refit_every {self.noise_refit_every} does not divide steps_per_phase "
                f"{self.steps_per_phase}"
            )
        # The factor falls during a phase: it must begin at its end or above.
        lowest_start = min(self.evidence_factor_start, self.later_evidence_factor_start)
        if lowest_start < self.evidence_factor or self.evidence_factor <= 0:
            raise ValueError(
                f"evidence_factor_start {self.evidence_factor_start} and "
                f"later_evidence_factor_start {self.later_evidence_factor_start} fall to "
                f"evidence_factor {self.evidence_factor}; they must not be smaller, and it is "
                "above 0"
            )


@dataclass(frozen=True, kw_only=True)
class AmortisedOptions:
    """Options of the networks that unmix new spectra; see `jaxhsi.gmcr.amortised`.

    Attributes:
        hidden_width: width of the gating network's hidden layer.
        fit_iterations: conjugate gradient iterations of a fit; exact from as many as gates are
            open.
        non_negative: concentrations are not negative.
        batch_size: mixtures of a training step.
        steps_per_call: training steps of one compiled call of `epoch`.
        learning_rate: of Adam at its start; it falls to 0 over ``training_steps``.
        training_steps: steps of the whole training.
        permuted_share: share of the mixtures whose concentrations are assigned to random
            components, so that combinations occur which the solver did not see.
        concentration_jitter: standard deviation of the logarithm of the random factor on every
            concentration.
        real_share: share of the batch taken from real spectra, where there are any.
        product_dtype: type of the operands of the two products with spectra, e.g. "bfloat16";
            sums stay float32.

    >>> AmortisedOptions().batch_size
    512
    """

    hidden_width: int = 64
    fit_iterations: int = 4
    non_negative: bool = True
    batch_size: int = 512
    steps_per_call: int = 100
    learning_rate: float = 3e-3
    training_steps: int = 200
    permuted_share: float = 0.5
    concentration_jitter: float = 0.3
    real_share: float = 0.25
    product_dtype: str = "float32"
