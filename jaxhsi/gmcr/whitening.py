"""A table as the solver sees it: no offset, no spikes, in the frame where noise is white."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float

from jaxhsi.gmcr.algorithm import State
from jaxhsi.gmcr.noise_covariance import (
    NoiseModel,
    NoiseWhitener,
    noise_models_agree,
    noise_whitener,
    white_noise,
)
from jaxhsi.gmcr.noise_estimation import estimate_noise, noise_from_residual, residual_from_codes
from jaxhsi.gmcr.noise_model import noise_deviation, residual_noise_level
from jaxhsi.gmcr.solution import Solution
from jaxhsi.sharding import replicate, shard_batch

HostSpectra = Float[np.ndarray, "n c"]


class WhitenedData(NamedTuple):
    """A table and its noise.

    Attributes:
        noise_model: in float32, as checkpoints hold it.
        filled_scaled: spectra with spikes replaced.
        spike_mask: the entries that were; None if there are none.
        x_white: the table for the solver.
        whitener: of the noise; None where that is not coloured.
        noise_is_fixed: the noise is not to be reconsidered.
    """

    noise_model: NoiseModel
    filled_scaled: HostSpectra
    spike_mask: Bool[np.ndarray, "n c"] | None
    x_white: Float[Array, "n c"]
    whitener: NoiseWhitener | None
    noise_is_fixed: bool = False


def whiten_by_estimated_noise(mesh: Mesh, spectra: HostSpectra) -> WhitenedData:
    """The ground that the spectra themselves tell."""
    noise, filled = estimate_noise(spectra)
    return _whiten(mesh, noise._replace(spike_mask=None), filled, noise.spike_mask)


def assume_white_noise(mesh: Mesh, spectra: HostSpectra) -> WhitenedData:
    """The ground that takes noise as white, whatever the spectra look like."""
    noise = white_noise(spectra.shape[1])
    return _whiten(mesh, noise, spectra, None)._replace(noise_is_fixed=True)


def rewhiten(mesh: Mesh, data: WhitenedData, noise_model: NoiseModel) -> WhitenedData:
    """The same table under other noise."""
    return _whiten(mesh, noise_model, data.filled_scaled, data.spike_mask)._replace(
        noise_is_fixed=data.noise_is_fixed
    )


def _whiten(
    mesh: Mesh, noise: NoiseModel, filled: HostSpectra, spikes: np.ndarray | None
) -> WhitenedData:
    rounded = jax.tree.map(lambda a: np.asarray(a, np.float32), noise)
    exact = jax.tree.map(lambda a: np.asarray(a, np.float64), rounded)
    x, found = filled - exact.offset, noise_whitener(exact, filled.shape[1])
    if found is None:
        return WhitenedData(rounded, filled, spikes, shard_batch(mesh, _float32(x)), None)
    single = jax.tree.map(lambda a: a.astype(np.float32), found)
    return WhitenedData(
        rounded, filled, spikes, shard_batch(mesh, _float32(x @ found.whitening_matrix)), single
    )


def _float32(a: np.ndarray) -> Array:
    return jnp.asarray(a, jnp.float32)


def with_whitener(state: State, whitener: NoiseWhitener | None) -> State:
    """The state with a copy of a frame, or, for a checkpoint, none; components stay as they are."""
    return state._replace(pool=state.pool._replace(whitener=jax.tree.map(jnp.array, whitener)))


def update_noise(
    mesh: Mesh, data: WhitenedData, state: State, codes: Float[np.ndarray, "n p"]
) -> tuple[State, WhitenedData]:
    """State and ground under the noise that a converged state leaves, if that is another.

    Args:
        mesh: devices.
        data: as it was.
        state: converged on it.
        codes: of this state.
    """
    if data.noise_is_fixed:
        return state, data
    pool = state.pool
    rows = np.asarray(to_scaled(np.asarray(pool.components), data.whitener), np.float64)
    used = (codes != 0).any(0)
    scale = noise_deviation(state.noise_level, jnp.mean(data.x_white**2, axis=1))
    exact = jax.tree.map(lambda a: np.asarray(a, np.float64), data.noise_model)
    left = residual_from_codes(
        data.filled_scaled, exact, codes[:, used], rows[used], np.asarray(scale, float)
    )
    noise = noise_from_residual(left)
    if noise_models_agree(exact, noise, left.offset_residual):
        return state, data
    data = rewhiten(mesh, data, noise)
    unit, sizes = unit_rows(to_white(rows, data.whitener))
    law = residual_noise_level(data.x_white, _float32(codes * sizes), _float32(unit))
    pool = pool._replace(components=_float32(unit))
    never = jnp.full((), jnp.inf, jnp.float32)
    state = state._replace(
        pool=pool,
        previous_pool=jax.tree.map(
            jnp.array, pool._replace(whitener=None)
        ),  # steps use up the pool
        noise_level=law,
        phase_noise_level=jax.tree.map(jnp.array, law),
        noise_drift=never,
        noise_model=jax.tree.map(jnp.array, data.noise_model),
    )
    return replicate(mesh, with_whitener(state, data.whitener)), data


def to_scaled(rows_white: Any, whitener: NoiseWhitener | None) -> Any:
    """Spectra behind rows in the frame."""
    return rows_white if whitener is None else rows_white @ whitener.colouring_matrix


def to_white(rows_scaled: Any, whitener: NoiseWhitener | None) -> Any:
    """Spectra without offset in the frame."""
    return rows_scaled if whitener is None else rows_scaled @ whitener.whitening_matrix


def unit_rows(rows: Float[np.ndarray, "p c"]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of unit length, and what length they had; zero rows stay."""
    sizes = np.linalg.norm(rows, axis=1)
    return rows / np.maximum(sizes, 1e-9)[:, None], sizes


