"""Refinement of concentrations that are not sparse, from several starts.

Where all components are in nearly all samples many factors explain a table equally well, and which
of them a refinement reaches depends on where it begins. It begins at the solution and at the purest
of its spectra. Where samples have an order, the factors whose profiles are nearest to single peaks
are taken among those that fit alike, and single peaks themselves where the data allow them.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float
from scipy.optimize import linear_sum_assignment

from jaxhsi.gmcr.factor_refinement import RefinedFactors, refinement_on
from jaxhsi.gmcr.factors import Factors, ProximalContext, scale_to_sum
from jaxhsi.gmcr.initialisation import successive_projection
from jaxhsi.gmcr.mixing import linear, parameter_free
from jaxhsi.gmcr.nnls import nonnegative_least_squares
from jaxhsi.gmcr.priors import Prior, combine_priors, unimodality
from jaxhsi.gmcr.refinement_problem import in_noise_units
from jaxhsi.gmcr.sample_runs import map_profiles
from jaxhsi.gmcr.unimodality import unimodal_regression
from jaxhsi.normalisation import unit_rows
from jaxhsi.sharding import map_rows

_MIN_SIGNAL_RATIOS = 40.0, 160.0, 10.0
"""Signal-to-noise ratios of spectra that may be the purest, with errors of direction of 0.025,
0.006 and 0.1. On simulated chromatograms with noise of 0.5 % the first is the best in most tables,
where the last has errors of concentrations of up to 0.6."""
_NUM_SWEEPS = 20
"""Sweeps of a refinement, which begins near its end. Set by hand."""
_START_ROUNDS, _START_STEPS, _FIRST_STEPS = 1000, 4, 300
"""Alternations of least squares that bring a start near its end, accelerated steps of each half,
and steps of the first and last concentrations. Set by hand: similar components need hundreds."""
_MIN_LENGTH = 1e-12
"""Length of a spectrum that counts as zero; only avoids a division by zero."""
_LOSS_DEVIATIONS = 3.0
"""Standard deviations of chi-squared within which factors fit alike."""
_PEAK_PRICE = 1.5
"""Rise of chi-squared for each concentration by which single peaks may fit worse: profiles that
cannot follow the noise lose about 1. Set by hand."""


class DenseProblem(NamedTuple):
    """A table of linear mixtures; see `factor_refinement.refine_factors`.

    Attributes:
        spectra: without offset and spikes.
        noise_deviations: of each spectrum after whitening.
        whitening_matrix: W, or None.
        prior: all priors, combined.
        run_lengths: of the runs of samples in an order; None where samples have none.
        non_negative: factors have no negative values.
        mesh: devices; None for one.
    """

    spectra: Float[Array, "n c"]
    noise_deviations: Float[Array, "n 1"]
    whitening_matrix: Float[Array, "c c"] | None
    prior: Prior
    run_lengths: tuple[int, ...] | None
    non_negative: bool = True
    mesh: Mesh | None = None


def refine_dense(
    problem: DenseProblem, initial: Factors, is_fixed: Bool[Array, " p"]
) -> RefinedFactors:
    """The likeliest of the factors that explain a table.

    Args:
        problem: the table.
        initial: factors of the linear solver.
        is_fixed: components whose spectrum is known.
    """
    purest = list(_purest_starts(problem, initial, is_fixed))
    # Without an order nothing but the fit decides; what the solver found comes first then.
    is_ordered = problem.run_lengths is not None
    starts = [*purest, initial] if is_ordered else [initial, *purest]
    near = _alternate_from(problem, starts, is_fixed)
    losses = [_half_chi2(problem, factors) for factors in near]
    limit = min(losses) + _LOSS_DEVIATIONS * (problem.spectra.size / 2) ** 0.5
    alike = [factors for factors, loss in zip(near, losses, strict=True) if loss <= limit]
    best = near[losses.index(min(losses))]
    if is_ordered:
        best = min(alike, key=lambda factors: _peak_violation(problem, factors))
    total = problem.prior.concentration_sum
    refined = _refine(problem, best if total is None else scale_to_sum(best, total))
    return _with_single_peaks(problem, refined) if is_ordered else refined


def _with_single_peaks(problem: DenseProblem, refined: RefinedFactors) -> RefinedFactors:
    """Factors whose profiles have a single peak in each run, where these explain the data too."""
    peaks = unimodality("concentrations", run_lengths=problem.run_lengths)
    # Before the others: what must hold exactly comes last.
    peaked_problem = problem._replace(prior=combine_priors(peaks, problem.prior))
    peaked = _refine(peaked_problem, refined.factors)
    price = 0.5 * _PEAK_PRICE * refined.factors.concentrations.size
    limit = _half_chi2(problem, refined.factors) + price
    return peaked if _half_chi2(problem, peaked.factors) <= limit else refined


def _refine(problem: DenseProblem, start: Factors) -> RefinedFactors:
    return refinement_on(problem.mesh)(
        problem.spectra,
        problem.noise_deviations,
        RefinedFactors(start, ()),
        parameter_free(linear),
        problem.prior,
        num_sweeps=_NUM_SWEEPS,
        whitening_matrix=problem.whitening_matrix,
    )


def _purest_starts(
    problem: DenseProblem, initial: Factors, is_fixed: Bool[Array, " p"]
) -> Iterator[Factors]:
    """Starts at the purest fitted spectra, of those that are strong enough to have a direction."""
    c, s = initial
    size = jnp.linalg.norm(_white(problem, c @ s), axis=1)
    for ratio in _MIN_SIGNAL_RATIOS:
        is_strong = size > ratio * jnp.sqrt(len(s))
        if int(is_strong.sum()) < len(s):
            continue
        # Fitted spectra, which hold no noise beyond the span of the components.
        fitted = (c @ s) * is_strong[:, None]
        rows = unit_rows(fitted[_purest_rows(fitted, s, is_fixed)], _MIN_LENGTH)
        yield Factors(jnp.zeros_like(c), _in_place(rows, s, is_fixed))


def _in_place(rows: Array, s: Array, is_fixed: Bool[Array, " p"]) -> Array:
    """Rows in the places of the components that they are most like, and of their size."""
    free = np.flatnonzero(~np.asarray(is_fixed))
    cosines = np.asarray(unit_rows(s[free], _MIN_LENGTH) @ rows.T)
    places, chosen = linear_sum_assignment(-cosines)
    sizes = jnp.linalg.norm(s[free[places]], axis=1, keepdims=True)
    return s.at[free[places]].set(rows[chosen] * sizes)


def _purest_rows(fitted: Array, s: Array, is_fixed: Array) -> Array:
    """Rows of the fitted spectra for the components that are not fixed."""
    fixed = s[jnp.flatnonzero(is_fixed)]
    num_fixed = len(fixed)
    if not num_fixed:
        return successive_projection(fitted, len(s))
    basis = jnp.linalg.qr(fixed.T)[0]
    # What the known spectra explain of a spectrum makes it no purer.
    unit = unit_rows(fitted, _MIN_LENGTH)
    rest = unit - (unit @ basis) @ basis.T
    return successive_projection(rest, len(s) - num_fixed)


def _alternate_from(
    problem: DenseProblem, starts: list[Factors], is_fixed: Bool[Array, " p"]
) -> list[Factors]:
    """Non-negative least squares of both factors in turn; only of C where bands are correlated.

    From several starts, each of which several devices compute by themselves.
    """
    matrix = problem.whitening_matrix
    weights = jnp.ones(problem.spectra.shape[1]) if matrix is None else jnp.diagonal(matrix)
    is_separable = matrix is None or bool((matrix == jnp.diag(weights)).all())
    target = _white(problem, problem.spectra)
    is_free = (~is_fixed)[:, None] & is_separable
    first = [(c / problem.noise_deviations, s if matrix is None else s @ matrix) for c, s in starts]
    last = _map_alternations(problem, target, first, is_free)
    near = []
    for (codes, rows_white), start in zip(last, starts, strict=True):
        rows = jnp.where(is_free, rows_white / weights, start.components)
        factors = Factors(codes * problem.noise_deviations, rows)
        near.append(factors if problem.prior.fixes_scale else _with_unit_rows(factors))
    return near


def _with_unit_rows(factors: Factors) -> Factors:
    c, s = factors
    norms = jnp.maximum(jnp.linalg.norm(s, axis=1, keepdims=True), _MIN_LENGTH)
    return Factors(c * norms.T, s / norms)


def _map_alternations(
    problem: DenseProblem,
    target: Array,
    starts: list[tuple[Array, Array]],
    is_free: Array,
) -> list[tuple[Array, Array]]:
    """`_alternations` from each start, one after the other or each on a device."""
    arrays, settings = (
        (target, problem.noise_deviations, is_free),
        (problem.prior, problem.non_negative),
    )
    if problem.mesh is None or problem.mesh.size == 1:
        return [_alternations(start, *arrays, *settings) for start in starts]
    stacked = jax.tree.map(lambda *each: jnp.stack(each), *starts)
    mapped = jax.device_get(_alternations_on(problem.mesh)(stacked, *arrays, *settings))
    return [jax.tree.map(lambda a, i=i: jnp.asarray(a[i]), mapped) for i in range(len(starts))]


@partial(jax.jit, static_argnames=("prior", "non_negative"))
def _alternations(
    start: tuple[Array, Array],
    target: Array,
    deviations: Array,
    is_free: Array,
    prior: Prior,
    non_negative: bool,
) -> tuple[Array, Array]:
    """Codes and rows after `_START_ROUNDS` alternations, and the codes of these rows."""
    all_bands = jnp.ones((target.shape[1], len(start[1])))
    least_squares = partial(nonnegative_least_squares, non_negative=non_negative)
    no_steps = ProximalContext(Factors(jnp.zeros(()), jnp.zeros(())), jnp.ones_like(start[0], bool))

    def project(concentrations: Array, rows: Array) -> Array:
        return prior.proximal_step(Factors(concentrations, rows), no_steps).concentrations

    # What a prior makes zero of ones is zero whatever the data are.
    support = (project(jnp.ones_like(start[0]), start[1]) != 0).astype(target.dtype)

    def fit_codes(codes: Array, rows: Array, num_steps: int) -> Array:
        codes = least_squares(codes, target @ rows.T, rows @ rows.T, support, num_steps)
        # Priors along the samples take long, and hold in the refinement that follows.
        return codes if prior.couples_spectra else project(codes * deviations, rows) / deviations

    def alternate(_: Array, factors: tuple[Array, Array]) -> tuple[Array, Array]:
        codes, rows = factors
        codes = fit_codes(codes, rows, _START_STEPS)
        moved = least_squares(rows.T, target.T @ codes, codes.T @ codes, all_bands, _START_STEPS)
        return codes, jnp.where(is_free, moved.T, rows)

    codes, rows = start
    # The first codes decide where the alternations end: rows must not follow unfinished ones.
    codes = fit_codes(codes, rows, _FIRST_STEPS)
    codes, rows = jax.lax.fori_loop(0, _START_ROUNDS, alternate, (codes, rows))
    return fit_codes(codes, rows, _FIRST_STEPS), rows


@cache
def _alternations_on(mesh: Mesh) -> Callable[..., tuple[Array, Array]]:
    """`_alternations` from starts that are stacked, each on a device."""

    def map_starts(starts: tuple, *arguments: Any) -> tuple[Array, Array]:
        *arrays, prior, non_negative = arguments
        alternations = partial(_alternations, prior=prior, non_negative=non_negative)
        return map_rows(mesh, alternations, starts, *arrays)

    everywhere = NamedSharding(mesh, PartitionSpec())
    return jax.jit(map_starts, static_argnums=(4, 5), out_shardings=everywhere)


def _white(problem: DenseProblem, spectra: Array) -> Array:
    return in_noise_units(spectra, problem.noise_deviations, problem.whitening_matrix)


def _half_chi2(problem: DenseProblem, factors: Factors) -> float:
    c, s = factors
    return float(0.5 * jnp.sum(_white(problem, problem.spectra - c @ s) ** 2))


def _peak_violation(problem: DenseProblem, factors: Factors) -> float:
    """Mean squared distance of the profiles to single peaks, in noise units; 1 is noise."""
    c = factors.concentrations * jnp.linalg.norm(factors.components, axis=1)
    distance = (c - _unimodal_profiles(c, problem.run_lengths)) / problem.noise_deviations
    # Below the noise there is nothing to choose between: the first start is taken.
    return max(float(jnp.mean(distance**2)), 1.0)


@partial(jax.jit, static_argnames="run_lengths")
def _unimodal_profiles(concentrations: Array, run_lengths: tuple[int, ...]) -> Array:
    return map_profiles(unimodal_regression, concentrations, run_lengths)
