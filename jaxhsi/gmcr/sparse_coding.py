"""Sparse concentrations of spectra in a given pool, by backward elimination.

Everything is in noise units: spectra divided by their noise deviation, so that the gain of a
coefficient, the fall of the squared residual, is chi-squared of one degree of freedom where the
coefficient only fits noise.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxhsi.linear_algebra import positive_definite_inverses, solve

CLOSED_THRESHOLD = 1e-3
"""A gate up to this value is closed: its component takes no part. Set by hand; it only has to be
above 0, because the ridge of a gate z is proportional to 1 / z."""
_DENSE_RIDGE = 0.02
"""Ridge of the dense solution by which the first pass ranks components, relative to the unit
diagonal of the Gram matrix. Set by hand; it changes the ranking only among similar components."""
_JITTER = 1e-4
"""Ridge of the small restricted systems. Smaller values lose the inverse in float32 where
components are nearly the same. Chosen by hand; not tuned."""
_NEVER = -1e30
"""Score of a component that must not be chosen."""
_NEGATIVE_OFFSET = 1e3
"""Subtracted from the gain of a negative coefficient, so that it is removed before all others:
larger than gains that are compared. Chosen by hand; not tuned."""


class _Elimination(NamedTuple):
    """State of the backward elimination, m components per spectrum; spectra are the last axis.

    Attributes:
        inverse_gram: inverse of the Gram matrix of the active components.
        codes: least-squares coefficients of the active components.
        active: components that are not removed.
    """

    inverse_gram: Float[Array, "m m n"]
    codes: Float[Array, "m n"]
    active: Bool[Array, "m n"]


class _Removal(NamedTuple):
    """The next coefficient of each spectrum that is removed; zero where none is.

    Attributes:
        mask: its place.
        inverse_column: its column of the inverse Gram matrix.
        scaled_column: the same, divided by its diagonal element.
        code_step: the coefficient, divided by that element.
    """

    mask: Bool[Array, "m n"]
    inverse_column: Float[Array, "m n"]
    scaled_column: Float[Array, "m n"]
    code_step: Float[Array, " n"]


def sparsity_penalty(num_components: Float[Array, ""]) -> Float[Array, ""]:
    """Least gain of a coefficient that is kept, 2 (log(p + 1) + 2) for p open components.

    The best of p coefficients of pure noise gains about 2 log p (a maximum of p chi-squared
    variables); the additional 4, set by hand, keeps false coefficients below one in a few spectra.

    >>> import jax.numpy as jnp
    >>> float(sparsity_penalty(jnp.array(0.0)))
    4.0
    """
    return 2 * (jnp.log(num_components + 1.0) + 2)


def sparse_codes(
    x: Float[Array, "n c"],
    components: Float[Array, "p c"],
    gates: Float[Array, " p"],
    penalty: Float[Array, ""],
    *,
    max_active: int = 12,
    gate_ridge: float = 0.1,
    non_negative: bool = True,
) -> Float[Array, "n p"]:
    """Concentrations C with few components per spectrum, small in ||x - C S||^2 + penalty nnz(C).

    Two passes of: choose the ``max_active`` most promising components of each spectrum, solve the
    least-squares problem restricted to them, and remove the least useful one until each that is
    left gains at least ``penalty``. The first pass ranks components by the ridge solution
    x S' (G + diag(ridge (1 / z - 1) + 0.02))^-1, which shrinks components whose gate z closes; the
    second keeps the components of the first and adds those that correlate best with the residual.

    Args:
        x: spectra in noise units.
        components: S, unit rows, or zero where there is none.
        gates: z in [0, 1]; a gate up to 1e-3 is closed.
        penalty: least gain of a coefficient.
        max_active: largest number of components of a spectrum.
        gate_ridge: ridge penalty of a half-closed gate.
        non_negative: no negative concentrations.

    Returns:
        C, exactly 0 for components that are not used.

    Source: backward elimination by the inverse of the active Gram matrix, as in Efroymson 1960
    (stepwise regression).
    """
    is_open = gates > CLOSED_THRESHOLD
    s = components * is_open[:, None]
    gate_damping = gate_ridge * (1 / jnp.maximum(gates, CLOSED_THRESHOLD) - 1)
    damping = jnp.where(is_open, gate_damping, 0.0)
    gram, correlations = s @ s.T, x @ s.T
    # Closed components have zero rows: 1 on their diagonal keeps the matrix invertible.
    dense_ridge = damping + jnp.where(is_open, _DENSE_RIDGE, 1.0)
    # A pool may be smaller than what a spectrum may use.
    max_active = min(max_active, components.shape[0])

    def magnitude(values: Array) -> Array:
        return values if non_negative else jnp.abs(values)

    def dense_scores(_: Array) -> Array:
        return magnitude(solve(gram + jnp.diag(dense_ridge), correlations.T).T)

    def residual_scores(codes: Array) -> Array:
        # A unit component gains the square of its correlation with the residual: worth a try from
        # half the penalty's root on.
        scores = magnitude(correlations - codes @ gram) - 0.5 * jnp.sqrt(penalty)
        # What the first pass chose stays a candidate: the second only adds.
        return jnp.where(codes != 0, -_NEVER, scores)

    def one_pass(number: Array, codes: Array) -> Array:
        scores = jax.lax.cond(number == 0, dense_scores, residual_scores, codes)
        scores = jnp.where(is_open, scores, _NEVER)
        return _eliminate(gram, correlations, damping, scores, penalty, max_active, non_negative)

    return jax.lax.fori_loop(0, 2, one_pass, jnp.zeros_like(correlations))


def _eliminate(
    gram: Float[Array, "p p"],
    correlations: Float[Array, "n p"],
    damping: Float[Array, " p"],
    scores: Float[Array, "n p"],
    penalty: Float[Array, ""],
    max_active: int,
    non_negative: bool,
) -> Float[Array, "n p"]:
    """Solve for the components of highest score; remove the least useful ones one by one."""
    top_scores, chosen_slots = jax.lax.top_k(scores, max_active)
    # Spectra last from here on: the axis that is long is the one that processors take in lanes.
    slots = chosen_slots.T
    # Fewer may be promising than there is room for.
    active = top_scores.T > 0
    small_gram = jnp.where(active[:, None] & active[None], gram[slots[:, None], slots[None]], 0.0)
    small_diagonal = jnp.where(active, damping[slots] + _JITTER, 1.0)
    small_gram = small_gram + small_diagonal[:, None] * jnp.eye(max_active)[:, :, None]
    # Inverted once: each removal is then a rank-one update and no new system.
    inverse_gram = positive_definite_inverses(small_gram, _JITTER)
    # No diagonal element of an inverse is below the reciprocal of the matrix's own element;
    # rounding errors violate this bound where components are nearly the same.
    least_diagonal = 1 / jnp.diagonal(small_gram).T
    targets = jnp.take_along_axis(correlations, chosen_slots, 1).T * active
    codes = jnp.sum(inverse_gram * targets[None], axis=1)
    choose = partial(_least_useful, least_diagonal, penalty, non_negative)

    def remove_one(_: Array, carry: tuple) -> tuple:
        # The choice is carried: made here, it would be made anew for each element of the matrices.
        state = _remove(*carry)
        return state, choose(state)

    initial_state = _Elimination(inverse_gram, codes, active)
    carry = initial_state, choose(initial_state)
    _, codes, active = jax.lax.fori_loop(0, max_active, remove_one, carry)[0]
    codes = jnp.where(active, jnp.maximum(codes, 0) if non_negative else codes, 0.0)
    return _scatter(codes.T, chosen_slots, jnp.zeros_like(correlations))


def _least_useful(
    least_diagonal: Float[Array, "m n"],
    penalty: Float[Array, ""],
    non_negative: bool,
    state: _Elimination,
) -> _Removal:
    """The coefficient of least gain in each spectrum, if that is below the penalty.

    With A the inverse of the active Gram matrix, removing j raises the squared residual by
    c_j^2 / A_jj.
    """
    inverse_gram, codes, active = state
    own_diagonal = jnp.maximum(jnp.diagonal(inverse_gram).T, least_diagonal)
    chi2_gain = codes**2 / own_diagonal
    if non_negative:  # negative coefficients go first, the most negative before the others
        chi2_gain = jnp.where(codes > 0, chi2_gain, codes - _NEGATIVE_OFFSET)
    # Infinite, so that what is gone is never chosen again.
    chi2_gain = jnp.where(active, chi2_gain, jnp.inf)
    # Where the least gain suffices nothing is removed: the update is zero then.
    is_removed = jnp.min(chi2_gain, axis=0) < penalty
    is_least = jnp.arange(len(codes))[:, None] == jnp.argmin(chi2_gain, axis=0)
    mask = is_least & is_removed
    inverse_column = jnp.sum(jnp.where(mask[None], inverse_gram, 0.0), axis=1)
    pivot = jnp.where(is_removed, jnp.sum(jnp.where(mask, own_diagonal, 0.0), axis=0), 1.0)
    code_step = jnp.sum(jnp.where(mask, codes, 0.0), axis=0) / pivot
    return _Removal(mask, inverse_column, inverse_column / pivot, code_step)


def _remove(state: _Elimination, removal: _Removal) -> _Elimination:
    """The state without these coefficients: c - A_j c_j / A_jj and A - A_j A_j' / A_jj."""
    inverse_gram, codes, active = state
    inverse_column = removal.inverse_column
    inverse_gram = inverse_gram - removal.scaled_column[:, None] * inverse_column[None]
    codes = jnp.where(removal.mask, 0.0, codes - removal.code_step * inverse_column)
    return _Elimination(inverse_gram, codes, active & ~removal.mask)


def _scatter(
    values: Float[Array, "n m"], places: Int[Array, "n m"], target: Float[Array, "n p"]
) -> Float[Array, "n p"]:
    """Each row's values at its places."""
    return target.at[jnp.arange(len(target))[:, None], places].set(values)


def count_usage(codes: Float[Array, "n p"]) -> Float[Array, " p"]:
    """Number of spectra that use each component.

    >>> import jax.numpy as jnp
    >>> count_usage(jnp.array([[1.0, 0.0], [2.0, 3.0]])).tolist()
    [2.0, 1.0]
    """
    return jnp.sum(codes != 0, axis=0, dtype=jnp.float32)
