"""Forward models: what components at given concentrations look like together.

A forward model is a plug-in, any function of concentrations and components that returns spectra.
One with unknown parameters of its own, which are fitted with the rest, is a `Forward`.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

Components = Float[Array, "p c"] | Float[Array, "n p c"]
"""The spectra, or spectra of every sample's own (upstream's gates of single channels)."""
Aggregate = Callable[[Float[Array, "n p"], Components], Float[Array, "n c"]]
"""A forward model."""
Parameters = Any
"""A pytree of float arrays."""


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
        return read_with_stray_light(stray, linear(concentrations, components))

    return aggregate


class Forward(NamedTuple):
    """A forward model with parameters that are fitted.

    Attributes:
        spectra: ``spectra(parameters, C (n, p), S (p, c)) -> (n, c)``.
        begin: ``begin(n, p) -> parameters``: where fitting starts; there mixing should be all but
            linear.
        allowed: parameters brought into their range.
        local: parameters are arrays (n, ...), each spectrum's own.
    """

    spectra: Callable[[Parameters, Array, Array], Float[Array, "n c"]]
    begin: Callable[[int, int], Parameters]
    allowed: Callable[[Parameters], Parameters]
    local: bool = False


@cache
def without_parameters(aggregate: Aggregate) -> Forward:
    """A function of concentrations and components, with nothing to fit, as a `Forward`."""
    return Forward(lambda _, c, s: aggregate(c, s), lambda n, p: (), lambda none: none)


def _shared(curve: Callable[[Array, Array, Array], Array], begin: Array, most: float) -> Forward:
    return Forward(curve, lambda n, p: begin, lambda b: jnp.clip(b, 0.0, most))


def bilinear() -> Forward:
    """Pairs interact, b >= 0 fitted: x = C S + b sum_{i<j} (c_i s_i) (c_j s_j).

    Source: Fan, Hu, Miller and Li 2009 (Int. J. Remote Sensing 30, 2951), where b = 1.
    """
    return _shared(pairs_added, jnp.asarray(1e-3), jnp.inf)


def pairs_added(
    strength: Float[Array, ""] | float,
    concentrations: Float[Array, "n p"],
    components: Float[Array, "p c"],
) -> Float[Array, "n c"]:
    """C S + b sum_{i<j} u_i u_j, u_i = c_i s_i, by 2 sum_{i<j} u_i u_j = (sum u)^2 - sum u^2."""
    mixed = linear(concentrations, components)
    pairs = 0.5 * (mixed**2 - linear(concentrations**2, components**2))
    return mixed + strength * pairs


def generalised_bilinear(most: float = 1.0) -> Forward:
    """Every pair of every spectrum interacts as strongly as it likes.

    x_n = sum_i u_ni + sum_{i<j} g_nij u_ni u_nj, u_ni = c_ni s_i, with g_nij in 0..most fitted.
    Takes n p^2 parameters, and several times as much memory: for tens of components.

    Args:
        most: upper end of g; 1 for reflectances and areas.

    Source: Halimi, Altmann, Dobigeon and Tourneret 2011 (IEEE TGRS 49, 4153).
    """

    def spectra(pairs: Array, c: Array, s: Array) -> Array:
        upper = jnp.triu(pairs, 1)
        return linear(c, s) + jnp.einsum("nij,ni,nj,ic,jc->nc", upper, c, c, s, s, optimize=True)

    def begin(n: int, p: int) -> Array:
        return jnp.full((n, p, p), 1e-3)

    return Forward(spectra, begin, lambda g: jnp.clip(g, 0.0, most), local=True)


def polynomial(degree: int = 2) -> Forward:
    """A curve over linear mixing: x = L + sum_{k=2..degree} b_k L^k, L = C S, all b_k fitted.

    Args:
        degree: 2 or more.

    Raises:
        ValueError: a lower one.

    Source: Altmann, Halimi, Dobigeon and Tourneret 2012 (IEEE TIP 21, 3017), with degree 2.
    """
    if degree < 2:
        raise ValueError(f"degree {degree} is linear mixing; give 2 or more")

    def spectra(factors: Array, c: Array, s: Array) -> Array:
        mixed = linear(c, s)
        return mixed + sum(b * mixed**k for k, b in enumerate(factors, 2))

    return Forward(spectra, lambda n, p: jnp.zeros(degree - 1), lambda b: b)


def levelling() -> Forward:
    """A detector that levels off: x = (1 - exp(-b L)) / b, L = C S, b >= 0 fitted."""
    return _shared(levelled, jnp.asarray(1e-3), jnp.inf)


def levelled(
    strength: Float[Array, ""] | float,
    concentrations: Float[Array, "n p"],
    components: Float[Array, "p c"],
) -> Float[Array, "n c"]:
    """(1 - exp(-b L)) / b; L where b = 0."""
    mixed = linear(concentrations, components)
    depth = strength * mixed
    small = jnp.abs(depth) < 1e-3  # there the quotient would lose its digits
    series = mixed * (1 - depth / 2 + depth**2 / 6)
    exact = -jnp.expm1(-depth) / jnp.where(strength == 0, 1.0, strength)
    return jnp.where(small, series, exact)


def stray_light() -> Forward:
    """Absorbance read with stray light, `saturating`, whose share s in 1e-6..1 is fitted."""

    def spectra(stray: Array, c: Array, s: Array) -> Array:
        return read_with_stray_light(stray, linear(c, s))

    def allowed(stray: Array) -> Array:
        return jnp.clip(stray, 1e-6, 1.0)

    return Forward(spectra, lambda n, p: jnp.asarray(1e-3), allowed)


def read_with_stray_light(
    stray: Float[Array, ""] | float, absorbance: Float[Array, "n c"]
) -> Float[Array, "n c"]:
    """log10((1 + s) / (10^-A + s)), see `saturating`."""
    light = jnp.logaddexp(-absorbance * jnp.log(10.0), jnp.log(stray))
    return (jnp.log1p(stray) - light) / jnp.log(10.0)


MODELS = {
    "bilinear": bilinear,
    "generalised_bilinear": generalised_bilinear,
    "polynomial": polynomial,
    "levelling": levelling,
    "stray_light": stray_light,
}
"""Forward models that are not linear, by name."""


def in_units(forward: Forward, unit: float) -> Forward:
    """The same model for data and concentrations that were divided by ``unit``."""

    def spectra(parameters: Parameters, c: Array, s: Array) -> Array:
        return forward.spectra(parameters, c * unit, s) / unit

    return forward._replace(spectra=spectra)


def excess(
    forward: Forward,
    parameters: Parameters,
    concentrations: Float[Array, "n p"],
    components: Float[Array, "p c"],
) -> Float[Array, "n c"]:
    """What a forward model adds to linear mixing."""
    return forward.spectra(parameters, concentrations, components) - linear(
        concentrations, components
    )
