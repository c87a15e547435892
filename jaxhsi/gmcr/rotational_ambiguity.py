"""How far components may be turned into each other while the answer stays as good.

C S = (C T^-1) (T S) for any T: where neither non-negativity nor zeros of C hold T back, the data do
not tell one from the other.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from jaxhsi.linear_algebra import inverse

MAX_CHI2_RISE = 3.84
"""Rise of chi-squared within which an answer is as good: 95 % of a profile likelihood."""
_NUM_STEPS, _LEARNING_RATE = 150, 0.03
_CONTRIBUTION_WEIGHTS = (
    2.0,
    20.0,
    200.0,
)  # of the contribution against the rise, one after the other
_NUM_HALVINGS, _BATCH_SIZE = 16, 8
_MAX_EXTENSION = 8.0  # times as far as the search went is looked for the limit


class FittedMixture(NamedTuple):
    """An answer in noise units.

    Attributes:
        codes: concentrations over the noise of each spectrum.
        components_scaled: in the units of the data.
        components_white: the same where noise is white; equal to `components_scaled` if it is so already.
        present: concentrations that are not zero.
        fixed: components that are known.
    """

    codes: Float[Array, "n k"]
    components_scaled: Float[Array, "k c"]
    components_white: Float[Array, "k c"]
    present: Bool[Array, "n k"]
    fixed: Bool[Array, " k"]


class BandBoundaries(NamedTuple):
    """Extremes of a component: where it contributes least and most, in this order.

    Attributes:
        signal_share: of the sum of squares of all that is explained, ||c_j s_j||^2 / ||C S||^2.
        boundary_spectra: of unit length, in the units of the data.
        chi2_rise: of chi-squared, at most `MAX_CHI2_RISE`.
    """

    signal_share: Float[Array, "k 2"]
    boundary_spectra: Float[Array, "k 2 c"]
    chi2_rise: Float[Array, "k 2"]


def chi2_rise(
    rotation: Float[Array, "k k"], mixture: FittedMixture, non_negative: bool
) -> Float[Array, ""]:
    """By how much chi-squared grows where what T makes impossible is set to zero.

    Impossible are negative values, and concentrations where there were none.

    Args:
        rotation: T.
        mixture: the answer, for which T is the identity and the rise 0.
        non_negative: negative values are impossible.
    """
    codes, components, whitened = _rotated(rotation, mixture)
    forbidden = jnp.minimum(codes, 0.0) if non_negative else jnp.zeros_like(codes)
    forbidden = jnp.where(mixture.present, forbidden, codes)
    # ||F W||^2 = sum (F'F) * (W W'): no product as large as the data.
    grown = jnp.sum((forbidden.T @ forbidden) * (whitened @ whitened.T))
    if not non_negative:
        return grown
    # What the frame makes of the negative part is told from its share of each spectrum.
    below = jnp.minimum(components, 0.0)
    scale = jnp.sum(whitened**2, axis=1) / jnp.maximum(jnp.sum(components**2, axis=1), 1e-30)
    return grown + jnp.sum(jnp.sum(codes**2, axis=0) * scale * jnp.sum(below**2, axis=1))


def _rotated(rotation: Array, mixture: FittedMixture) -> tuple[Array, Array, Array]:
    codes = mixture.codes @ inverse(rotation)
    return codes, rotation @ mixture.components_scaled, rotation @ mixture.components_white


def log_contribution(
    rotation: Float[Array, "k k"], mixture: FittedMixture, component_index: Array
) -> Float[Array, ""]:
    """Logarithm of ||c_j s_j||^2 after the turn."""
    codes, _, whitened = _rotated(rotation, mixture)
    return jnp.log(jnp.sum(codes[:, component_index] ** 2)) + jnp.log(
        jnp.sum(whitened[component_index] ** 2)
    )


def band_boundaries(
    mixture: FittedMixture,
    non_negative: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> BandBoundaries:
    """The extremes of each component.

    Of each, T is moved by gradient steps so that it contributes least, then most, against the rise,
    which counts less and less; on the line from the identity to there the last point that is as
    good is looked for, and the best of these points taken. What is found is thus within
    reach; what lies beyond is not ruled out.

    Args:
        mixture: the answer.
        non_negative: negative values are impossible.
        on_progress: called with the extremes that were looked for and the number of all.

    Source: Tauler 2001 (J. Chemometrics 15, 627), MCR-BANDS; the zeros and the limit by likelihood
    are ours.
    """
    size = mixture.codes.shape[1]
    blocks = []
    for first in range(0, 2 * size, _BATCH_SIZE):
        which = jnp.minimum(jnp.arange(first, first + _BATCH_SIZE), 2 * size - 1)
        blocks.append(jax.block_until_ready(_extremes(mixture, which, non_negative)))
        if on_progress is not None:
            on_progress(min(first + _BATCH_SIZE, 2 * size), 2 * size)
    found = (jnp.concatenate(parts)[: 2 * size] for parts in zip(*blocks, strict=True))
    return BandBoundaries(*(part.reshape(size, 2, *part.shape[1:]) for part in found))


@partial(jax.jit, static_argnames="non_negative")
def _extremes(
    mixture: FittedMixture, which: Int[Array, " m"], non_negative: bool
) -> tuple[Array, Array, Array]:
    """Share, spectrum and rise of so many extremes: component `which` // 2, least or most."""
    size = mixture.codes.shape[1]
    identity = jnp.eye(size)
    free = (1 - identity) * ~mixture.fixed[:, None]
    total = jnp.sum((mixture.codes @ mixture.components_white) ** 2)

    def extreme(which: Array) -> tuple[Array, Array, Array]:
        j, sign = which // 2, 2.0 * (which % 2) - 1

        def loss(off: Array, weight: Array) -> Array:
            turn = identity + off * free
            return chi2_rise(turn, mixture, non_negative) - weight * sign * log_contribution(
                turn, mixture, j
            )

        def farther(held: tuple[Array, Array], weight: Array) -> tuple[tuple[Array, Array], None]:
            off, best = held
            off = _gradient_descent(partial(loss, weight=weight), off)
            turn = _largest_feasible_rotation(off * free, mixture, non_negative)
            wins = sign * log_contribution(turn, mixture, j) > sign * log_contribution(
                best, mixture, j
            )
            return (off, jnp.where(wins, turn, best)), None

        start = jnp.zeros((size, size)), identity
        (_, turn), _ = jax.lax.scan(farther, start, jnp.array(_CONTRIBUTION_WEIGHTS))
        found = turn @ mixture.components_scaled
        share = jnp.exp(log_contribution(turn, mixture, j)) / total
        spectrum = found[j] / jnp.linalg.norm(found[j])
        return share, spectrum, chi2_rise(turn, mixture, non_negative)

    return jax.vmap(extreme)(which)


