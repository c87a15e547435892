"""What is known of components and concentrations beside the data, as plug-ins.

A `Prior` is a smooth penalty, a proximal step (a projection where something must hold exactly), or
both; `combine` puts several together, and `refine.refined` minimises the residual under them.
"""

from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from jaxhsi.gmcr.unimodality import unimodal
from jaxhsi.linear_algebra import solve

Factor = Literal["components", "concentrations"]
_OFF = -1e6  # far below any concentration: the simplex projection makes it 0


class Factors(NamedTuple):
    """Concentrations and components, or what belongs to each of them."""

    concentrations: Float[Array, "#n #p"]
    components: Float[Array, "#p #c"]


class Around(NamedTuple):
    """What a proximal step may need to know.

    Attributes:
        steps: sizes of the gradient steps before it, (n, 1) and (1, 1) or scalars.
        support: concentrations that may differ from 0.
    """

    steps: Factors
    support: Bool[Array, "n p"]


class Prior(NamedTuple):
    """Knowledge about the factors.

    Attributes:
        penalty: ``penalty(factors) -> scalar``, smooth, in the units of half a chi-square.
        prox: ``prox(factors, around) -> factors`` after each gradient step.
        scaled: says how large components are, so that they are not brought to unit length.
        total: that concentrations of a spectrum sum to, if they must.
        coupled: ties spectra to each other, so that all take steps of one size.
    """

    penalty: Callable[[Factors], Array] = lambda factors: jnp.zeros(())
    prox: Callable[[Factors, Around], Factors] = lambda factors, around: factors
    scaled: bool = False
    total: float | None = None
    coupled: bool = False


@cache  # what is compiled for the same priors can then be used again
def combine(*priors: Prior) -> Prior:
    """All of them: penalties are added, proximal steps taken one after the other.

    Where projections do not commute only the last one holds exactly; give the strictest last.
    """

    def penalty(factors: Factors) -> Array:
        return sum((prior.penalty(factors) for prior in priors), jnp.zeros(()))

    def prox(factors: Factors, around: Around) -> Factors:
        for prior in priors:
            factors = prior.prox(factors, around)
        return factors

    return Prior(
        penalty,
        prox,
        scaled=any(prior.scaled for prior in priors),
        total=next((prior.total for prior in priors if prior.total is not None), None),
        coupled=any(prior.coupled for prior in priors),
    )


def _on(of: Factor, change: Callable[[Array], Array]) -> Callable[[Factors, Around], Factors]:
    return lambda factors, _: factors._replace(**{of: change(getattr(factors, of))})


@cache
def non_negative(of: Factor) -> Prior:
    """No negative values: max(v, 0)."""
    return Prior(prox=_on(of, optax.projections.projection_non_negative))


def closure(total: float = 1.0) -> Prior:
    """Concentrations of each spectrum are >= 0 and sum to ``total``, by projection on the simplex.

    It holds exactly, and gives components of their own size. It does not choose among simplices
    that hold the data: one larger than the smallest, which the linear solver may leave where
    concentrations are not sparse, stays (`minimum_volume` shrinks it).

    Source: Duchi et al. 2008 (ICML), Efficient projections onto the l1-ball.
    """

    def prox(factors: Factors, around: Around) -> Factors:
        rows = jnp.where(around.support, factors.concentrations, _OFF)
        simplex = jax.vmap(lambda row: optax.projections.projection_simplex(row, total))
        return factors._replace(concentrations=simplex(rows))

    return Prior(prox=prox, scaled=True, total=total)


def scaled_to(factors: Factors, total: float) -> Factors:
    """The same mixture, components scaled so that concentrations sum to ``total`` on the average.

    Scales d > 0 solve C d = total by least squares: c_i becomes d_i c_i, and s_i becomes s_i / d_i.
    """
    c, s = factors
    gram = c.T @ c
    damping = 1e-6 * jnp.trace(gram) / len(gram) * jnp.eye(len(gram))
    scales = solve(gram + damping, total * jnp.sum(c, axis=0)[:, None])[:, 0]
    least = 0.1 * jnp.median(scales)  # a component that is hardly there has a scale nonetheless
    scales = jnp.maximum(scales, jnp.maximum(least, 1e-12))
    return Factors(c * scales, s / scales[:, None])


