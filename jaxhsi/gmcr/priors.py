"""Prior knowledge of components and concentrations, as constraints that can be combined.

A `Prior` is a smooth penalty, a proximal step (a projection where something must hold exactly), or
both. `combine_priors` puts several together; `factor_refinement.refine_factors` minimises the
residual under them. To add a prior, write a function here that returns a `Prior`.
"""

from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from jaxhsi import normalisation
from jaxhsi.gmcr.factors import Factors, ProximalContext
from jaxhsi.gmcr.sample_runs import map_profiles, within_runs
from jaxhsi.gmcr.unimodality import unimodal_regression

FactorName = Literal["components", "concentrations"]
_OFF_SUPPORT = -1e6
"""Far below any concentration: the simplex projection makes it 0."""


class Prior(NamedTuple):
    """Knowledge about the factors.

    Attributes:
        penalty: ``penalty(factors) -> scalar``, smooth, in the units of half a chi-square.
        proximal_step: ``proximal_step(factors, context) -> factors`` after each gradient step.
        fixes_scale: determines the size of components, so that they are not brought to unit length.
        concentration_sum: sum of a spectrum's concentrations, if it is given.
        couples_spectra: ties spectra to each other, so that all take steps of one size.
        frees_zeros: concentrations that the sparse solver left at 0 may differ from it.
    """

    penalty: Callable[[Factors], Array] = lambda factors: jnp.zeros(())
    proximal_step: Callable[[Factors, ProximalContext], Factors] = lambda factors, context: factors
    fixes_scale: bool = False
    concentration_sum: float | None = None
    couples_spectra: bool = False
    frees_zeros: bool = False


@cache  # the same object for the same priors, so that what was compiled for it is used again
def combine_priors(*priors: Prior) -> Prior:
    """All of the priors: penalties are added, proximal steps taken one after the other.

    Where projections do not commute only the last one holds exactly; give the strictest last.

    Args:
        priors: in the order of their proximal steps.

    Returns:
        The combined prior; without arguments one that does nothing.

    >>> combine_priors(closure(), smoothness(1.0)).concentration_sum
    1.0
    """

    def penalty(factors: Factors) -> Array:
        return sum((prior.penalty(factors) for prior in priors), jnp.zeros(()))

    def proximal_step(factors: Factors, context: ProximalContext) -> Factors:
        for prior in priors:
            factors = prior.proximal_step(factors, context)
        return factors

    # The first that gives a sum wins; priors that contradict each other are not merged.
    sums = (prior.concentration_sum for prior in priors if prior.concentration_sum is not None)
    return Prior(
        penalty,
        proximal_step,
        fixes_scale=any(prior.fixes_scale for prior in priors),
        concentration_sum=next(sums, None),
        couples_spectra=any(prior.couples_spectra for prior in priors),
        frees_zeros=any(prior.frees_zeros for prior in priors),
    )


def _step_on(
    factor_name: FactorName, project: Callable[[Array], Array]
) -> Callable[[Factors, ProximalContext], Factors]:
    """Proximal step that changes one factor by a function of that factor alone."""

    def proximal_step(factors: Factors, _: ProximalContext) -> Factors:
        return factors._replace(**{factor_name: project(getattr(factors, factor_name))})

    return proximal_step


@cache
def non_negativity(factor_name: FactorName) -> Prior:
    """No negative values: max(v, 0)."""
    project = optax.projections.projection_non_negative
    return Prior(proximal_step=_step_on(factor_name, project))


def closure(concentration_sum: float = 1.0) -> Prior:
    """Concentrations of each spectrum are >= 0 and have a given sum: projection on the simplex.

    It holds exactly, and determines the size of the components. It does not choose among simplices
    that contain the data: one larger than the smallest, which the linear solver may leave where
    concentrations are not sparse, stays (`minimum_volume` shrinks it).

    Args:
        concentration_sum: of each spectrum, above 0.

    Returns:
        The prior.

    Source: Duchi et al. 2008 (ICML), Efficient projections onto the l1-ball.
    """

    def proximal_step(factors: Factors, context: ProximalContext) -> Factors:
        # Zeros that the sparse solver chose must not be filled by the projection.
        rows = jnp.where(context.support, factors.concentrations, _OFF_SUPPORT)
        project = jax.vmap(lambda row: optax.projections.projection_simplex(row, concentration_sum))
        return factors._replace(concentrations=project(rows))

    return Prior(proximal_step=proximal_step, fixes_scale=True, concentration_sum=concentration_sum)


def unimodality(
    factor_name: FactorName = "components",
    *,
    run_lengths: tuple[int, ...] | None = None,
    components: tuple[bool, ...] | None = None,
) -> Prior:
    """Each component has one peak along the axis, or each column of concentrations along samples.

    The projection on the nearest such curve, see `unimodality.unimodal_regression`.

    Args:
        factor_name: which factor has single peaks.
        run_lengths: runs of samples, with a peak each in every column; one run if None.
        components: to which components it applies, the first ones of the result; all if None.

    Returns:
        The prior.
    """
    is_component = factor_name == "components"

    def project(values: Array) -> Array:
        if is_component:
            # One curve after the other: side by side they would hold the blocks of all.
            projected = jax.lax.map(unimodal_regression, values)
        else:
            projected = map_profiles(unimodal_regression, values, run_lengths or (len(values),))
        return jnp.where(_applies_to(components, values, is_component), projected, values)

    step = _step_on(factor_name, project)
    return Prior(proximal_step=step, couples_spectra=not is_component, frees_zeros=not is_component)


