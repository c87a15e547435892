"""Components and concentrations refined under a forward model and priors.

Minimises half the squared residual in noise units plus the priors' penalties,

    ||(x - f(C, S)) W / sigma||^2 / 2 + penalties(C, S),

over concentrations C, components S and the parameters of the forward model f.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float

from jaxhsi.gmcr.factors import Factors, ProximalContext
from jaxhsi.gmcr.gauss_newton import gauss_newton_step
from jaxhsi.gmcr.mixing import ForwardModel, MixingParameters
from jaxhsi.gmcr.priors import Prior
from jaxhsi.gmcr.refinement_problem import Problem, RefinedFactors, in_noise_units
from jaxhsi.gmcr.step_sizes import capped_step_sizes, curvature, step_sizes
from jaxhsi.table_sharding import compile_by_rows

_STEPS_PER_SWEEP = 20
"""Proximal steps between two determinations of the step sizes. Set by hand."""


class _Block(NamedTuple):
    """One block of unknowns: its value now, the one before, and the age of its momentum."""

    now: Array
    before: Array
    age: Float[Array, ""]


_STATIC_ARGUMENTS = ("forward_model", "prior", "num_sweeps")


@partial(jax.jit, static_argnames=_STATIC_ARGUMENTS)
def refine_factors(
    x: Float[Array, "n c"],
    noise_deviations: Float[Array, "n #c"],
    initial: RefinedFactors,
    forward_model: ForwardModel,
    prior: Prior,
    num_sweeps: int = 10,
    whitening_matrix: Float[Array, "c c"] | None = None,
) -> RefinedFactors:
    """The nearest minimum of ||(x - f(C, S)) W / sigma||^2 / 2 + penalties.

    Concentrations that are 0 at the start stay 0, unless the prior frees them. Where the model has
    shared parameters, each sweep begins with a Gauss-Newton step of all unknowns together. Then
    follow accelerated proximal steps on C, S and local parameters in turn, whose momentum is reset
    where a step turns back. Components are returned with unit length, their size in the
    concentrations, unless a prior fixes the scale; f must then be a function of all c_i s_i.

    Args:
        x: spectra.
        noise_deviations: sigma, of each spectrum's values after whitening.
        initial: where to begin.
        forward_model: f.
        prior: all priors, see `priors.combine_priors`.
        num_sweeps: sweeps of twenty steps each.
        whitening_matrix: W, a map of spectra to where their noise is white; None if it is so
            already.

    Returns:
        The refined factors and parameters.

    Source: proximal alternating linearised minimisation, Bolte, Sabach and Teboulle 2014 (Math.
    Program. 146, 459); its momentum, Pock and Sabach 2016; restarts, O'Donoghue and Candes 2015.
    """
    support = (initial.factors.concentrations != 0) | prior.frees_zeros
    target = in_noise_units(x, noise_deviations, whitening_matrix)
    problem = Problem(target, noise_deviations, whitening_matrix, forward_model, prior, support)

    def sweep(refined: RefinedFactors, _: None) -> tuple[RefinedFactors, None]:
        # Local parameters are too many for one joint step; those of a model are few.
        if jax.tree.leaves(refined.parameters) and not forward_model.per_spectrum:
            refined = gauss_newton_step(problem, refined)
        return _proximal_sweep(problem, refined), None

    return jax.lax.scan(sweep, initial, None, length=num_sweeps)[0]


@cache
def refinement_on(mesh: Mesh | None) -> Callable[..., RefinedFactors]:
    """`refine_factors`, each device of a mesh computing a share of the spectra; None is one."""
    if mesh is None or mesh.size == 1:
        return refine_factors
    plain = refine_factors.__wrapped__
    return compile_by_rows(mesh, plain, 0, static_argnames=_STATIC_ARGUMENTS)


def tangent_complement(
    factors: Factors, noise_deviations: Float[Array, "n #c"]
) -> Callable[[Array], Array]:
    """(I - P_C) q (I - P_S): the part of q that no change of C or S can produce.

    Args:
        factors: C and S.
        noise_deviations: of each spectrum.

    Returns:
        The projection, a function of q (n, c) in noise units.
    """
    # One deviation a spectrum, for the projections to act on rows and bands apart.
    spectrum_deviation = jnp.sqrt(jnp.mean(noise_deviations**2, axis=1, keepdims=True))
    row_basis = _orthonormal_basis(factors.concentrations / spectrum_deviation)
    band_basis = _orthonormal_basis(factors.components.T)

    def project(q: Float[Array, "n c"]) -> Float[Array, "n c"]:
        q = q - row_basis @ (row_basis.T @ q)
        return q - (q @ band_basis) @ band_basis.T

    return project


def _orthonormal_basis(columns: Float[Array, "a p"]) -> Float[Array, "a q"]:
    """Basis of the columns' span; directions below the rounding of float32 are zero columns."""
    # By singular values, since QR does not show nearly dependent columns.
    left, singular_values, _ = jnp.linalg.svd(columns, full_matrices=False)
    return left * (singular_values > 1e-5 * singular_values[0])


# One sweep of proximal steps. Blocks are numbered 0, 1, 2: parameters, concentrations, components.


