"""EB-gMCR, the default solver: the smallest set of components that explains mixed spectra.

Objective
---------
The description length of the data, in units of chi-squared, to be minimised over the number k of
components, the components S and the concentrations C:

    L(k, S, C) = sum_i ||x_i - c_i S||^2 / sigma_i^2  +  lambda nnz(C)  +  m sum_j pi_j

======  ===================  ====================================================================
symbol  shape                meaning
======  ===================  ====================================================================
X       (n, c)               spectra x_i, whitened if the noise is not white
S       (k, c)               components, unit rows, non-negative by default
C       (n, k)               concentrations c_i, sparse; "codes" are C / sigma, in noise units
k                            number of components; at most p, the slots of the pool
sigma   (n,)                 noise deviation of each spectrum, `noise_model.SignalDependentNoise`
lambda                       coefficient penalty 2 (log(k + 1) + 2), `sparse_coding`
u       (k,)                 number of spectra that use each component
pi      (k,)                 component penalty (sqrt(u_j) + sqrt(c))^2, `component_pool`; lambda for
                             a given spectrum of a library
m                            evidence factor, `SolverOptions.evidence_factor`
z       (p,)                 gates in [0, 1], hard-concrete samples with logits alpha
g       (p,)                 gain: rise of the squared residual without a component, closed form
e       (p,)                 log-evidence log((g_j - lambda u_j) / pi_j)
======  ===================  ====================================================================

The solver begins with more components than there can be, each behind a gate. A gate step draws
gates z, finds sparse codes of the open components, moves each logit by

    alpha_j += gate_rate * clip(e_j - log m, -1, 1)        where z_j is open,

and moves the components by a damped Newton step on the squared residual. The evidence is used in
closed form because the pathwise gradient of the reconstruction with respect to z leaves redundant
gates open. A phase is a number of gate steps with a falling m; `end_phase` then removes the closed
components, fits and prunes the others (`model_selection.prune`) and adds components that the
residual still holds. If a phase increases the description length, its result is discarded. The
solver has converged when a phase changes nothing.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from jaxhsi.base import Algorithm
from jaxhsi.gmcr.component_pool import (
    ComponentPool,
    coefficient_penalty,
    encode,
    log_evidence,
)
from jaxhsi.gmcr.gates import (
    MAX_GATE_LOGIT,
    MIN_GATE_LOGIT,
    hard_concrete,
    initial_gate_logits,
    open_probability,
)
from jaxhsi.gmcr.initialisation import estimate_rank, init
from jaxhsi.gmcr.model_selection import add_components, prune
from jaxhsi.gmcr.noise_model import divide_by_noise, residual_noise_level, spectrum_deviations
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.pool_fit import PoolFit, better_of, refit_pool
from jaxhsi.gmcr.sparse_coding import CLOSED_THRESHOLD, count_usage
from jaxhsi.gmcr.state import Info, State
from jaxhsi.linear_algebra import solve

_ANNEALING_SHARE = 0.7
"""Share of a phase after which the evidence factor has fallen to its final value; the value of the
first trials of the solver, not tuned since."""
_MAX_NOISE_DRIFT = 0.05
"""Mean change of the log noise variance over a phase below which the noise counts as unchanged.
Chosen by hand; not tuned."""
_NEWTON_DAMPING = 0.02
"""Damping of the Newton step relative to the mean power of a component; the value of the first
trials of the solver, not tuned since."""
_LARGE_POOL = 192
"""Slots from which on a pool takes every second step of a phase only. Set by hand: tables of 128 to
512 components had the same numbers and, to 1e-3, the same mean cosines."""
_MIN_UNIFORM = 1e-5
"""Uniform draws of the gates stay this far from 0 and 1, where their logit is infinite."""


def converged(state: State) -> Bool[Array, ""]:
    """Whether the last phase changed neither the number of components nor the noise level."""
    # An added component has not been through a phase yet, so that it counts as a change.
    is_same = (state.component_counts[0] == state.component_counts[1]) & (state.num_added == 0)
    return (state.phase >= 2) & is_same & (state.noise_drift < _MAX_NOISE_DRIFT)


def step_stride(options: SolverOptions, num_slots: int) -> int:
    """By how much a gate step moves the number of the step: 2 for large pools, else 1.

    Args:
        options: of the solver.
        num_slots: of the pool.

    >>> step_stride(SolverOptions(), 16), step_stride(SolverOptions(), 384)
    (1, 2)
    """
    # Each phase must end at the end of an epoch.
    is_even = options.steps_per_phase % (2 * options.noise_refit_every) == 0
    return 2 if num_slots >= _LARGE_POOL and is_even else 1


def annealed_evidence_factor(options: SolverOptions, state: State) -> Float[Array, ""]:
    """Evidence factor m of the next gate step: it falls geometrically during a phase."""
    step_in_phase = state.step % options.steps_per_phase + step_stride(
        options, state.gate_logits.shape[-1]
    )
    start = jnp.where(
        state.phase == 0, options.evidence_factor_start, options.later_evidence_factor_start
    )
    # The last part of a phase runs under the final factor, for the gates to settle.
    share_left = jnp.maximum(0.0, 1 - step_in_phase / (_ANNEALING_SHARE * options.steps_per_phase))
    return options.evidence_factor * (start / options.evidence_factor) ** share_left


def step(
    options: SolverOptions, key: Key[Array, ""], state: State, x: Float[Array, "n c"]
) -> tuple[State, Info]:
    """One gate step on the whole table x: draw gates, encode, move gate logits and components.

    ``key`` is that of the gates' draws. Returns the next state, and diagnostics.
    """
    x_noise_units, pool = divide_by_noise(x, state.noise_level), state.pool
    evidence_factor = annealed_evidence_factor(options, state)
    uniform_draws = jax.random.uniform(
        key, state.gate_logits.shape, minval=_MIN_UNIFORM, maxval=1 - _MIN_UNIFORM
    )
    gates = hard_concrete(uniform_draws, state.gate_logits) * pool.active
    is_open = gates > CLOSED_THRESHOLD
    # Both penalties fall together: components and coefficients compete on the same terms.
    penalty = coefficient_penalty(pool) * evidence_factor / options.evidence_factor
    codes = encode(x_noise_units, pool, options, penalty, gates)
    component_evidence = log_evidence(codes, pool, penalty, is_open)
    # Clipped, because evidence is a logarithm of ratios that may differ by orders of magnitude.
    logit_ascent = jnp.clip(component_evidence - jnp.log(evidence_factor), -1, 1)
    # A closed gate has no evidence in this draw: its logit stays.
    gate_logits = state.gate_logits + jnp.where(is_open, options.gate_rate * logit_ascent, 0.0)
    gate_logits = jnp.clip(gate_logits, MIN_GATE_LOGIT, MAX_GATE_LOGIT)
    residual = x_noise_units - codes @ pool.components
    moved_rows = pool.components + _newton_step(options, codes, residual)
    gate_probability = open_probability(gate_logits) * pool.active
    info = Info(
        loss=0.5 * jnp.mean(residual**2),
        num_active=jnp.sum(gate_probability > 0.5),
        uncertain_gates=jnp.sum((gate_probability > 0.1) & (gate_probability < 0.95)),
        components_per_spectrum=jnp.sum(count_usage(codes)) / len(x),
        evidence_factor=evidence_factor,
    )
    moved_pool = pool.replace_components(moved_rows, options)
    next_step = state.step + step_stride(options, gate_logits.shape[-1])
    return state._replace(step=next_step, pool=moved_pool, gate_logits=gate_logits), info


def _newton_step(options: SolverOptions, codes: Array, residual: Array) -> Float[Array, "p c"]:
    """Gradient of the squared residual, preconditioned by the damped Gram matrix of the codes."""
    code_gram = codes.T @ codes
    gram_damping = _NEWTON_DAMPING * jnp.mean(jnp.diagonal(code_gram)) + 1e-6
    newton_move = solve(code_gram + gram_damping * jnp.eye(len(code_gram)), codes.T @ residual)
    is_used = (count_usage(codes) > 0)[:, None]
    return options.newton_step_size * jnp.where(is_used, newton_move, 0.0)


def epoch(
    options: SolverOptions, key: Key[Array, ""], state: State, x: Float[Array, "n c"]
) -> tuple[State, Info]:
    """``noise_refit_every`` gate steps in one scan, then a fit of the noise level.

    It may be mapped over keys and states by ``vmap``.

    Args:
        options: of the solver.
        key: step i uses ``fold_in(key, i)``.
        state: before.
        x: the whole table.

    Returns:
        The state after it, and diagnostics of the last step.
    """

    def body(state: State, i: Array) -> tuple[State, Info]:
        return step(options, jax.random.fold_in(key, i), state, x)

    state, infos = jax.lax.scan(body, state, jnp.arange(options.noise_refit_every))
    return _refit_noise_level(options, state, x), jax.tree.map(lambda a: a[-1], infos)


def _refit_noise_level(options: SolverOptions, state: State, x: Array) -> State:
    """The state with the noise level of the residual of the open components."""
    # Without gate noise: the noise level must not follow single draws.
    noise_scale, open_pool = spectrum_deviations(x, state.noise_level), _open_components(state)
    codes = noise_scale * encode(
        x / noise_scale, open_pool, options, coefficient_penalty(state.pool)
    )
    return state._replace(noise_level=residual_noise_level(x, codes, open_pool.components))


def _open_components(state: State) -> ComponentPool:
    """Components whose gate is more likely open than closed, or the likeliest one alone."""
    probability = jnp.where(state.pool.active, open_probability(state.gate_logits), -1.0)
    return state.pool.keep_only((probability > 0.5) | (probability == jnp.max(probability)))


def end_phase(options: SolverOptions, state: State, x: Float[Array, "n c"]) -> State:
    """End of a phase: prune the open components, discard a worse result, add missing components.

    It may be mapped over states by ``vmap``.

    Args:
        options: of the solver.
        state: after the gate steps of the phase.
        x: the whole table.

    Returns:
        The state before the next phase.
    """
    noise_scale = spectrum_deviations(x, state.noise_level)
    x_noise_units = x / noise_scale
    # The whitener is kept once a state; it is as large as the square of the bands.
    previous_pool = state.previous_pool._replace(whitener=state.pool.whitener)
    # Refitted under the present noise level, so that both description lengths are comparable.
    previous_fit = refit_pool(x_noise_units, previous_pool, options)
    best_fit = better_of(prune(x_noise_units, _open_components(state), options), previous_fit)
    pool = add_components(x_noise_units, best_fit, options)
    noise_level = residual_noise_level(x, noise_scale * best_fit.codes, best_fit.pool.components)
    component_count = jnp.sum(best_fit.pool.active)
    num_added = jnp.sum(pool.active & ~best_fit.pool.active)
    # Over the spectra, not the parameters: level and exponent can compensate each other.
    deviation_ratio = spectrum_deviations(x, noise_level) / spectrum_deviations(
        x, state.phase_noise_level
    )
    component_evidence = jnp.where(best_fit.pool.active, best_fit.log_evidence, 0.0)
    component_counts = jnp.stack([component_count, state.component_counts[0]])
    return state._replace(
        phase=state.phase + 1,
        pool=pool,
        previous_pool=best_fit.pool._replace(whitener=None),
        gate_logits=initial_gate_logits(component_evidence),
        component_counts=component_counts.astype(jnp.int32),
        num_added=num_added.astype(jnp.int32),
        noise_level=noise_level,
        phase_noise_level=noise_level,
        noise_drift=jnp.mean(jnp.abs(2 * jnp.log(deviation_ratio))),
    )


def predict(options: SolverOptions, state: State, x: Float[Array, "n c"]) -> Float[Array, "n p"]:
    """Concentrations of spectra in the state's pool, in the units of the data.

    The spectra need not be those of the fit. Returns one column per slot of the pool.
    """
    scale = spectrum_deviations(x, state.noise_level)
    return scale * encode(x / scale, state.pool, options, coefficient_penalty(state.pool))


def describe(options: SolverOptions, state: State, x: Float[Array, "n c"]) -> PoolFit:
    """The state's pool refitted under its noise level, with its description length.

    States of the same spectra and noise level may be compared by their description lengths.
    """
    return refit_pool(divide_by_noise(x, state.noise_level), state.pool, options)


def gated(options: SolverOptions = SolverOptions()) -> Algorithm:  # noqa: B008 -- frozen
    """The solver under these options, as an `Algorithm`; a batch is the whole table.

    >>> gated().step.func.__name__
    'step'
    """

    def init_from_table(
        key: Key[Array, ""], x: Float[Array, "n c"], num_candidates: int, num_slots: int
    ) -> State:
        del key  # nothing is random
        return init(options, x, estimate_rank(x), num_candidates, num_slots)

    return Algorithm(init_from_table, partial(step, options), partial(predict, options))
