"""AdamW as PyTorch has it, one pass over each array and some arrays left alone."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxhsi.upstream.gmcr.options import AdamWOptions


class Moments(NamedTuple):
    """Moving moments of gradients and of their squares, trees like the parameters."""

    mean: Any
    square: Any


def zero_moments(params: Any) -> Moments:
    """Zeros to start with."""
    return Moments(jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params))


def adamw(
    options: AdamWOptions, step: Int[Array, ""], params: Any, gradient: Any, moments: Moments
) -> tuple[Any, Moments]:
    """One step: p <- (1 - r w) p - r m_hat / (sqrt(v_hat) + eps), m and v moving moments.

    Decoupled decay of *all* parameters, biases too (Loshchilov and Hutter 2019, algorithm 2).
    Stays beside optax's for two reasons: a parameter without a gradient is left alone, decay and
    averages too, and the bias corrections are scalars. Whether optax would be as fast and as close
    to the reference was not measured.

    Args:
        options: rate r, decay w, the moments' decays and eps.
        step: number of this step, from 1.
        params: tree of arrays.
        gradient: tree like params; None in place of an array leaves parameter and moments
            untouched, as PyTorch does with a parameter that has no gradient.
        moments: of the steps before.

    Returns:
        New params and moments.
    """
    learning_rate, gradient_decay = options.learning_rate, options.gradient_decay
    square_decay = options.square_decay
    # The bias corrections as scalars: a multiplication per element instead of a division.
    step_size = learning_rate / (1 - gradient_decay**step)
    square_scale = 1 / jnp.sqrt(1 - square_decay**step)

    def update_leaf(
        leaf_gradient: Array | None, parameter: Array, first_moment: Array, second_moment: Array
    ) -> tuple[Array, Array, Array]:
        if leaf_gradient is None:
            return parameter, first_moment, second_moment
        first_moment = gradient_decay * first_moment + (1 - gradient_decay) * leaf_gradient
        new_square = (1 - square_decay) * leaf_gradient * leaf_gradient
        second_moment = square_decay * second_moment + new_square
        # PyTorch's order: decay first, then the step, each from its own product.
        parameter = (1 - learning_rate * options.weight_decay) * parameter
        divisor = jnp.sqrt(second_moment) * square_scale + options.epsilon
        return parameter - step_size * first_moment / divisor, first_moment, second_moment

    new_leaves = jax.tree.map(
        update_leaf, gradient, params, *moments, is_leaf=lambda leaf: leaf is None
    )
    params_structure, triple_structure = jax.tree.structure(params), jax.tree.structure((0, 0, 0))
    params, mean, square = jax.tree.transpose(params_structure, triple_structure, new_leaves)
    return params, Moments(mean, square)
