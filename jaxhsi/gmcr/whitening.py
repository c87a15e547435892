"""A table as the solver sees it: no offset, no spikes, in the frame where noise is white."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float

from jaxhsi.gmcr.algorithm import Solution, State
from jaxhsi.gmcr.noise_covariance import Frame, Noise, frame, same_noise, white_noise
from jaxhsi.gmcr.noise_estimation import departures, left_by_codes, noise_left
from jaxhsi.gmcr.noise_model import noise_scale, residual_law
from jaxhsi.sharding import replicate, split

Host = Float[np.ndarray, "n c"]


class Ground(NamedTuple):
    """A table and its noise.

    Attributes:
        noise: in float32, as checkpoints hold it.
        filled: spectra with spikes replaced.
        spikes: the entries that were; None if there are none.
        x: the table for the solver.
        frame: of the noise; None where that is not coloured.
        given: the noise is not to be reconsidered.
    """

    noise: Noise
    filled: Host
    spikes: Bool[np.ndarray, "n c"] | None
    x: Float[Array, "n c"]
    frame: Frame | None
    given: bool = False


def survey_noise(mesh: Mesh, spectra: Host) -> Ground:
    """The ground that the spectra themselves tell."""
    noise, filled = departures(spectra)
    return _ground(mesh, noise._replace(spikes=None), filled, noise.spikes)


def white_ground(mesh: Mesh, spectra: Host) -> Ground:
    """The ground that takes noise as white, whatever the spectra look like."""
    noise = white_noise(spectra.shape[1])
    return _ground(mesh, noise, spectra, None)._replace(given=True)


def reground(mesh: Mesh, ground: Ground, noise: Noise) -> Ground:
    """The same table under other noise."""
    return _ground(mesh, noise, ground.filled, ground.spikes)._replace(given=ground.given)


def _ground(mesh: Mesh, noise: Noise, filled: Host, spikes: np.ndarray | None) -> Ground:
    rounded = jax.tree.map(lambda a: np.asarray(a, np.float32), noise)
    exact = jax.tree.map(lambda a: np.asarray(a, np.float64), rounded)
    x, found = filled - exact.offset, frame(exact, filled.shape[1])
    if found is None:
        return Ground(rounded, filled, spikes, split(mesh, _single(x)), None)
    single = jax.tree.map(lambda a: a.astype(np.float32), found)
    return Ground(rounded, filled, spikes, split(mesh, _single(x @ found.whiten)), single)


def _single(a: np.ndarray) -> Array:
    return jnp.asarray(a, jnp.float32)


def with_frame(state: State, frame: Frame | None) -> State:
    """The state with a copy of a frame, or, for a checkpoint, none; components stay as they are."""
    return state._replace(pool=state.pool._replace(frame=jax.tree.map(jnp.array, frame)))


def reconsidered(
    mesh: Mesh, ground: Ground, state: State, codes: Float[np.ndarray, "n p"]
) -> tuple[State, Ground]:
    """State and ground under the noise that a converged state leaves, if that is another.

    Args:
        mesh: devices.
        ground: as it was.
        state: converged on it.
        codes: of this state.
    """
    if ground.given:
        return state, ground
    pool = state.pool
    rows = np.asarray(in_data(np.asarray(pool.components), ground.frame), np.float64)
    used = (codes != 0).any(0)
    scale = noise_scale(state.law, jnp.mean(ground.x**2, axis=1))
    exact = jax.tree.map(lambda a: np.asarray(a, np.float64), ground.noise)
    left = left_by_codes(ground.filled, exact, codes[:, used], rows[used], np.asarray(scale, float))
    noise = noise_left(left)
    if same_noise(exact, noise, left.constant):
        return state, ground
    ground = reground(mesh, ground, noise)
    unit, sizes = unit_rows(to_frame(rows, ground.frame))
    law = residual_law(ground.x, _single(codes * sizes), _single(unit))
    pool = pool._replace(components=_single(unit))
    never = jnp.full((), jnp.inf, jnp.float32)
    state = state._replace(
        pool=pool,
        kept=jax.tree.map(jnp.array, pool._replace(frame=None)),  # steps use up the pool
        law=law,
        settled=jax.tree.map(jnp.array, law),
        drift=never,
        noise=jax.tree.map(jnp.array, ground.noise),
    )
    return replicate(mesh, with_frame(state, ground.frame)), ground


def in_data(components: Any, frame: Frame | None) -> Any:
    """Spectra behind rows in the frame."""
    return components if frame is None else components @ frame.colour


def to_frame(rows: Any, frame: Frame | None) -> Any:
    """Spectra without offset in the frame."""
    return rows if frame is None else rows @ frame.whiten


def unit_rows(rows: Float[np.ndarray, "p c"]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of unit length, and what length they had; zero rows stay."""
    sizes = np.linalg.norm(rows, axis=1)
    return rows / np.maximum(sizes, 1e-9)[:, None], sizes


def in_frame(solution: Solution, spectra: Host) -> tuple[Solution, Host]:
    """A solution and its spectra where noise is white.

    Concentrations stay those of the data. The law of the noise is that of the residual there.
    """
    noise, found = _exact(solution), frame_of(solution)
    if found is None and not noise.offset.any():
        return solution, spectra
    whiten = np.eye(spectra.shape[1]) if found is None else found.whiten
    components = (solution.components @ whiten).astype(np.float32)
    x = into_frame(solution.departures)(spectra)
    law = residual_law(jnp.asarray(x), _single(solution.concentrations), _single(components))
    return solution._replace(components=components, noise=jax.device_get(law)), x


def into_frame(departures: Noise) -> Callable[[Host], Host]:
    """The map of spectra, whatever they hold, to where such noise is white and has no offset."""
    noise = jax.tree.map(lambda a: np.asarray(a, np.float64), departures)
    found = frame(noise, len(noise.channels))
    if found is None and not noise.offset.any():
        return lambda x: x
    whiten = np.eye(len(noise.channels)) if found is None else found.whiten
    return lambda x: ((x - noise.offset) @ whiten).astype(np.float32)


def without_spikes(solution: Solution, spectra: Host) -> Host:
    """The spectra with what the solution gives in the place of spikes."""
    offset, spikes = solution.departures.offset, solution.departures.spikes
    if spikes is None:
        return spectra
    fit = solution.concentrations @ solution.components + offset
    return np.where(spikes, fit, spectra).astype(np.float32)


def whitening(solution: Solution) -> Float[Array, "c c"] | None:
    """The map of spectra without offset to where their noise is white; None if it is so already."""
    found = frame_of(solution)
    return None if found is None else _single(found.whiten)


def frame_of(solution: Solution) -> Frame | None:
    """Where the noise of a solution's spectra is white; None if it is so already."""
    noise = _exact(solution)
    return frame(noise, len(noise.channels))


def _exact(solution: Solution) -> Noise:
    return jax.tree.map(lambda a: np.asarray(a, np.float64), solution.departures)
