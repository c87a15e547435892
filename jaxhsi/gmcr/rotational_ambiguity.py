"""Rotational ambiguity: how far components may be mixed while the solution stays as good.

C S = (C T^-1) (T S) for any invertible T. Where neither non-negativity nor the zeros of C exclude
T, the data do not tell one solution from the other. For each component, the T is sought that makes
its share of the signal smallest and largest; the spectra there are the band boundaries.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from jaxhsi.callbacks import OnProgress, ignore_progress
from jaxhsi.gmcr.whitened_solution import WhitenedSolution
from jaxhsi.linear_algebra import inverse

MAX_CHI2_RISE = 3.84
"""Rise of chi-squared within which a solution is as good: 95 % of a profile likelihood of one
parameter (quantile of chi-squared with one degree of freedom)."""
MAX_AMBIGUITY_COMPONENTS = 24
"""Components up to which boundaries are sought. The search takes twice as many descents as there
are components, and each step costs more with their number; set by hand to bound the time."""
_NUM_STEPS, _LEARNING_RATE = 150, 0.03
"""Of Adam, for each weight. Set by hand; boundaries that are not reached are reported too narrow,
never too wide."""
_CONTRIBUTION_WEIGHTS = (2.0, 20.0, 200.0)
"""Of the logarithm of the contribution against the rise of chi-squared, one descent after another.
Set by hand around `MAX_CHI2_RISE`: a small weight stays within reach, a large one moves far."""
_NUM_HALVINGS = 16
"""Of the bisection for the last T that is as good: to 1e-4 of the distance. Set by hand; more would
change no digit that is reported."""
_BATCH_SIZE = 8
"""Boundaries sought at once; bounds memory and lets progress be reported. Set by hand; results do
not depend on it but for rounding."""
_MAX_EXTENSION = 8.0
"""Times the distance that the descent went, up to which the bisection looks. Set by hand."""
_MIN_POWER = 1e-30
"""Sum of squares below which a spectrum counts as zero; only avoids a division by zero."""

Rotation = Float[Array, "k k"]


class FittedMixture(NamedTuple):
    """A solution in noise units.

    Attributes:
        codes: concentrations over the noise deviation of each spectrum.
        components_scaled: in the units of the data.
        components_white: the same whitened; equal to `components_scaled` if noise is white already.
        present: concentrations that are not zero.
        fixed: components that are known.
    """

    codes: Float[Array, "n k"]
    components_scaled: Float[Array, "k c"]
    components_white: Float[Array, "k c"]
    present: Bool[Array, "n k"]
    fixed: Bool[Array, " k"]


class BandBoundaries(NamedTuple):
    """Extremes of each component: where it contributes least and most, in this order.

    Attributes:
        signal_share: of the sum of squares of all that is explained, ||c_j s_j||^2 / ||C S||^2.
        boundary_spectra: of unit length, in the units of the data.
        chi2_rise: of chi-squared, at most `MAX_CHI2_RISE`.
    """

    signal_share: Float[Array, "k 2"]
    boundary_spectra: Float[Array, "k 2 c"]
    chi2_rise: Float[Array, "k 2"]


def rotational_ambiguity(
    white: WhitenedSolution,
    *,
    non_negative: bool = True,
    on_progress: OnProgress = ignore_progress,
) -> BandBoundaries | None:
    """The extremes of each component of a solution; None for more than 24 components.

    Args:
        white: a solution with its spectra, see `whitened_solution.whiten_solution`.
        non_negative: components and concentrations were not to be negative.
        on_progress: called with the number of extremes that were sought.
    """
    solution = white.solution
    # No range rather than one that takes hours.
    if len(solution.components) > MAX_AMBIGUITY_COMPONENTS:
        return None
    mixture = FittedMixture(
        jnp.asarray(white.solution_white.concentrations) / white.noise_deviation,
        jnp.asarray(solution.components),
        jnp.asarray(white.solution_white.components),
        jnp.asarray(solution.concentrations != 0),
        jnp.asarray(solution.in_library),
    )
    return jax.device_get(band_boundaries(mixture, non_negative, partial(on_progress, "ranges")))


def band_boundaries(
    mixture: FittedMixture,
    non_negative: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> BandBoundaries:
    """The extremes of each component.

    T moves by gradient steps on rise - weight * (+-) log contribution under growing weights. After
    each descent, the last point on the line from the identity that is as good is found by
    bisection; the best of these points is taken. What is returned is thus within reach; what lies
    beyond is not ruled out.

    Args:
        mixture: the solution.
        non_negative: negative values are impossible.
        on_progress: called with the number of extremes that were sought and the number of all.

    Source: Tauler 2001 (J. Chemometrics 15, 627), MCR-BANDS; the zeros of C and the limit by
    likelihood are ours.
    """
    # A lower and an upper extreme of each component.
    count = 2 * mixture.codes.shape[1]
    batches = []
    for first in range(0, count, _BATCH_SIZE):
        # The last batch is filled up with copies, so that one shape is compiled.
        extremes = jnp.minimum(jnp.arange(first, first + _BATCH_SIZE), count - 1)
        batches.append(jax.block_until_ready(_search_batch(mixture, extremes, non_negative)))
        if on_progress is not None:
            on_progress(min(first + _BATCH_SIZE, count), count)
    parts = (jnp.concatenate(part)[:count] for part in zip(*batches, strict=True))
    return BandBoundaries(*(part.reshape(count // 2, 2, *part.shape[1:]) for part in parts))


def chi2_rise(rotation: Rotation, mixture: FittedMixture, non_negative: bool) -> Float[Array, ""]:
    """By how much chi-squared grows where what T makes impossible is set to zero.

    Impossible are negative values, and concentrations where there were none.

    Args:
        rotation: T.
        mixture: the solution, for which T is the identity and the rise 0.
        non_negative: negative values are impossible.

    >>> import jax.numpy as jnp
    >>> codes, rows = jnp.array([[100.0, 5.0], [0.0, 50.0]]), jnp.eye(2, 4)
    >>> mixture = FittedMixture(codes, rows, rows, codes != 0, jnp.zeros(2, bool))
    >>> T = jnp.array([[1.0, 0.1], [0.0, 1.0]])  # c2 of the first spectrum becomes 5 - 10
    >>> round(float(chi2_rise(T, mixture, non_negative=True)), 2)
    25.0
    """
    codes, components, whitened = _rotated(rotation, mixture)
    forbidden = jnp.minimum(codes, 0.0) if non_negative else jnp.zeros_like(codes)
    # Where a component was absent any amount is impossible, of either sign.
    forbidden = jnp.where(mixture.present, forbidden, codes)
    # ||F W||^2 = sum (F'F) * (W W'): no product as large as the data.
    rise = jnp.sum((forbidden.T @ forbidden) * (whitened @ whitened.T))
    if not non_negative:
        return rise
    # Whitening mixes the bands, so the negative part of a spectrum has no part of the whitened one
    # of its own; it is taken as large there as its share of the spectrum.
    negative = jnp.minimum(components, 0.0)
    power = jnp.sum(components**2, axis=1)
    scale = jnp.sum(whitened**2, axis=1) / jnp.maximum(power, _MIN_POWER)
    return rise + jnp.sum(jnp.sum(codes**2, axis=0) * scale * jnp.sum(negative**2, axis=1))


def log_contribution(
    rotation: Rotation, mixture: FittedMixture, component_index: Int[Array, ""]
) -> Float[Array, ""]:
    """Logarithm of ||c_j s_j||^2 after the rotation, with j the component."""
    codes, _, whitened = _rotated(rotation, mixture)
    amount = jnp.sum(codes[:, component_index] ** 2)
    return jnp.log(amount) + jnp.log(jnp.sum(whitened[component_index] ** 2))


def _rotated(rotation: Rotation, mixture: FittedMixture) -> tuple[Array, Array, Array]:
    codes = mixture.codes @ inverse(rotation)
    return codes, rotation @ mixture.components_scaled, rotation @ mixture.components_white


@partial(jax.jit, static_argnames="non_negative")
def _search_batch(
    mixture: FittedMixture, extremes: Int[Array, " m"], non_negative: bool
) -> tuple[Array, Array, Array]:
    """Share, spectrum and rise of extremes: of component `extreme` // 2, least or most."""
    search = partial(_search_extreme, mixture=mixture, non_negative=non_negative)
    return jax.vmap(search)(extremes)


