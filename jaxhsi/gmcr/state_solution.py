"""The solution that a state of the solver stands for, in the coordinates of the table."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxhsi.gmcr.algorithm import converged
from jaxhsi.gmcr.gates import open_probability
from jaxhsi.gmcr.metrics import variance_share
from jaxhsi.gmcr.noise_model import residual_noise_level
from jaxhsi.gmcr.solution import RestartVote, Solution
from jaxhsi.gmcr.solver import Solver
from jaxhsi.gmcr.state import State
from jaxhsi.gmcr.whitening import MIN_ROW_NORM, WhitenedData, to_scaled
from jaxhsi.normalisation import split_norms
from jaxhsi.processes import gather_array


def state_solution(
    solver: Solver, state: State, data: WhitenedData, restart_vote: RestartVote
) -> Solution:
    """The solution of a state, in scaled coordinates, strongest component first."""
    state, codes = _useful_components(solver, state, data)
    pool, gates = jax.device_get((state.pool, open_probability(state.gate_logits)))
    components, noise_level = pool.components, state.noise_level
    if data.whitener is not None:
        components, sizes = split_norms(to_scaled(components, pool.whitener), MIN_ROW_NORM)
        codes = codes * sizes
        x_scaled = jnp.asarray(data.filled_scaled - data.noise_model.offset, jnp.float32)
        noise_level = residual_noise_level(x_scaled, jnp.asarray(codes), jnp.asarray(components))
    # Open gates alone are not enough: a component that no spectrum uses is not reported.
    used_slots = np.flatnonzero(pool.active & (codes != 0).any(0))
    used_slots = used_slots[np.argsort(-(codes[:, used_slots] ** 2).sum(0), kind="stable")]
    return Solution(
        components[used_slots],
        codes[:, used_slots],
        jax.device_get(noise_level),
        gates[used_slots],
        pool.fixed[used_slots],
        bool(converged(state)),
        data.noise_model._replace(spike_mask=data.spike_mask),
        restart_vote=restart_vote._replace(agreement=restart_vote.agreement[used_slots]),
    )


def _useful_components(
    solver: Solver, state: State, data: WhitenedData
) -> tuple[State, np.ndarray]:
    """The state without components whose removal would lower the residual, and its codes."""
    x_white = gather_array(data.x_white)
    while True:
        codes, pool = np.asarray(solver.predict(state, data.x_white)), state.pool
        is_used = np.asarray(pool.active) & (codes != 0).any(0)
        share = variance_share(x_white, codes, np.asarray(pool.components))
        is_harmful = is_used & (share <= 0)
        if not is_harmful.any() or is_harmful.sum() == is_used.sum():
            return state, codes
        state = state._replace(pool=pool.keep_only(jnp.asarray(~is_harmful)))
