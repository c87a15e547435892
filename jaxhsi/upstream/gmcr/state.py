"""State of upstream's joint training, and what it says of its steps and epochs."""

from collections.abc import Callable
from typing import NamedTuple

from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key

from jaxhsi.functional_module import Params
from jaxhsi.gmcr.mixing import UnmixedSpectra
from jaxhsi.upstream.gmcr.adamw import Moments
from jaxhsi.upstream.gmcr.generator import PoolModel, PoolNoise
from jaxhsi.upstream.gmcr.options import JointOptions

PoolParams = tuple[Params, ...]
"""Params of each pool, see `generator.PoolModel`."""


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
        mesh: devices that each compute a share of every mini-batch; None for one.
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
    mesh: Mesh | None = None