def _search_extreme(
    extreme: Int[Array, ""], mixture: FittedMixture, non_negative: bool
) -> tuple[Array, Array, Array]:
    identity = jnp.eye(mixture.codes.shape[1])
    free = (1 - identity) * ~mixture.fixed[:, None]  # known components stay as they are
    component_index, sign = extreme // 2, 2.0 * (extreme % 2) - 1
    score = partial(log_contribution, mixture=mixture, component_index=component_index)

    def loss(off_diagonal: Array, weight: Array) -> Array:
        rotation = identity + off_diagonal * free
        return chi2_rise(rotation, mixture, non_negative) - weight * sign * score(rotation)

    def descend(carry: tuple[Array, Array], weight: Array) -> tuple[tuple[Array, Array], None]:
        off_diagonal, best = carry
        off_diagonal = _gradient_descent(partial(loss, weight=weight), off_diagonal)
        feasible = _largest_feasible_rotation(off_diagonal * free, mixture, non_negative)
        is_better = sign * score(feasible) > sign * score(best)
        return (off_diagonal, jnp.where(is_better, feasible, best)), None

    start = jnp.zeros_like(identity), identity
    (_, rotation), _ = jax.lax.scan(descend, start, jnp.array(_CONTRIBUTION_WEIGHTS))
    total = jnp.sum((mixture.codes @ mixture.components_white) ** 2)
    spectrum = (rotation @ mixture.components_scaled)[component_index]
    rise = chi2_rise(rotation, mixture, non_negative)
    return jnp.exp(score(rotation)) / total, spectrum / jnp.linalg.norm(spectrum), rise


