"""Options of upstream's joint training, its state, and what it says of its steps and epochs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from jaxtyping import Array, Float, Int, Key

from jaxhsi.functional_module import Params
from jaxhsi.gmcr.mixing import UnmixedSpectra
from jaxhsi.upstream.gmcr.adamw import AdamWOptions, Moments
from jaxhsi.upstream.gmcr.generator import LangevinOptions, PoolModel, PoolNoise
from jaxhsi.upstream.gmcr.pool import PoolOptions

PoolParams = tuple[Params, ...]
"""Params of each pool, see `generator.PoolModel`."""


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


class State(NamedTuple):
    """All that a checkpoint needs.

    Attributes:
        step: number of steps taken.
        epoch: number of epochs taken; sets the temperature.
        count_weight: weight of the count's penalty.
        params: of each pool.
        moments: of AdamW.
    """

    step: Int[Array, ""]
    epoch: Int[Array, ""]
    count_weight: Float[Array, ""]
    params: PoolParams
    moments: Moments


class LossTerms(NamedTuple):
    """Unweighted loss terms of a mini-batch.

    Attributes:
        reconstruction: mean squared error.
        count: mean over spectra and pools of the sum of gates, over the slots of all pools.
        energy: mean square of the energies, noise included.
        ambiguity: mean kernel between components in use.
    """

    reconstruction: Float[Array, ""]
    count: Float[Array, ""]
    energy: Float[Array, ""]
    ambiguity: Float[Array, ""]


class Info(NamedTuple):
    """Diagnostics of a step: the loss, its terms, and upstream's mean energy (negated, noisy)."""

    loss: Float[Array, ""]
    terms: LossTerms
    mean_energy: Float[Array, ""]


class Evaluation(NamedTuple):
    """How the evaluation mode, with thresholded gates, fits some spectra.

    Attributes:
        nmse: residual over signal, both as sums of squares.
        r2: centred.
        mse: mean over mini-batches of their mean squared errors.
        num_open: components open for at least one spectrum.
    """

    nmse: Float[Array, ""]
    r2: Float[Array, ""]
    mse: Float[Array, ""]
    num_open: Int[Array, ""]


class EpochInfo(NamedTuple):
    """Diagnostics of an epoch.

    Attributes:
        evaluation: after its last step.
        mean_energy: of its *last mini-batch*, in training mode: upstream's evaluation reads it
            from there.
        count_weight: weight of the count in the next epoch.
        initial_temperature: of the gates during the epoch.
        loss: mean over the steps.
        terms: likewise.
    """

    evaluation: Evaluation
    mean_energy: Float[Array, ""]
    count_weight: Float[Array, ""]
    temperature: Float[Array, ""]
    loss: Float[Array, ""]
    terms: LossTerms


class Joint(NamedTuple):
    """The method as pure functions; `init` and `epoch` may be mapped over seeds by ``vmap``.

    Attributes:
        init: ``init(key) -> State``.
        draw: ``draw(key, rows, training=True) -> (PoolNoise, ...)``, one of each pool.
        loss: ``loss(params, x, noise, temperature, coefficient) -> (loss, Info)``.
        update: ``update(noise, state, x (n, c)) -> (State, Info)``: one mini-batch.
        step: ``step(key, state, x (n, c)) -> (State, Info)``: the same, its noise from the key.
        epoch: ``epoch(key, state, x) -> (State, EpochInfo)``: shuffles, runs all mini-batches in
            one
            scan, evaluates, moves the schedules; jit it and donate the state.
        evaluate: ``evaluate(key, params, x) -> Evaluation``, in blocks.
        assess: ``assess(noise, params, x) -> Evaluation``, with noise given.
        unmix: ``unmix(params, x, noise=None) -> Unmixed``; upstream draws noise here too, None
            takes the gates' likelier side by the same threshold.
        pools: of which it is made.
        options: with which it was made.
    """

    init: Callable[[Key[Array, ""]], State]
    draw: Callable[..., tuple[PoolNoise, ...]]
    loss: Callable[..., tuple[Array, Info]]
    update: Callable[[tuple[PoolNoise, ...], State, Array], tuple[State, Info]]
    step: Callable[[Key[Array, ""], State, Array], tuple[State, Info]]
    epoch: Callable[[Key[Array, ""], State, Array], tuple[State, EpochInfo]]
    evaluate: Callable[[Key[Array, ""], PoolParams, Array], Evaluation]
    assess: Callable[[tuple[PoolNoise, ...], PoolParams, Array], Evaluation]
    unmix: Callable[..., UnmixedSpectra]
    pools: tuple[PoolModel, ...]
    options: JointOptions