def one_peak(of: Factor = "components") -> Prior:
    """Each component has one peak along the axis, or each column of concentrations along samples.

    The nearest such curve, see `unimodality.unimodal`.
    """
    if of == "components":
        return Prior(prox=_on(of, lambda rows: jax.lax.map(unimodal, rows)))
    return Prior(prox=_on(of, lambda rows: jax.lax.map(unimodal, rows.T).T), coupled=True)


def smooth(weight: float, of: Factor = "components") -> Prior:
    """Penalty weight / 2 sum (v_{i-1} - 2 v_i + v_{i+1})^2 along the axis, or along the samples.

    Source: Whittaker 1923; Eilers 2003 (Anal. Chem. 75, 3631).
    """

    def penalty(factors: Factors) -> Array:
        values = factors.components if of == "components" else factors.concentrations.T
        return 0.5 * weight * jnp.sum(jnp.diff(values, 2, axis=1) ** 2)

    return Prior(penalty=penalty, coupled=of == "concentrations")


def sparse(weight: float, of: Factor = "components") -> Prior:
    """Penalty weight sum |v|: the soft threshold sign(v) max(|v| - step weight, 0).

    Source: Tibshirani 1996; Beck and Teboulle 2009 (SIAM J. Imaging Sci. 2, 183).
    """

    def prox(factors: Factors, around: Around) -> Factors:
        values, step = getattr(factors, of), getattr(around.steps, of)
        shrunk = jnp.sign(values) * jnp.maximum(jnp.abs(values) - step * weight, 0.0)
        return factors._replace(**{of: shrunk})

    return Prior(prox=prox)


def zero_regions(
    concentrations: Bool[Array, "n p"] | None = None,
    components: Bool[Array, "p c"] | None = None,
) -> Prior:
    """Zero where the masks say so: selectivity, as of a sample without a component.

    Source: Manne 1995 (Chemom. Intell. Lab. Syst. 27, 89), on the resolution theorems.
    """

    def prox(factors: Factors, around: Around) -> Factors:
        c, s = factors
        c = c if concentrations is None else jnp.where(concentrations, 0.0, c)
        return Factors(c, s if components is None else jnp.where(components, 0.0, s))

    return Prior(prox=prox)


def known(
    concentrations: Float[Array, "n p"] | None = None,
    components: Float[Array, "p c"] | None = None,
) -> Prior:
    """Values that are given, such as the spectrum of a component or a sample's concentrations.

    Args:
        concentrations: in the scale that components come out in; NaN where they are not known.
        components: likewise.

    Source: equality constraints of MCR-ALS, Tauler 1995 (Chemom. Intell. Lab. Syst. 30, 133).
    """

    def given(values: Array | None, current: Array) -> Array:
        return current if values is None else jnp.where(jnp.isnan(values), current, values)

    def prox(factors: Factors, around: Around) -> Factors:
        c, s = factors
        return Factors(given(concentrations, c), given(components, s))

    return Prior(prox=prox, scaled=True)


def minimum_volume(weight: float, eps: float = 1e-3, unit: bool = True) -> Prior:
    """Penalty weight / 2 log det(S S' + eps I): components close together rather than far apart.

    Args:
        weight: of the penalty.
        eps: keeps it finite where components are dependent.
        unit: of rows brought to unit length, so that it says nothing of scale; false beside
            `closure`, which fixes the scale.

    Source: Fu, Huang, Yang, Ma and Sidiropoulos 2016 (IEEE TSP 64, 6254).
    """

    def penalty(factors: Factors) -> Array:
        s = factors.components
        s = s / jnp.maximum(jnp.linalg.norm(s, axis=1, keepdims=True), 1e-9) if unit else s
        return 0.5 * weight * jnp.linalg.slogdet(s @ s.T + eps * jnp.eye(len(s)))[1]

    return Prior(penalty=penalty)