def whiten_solution(solution: Solution, spectra: HostSpectra) -> tuple[Solution, HostSpectra]:
    """A solution and its spectra where noise is white.

    Concentrations stay those of the data. The law of the noise is that of the residual there.
    """
    noise, found = _noise_in_float64(solution), solution_whitener(solution)
    if found is None and not noise.offset.any():
        return solution, spectra
    whiten = np.eye(spectra.shape[1]) if found is None else found.whitening_matrix
    components = (solution.components @ whiten).astype(np.float32)
    x = spectra_whitening(solution.noise_model)(spectra)
    law = residual_noise_level(
        jnp.asarray(x), _float32(solution.concentrations), _float32(components)
    )
    return solution._replace(components=components, noise_level=jax.device_get(law)), x


def spectra_whitening(noise_model: NoiseModel) -> Callable[[HostSpectra], HostSpectra]:
    """The map of spectra, whatever they hold, to where such noise is white and has no offset."""
    noise = jax.tree.map(lambda a: np.asarray(a, np.float64), noise_model)
    found = noise_whitener(noise, len(noise.band_deviations))
    if found is None and not noise.offset.any():
        return lambda x: x
    whiten = np.eye(len(noise.band_deviations)) if found is None else found.whitening_matrix
    return lambda x: ((x - noise.offset) @ whiten).astype(np.float32)


def replace_spikes(solution: Solution, spectra: HostSpectra) -> HostSpectra:
    """The spectra with what the solution gives in the place of spikes."""
    offset, spikes = solution.noise_model.offset, solution.noise_model.spike_mask
    if spikes is None:
        return spectra
    fit = solution.concentrations @ solution.components + offset
    return np.where(spikes, fit, spectra).astype(np.float32)


def whitening_matrix(solution: Solution) -> Float[Array, "c c"] | None:
    """The map of spectra without offset to where their noise is white; None if it is so already."""
    found = solution_whitener(solution)
    return None if found is None else _float32(found.whitening_matrix)


def solution_whitener(solution: Solution) -> NoiseWhitener | None:
    """Where the noise of a solution's spectra is white; None if it is so already."""
    noise = _noise_in_float64(solution)
    return noise_whitener(noise, len(noise.band_deviations))


def _noise_in_float64(solution: Solution) -> NoiseModel:
    return jax.tree.map(lambda a: np.asarray(a, np.float64), solution.noise_model)