def _proximal_sweep(problem: Problem, refined: RefinedFactors) -> RefinedFactors:
    """Accelerated proximal steps on each block in turn, with step sizes of its curvature."""
    prior, per_spectrum = problem.prior, problem.forward_model.per_spectrum
    (c, s), parameters = refined
    block_values = (parameters, c, s)
    support = jnp.where(problem.support, 1.0, 0.0)
    proximal_context = ProximalContext(
        Factors(
            # Rows of C do not interact unless a prior ties spectra together: each has its own step.
            capped_step_sizes(problem, 1, block_values, support, not prior.couples_spectra),
            capped_step_sizes(problem, 2, block_values, jnp.ones_like(s), False),
        ),
        problem.support,
    )
    parameter_steps = None
    if per_spectrum:
        parameter_curvature = curvature(problem, problem.model, 0, block_values)
        parameter_steps = step_sizes(parameter_curvature, jnp.ones_like(parameters), True)

    def step(_: Array, all_blocks: tuple) -> tuple:
        code_block, component_block, parameter_block = all_blocks
        # All blocks move from the same point; only the scale is exchanged afterwards.
        move_c = partial(
            _move_concentrations,
            problem,
            proximal_context,
            parameter_block.now,
            component_block.now,
        )
        move_s = partial(
            _move_components, problem, proximal_context, parameter_block.now, code_block.now
        )
        move_parameters = partial(
            _move_parameters, problem, parameter_steps, code_block.now, component_block.now
        )
        code_block = _accelerated(code_block, move_c)
        component_block = _accelerated(component_block, move_s)
        if not prior.fixes_scale:
            code_block, component_block = _with_unit_rows(code_block, component_block)
        return (
            code_block,
            component_block,
            _accelerated(parameter_block, move_parameters) if per_spectrum else parameter_block,
        )

    initial_age = jnp.ones(())
    all_blocks = (
        _Block(c, c, initial_age),
        _Block(s, s, initial_age),
        _Block(parameters, parameters, initial_age),
    )
    (c, *_), (s, *_), (parameters, *_) = jax.lax.fori_loop(0, _STEPS_PER_SWEEP, step, all_blocks)
    return RefinedFactors(Factors(c, s), parameters)


def _smooth_loss(problem: Problem, parameters: MixingParameters, c: Array, s: Array) -> Array:
    """The loss as a function of the three blocks."""
    return problem.loss(RefinedFactors(Factors(c, s), parameters))


def _move_concentrations(
    problem: Problem,
    proximal_context: ProximalContext,
    parameters: MixingParameters,
    s: Array,
    c: Array,
) -> Array:
    """A proximal gradient step of C on its support."""
    # Counted with the problem: 1 the parameters, 2 the concentrations, 3 the components.
    gradient = jax.grad(_smooth_loss, 2)(problem, parameters, c, s)
    moved_codes = c - proximal_context.step_sizes.concentrations * gradient
    moved_factors = Factors(jnp.where(problem.support, moved_codes, 0.0), s)
    projected = problem.prior.proximal_step(moved_factors, proximal_context)
    # A projection on a sum may fill zeros of the support again.
    return jnp.where(problem.support, projected.concentrations, 0.0)


def _move_components(
    problem: Problem,
    proximal_context: ProximalContext,
    parameters: MixingParameters,
    c: Array,
    s: Array,
) -> Array:
    """A proximal gradient step of S."""
    gradient = jax.grad(_smooth_loss, 3)(problem, parameters, c, s)
    moved_components = s - proximal_context.step_sizes.components * gradient
    return problem.prior.proximal_step(Factors(c, moved_components), proximal_context).components


def _move_parameters(
    problem: Problem, parameter_steps: Array, c: Array, s: Array, parameters: MixingParameters
) -> MixingParameters:
    """A projected gradient step of the parameters of single spectra."""
    gradient = jax.grad(_smooth_loss, 1)(problem, parameters, c, s)
    return problem.forward_model.project_parameters(parameters - parameter_steps * gradient)


def _accelerated(block: _Block, move: Callable[[Array], Array]) -> _Block:
    """A step from beyond the present value; the momentum is reset where the step turns back."""
    current_value, former_value, momentum_age = block
    momentum = (momentum_age - 1) / (momentum_age + 2)
    extrapolated = current_value + momentum * (current_value - former_value)
    new_value = move(extrapolated)
    # The step opposes the momentum: the minimum along it lies behind.
    turns_back = jnp.sum((extrapolated - new_value) * (new_value - current_value)) > 0
    return _Block(new_value, current_value, jnp.where(turns_back, 1.0, momentum_age + 1))


def _with_unit_rows(inner: _Block, outer: _Block) -> tuple[_Block, _Block]:
    """Components of unit length, their size in the concentrations, now and a step before."""
    sizes = jnp.linalg.norm(outer.now, axis=1)
    sizes = jnp.where(sizes > 0, sizes, 1.0)
    return (
        inner._replace(now=inner.now * sizes, before=inner.before * sizes),
        outer._replace(now=outer.now / sizes[:, None], before=outer.before / sizes[:, None]),
    )
