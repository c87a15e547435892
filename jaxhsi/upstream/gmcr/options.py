"""Options of upstream's joint training; loads no JAX."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple


@dataclass(frozen=True)
class PoolOptions:
    """How parameters become spectra.

    Attributes:
        non_negative: "abs" |r| (as upstream), "softplus" log(1 + exp r), None leaves the sign.
        norm: length 1 in this norm: p of the p-norm (1, 2, ...), "max", or None to leave it.

    Raises:
        ValueError: an unknown non-negativity or norm.
    """

    non_negative: Literal["abs", "softplus"] | None = "abs"
    norm: int | Literal["max"] | None = 2

    def __post_init__(self):
        if self.non_negative not in ("abs", "softplus", None):
            raise ValueError(f"non_negative {self.non_negative!r}: use 'abs', 'softplus' or None")
        if self.norm not in ("max", None) and not (isinstance(self.norm, int) and self.norm >= 1):
            raise ValueError(f"norm {self.norm!r}: use a whole number of 1 or more, 'max' or None")


class LangevinOptions(NamedTuple):
    """Settings of `gates.langevin_noise`; steps 0 for none.

    Attributes:
        noise_scale: of the noise of one step.
        num_steps: how many are taken at once.
        step_size: of one.
    """

    noise_scale: float = 0.1
    num_steps: int = 32
    step_size: float = 0.05


@dataclass(frozen=True)
class AdamWOptions:
    """Upstream's settings by default.

    Attributes:
        learning_rate: of a step.
        gradient_decay: of the moving average of gradients.
        square_decay: of that of their squares.
        weight_decay: share of a parameter, times the rate, that a step takes off.
        epsilon: added to the root of the second average.
    """

    learning_rate: float = 5e-4
    gradient_decay: float = 0.9
    square_decay: float = 0.995
    weight_decay: float = 1e-3
    epsilon: float = 1e-8


@dataclass(frozen=True)
class JointOptions:
    """What a user may set; upstream's values by default.

    Attributes:
        pool_sizes: of the pools.
        learnable_pools: whether the spectra of each pool are trained; None for all.
        sparse_components: gates of single channels, drawn for each spectrum; arrays of
            (rows, pool, channels, 2) come with them.
        pool: signs and norm of the components.
        hidden_width_factor: hidden width of the networks, as a multiple; None for one linear layer.
        hidden_layers: of the networks.
        batch_size: rows of a mini-batch; the last of an epoch may be smaller.
        optimizer: settings of AdamW.
        langevin: noise on the energies in training.
        initial_temperature: of the gates in the first epochs.
        min_temperature: at which it stays.
        temperature_drop: by which it falls at a time.
        temperature_drop_every: after how many epochs each; 0 for never.
        evaluation_temperature: of the gates in evaluation.
        gate_threshold: above which a gate is open in evaluation.
        penalty_error_ratio: of the count's penalty to the squared error, see `schedules`.
        penalty_nmse: nMSE under which the count is penalised.
        energy_weight: of the mean squared energy.
        ambiguity_weight: of the likeness of components in use.
        kernel: of that likeness, see `kernels`.
        kernel_degree: of the polynomial kernel.
        kernel_nu: of the Matern kernel.
        used_threshold: gate above which a component counts as in use for it.
        bfloat16: networks multiply in bfloat16.
        convergence_nmse: of the test of convergence, see `schedules.update_convergence`.
        convergence_energy_ratio: likewise.
        level_criterion: score whose bands keep the best state each, see `schedules.fit_levels`;
            None
            for no bands.
        first_level: where the first band starts.
        level_width: width of a band.
    """

    pool_sizes: tuple[int, ...] = (1024,)
    learnable_pools: tuple[bool, ...] | None = None
    sparse_components: bool = False
    pool: PoolOptions = field(default_factory=PoolOptions)
    hidden_width_factor: int | None = 2
    hidden_layers: int = 2
    batch_size: int = 64
    optimizer: AdamWOptions = field(default_factory=AdamWOptions)
    langevin: LangevinOptions = field(default_factory=LangevinOptions)
    initial_temperature: float = 1.0
    min_temperature: float = 0.4
    temperature_drop: float = 0.01
    temperature_drop_every: int = 100
    evaluation_temperature: float = 0.01
    gate_threshold: float = 0.9999994
    penalty_error_ratio: float = 1.0
    penalty_nmse: float = 0.005
    energy_weight: float = 1e-10
    ambiguity_weight: float = 1e-10
    kernel: str = "rbf"
    kernel_degree: int = 2
    kernel_nu: float = 1.5
    used_threshold: float = 0.5
    bfloat16: bool = False
    convergence_nmse: float = 0.01
    convergence_energy_ratio: float = 0.25
    level_criterion: Literal["R2", "nMSE"] | None = "R2"
    first_level: float = 0.97
    level_width: float = 0.005
