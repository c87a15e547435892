"""Options of upstream's joint training, its state, and what it says of its steps and epochs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from jaxtyping import Array, Float, Int, Key

from jaxhsi.functional_module import Params
from jaxhsi.gmcr.mixing import Unmixed
from jaxhsi.upstream.gmcr.adamw import AdamWOptions, Moments
from jaxhsi.upstream.gmcr.generator import Langevin, Noise, PoolModel
from jaxhsi.upstream.gmcr.pool import PoolOptions

Pools = tuple[Params, ...]
"""Params of each pool, see `joint_pool.PoolModel`."""


@dataclass(frozen=True)
class JointOptions:
    """What a user may set; upstream's values by default.

    Attributes:
        sizes: of the pools.
        learnable: whether the spectra of each pool are trained; None for all.
        sparse_components: gates of single channels, drawn for each spectrum; arrays of
            (rows, pool, channels, 2) come with them.
        pool: signs and norm of the components.
        hidden_extension: hidden width of the networks, as a multiple; None for one linear layer.
        hidden_layers: of the networks.
        batch: rows of a mini-batch; the last of an epoch may be smaller.
        optimizer: settings of AdamW.
        langevin: noise on the energies in training.
        temperature: of the gates in the first epochs.
        temperature_min: at which it stays.
        temperature_drop: by which it falls at a time.
        temperature_epochs: after how many epochs each; 0 for never.
        temperature_evaluation: of the gates in evaluation.
        threshold: above which a gate is open in evaluation.
        target_ratio: of the count's penalty to the squared error, see `schedules`.
        nmse_margin: nMSE under which the count is penalised.
        energy_weight: of the mean squared energy.
        ambiguity_weight: of the likeness of components in use.
        kernel: of that likeness, see `kernels`.
        kernel_degree: of the polynomial kernel.
        kernel_nu: of the Matern kernel.
        used_threshold: gate above which a component counts as in use for it.
        bfloat16: networks multiply in bfloat16.
        tol_pattern_nmse: of the test of convergence, see `schedules.update_convergence`.
        tol_energy_ratio: likewise.
        band_criterion: score whose bands keep the best state each, see `schedules.bands`; None
            for no bands.
        band_threshold: where the first band starts.
        band_interval: width of a band.
    """

    sizes: tuple[int, ...] = (1024,)
    learnable: tuple[bool, ...] | None = None
    sparse_components: bool = False
    pool: PoolOptions = field(default_factory=PoolOptions)
    hidden_extension: int | None = 2
    hidden_layers: int = 2
    batch: int = 64
    optimizer: AdamWOptions = field(default_factory=AdamWOptions)
    langevin: Langevin = field(default_factory=Langevin)
    temperature: float = 1.0
    temperature_min: float = 0.4
    temperature_drop: float = 0.01
    temperature_epochs: int = 100
    temperature_evaluation: float = 0.01
    threshold: float = 0.9999994
    target_ratio: float = 1.0
    nmse_margin: float = 0.005
    energy_weight: float = 1e-10
    ambiguity_weight: float = 1e-10
    kernel: str = "rbf"
    kernel_degree: int = 2
    kernel_nu: float = 1.5
    used_threshold: float = 0.5
    bfloat16: bool = False
    tol_pattern_nmse: float = 0.01
    tol_energy_ratio: float = 0.25
    band_criterion: Literal["R2", "nMSE"] | None = "R2"
    band_threshold: float = 0.97
    band_interval: float = 0.005


class State(NamedTuple):
    """All that a checkpoint needs.

    Attributes:
        step: number of steps taken.
        epoch: number of epochs taken; sets the temperature.
        coefficient: weight of the count's penalty.
        params: of each pool.
        averages: of AdamW.
    """

    step: Int[Array, ""]
    epoch: Int[Array, ""]
    coefficient: Float[Array, ""]
    params: Pools
    averages: Moments


class Terms(NamedTuple):
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
    terms: Terms
    mean_energy: Float[Array, ""]


class Evaluation(NamedTuple):
    """How the evaluation mode, with thresholded gates, fits some spectra.

    Attributes:
        nmse: residual over signal, both as sums of squares.
        r2: centred.
        mse: mean over mini-batches of their mean squared errors.
        used: components open for at least one spectrum.
    """

    nmse: Float[Array, ""]
    r2: Float[Array, ""]
    mse: Float[Array, ""]
    used: Int[Array, ""]


class Epoch(NamedTuple):
    """Diagnostics of an epoch.

    Attributes:
        evaluation: after its last step.
        mean_energy: of its *last mini-batch*, in training mode: upstream's evaluation reads it
            from there.
        coefficient: weight of the count in the next epoch.
        temperature: of the gates during the epoch.
        loss: mean over the steps.
        terms: likewise.
    """

    evaluation: Evaluation
    mean_energy: Float[Array, ""]
    coefficient: Float[Array, ""]
    temperature: Float[Array, ""]
    loss: Float[Array, ""]
    terms: Terms


class Joint(NamedTuple):
    """The method as pure functions; `init` and `epoch` may be mapped over seeds by ``vmap``.

    Attributes:
        init: ``init(key) -> State``.
        draw: ``draw(key, rows, training=True) -> (Noise, ...)``, one of each pool.
        loss: ``loss(params, x, noise, temperature, coefficient) -> (loss, Info)``.
        step: ``step(noise, state, x (n, c)) -> (State, Info)``: one mini-batch.
        epoch: ``epoch(key, state, x) -> (State, Epoch)``: shuffles, runs all mini-batches in one
            scan, evaluates, moves the schedules; jit it and donate the state.
        evaluate: ``evaluate(key, params, x) -> Evaluation``, in blocks.
        assess: ``assess(noise, params, x) -> Evaluation``, with noise given.
        unmix: ``unmix(params, x, noise=None) -> Unmixed``; upstream draws noise here too, None
            takes the gates' likelier side by the same threshold.
        pools: of which it is made.
        options: with which it was made.
    """

    init: Callable[[Key[Array, ""]], State]
    draw: Callable[..., tuple[Noise, ...]]
    loss: Callable[..., tuple[Array, Info]]
    step: Callable[[tuple[Noise, ...], State, Array], tuple[State, Info]]
    epoch: Callable[[Key[Array, ""], State, Array], tuple[State, Epoch]]
    evaluate: Callable[[Key[Array, ""], Pools, Array], Evaluation]
    assess: Callable[[tuple[Noise, ...], Pools, Array], Evaluation]
    unmix: Callable[..., Unmixed]
    pools: tuple[PoolModel, ...]
    options: JointOptions
