"""Initial state of the solver: noise level, rank, and the purest spectra of a table."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxhsi.gmcr.component_pool import (
    ComponentPool,
    coefficient_penalty,
    encode,
    log_evidence,
    normalise_components,
)
from jaxhsi.gmcr.gates import initial_gate_logits
from jaxhsi.gmcr.noise_covariance import NoiseWhitener
from jaxhsi.gmcr.noise_model import (
    SignalDependentNoise,
    divide_by_noise,
    fit_noise_level,
    noise_deviation,
    noise_edge_rank,
)
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.state import State
from jaxhsi.normalisation import unit_rows

_MAX_ITERATIONS = 8
"""Decompositions at most. Each costs an SVD of the table; three are usually enough."""
_EXPONENT_TOLERANCE = 0.1
"""Change of the noise exponent below which the iteration stops. Set by hand: 0.1 changes relative
weights of spectra that differ tenfold in power by 12 %."""
_MAX_LEVERAGE = 0.8
"""Spectra of higher leverage determine a singular vector themselves: they are left out. Chosen by
hand; not tuned."""
_MIN_RESIDUAL_SHARE = 0.05
"""Least value of 1 - leverage; guards a division."""
_NEGLIGIBLE_WEIGHT = 1e-6
"""Weight of spectra of high leverage: above zero, so that there is always an estimate."""

_Svd = tuple[Float[Array, "n q"], Float[Array, " q"], Float[Array, "q c"]]


class RankEstimate(NamedTuple):
    """Noise level and rank of a table of spectra, from its singular values.

    Attributes:
        noise_level: first estimate of the noise variance.
        rank: number of singular values above those of white noise.
        singular_vectors: right singular vectors, by falling singular value.
    """

    noise_level: SignalDependentNoise
    rank: Int[Array, ""]
    singular_vectors: Float[Array, "q c"]


class _Iteration(NamedTuple):
    """State of the iteration of `estimate_rank`."""

    number: Int[Array, ""]
    exponent: Float[Array, ""]
    change: Float[Array, ""]
    svd: _Svd


def estimate_rank(x: Float[Array, "n c"]) -> RankEstimate:
    """Noise level and rank of a table of spectra.

    Spectra are scaled to unit mean square first, as if noise grew with the signal. The residual
    beyond the rank then shows how the noise really grows, and scaling by that law gives rank and
    residual anew, until the exponent of the law stays. Without this, noise that does not grow with
    the signal looks like many components in the weak spectra that were scaled up.

    Args:
        x: spectra, none of them zero.

    Returns:
        The estimate.
    """
    mean_square = jnp.mean(x**2, axis=1)

    def refine(state: _Iteration) -> _Iteration:
        exponent = _residual_exponent(mean_square, state.exponent, state.svd)
        change = jnp.abs(exponent - state.exponent)
        return _Iteration(state.number + 1, exponent, change, _scaled_svd(x, mean_square, exponent))

    def is_unfinished(state: _Iteration) -> Array:
        # Bounded, since the exponent may alternate between two values.
        return (state.number < _MAX_ITERATIONS) & (state.change > _EXPONENT_TOLERANCE)

    # Exponent 1 gives all spectra the same weight, whatever their strength.
    unit = jnp.ones(())
    zero, infinite = jnp.zeros((), jnp.int32), jnp.full((), jnp.inf)
    initial = _Iteration(zero, unit, infinite, _scaled_svd(x, mean_square, unit))
    final = jax.lax.while_loop(is_unfinished, refine, initial)
    _, singular_values, right = final.svd
    rank, deviation = noise_edge_rank(singular_values, *x.shape)
    noise_level = SignalDependentNoise(2 * jnp.log(deviation), final.exponent)
    return RankEstimate(noise_level, rank, right)


def _scaled_svd(x: Float[Array, "n c"], mean_square: Array, exponent: Array) -> _Svd:
    """SVD of spectra divided by the noise deviation of a law of this exponent and level 1."""
    scale = noise_deviation(SignalDependentNoise(jnp.zeros(()), exponent), mean_square)
    return jnp.linalg.svd(x / scale[:, None], full_matrices=False)


def _residual_exponent(
    mean_square: Float[Array, " n"], exponent: Float[Array, ""], svd: _Svd
) -> Float[Array, ""]:
    """Exponent of the noise law that fits what the directions above the noise leave over."""
    left_vectors, singular_values, right_vectors = svd
    num_rows, num_bands = len(left_vectors), right_vectors.shape[1]
    rank, _ = noise_edge_rank(singular_values, num_rows, num_bands)
    # A mask rather than a slice: the rank is not known when this compiles.
    is_signal = jnp.arange(len(singular_values)) < rank
    leverage = jnp.sum(left_vectors**2 * is_signal, axis=1)
    # A spectrum of high leverage is fitted more closely than its noise says.
    degrees_of_freedom = (num_bands - rank) * jnp.maximum(1 - leverage, _MIN_RESIDUAL_SHARE)
    residual = (left_vectors * (singular_values * ~is_signal)) @ right_vectors
    variance = mean_square**exponent * jnp.sum(residual**2, axis=1) / degrees_of_freedom
    spectrum_weight = jnp.where(leverage < _MAX_LEVERAGE, degrees_of_freedom, _NEGLIGIBLE_WEIGHT)
    return fit_noise_level(mean_square, variance, spectrum_weight).exponent


def successive_projection(x: Float[Array, "n c"], num_rows: int) -> Int[Array, " r"]:
    """Indices of the purest rows of x: each is the longest after projecting out those before it.

    Rows are brought to unit length first.

    Args:
        x: spectra.
        num_rows: number r of rows to choose.

    Returns:
        Their indices, the purest first.

    Source: the successive projection algorithm, Araujo et al. 2001 (Chemom. Intell. Lab. Syst. 57,
    65); for non-negative factorisation Gillis and Vavasis 2014 (IEEE TPAMI 36, 698).

    >>> import jax.numpy as jnp
    >>> successive_projection(jnp.array([[2.0, 0.0], [1.0, 1.0], [0.0, 3.0]]), 2).tolist()
    [0, 2]
    """
    # Unit length: otherwise the strongest spectra come first, not the purest.
    unit_spectra = unit_rows(x)
    return jax.lax.scan(_project_longest, unit_spectra, None, length=num_rows)[1]


def _project_longest(residual: Float[Array, "n c"], _: None) -> tuple[Array, Array]:
    """The rows with the direction of the longest one projected out, and the index of that one."""
    square_norms = jnp.sum(residual**2, axis=1)
    best = jnp.argmax(square_norms)
    # The bound matters only when all rows are explained; then any direction will do.
    direction = residual[best] / jnp.maximum(jnp.sqrt(square_norms[best]), 1e-12)
    return residual - jnp.outer(residual @ direction, direction), best


def init(
    options: SolverOptions,
    x: Float[Array, "n c"],
    rank_estimate: RankEstimate,
    num_candidates: Int[Array, ""] | int,
    num_slots: int,
    whitener: NoiseWhitener | None = None,
) -> State:
    """State with a pool of the purest spectra of the data.

    Args:
        options: of the solver.
        x: the whole table, whitened if there is a whitener.
        rank_estimate: of the table, see `estimate_rank`.
        num_candidates: components to begin with.
        num_slots: slots of the pool, at least ``num_candidates``; free ones can be filled later.
        whitener: that was applied to x.

    Returns:
        The state before the first phase.
    """
    x_noise_units = divide_by_noise(x, rank_estimate.noise_level)
    slot_index = jnp.arange(num_slots)
    is_signal = jnp.arange(len(rank_estimate.singular_vectors)) < num_candidates
    signal_basis = rank_estimate.singular_vectors
    # Projected first: the purest of noisy spectra is often only the noisiest.
    denoised_spectra = (x_noise_units @ signal_basis.T * is_signal) @ signal_basis
    purest_spectra = denoised_spectra[successive_projection(denoised_spectra, num_slots)]
    component_rows = normalise_components(purest_spectra, options, whitener)
    # All slots get a spectrum, so that shapes are fixed; those beyond the candidates are cleared.
    pool = ComponentPool(component_rows, slot_index < num_slots, slot_index < 0, whitener)
    pool = pool.keep_only(slot_index < num_candidates)
    penalty = coefficient_penalty(pool)
    codes = encode(x_noise_units, pool, options, penalty)
    zero_count, infinite_drift = jnp.zeros((), jnp.int32), jnp.full((), jnp.inf, jnp.float32)
    return State(
        step=zero_count,
        phase=zero_count,
        pool=pool,
        previous_pool=jax.tree.map(jnp.zeros_like, pool._replace(whitener=None)),
        gate_logits=initial_gate_logits(log_evidence(codes, pool, penalty)),
        noise_level=rank_estimate.noise_level,
        phase_noise_level=rank_estimate.noise_level,
        component_counts=jnp.full(2, -1, jnp.int32),
        num_added=zero_count,
        noise_drift=infinite_drift,
    )
