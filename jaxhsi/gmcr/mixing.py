"""Forward models: what components at given concentrations look like together.

A forward model is a plug-in, any function of concentrations and components that returns spectra.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

Components = Float[Array, "p c"] | Float[Array, "n p c"]
"""The spectra, or spectra of every sample's own (upstream's gates of single channels)."""
Aggregate = Callable[[Float[Array, "n p"], Components], Float[Array, "n c"]]
"""A forward model."""


class Unmixed(NamedTuple):
    """Spectra taken apart; where mixing is linear, reconstruction = concentrations @ components.

    Attributes:
        reconstruction: of the spectra.
        concentrations: 0 behind closed gates.
        components: of all spectra.
        gates: 1 open, 0 closed.
    """

    reconstruction: Float[Array, "n c"]
    concentrations: Float[Array, "n p"]
    components: Float[Array, "p c"]
    gates: Float[Array, "n p"]


def linear(concentrations: Float[Array, "n p"], components: Components) -> Float[Array, "n c"]:
    """Bilinear mixing, x = C S: one product.

    Source: upstream `mcr.py`, `default_aggreate_function`, which builds (n, p, c) first.
    """
    if components.ndim == 3:
        return jnp.einsum("np,npc->nc", concentrations, components)
    return concentrations @ components


def saturating(stray: float = 0.01) -> Aggregate:
    """Absorbance by Beer and Lambert as a photometer with stray light reads it.

    x = log10((1 + s) / (10^-A + s)) with A = C S: near A for small A, at most log10(1 + 1 / s).

    Args:
        stray: s > 0, light that reaches the detector past the sample, as a share of that through
            an empty one.

    Raises:
        ValueError: ``stray`` is not positive.

    Source: Skoog, Holler and Crouch, Principles of Instrumental Analysis, chapter 13 (instrumental
    deviations from Beer's law).
    """
    if not stray > 0:
        raise ValueError(f"stray {stray} must be positive; without stray light use linear mixing")

    def aggregate(concentrations: Array, components: Array) -> Array:
        absorbance = linear(concentrations, components) * jnp.log(10.0)
        light = jnp.logaddexp(-absorbance, jnp.log(stray))
        return (jnp.log1p(stray) - light) / jnp.log(10.0)

    return aggregate


def gated(
    concentrations: Float[Array, "n p"],
    gates: Float[Array, "n p"] | Float[Array, " p"],
    components: Components,
    aggregate: Aggregate = linear,
    squared: bool = True,
) -> Float[Array, "n c"]:
    """Mixture of the components whose gates are open.

    aggregate(C z^2, S) with ``squared``, as upstream, else aggregate(C z, S). For every model of
    the product C S the former equals upstream's aggregate(C z, z S), without its (n, p, c) array.

    Defect of upstream: the gate multiplies the concentration and the component, so that it enters
    squared, and a half-open gate lets a quarter through.

    Args:
        concentrations: C.
        gates: z in [0, 1], per sample and component, or per component.
        components: S.
        aggregate: forward model.
        squared: whether z enters squared.

    Source: upstream `mcr.py`, `EBSelectiveMCR.forward`.
    """
    passed = jnp.square(gates) if squared else gates
    return aggregate(concentrations * passed, components)