def _applies_to(components: tuple[bool, ...] | None, values: Array, is_component: bool) -> Array:
    """Mask that broadcasts over a factor: the components that a prior is about."""
    if components is None:
        return jnp.ones((1, 1), bool)
    count = len(values) if is_component else values.shape[1]
    mask = jnp.asarray((*components, *([False] * count))[:count])
    return mask[:, None] if is_component else mask[None]


def smoothness(
    weight: float,
    factor_name: FactorName = "components",
    *,
    run_lengths: tuple[int, ...] | None = None,
) -> Prior:
    """Penalty weight / 2 sum (v_{i-1} - 2 v_i + v_{i+1})^2 along the axis, or along the samples.

    Args:
        weight: of the penalty, >= 0.
        factor_name: which factor is smooth.
        run_lengths: runs of samples, within which concentrations are smooth; one run if None.

    Returns:
        The prior.

    Source: Whittaker 1923; Eilers 2003 (Anal. Chem. 75, 3631).

    >>> float(smoothness(2.0).penalty(Factors(jnp.ones((1, 1)), jnp.array([[0.0, 1.0, 0.0]]))))
    4.0
    """

    def penalty(factors: Factors) -> Array:
        if factor_name == "components":
            return 0.5 * weight * jnp.sum(jnp.diff(factors.components, 2, axis=1) ** 2)
        lengths = run_lengths or (len(factors.concentrations),)
        differences = jnp.diff(factors.concentrations, 2, axis=0)
        is_inside = jnp.asarray(within_runs(lengths, 2), jnp.float32)[:, None]
        return 0.5 * weight * jnp.sum(is_inside * differences**2)

    couples_spectra = factor_name == "concentrations"
    return Prior(penalty=penalty, couples_spectra=couples_spectra, frees_zeros=couples_spectra)


def sparsity(weight: float, factor_name: FactorName = "components") -> Prior:
    """Penalty weight sum abs(v), by the soft threshold sign(v) max(abs(v) - step weight, 0).

    Args:
        weight: of the penalty, >= 0.
        factor_name: which factor is sparse.

    Returns:
        The prior.

    Source: Tibshirani 1996; Beck and Teboulle 2009 (SIAM J. Imaging Sci. 2, 183).
    """

    def proximal_step(factors: Factors, context: ProximalContext) -> Factors:
        values, step_size = (getattr(a, factor_name) for a in (factors, context.step_sizes))
        shrunk = jnp.sign(values) * jnp.maximum(jnp.abs(values) - step_size * weight, 0.0)
        return factors._replace(**{factor_name: shrunk})

    return Prior(proximal_step=proximal_step)


def selectivity(
    concentrations: Bool[Array, "n p"] | None = None,
    components: Bool[Array, "p c"] | None = None,
) -> Prior:
    """Zero where the masks say so, as of a sample that is known to lack a component.

    Args:
        concentrations: mask of the zeros, none if not given.
        components: likewise.

    Returns:
        The prior.

    Source: Manne 1995 (Chemom. Intell. Lab. Syst. 27, 89), on the resolution theorems.
    """

    def proximal_step(factors: Factors, _: ProximalContext) -> Factors:
        c, s = factors
        c = c if concentrations is None else jnp.where(concentrations, 0.0, c)
        return Factors(c, s if components is None else jnp.where(components, 0.0, s))

    return Prior(proximal_step=proximal_step)


def equality(
    concentrations: Float[Array, "n p"] | None = None,
    components: Float[Array, "p c"] | None = None,
) -> Prior:
    """Given values, such as the spectrum of a component or the concentrations of a sample.

    Args:
        concentrations: in the scale of the result; NaN where they are not known.
        components: likewise.

    Returns:
        The prior.

    Source: equality constraints of MCR-ALS, Tauler 1995 (Chemom. Intell. Lab. Syst. 30, 133).
    """

    def fill_in(values: Array | None, current: Array) -> Array:
        return current if values is None else jnp.where(jnp.isnan(values), current, values)

    def proximal_step(factors: Factors, _: ProximalContext) -> Factors:
        c, s = factors
        return Factors(fill_in(concentrations, c), fill_in(components, s))

    return Prior(proximal_step=proximal_step, fixes_scale=True)


def minimum_volume(weight: float, eps: float = 1e-3, unit_rows: bool = True) -> Prior:
    """Penalty weight / 2 log det(S S' + eps I): components close together rather than far apart.

    Args:
        weight: of the penalty.
        eps: keeps it finite where components are dependent.
        unit_rows: of components brought to unit length, so that it does not depend on their scale;
            false beside `closure`, which determines the scale.

    Returns:
        The prior.

    Source: Fu, Huang, Yang, Ma and Sidiropoulos 2016 (IEEE TSP 64, 6254).
    """

    def penalty(factors: Factors) -> Array:
        s = factors.components
        if unit_rows:
            s = normalisation.unit_rows(s, 1e-9)
        return 0.5 * weight * jnp.linalg.slogdet(s @ s.T + eps * jnp.eye(len(s)))[1]

    return Prior(penalty=penalty)