def _gradient_descent(loss: partial, off_diagonal: Float[Array, "k k"]) -> Float[Array, "k k"]:
    optimiser = optax.adam(optax.cosine_decay_schedule(_LEARNING_RATE, _NUM_STEPS))

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        off_diagonal, optimiser_state = carry
        gradient = jax.grad(loss)(off_diagonal)
        # Where T comes near to a singular matrix, a step that is not finite is left out.
        gradient = jnp.where(jnp.isfinite(gradient), gradient, 0.0)
        updates, optimiser_state = optimiser.update(gradient, optimiser_state)
        return (optax.apply_updates(off_diagonal, updates), optimiser_state), None

    start = off_diagonal, optimiser.init(off_diagonal)
    return jax.lax.scan(step, start, length=_NUM_STEPS)[0][0]


def _largest_feasible_rotation(
    off_diagonal: Float[Array, "k k"], mixture: FittedMixture, non_negative: bool
) -> Rotation:
    """T on the line from the identity, as far along as the solution stays as good."""
    identity = jnp.eye(len(off_diagonal))

    def bisect(_: Array, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = (low + high) / 2
        rise = chi2_rise(identity + middle * off_diagonal, mixture, non_negative)
        is_as_good = rise <= MAX_CHI2_RISE
        return jnp.where(is_as_good, middle, low), jnp.where(is_as_good, high, middle)

    bounds = jnp.zeros(()), jnp.array(_MAX_EXTENSION)
    low, _ = jax.lax.fori_loop(0, _NUM_HALVINGS, bisect, bounds)
    return identity + low * off_diagonal
