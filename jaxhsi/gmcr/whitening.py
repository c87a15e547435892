"""A table as the solver sees it: without offset and spikes, in whitened coordinates.

Coordinates have names. *Raw* values are in the units of a file; *scaled* ones are divided by a
power of two so that their root mean square is about 1; *white* ones have their offset subtracted
and are multiplied by the whitening matrix of the noise model, so that noise is the same in all
bands and not correlated. Spectra and components are brought from one to the next alike but for the
offset, which belongs to spectra alone.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float

from jaxhsi.gmcr.mixing_residual import residual_from_codes
from jaxhsi.gmcr.noise_covariance import (
    NoiseModel,
    NoiseWhitener,
    noise_models_agree,
    noise_whitener,
    white_noise,
)
from jaxhsi.gmcr.noise_estimation import (
    count_bound,
    estimate_noise,
    noise_from_residual,
)
from jaxhsi.gmcr.noise_model import noise_deviation, residual_noise_level
from jaxhsi.gmcr.state import State
from jaxhsi.gmcr.weighted_projection import impute
from jaxhsi.normalisation import split_norms
from jaxhsi.processes import gather_array
from jaxhsi.sharding import replicate
from jaxhsi.table_sharding import place_rows

HostSpectra = Float[np.ndarray, "n c"]

MIN_ROW_NORM = 1e-9
"""Length below which a row counts as zero; only avoids a division by zero."""


class WhitenedData(NamedTuple):
    """A table and its noise.

    Attributes:
        noise_model: in float32, as checkpoints hold it.
        filled_scaled: spectra in scaled coordinates with spikes replaced.
        spike_mask: the entries that were; None if there are none.
        x_white: the table for the solver.
        whitener: of the noise; None where that is white already.
        noise_is_fixed: the noise model is not to be estimated again.
        count_bound: most components that the values can show, where these are counts.
    """

    noise_model: NoiseModel
    filled_scaled: HostSpectra
    spike_mask: Bool[np.ndarray, "n c"] | None
    x_white: Float[Array, "n c"]
    whitener: NoiseWhitener | None
    noise_is_fixed: bool = False
    count_bound: int | None = None


def whiten_by_estimated_noise(
    mesh: Mesh,
    spectra: HostSpectra,
    *,
    mask_spikes: bool = True,
    missing_mask: Bool[np.ndarray, "n c"] | None = None,
) -> WhitenedData:
    """The table whitened by the noise model that is estimated from the spectra themselves.

    Args:
        mesh: devices.
        spectra: the table.
        mask_spikes: leave out values far outside the noise.
        missing_mask: values that were not measured, whatever stands there.
    """
    noise_model, filled = estimate_noise(
        spectra, mask_spikes=mask_spikes, missing_mask=missing_mask
    )
    data = _whiten(mesh, noise_model._replace(spike_mask=None), filled, noise_model.spike_mask)
    return data._replace(count_bound=count_bound(spectra, filled))


def assume_white_noise(
    mesh: Mesh,
    spectra: HostSpectra,
    *,
    missing_mask: Bool[np.ndarray, "n c"] | None = None,
) -> WhitenedData:
    """The table as it is, its noise taken as white throughout; missing values are imputed."""
    noise_model = white_noise(spectra.shape[1])
    if missing_mask is not None:
        spectra = impute(np.asarray(spectra, np.float64), missing_mask).astype(np.float32)
    return _whiten(mesh, noise_model, spectra, missing_mask)._replace(noise_is_fixed=True)


def rewhiten(mesh: Mesh, data: WhitenedData, noise_model: NoiseModel) -> WhitenedData:
    """The same table under another noise model."""
    whitened = _whiten(mesh, noise_model, data.filled_scaled, data.spike_mask)
    return whitened._replace(noise_is_fixed=data.noise_is_fixed, count_bound=data.count_bound)


def _whiten(
    mesh: Mesh, noise_model: NoiseModel, filled: HostSpectra, spike_mask: np.ndarray | None
) -> WhitenedData:
    # Rounded first: a resumed fit has the float32 of its checkpoint only and must compute the same.
    rounded_model = jax.tree.map(lambda a: np.asarray(a, np.float32), noise_model)
    exact_model = jax.tree.map(lambda a: np.asarray(a, np.float64), rounded_model)
    offset_free, whitener = (
        filled - exact_model.offset,
        noise_whitener(exact_model, filled.shape[1]),
    )
    float32_whitener = jax.tree.map(lambda a: a.astype(np.float32), whitener)
    # From the host, so that no device has more than its share.
    x_white = place_rows(mesh, np.asarray(to_white(offset_free, whitener), np.float32))
    return WhitenedData(rounded_model, filled, spike_mask, x_white, float32_whitener)


def _float32(a: np.ndarray) -> Array:
    return jnp.asarray(a, jnp.float32)


def with_whitener(state: State, whitener: NoiseWhitener | None) -> State:
    """The state with a copy of a whitener, or none for a checkpoint; components stay as they are.

    A copy, because steps of the solver donate their state.
    """
    return state._replace(pool=state.pool._replace(whitener=jax.tree.map(jnp.array, whitener)))


def update_noise(
    mesh: Mesh, data: WhitenedData, state: State, codes: Float[np.ndarray, "n p"]
) -> tuple[State, WhitenedData]:
    """State and table under the noise that a converged state leaves, if that is another.

    Args:
        mesh: devices.
        data: as it was.
        state: converged on it.
        codes: of this state.
    """
    if data.noise_is_fixed:
        return state, data
    pool = state.pool
    scaled_rows = np.asarray(to_scaled(np.asarray(pool.components), data.whitener), np.float64)
    used_mask = (codes != 0).any(0)
    mean_square = jnp.mean(data.x_white**2, axis=1)
    spectrum_deviation = gather_array(noise_deviation(state.noise_level, mean_square))
    exact_model = jax.tree.map(lambda a: np.asarray(a, np.float64), data.noise_model)
    residual = residual_from_codes(
        data.filled_scaled,
        exact_model,
        codes[:, used_mask],
        scaled_rows[used_mask],
        spectrum_deviation.astype(float),
    )
    noise_model = noise_from_residual(residual)
    if noise_models_agree(exact_model, noise_model, residual.offset_residual):
        return state, data
    data = rewhiten(mesh, data, noise_model)
    unit_components, component_norms = split_norms(
        to_white(scaled_rows, data.whitener), MIN_ROW_NORM
    )
    noise_level = residual_noise_level(
        data.x_white, _float32(codes * component_norms), _float32(unit_components)
    )
    pool = pool._replace(components=_float32(unit_components))
    state = state._replace(
        pool=pool,
        previous_pool=jax.tree.map(
            jnp.array, pool._replace(whitener=None)
        ),  # a copy: steps donate the pool
        noise_level=noise_level,
        phase_noise_level=jax.tree.map(jnp.array, noise_level),
        noise_drift=jnp.full((), jnp.inf, jnp.float32),  # not converged: at least one more phase
        noise_model=jax.tree.map(jnp.array, data.noise_model),
    )
    return replicate(mesh, with_whitener(state, data.whitener)), data


def to_scaled(rows_white: Any, whitener: NoiseWhitener | None) -> Any:
    """Rows without offset from whitened to scaled coordinates."""
    return rows_white if whitener is None else whitener.inverse_transform(rows_white)


def to_white(rows_scaled: Any, whitener: NoiseWhitener | None) -> Any:
    """Rows without offset from scaled to whitened coordinates."""
    return rows_scaled if whitener is None else whitener.transform(rows_scaled)
