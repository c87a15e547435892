"""Sizes of proximal steps: reciprocals of the largest curvature of a block of unknowns.

Blocks are numbered 0, 1, 2: parameters, concentrations, components.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxhsi.gmcr.factors import Factors
from jaxhsi.gmcr.refinement_problem import Problem

_POWER_ITERATIONS = 12
"""Power iterations for the largest curvature, which determines a step size. Chosen by hand; not
tuned."""
_SAFETY_FACTOR = 1.2
"""Factor on that curvature: power iterations approach it from below. Too small, steps diverge;
larger, they are only slower. Chosen by hand; not tuned."""
_MAX_STEP_RATIO = 1.0
"""Longest step relative to that of linear mixing: where a forward model saturates, the curvature is
nearly 0 and a step by it would leave the data. Set by hand."""


def capped_step_sizes(
    problem: Problem, block_number: int, block_values: tuple, block_shape: Array, by_row: bool
) -> Array:
    """Step sizes of a block, not above those of linear mixing."""
    own_steps = step_sizes(
        curvature(problem, problem.model, block_number, block_values), block_shape, by_row
    )
    linear_steps = step_sizes(
        curvature(problem, problem.linear_model, block_number, block_values), block_shape, by_row
    )
    return jnp.minimum(own_steps, _MAX_STEP_RATIO * linear_steps)


def curvature(
    problem: Problem, model: Callable, block_number: int, block_values: tuple
) -> Callable[[Array], Array]:
    """(J'J + H) v of one block, as a function of v: J of the model, H of the penalties."""

    def with_block(block_value: Array) -> tuple:
        return (*block_values[:block_number], block_value, *block_values[block_number + 1 :])

    def block_model(block_value: Array) -> Array:
        all_values = with_block(block_value)
        return model(all_values[0], Factors(*all_values[1:]))

    def block_penalty(block_value: Array) -> Array:
        return problem.prior.penalty(Factors(*with_block(block_value)[1:]))

    here = block_values[block_number]
    pullback, gradient = jax.vjp(block_model, here)[1], jax.grad(block_penalty)

    def product(v: Array) -> Array:
        pushed = jax.jvp(block_model, (here,), (v,))[1]
        return pullback(pushed)[0] + jax.jvp(gradient, (here,), (v,))[1]

    return product


def step_sizes(product: Callable[[Array], Array], start: Array, by_row: bool) -> Array:
    """Reciprocal of the largest curvature, for all or for each row, by power iterations."""
    norm_axes = tuple(range(1 if by_row else 0, start.ndim))

    def norm(v: Array) -> Array:
        return jnp.sqrt(jnp.sum(v**2, axis=norm_axes, keepdims=True))

    def power(_: Array, v: Array) -> Array:
        # Only within the block's own entries: others never move.
        curvature_image = product(v / jnp.maximum(norm(v), 1e-30)) * (start != 0)
        return jnp.where(jnp.isfinite(curvature_image), curvature_image, 0.0)

    # Not a constant vector: that may be orthogonal to the direction of the largest curvature.
    tilted_start = start * (1 + 0.3 * jnp.cos(jnp.arange(start.size).reshape(start.shape)))
    largest_curvature = norm(jax.lax.fori_loop(0, _POWER_ITERATIONS, power, tilted_start))
    # A block without curvature does not change the loss: it stays.
    return jnp.where(
        largest_curvature > 0, 1 / (_SAFETY_FACTOR * jnp.maximum(largest_curvature, 1e-30)), 0.0
    )
