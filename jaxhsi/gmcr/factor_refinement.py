"""Components and concentrations refined under a forward model and priors.

Minimises half the squared residual in noise units plus the priors' penalties,

    ||(x - f(C, S)) W / sigma||^2 / 2 + penalties(C, S),

over concentrations C, components S and the parameters of the forward model f.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxhsi.gmcr.factors import Factors, ProximalContext
from jaxhsi.gmcr.gauss_newton import gauss_newton_step
from jaxhsi.gmcr.mixing import ForwardModel, MixingParameters
from jaxhsi.gmcr.priors import Prior
from jaxhsi.gmcr.refinement_problem import Problem, RefinedFactors, in_noise_units

_POWER_ITERATIONS = 12
"""Power iterations for the largest curvature, which determines a step size. Chosen by hand; not
tuned."""
_SAFETY_FACTOR = 1.2
"""Factor on that curvature: power iterations approach it from below. Too small, steps diverge;
larger, they are only slower. Chosen by hand; not tuned."""
_STEPS_PER_SWEEP = 20
"""Proximal steps between two determinations of the step sizes. Set by hand."""
_MAX_STEP_RATIO = 1.0
"""Longest step relative to that of linear mixing: where a forward model saturates, the curvature is
nearly 0 and a step by it would leave the data. Set by hand."""


class _Block(NamedTuple):
    """One block of unknowns: its value now, the one before, and the age of its momentum."""

    now: Array
    before: Array
    age: Float[Array, ""]


@partial(jax.jit, static_argnames=("forward_model", "prior", "num_sweeps"))
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

    Concentrations that are 0 at the start stay 0. Where the model has shared parameters, each sweep
    begins with a Gauss-Newton step of all unknowns together. Then follow accelerated proximal steps
    on C, S and local parameters in turn, whose momentum is reset where a step turns back.
    Components are returned with unit length, their size in the concentrations, unless a prior fixes
    the scale; f must then be a function of all c_i s_i.

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
    support = initial.factors.concentrations != 0
    target = in_noise_units(x, noise_deviations, whitening_matrix)
    problem = Problem(target, noise_deviations, whitening_matrix, forward_model, prior, support)

    def sweep(refined: RefinedFactors, _: None) -> tuple[RefinedFactors, None]:
        # Local parameters are too many for one joint step; those of a model are few.
        if jax.tree.leaves(refined.parameters) and not forward_model.per_spectrum:
            refined = gauss_newton_step(problem, refined)
        return _proximal_sweep(problem, refined), None

    return jax.lax.scan(sweep, initial, None, length=num_sweeps)[0]


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
    scale = jnp.sqrt(jnp.mean(noise_deviations**2, axis=1, keepdims=True))
    row_basis = _orthonormal_basis(factors.concentrations / scale)
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
    at = (parameters, c, s)
    support = jnp.where(problem.support, 1.0, 0.0)
    context = ProximalContext(
        Factors(
            # Rows of C do not interact unless a prior ties spectra together: each has its own step.
            _capped_step_sizes(problem, 1, at, support, not prior.couples_spectra),
            _capped_step_sizes(problem, 2, at, jnp.ones_like(s), False),
        ),
        problem.support,
    )
    parameter_steps = None
    if per_spectrum:
        curvature = _curvature(problem, problem.model, 0, at)
        parameter_steps = _step_sizes(curvature, jnp.ones_like(parameters), True)

    def step(_: Array, blocks: tuple) -> tuple:
        inner, outer, local = blocks
        # All blocks move from the same point; only the scale is exchanged afterwards.
        move_c = partial(_move_concentrations, problem, context, local.now, outer.now)
        move_s = partial(_move_components, problem, context, local.now, inner.now)
        move_parameters = partial(_move_parameters, problem, parameter_steps, inner.now, outer.now)
        inner, outer = _accelerated(inner, move_c), _accelerated(outer, move_s)
        if not prior.fixes_scale:
            inner, outer = _with_unit_rows(inner, outer)
        return inner, outer, _accelerated(local, move_parameters) if per_spectrum else local

    one = jnp.ones(())
    blocks = (_Block(c, c, one), _Block(s, s, one), _Block(parameters, parameters, one))
    (c, *_), (s, *_), (parameters, *_) = jax.lax.fori_loop(0, _STEPS_PER_SWEEP, step, blocks)
    return RefinedFactors(Factors(c, s), parameters)


def _smooth_loss(problem: Problem, parameters: MixingParameters, c: Array, s: Array) -> Array:
    """The loss as a function of the three blocks."""
    return problem.loss(RefinedFactors(Factors(c, s), parameters))


def _move_concentrations(
    problem: Problem, context: ProximalContext, parameters: MixingParameters, s: Array, c: Array
) -> Array:
    """A proximal gradient step of C on its support."""
    # Counted with the problem: 1 the parameters, 2 the concentrations, 3 the components.
    gradient = jax.grad(_smooth_loss, 2)(problem, parameters, c, s)
    moved = c - context.step_sizes.concentrations * gradient
    moved = Factors(jnp.where(problem.support, moved, 0.0), s)
    projected = problem.prior.proximal_step(moved, context)
    # A projection on a sum may fill zeros of the support again.
    return jnp.where(problem.support, projected.concentrations, 0.0)


def _move_components(
    problem: Problem, context: ProximalContext, parameters: MixingParameters, c: Array, s: Array
) -> Array:
    """A proximal gradient step of S."""
    gradient = jax.grad(_smooth_loss, 3)(problem, parameters, c, s)
    moved = s - context.step_sizes.components * gradient
    return problem.prior.proximal_step(Factors(c, moved), context).components


def _move_parameters(
    problem: Problem, step_sizes: Array, c: Array, s: Array, parameters: MixingParameters
) -> MixingParameters:
    """A projected gradient step of the parameters of single spectra."""
    gradient = jax.grad(_smooth_loss, 1)(problem, parameters, c, s)
    return problem.forward_model.project_parameters(parameters - step_sizes * gradient)


def _capped_step_sizes(
    problem: Problem, block: int, at: tuple, shape: Array, by_row: bool
) -> Array:
    """Step sizes of a block, not above those of linear mixing."""
    own = _step_sizes(_curvature(problem, problem.model, block, at), shape, by_row)
    of_linear = _step_sizes(_curvature(problem, problem.linear_model, block, at), shape, by_row)
    return jnp.minimum(own, _MAX_STEP_RATIO * of_linear)


def _curvature(
    problem: Problem, model: Callable, block: int, at: tuple
) -> Callable[[Array], Array]:
    """(J'J + H) v of one block, as a function of v: J of the model, H of the penalties."""

    def with_block(value: Array) -> tuple:
        return (*at[:block], value, *at[block + 1 :])

    def block_model(value: Array) -> Array:
        parts = with_block(value)
        return model(parts[0], Factors(*parts[1:]))

    def block_penalty(value: Array) -> Array:
        return problem.prior.penalty(Factors(*with_block(value)[1:]))

    pullback, gradient = jax.vjp(block_model, at[block])[1], jax.grad(block_penalty)

    def product(v: Array) -> Array:
        pushed = jax.jvp(block_model, (at[block],), (v,))[1]
        return pullback(pushed)[0] + jax.jvp(gradient, (at[block],), (v,))[1]

    return product


def _step_sizes(product: Callable[[Array], Array], start: Array, by_row: bool) -> Array:
    """Reciprocal of the largest curvature, for all or for each row, by power iterations."""
    axes = tuple(range(1 if by_row else 0, start.ndim))

    def norm(v: Array) -> Array:
        return jnp.sqrt(jnp.sum(v**2, axis=axes, keepdims=True))

    def power(_: Array, v: Array) -> Array:
        # Only within the block's own entries: others never move.
        image = product(v / jnp.maximum(norm(v), 1e-30)) * (start != 0)
        return jnp.where(jnp.isfinite(image), image, 0.0)

    # Not a constant vector: that may be orthogonal to the direction of the largest curvature.
    tilted = start * (1 + 0.3 * jnp.cos(jnp.arange(start.size).reshape(start.shape)))
    largest = norm(jax.lax.fori_loop(0, _POWER_ITERATIONS, power, tilted))
    # A block without curvature does not change the loss: it stays.
    return jnp.where(largest > 0, 1 / (_SAFETY_FACTOR * jnp.maximum(largest, 1e-30)), 0.0)


def _accelerated(block: _Block, move: Callable[[Array], Array]) -> _Block:
    """A step from beyond the present value; the momentum is reset where the step turns back."""
    now, before, age = block
    ahead = now + (age - 1) / (age + 2) * (now - before)
    new = move(ahead)
    # The step opposes the momentum: the minimum along it lies behind.
    turns_back = jnp.sum((ahead - new) * (new - now)) > 0
    return _Block(new, now, jnp.where(turns_back, 1.0, age + 1))


def _with_unit_rows(inner: _Block, outer: _Block) -> tuple[_Block, _Block]:
    """Components of unit length, their size in the concentrations, now and a step before."""
    sizes = jnp.linalg.norm(outer.now, axis=1)
    sizes = jnp.where(sizes > 0, sizes, 1.0)
    return (
        inner._replace(now=inner.now * sizes, before=inner.before * sizes),
        outer._replace(now=outer.now / sizes[:, None], before=outer.before / sizes[:, None]),
    )
