"""A Gauss-Newton step of factors and shared parameters of a forward model at once.

Alternating steps are slow along directions in which parameters and factors compensate each other.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxhsi.gmcr.factors import Factors, ProximalContext
from jaxhsi.gmcr.refinement_problem import Problem, RefinedFactors
from jaxhsi.linear_algebra import inverse

_RIDGE = 1e-6
"""Ridge of the normal equations in noise units: mixtures have directions without curvature. Chosen
by hand; not tuned."""
_BLOCK_DAMPING = 1e-3
"""Damping of the preconditioner's blocks relative to their mean diagonal. Set by hand."""
_MAX_CG_ITERATIONS = 40
"""Conjugate gradient iterations of a step. Set by hand: the step need not be exact."""
_CG_TOLERANCE = 1e-3
"""Relative residual at which the conjugate gradients stop. Chosen by hand; not tuned."""
_STEP_SHARES = (0.0, 0.1, 0.3, 1.0)
"""Shares of the step that are tried; the one of least loss is taken, 0 among them, so that the loss
never rises. Chosen by hand; not tuned."""


def gauss_newton_step(problem: Problem, current_point: RefinedFactors) -> RefinedFactors:
    """A Gauss-Newton step by preconditioned conjugate gradients, as far as it lowers the loss.

    Values that are 0 stay 0. The preconditioner consists of the blocks of the linear model.

    Args:
        problem: data, forward model and prior.
        current_point: present factors and parameters.

    Returns:
        Factors and parameters after the step, or ``current_point`` if no share of it lowers the
        loss.
    """
    prior, forward_model = problem.prior, problem.forward_model
    # Zeros are a decision of the sparse solver or of a bound; a step must not undo it.
    factors_are_free = Factors(problem.support, current_point.factors.components != 0)
    is_free = current_point._replace(
        factors=factors_are_free,
        parameters=jax.tree.map(lambda a: a == a, current_point.parameters),
    )

    def model(point: RefinedFactors) -> Array:
        return problem.model(point.parameters, point.factors)

    def restrict(newton_move: RefinedFactors) -> RefinedFactors:
        return jax.tree.map(lambda m, free: jnp.where(free, m, 0.0), newton_move, is_free)

    precondition = _preconditioner(problem, current_point)
    # Linearised once: each iteration then costs two products instead of two traces.
    push_forward, pull_back = (
        jax.linearize(model, current_point)[1],
        jax.vjp(model, current_point)[1],
    )

    def normal_product(newton_move: RefinedFactors) -> RefinedFactors:
        newton_move = restrict(newton_move)
        product = pull_back(push_forward(newton_move))[0]
        return restrict(jax.tree.map(lambda a, m: a + _RIDGE * m, product, newton_move))

    # The gradient of the whole loss, penalties included; the curvature is that of the data alone.
    descent_direction = restrict(jax.tree.map(jnp.negative, jax.grad(problem.loss)(current_point)))
    newton_move = jax.scipy.sparse.linalg.cg(
        normal_product,
        descent_direction,
        M=lambda v: restrict(precondition(v)),
        maxiter=_MAX_CG_ITERATIONS,
        tol=_CG_TOLERANCE,
    )[0]
    # Projections hold exactly even here; soft thresholds, which scale with steps, do nothing.
    no_steps = ProximalContext(Factors(jnp.zeros(()), jnp.zeros(())), problem.support)

    def moved_point(step_share: Array) -> RefinedFactors:
        new_point = jax.tree.map(lambda a, m: a + step_share * m, current_point, newton_move)
        return current_point._replace(
            factors=prior.proximal_step(new_point.factors, no_steps),
            parameters=forward_model.project_parameters(new_point.parameters),
        )

    step_shares = jnp.array(_STEP_SHARES)
    step_losses = jax.lax.map(lambda step_share: problem.loss(moved_point(step_share)), step_shares)
    # A long step may leave the range of the model: infinite losses do not win.
    best_share = step_shares[jnp.argmin(jnp.where(jnp.isfinite(step_losses), step_losses, jnp.inf))]
    return jax.tree.map(
        lambda a, b: jnp.where(best_share > 0, a, b), moved_point(best_share), current_point
    )


def _preconditioner(
    problem: Problem, current_point: RefinedFactors
) -> Callable[[RefinedFactors], RefinedFactors]:
    """Inverse of the blocks of the linear model: (C, S, each parameter by itself)."""
    c, s = current_point.factors
    # One deviation a spectrum: the blocks then are those of a separable problem.
    mean_deviation = jnp.sqrt(jnp.mean(problem.noise_deviations**2, axis=1, keepdims=True))
    component_damping = _BLOCK_DAMPING * jnp.mean(jnp.sum(s**2, 1))
    component_block = inverse(s @ s.T + component_damping * jnp.eye(len(s)))
    code_gram = (c / mean_deviation).T @ (c / mean_deviation)
    gram_damping = _BLOCK_DAMPING * jnp.trace(code_gram) / len(code_gram)
    code_block = inverse(code_gram + gram_damping * jnp.eye(len(code_gram)))
    parameter_slopes = jax.jacfwd(lambda p: problem.model(p, current_point.factors))(
        current_point.parameters
    )
    model_power = jnp.sum(problem.model(current_point.parameters, current_point.factors) ** 2)
    # The diagonal is enough: there are few parameters, and they scale differently.
    parameter_scales = jax.tree.map(
        lambda slope: 1 / (jnp.sum(slope**2, axis=(0, 1)) + _RIDGE * model_power), parameter_slopes
    )

    def precondition(move: RefinedFactors) -> RefinedFactors:
        move_c, move_s = move.factors
        factors = Factors(mean_deviation**2 * (move_c @ component_block), code_block @ move_s)
        return move._replace(
            factors=factors,
            parameters=jax.tree.map(jnp.multiply, parameter_scales, move.parameters),
        )

    return precondition