def _gradient_descent(loss: partial, off: Float[Array, "k k"]) -> Float[Array, "k k"]:
    optimiser = optax.adam(optax.cosine_decay_schedule(_LEARNING_RATE, _NUM_STEPS))

    def step(held: tuple, _: None) -> tuple[tuple, None]:
        off, memory = held
        slope = jax.grad(loss)(off)
        slope = jnp.where(jnp.isfinite(slope), slope, 0.0)
        move, memory = optimiser.update(slope, memory)
        return (optax.apply_updates(off, move), memory), None

    return jax.lax.scan(step, (off, optimiser.init(off)), length=_NUM_STEPS)[0][0]


def _largest_feasible_rotation(
    off: Float[Array, "k k"], mixture: FittedMixture, non_negative: bool
) -> Float[Array, "k k"]:
    """T on the line from the identity, as far along as the answer stays as good."""
    identity = jnp.eye(len(off))

    def half(_: Array, held: tuple[Array, Array]) -> tuple[Array, Array]:
        near, far = held
        middle = (near + far) / 2
        good = chi2_rise(identity + middle * off, mixture, non_negative) <= MAX_CHI2_RISE
        return jnp.where(good, middle, near), jnp.where(good, far, middle)

    near, _ = jax.lax.fori_loop(0, _NUM_HALVINGS, half, (jnp.zeros(()), jnp.array(_MAX_EXTENSION)))
    return identity + near * off
