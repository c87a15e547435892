"""One pool of upstream's joint training: what its networks make of a batch of spectra."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxhsi.functional_module import Params
from jaxhsi.gmcr import mixing
from jaxhsi.upstream.gmcr import gates
from jaxhsi.upstream.gmcr.networks import ENERGY_DEVIATION, Network
from jaxhsi.upstream.gmcr.options import LangevinOptions, PoolOptions
from jaxhsi.upstream.gmcr.pool import components


class PoolNoise(NamedTuple):
    """All that is drawn for a pool and a batch; the last two only for gates of single channels.

    Attributes:
        gate_gumbel: standard Gumbel, for the pairs of energies.
        energy_noise: standard normal, for the "Langevin" noise; None in evaluation, which
            has none.
        channel_gumbel: like gumbel.
        channel_noise: like normal.
    """

    gate_gumbel: Float[Array, "n p 2"]
    energy_noise: Float[Array, "n p 2"] | None = None
    channel_gumbel: Float[Array, "n p c 2"] | None = None
    channel_noise: Float[Array, "n p c 2"] | None = None


class PoolOutput(NamedTuple):
    """What a pool says of a batch.

    Attributes:
        reconstruction: its share of the spectra.
        concentrations: before the gates, >= 0.
        gates: in 0..1; 0 or 1 in evaluation.
        energies: of "open" and "closed", noise included; the lower the likelier.
        channel_energies: of single channels, or None.
    """

    reconstruction: Float[Array, "n c"]
    concentrations: Float[Array, "n p"]
    gates: Float[Array, "n p"]
    energies: Float[Array, "n p 2"]
    channel_energies: Float[Array, "n p c 2"] | None


@dataclass(frozen=True, kw_only=True)
class PoolModel:
    """A pool with its networks: all that is fixed while a step is compiled.

    Attributes:
        gating: spectra to energies (n, p, 2).
        concentration: spectra to concentrations (n, p).
        pool_shape: (p, c) of the pool.
        pool_options: how parameters become spectra.
        langevin: noise on the energies in training.
        gate_threshold: above which a gate is open in evaluation.
        aggregate: mixing of concentrations and components.
        has_channel_gates: gates of single channels too (upstream's ``sparse_component``). They are
            drawn for each spectrum, so that arrays (n, p, c, 2) cannot be avoided; mixing is linear
            then.
    """

    gating: Network
    concentration: Network
    pool_shape: tuple[int, int]
    pool_options: PoolOptions
    langevin: LangevinOptions
    gate_threshold: float
    aggregate: mixing.MixingFunction
    has_channel_gates: bool


def init_pool(model: PoolModel, key: Key[Array, ""], raw_components: Float[Array, "p c"]) -> Params:
    """Parameters ``{"pool", "gating", "concentration"}``, the networks at random.

    With gates of single channels ``"elements"`` (p, c, 2) beside them, their energies.
    """
    # A third key always, so that networks start alike with and without channel gates.
    gating_key, concentration_key, channel_key = jax.random.split(key, 3)
    params = {
        "pool": raw_components,
        "gating": model.gating.init(gating_key),
        "concentration": model.concentration.init(concentration_key),
    }
    if model.has_channel_gates:
        params["elements"] = ENERGY_DEVIATION * jax.random.normal(
            channel_key, (*model.pool_shape, 2)
        )
    return params


def draw_pool_noise(
    model: PoolModel, key: Key[Array, ""], num_rows: int, training: bool
) -> PoolNoise:
    """Noise of a batch of so many rows."""
    # Four keys whether or not all are used: the draws do not depend on the options.
    keys = jax.random.split(key, 4)
    pair_shape = num_rows, model.pool_shape[0], 2
    channel_shape = num_rows, *model.pool_shape, 2
    has_channels = model.has_channel_gates
    return PoolNoise(
        jax.random.gumbel(keys[0], pair_shape),
        jax.random.normal(keys[1], pair_shape) if training else None,
        jax.random.gumbel(keys[2], channel_shape) if has_channels else None,
        jax.random.normal(keys[3], channel_shape) if has_channels and training else None,
    )


def draw_noise(
    models: Sequence[PoolModel], key: Key[Array, ""], num_rows: int, training: bool = True
) -> tuple[PoolNoise, ...]:
    """Noise of each pool for a batch of so many rows."""
    return tuple(
        draw_pool_noise(model, jax.random.fold_in(key, i), num_rows, training)
        for i, model in enumerate(models)
    )


def pool_output(
    model: PoolModel,
    params: Params,
    x: Float[Array, "n c"],
    noise: PoolNoise,
    temperature: Any,
    training: bool,
) -> PoolOutput:
    """What a pool says of a batch; without ``training`` its gates are thresholded.

    Source: upstream `mcr.py` (`EBSelectiveMCR.parse_pattern`, `forward`).
    """
    # Normalised in every step: the raw parameters are free.
    pure_spectra = components(params["pool"], model.pool_options)
    pool_energies = model.gating.apply(params["gating"], x)
    pool_energies = _with_langevin_noise(model, pool_energies, noise.energy_noise, training)
    pool_gates = gates.gumbel_pair(pool_energies, noise.gate_gumbel, temperature)
    # Thresholded in evaluation alone: a step function has no gradient.
    if not training:
        pool_gates = gates.open_at_threshold(pool_gates, model.gate_threshold)
    # Whether or not the gate is open: the network learns both at once.
    concentrations = model.concentration.apply(params["concentration"], x)
    if not model.has_channel_gates:
        mixture = gates.gated_mixture(concentrations, pool_gates, pure_spectra, model.aggregate)
        return PoolOutput(mixture, concentrations, pool_gates, pool_energies, None)
    # Upstream draws these gates anew for each spectrum, from shared energies.
    channel_energies = jnp.broadcast_to(params["elements"], (len(x), *model.pool_shape, 2))
    channel_energies = _with_langevin_noise(model, channel_energies, noise.channel_noise, training)
    channel_gates = gates.gumbel_pair(channel_energies, noise.channel_gumbel, temperature)
    # The pool gate enters squared, as upstream multiplies it into both factors.
    mixture = jnp.einsum(
        "np,npc,pc->nc", concentrations * pool_gates**2, channel_gates, pure_spectra
    )
    return PoolOutput(mixture, concentrations, pool_gates, pool_energies, channel_energies)


def pool_outputs(
    models: Sequence[PoolModel],
    params: Sequence[Params],
    x: Float[Array, "n c"],
    noise: Sequence[PoolNoise],
    temperature: Any,
    training: bool,
) -> list[PoolOutput]:
    """What each pool says of a batch."""
    return [
        pool_output(model, pool_params, x, pool_noise, temperature, training)
        for model, pool_params, pool_noise in zip(models, params, noise, strict=True)
    ]


def _with_langevin_noise(
    model: PoolModel, energies: Array, standard_normal: Array | None, training: bool
) -> Array:
    # Without steps upstream adds nothing, not even its constant.
    if not training or model.langevin.num_steps == 0:
        return energies
    return energies + gates.langevin_noise(standard_normal, *model.langevin)
