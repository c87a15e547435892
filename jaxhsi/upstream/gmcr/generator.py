"""One pool of upstream's joint training: what its networks make of a batch of spectra."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxhsi.functional_module import Params
from jaxhsi.gmcr import mixing
from jaxhsi.upstream.gmcr import gates
from jaxhsi.upstream.gmcr.networks import ENERGY_DEVIATION, Network
from jaxhsi.upstream.gmcr.pool import PoolOptions, components


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


class PoolModel(NamedTuple):
    """A pool with its networks, as functions; ``training`` False thresholds the gates.

    Attributes:
        init: ``init(key, raw (p, c)) -> params``: ``{"pool", "gating", "concentration"}`` and,
            with gates of single channels, ``"elements"`` (p, c, 2), their energies.
        draw: ``draw(key, rows, training) -> PoolNoise``.
        look: ``look(params, x (n, c), noise, temperature, training) -> PoolOutput``.
    """

    init: Callable[[Key[Array, ""], Float[Array, "p c"]], Params]
    draw: Callable[[Key[Array, ""], int, bool], PoolNoise]
    look: Callable[..., PoolOutput]


def pool_model(
    gating: Network,
    concentration: Network,
    shape: tuple[int, int],
    options: PoolOptions,
    langevin: LangevinOptions,
    threshold: float,
    aggregate: mixing.MixingFunction,
    *,
    elements: bool,
) -> PoolModel:
    """A pool of ``shape`` (p, c), see :class:`PoolModel`.

    Args:
        gating: spectra to energies (n, p, 2).
        concentration: spectra to concentrations (n, p).
        shape: of the pool.
        options: of the pool.
        langevin: noise on the energies in training.
        threshold: above which a gate is open in evaluation.
        aggregate: mixing of concentrations and components.
        elements: gates of single channels too (upstream's ``sparse_component``). They are drawn
            for each spectrum, so that arrays (n, p, c, 2) cannot be avoided; mixing is linear then.

    Source: upstream `mcr.py` (`EBSelectiveMCR.parse_pattern`, `forward`).
    """

    def init(key: Key[Array, ""], raw: Float[Array, "p c"]) -> Params:
        k_gating, k_concentration, k_elements = jax.random.split(key, 3)
        params = {
            "pool": raw,
            "gating": gating.init(k_gating),
            "concentration": concentration.init(k_concentration),
        }
        if elements:
            params["elements"] = ENERGY_DEVIATION * jax.random.normal(k_elements, (*shape, 2))
        return params

    def draw(key: Key[Array, ""], rows: int, training: bool) -> PoolNoise:
        keys = jax.random.split(key, 4)
        pairs, single = (rows, shape[0], 2), (rows, *shape, 2)
        return PoolNoise(
            jax.random.gumbel(keys[0], pairs),
            jax.random.normal(keys[1], pairs) if training else None,
            jax.random.gumbel(keys[2], single) if elements else None,
            jax.random.normal(keys[3], single) if elements and training else None,
        )

    def refined(energies: Array, normal: Array | None, training: bool) -> Array:
        if not training or langevin.num_steps == 0:
            return energies
        return energies + gates.langevin_noise(normal, *langevin)

    def look(
        params: Params, x: Float[Array, "n c"], noise: PoolNoise, temperature: Any, training: bool
    ) -> PoolOutput:
        pure = components(params["pool"], options)
        energies = refined(gating.apply(params["gating"], x), noise.energy_noise, training)
        opened = gates.gumbel_pair(energies, noise.gate_gumbel, temperature)
        if not training:
            opened = gates.open_at_threshold(opened, threshold)
        amounts = concentration.apply(params["concentration"], x)
        if not elements:
            mixed = gates.gated_mixture(amounts, opened, pure, aggregate)
            return PoolOutput(mixed, amounts, opened, energies, None)
        single = jnp.broadcast_to(params["elements"], (len(x), *shape, 2))
        single = refined(single, noise.channel_noise, training)
        kept = gates.gumbel_pair(single, noise.channel_gumbel, temperature)
        mixed = jnp.einsum("np,npc,pc->nc", amounts * opened**2, kept, pure)
        return PoolOutput(mixed, amounts, opened, energies, single)

    return PoolModel(init, draw, look)
