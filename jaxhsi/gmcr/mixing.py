"""Forward models: the spectra of mixtures, from concentrations and components.

Any function of concentrations (n, p) and components (p, c) that returns spectra (n, c) is a forward
model. One with unknown parameters of its own, which are fitted with the rest, is a `ForwardModel`.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

Components = Float[Array, "p c"] | Float[Array, "n p c"]
"""Spectra of all samples, or spectra of each sample's own (upstream's gates of single channels)."""
MixingFunction = Callable[[Float[Array, "n p"], Components], Float[Array, "n c"]]
"""A forward model without parameters."""
MixingParameters = Any
"""A pytree of float arrays."""

_INITIAL_STRENGTH = 1e-3
"""Strength of an interaction at which fits begin: nearly linear, but with a gradient. Chosen by
hand; not tuned."""
_MIN_STRAY_SHARE = 1e-6
"""Least fitted share of stray light; its logarithm is used. It bounds absorbance at 6, more than
spectrometers measure. Chosen by hand; not tuned."""
_SERIES_DEPTH = 1e-3
"""Depth below which the saturation curve is computed by its series: the quotient would lose its
digits there. The error of the series is of the order of the depth's third power, 1e-9."""


class UnmixedSpectra(NamedTuple):
    """Spectra and their parts.

    Where mixing is linear, reconstruction = concentrations @ components.

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
    """Bilinear mixing, x = C S.

    Source: upstream `mcr.py`, `default_aggreate_function`, which builds (n, p, c) first.

    >>> import jax.numpy as jnp
    >>> linear(jnp.array([[1.0, 2.0]]), jnp.eye(2)).tolist()
    [[1.0, 2.0]]
    """
    if components.ndim == 3:
        return jnp.einsum("np,npc->nc", concentrations, components)
    return concentrations @ components


def fixed_stray_light(stray_share: float = 0.01) -> MixingFunction:
    """Absorbance by Beer and Lambert as a photometer with a given share of stray light reads it.

    x = log10((1 + s) / (10^-A + s)) with A = C S: near A for small A, at most log10(1 + 1 / s).

    Args:
        stray_share: s > 0, light that reaches the detector past the sample, as a share of that
            through an empty one.

    Returns:
        The forward model.

    Raises:
        ValueError: ``stray_share`` is not positive.

    Source: Skoog, Holler and Crouch, Principles of Instrumental Analysis, chapter 13 (instrumental
    deviations from Beer's law).
    """
    if not stray_share > 0:
        raise ValueError(
            f"stray_share {stray_share} must be positive; without stray light use linear mixing"
        )
    return partial(_stray_light_mixing, stray_share)


class ForwardModel(NamedTuple):
    """A forward model with parameters that are fitted.

    Attributes:
        mix: ``mix(parameters, C (n, p), S (p, c)) -> (n, c)``.
        initial_parameters: ``initial_parameters(n, p)``: where fits begin; mixing should be nearly
            linear there.
        project_parameters: parameters moved into their range.
        per_spectrum: parameters are arrays (n, ...), each spectrum's own.
    """

    mix: Callable[[MixingParameters, Array, Array], Float[Array, "n c"]]
    initial_parameters: Callable[[int, int], MixingParameters]
    project_parameters: Callable[[MixingParameters], MixingParameters]
    per_spectrum: bool = False


@cache  # the same object each time, so that what was compiled for it is used again
def parameter_free(mixing_function: MixingFunction) -> ForwardModel:
    """A function of concentrations and components as a `ForwardModel` with nothing to fit."""
    return ForwardModel(
        lambda _, c, s: mixing_function(c, s), lambda n, p: (), lambda parameters: parameters
    )


def _one_strength(mix: Callable[[Array, Array, Array], Array]) -> ForwardModel:
    """A forward model of one shared strength b >= 0."""
    initial = jnp.asarray(_INITIAL_STRENGTH)
    return ForwardModel(mix, lambda n, p: initial, lambda b: jnp.clip(b, 0.0, jnp.inf))


def bilinear() -> ForwardModel:
    """Pairs of components interact with one strength b >= 0, see `bilinear_mixing`.

    Source: Fan, Hu, Miller and Li 2009 (Int. J. Remote Sensing 30, 2951), where b = 1.
    """
    return _one_strength(bilinear_mixing)


def bilinear_mixing(
    strength: Float[Array, ""] | float,
    concentrations: Float[Array, "n p"],
    components: Float[Array, "p c"],
) -> Float[Array, "n c"]:
    """C S + b sum_{i<j} u_i u_j, u_i = c_i s_i, by 2 sum_{i<j} u_i u_j = (sum u)^2 - sum u^2.

    Args:
        strength: b.
        concentrations: C.
        components: S.

    Returns:
        The spectra.

    >>> import jax.numpy as jnp
    >>> float(bilinear_mixing(0.5, jnp.ones((1, 2)), jnp.array([[2.0], [3.0]]))[0, 0])
    8.0
    """
    mixed = linear(concentrations, components)
    pairs = 0.5 * (mixed**2 - linear(concentrations**2, components**2))
    return mixed + strength * pairs


def generalised_bilinear(max_strength: float = 1.0) -> ForwardModel:
    """Every pair of components in every spectrum interacts with a strength of its own.

    x_n = sum_i u_ni + sum_{i<j} g_nij u_ni u_nj, u_ni = c_ni s_i, with g_nij in 0..max_strength
    fitted. Takes n p^2 parameters, and several times as much memory: for tens of components.

    Args:
        max_strength: upper end of g; 1 for reflectances and areas.

    Returns:
        The forward model, with parameters per spectrum.

    Source: Halimi, Altmann, Dobigeon and Tourneret 2011 (IEEE TGRS 49, 4153).
    """

    def mix(pairs: Array, c: Array, s: Array) -> Array:
        upper = jnp.triu(pairs, 1)
        return linear(c, s) + jnp.einsum("nij,ni,nj,ic,jc->nc", upper, c, c, s, s, optimize=True)

    def initial_parameters(n: int, p: int) -> Array:
        return jnp.full((n, p, p), _INITIAL_STRENGTH)

    def project_parameters(g: Array) -> Array:
        return jnp.clip(g, 0.0, max_strength)

    return ForwardModel(mix, initial_parameters, project_parameters, per_spectrum=True)


def polynomial(degree: int = 2) -> ForwardModel:
    """A polynomial of linear mixing: x = L + sum_{k=2..degree} b_k L^k, L = C S, all b_k fitted.

    Args:
        degree: 2 or more.

    Returns:
        The forward model.

    Raises:
        ValueError: ``degree`` is below 2.

    Source: Altmann, Halimi, Dobigeon and Tourneret 2012 (IEEE TIP 21, 3017), with degree 2.
    """
    if degree < 2:
        raise ValueError(f"degree {degree} is linear mixing; give 2 or more")

    def mix(factors: Array, c: Array, s: Array) -> Array:
        mixed = linear(c, s)
        return mixed + sum(b * mixed**k for k, b in enumerate(factors, 2))

    return ForwardModel(mix, lambda n, p: jnp.zeros(degree - 1), lambda b: b)


def detector_saturation() -> ForwardModel:
    """A detector that saturates: x = (1 - exp(-b L)) / b, L = C S, b >= 0 fitted."""
    return _one_strength(saturated_mixing)


def saturated_mixing(
    strength: Float[Array, ""] | float,
    concentrations: Float[Array, "n p"],
    components: Float[Array, "p c"],
) -> Float[Array, "n c"]:
    """(1 - exp(-b L)) / b with L = C S; L itself where b = 0.

    Args:
        strength: b >= 0.
        concentrations: C.
        components: S.

    Returns:
        The spectra.

    >>> import jax.numpy as jnp
    >>> float(saturated_mixing(0.0, jnp.ones((1, 1)), jnp.full((1, 1), 2.0))[0, 0])
    2.0
    """
    mixed = linear(concentrations, components)
    depth = strength * mixed
    is_small = jnp.abs(depth) < _SERIES_DEPTH
    series = mixed * (1 - depth / 2 + depth**2 / 6)
    # The divisor is replaced where it is 0: both branches of a where are differentiated.
    exact = -jnp.expm1(-depth) / jnp.where(strength == 0, 1.0, strength)
    return jnp.where(is_small, series, exact)


def stray_light() -> ForwardModel:
    """Absorbance read with stray light, `fixed_stray_light`, whose share s in 1e-6..1 is fitted."""

    def project_parameters(stray_share: Array) -> Array:
        return jnp.clip(stray_share, _MIN_STRAY_SHARE, 1.0)

    initial = _INITIAL_STRENGTH
    return ForwardModel(_stray_light_mixing, lambda n, p: jnp.asarray(initial), project_parameters)


def _stray_light_mixing(
    stray_share: Float[Array, ""] | float, concentrations: Array, components: Array
) -> Float[Array, "n c"]:
    return absorbance_with_stray_light(stray_share, linear(concentrations, components))


def absorbance_with_stray_light(
    stray_share: Float[Array, ""] | float, absorbance: Float[Array, "n c"]
) -> Float[Array, "n c"]:
    """log10((1 + s) / (10^-A + s)), see `fixed_stray_light`.

    Args:
        stray_share: s > 0.
        absorbance: A.

    Returns:
        The absorbance that is read.

    >>> import jax.numpy as jnp
    >>> float(absorbance_with_stray_light(0.01, jnp.array([[9.0]]))[0, 0].round(2))
    2.0
    """
    log_light = jnp.logaddexp(-absorbance * jnp.log(10.0), jnp.log(stray_share))
    return (jnp.log1p(stray_share) - log_light) / jnp.log(10.0)


FORWARD_MODELS = {
    "bilinear": bilinear,
    "generalised_bilinear": generalised_bilinear,
    "polynomial": polynomial,
    "detector_saturation": detector_saturation,
    "stray_light": stray_light,
}
"""Forward models that are not linear, by name."""


def rescale_model(forward_model: ForwardModel, unit: float) -> ForwardModel:
    """The same model for data and concentrations that were divided by ``unit``."""

    def mix(parameters: MixingParameters, c: Array, s: Array) -> Array:
        return forward_model.mix(parameters, c * unit, s) / unit

    return forward_model._replace(mix=mix)


def nonlinear_part(
    forward_model: ForwardModel,
    parameters: MixingParameters,
    concentrations: Float[Array, "n p"],
    components: Float[Array, "p c"],
) -> Float[Array, "n c"]:
    """Spectra of a forward model less those of linear mixing."""
    mixed = forward_model.mix(parameters, concentrations, components)
    return mixed - linear(concentrations, components)
