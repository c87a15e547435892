"""Upstream's joint training of gMCR, from a table to a result."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from jaxhsi.config.gmcr import GMCRConfig
from jaxhsi.gmcr.amortised import AmortisedParams
from jaxhsi.gmcr.amortised_data import make_dictionary
from jaxhsi.gmcr.amortised_training import unmix_stream
from jaxhsi.gmcr.data_scale import spectrum_noise
from jaxhsi.gmcr.noise_covariance import white_noise
from jaxhsi.gmcr.noise_model import residual_noise_level
from jaxhsi.gmcr.options import AmortisedOptions
from jaxhsi.training.checkpoints import Checkpoints
from jaxhsi.training.metrics_writer import MetricsWriter
from jaxhsi.unmixing import library_component_names
from jaxhsi.unmixing_result import UnmixingResult
from jaxhsi.upstream.gmcr.fit_levels import LevelStates, write_fit_levels
from jaxhsi.upstream.gmcr.training import joint_method, train_joint
from jaxhsi.workflows.gmcr_inputs import GMCRInputs
from jaxhsi.workflows.unmixing_model import UnmixingModel, padded_blocks

SUMMARY = "loss {loss:.4g}, {num_active} components"
"""Format of what stands beside the progress bar."""


def run_upstream(config: GMCRConfig, inputs: GMCRInputs, folder: Path) -> UnmixingResult:
    """Upstream's joint training; its networks are those for new spectra. Data are not scaled.

    The best state of each band of fit goes to ``bands``, as upstream's checkpoint.
    """
    spectra = jnp.asarray(inputs.table.spectra)
    method = joint_method(
        spectra.shape[1],
        config.joint,
        library=inputs.library,
        num_candidates=config.num_candidates,
    )
    key = jax.random.key(config.seed)
    with Checkpoints(folder / "checkpoints") as checkpoints:
        logbook = MetricsWriter(folder, checkpoints.latest_step() or 0, config.epochs, SUMMARY)
        states = LevelStates(folder / "band_states")
        joined = train_joint(key, method, spectra, config.epochs, logbook, checkpoints, states)
    write_fit_levels(folder / "bands", method.options, joined.bands)
    every = jax.device_get(joined.unmix(joined.params, spectra))
    if not len(every.components):
        raise ValueError(
            "no component stands out of the noise; look at the data, or take more --epochs: every "
            "gate is closed"
        )
    sizes = np.linalg.norm(every.components, axis=1, keepdims=True)  # unit rows, as the solver's
    components, concentrations = every.components / sizes, every.concentrations * sizes.T
    noise_level = residual_noise_level(
        spectra, jnp.asarray(concentrations), jnp.asarray(components)
    )
    num_library = 0 if inputs.library is None else len(inputs.library)
    from_library = np.flatnonzero(joined.used) < num_library
    names = library_component_names(components, from_library, inputs.library, inputs.library_names)
    # Fits of new spectra are judged as those of a gated run are.
    book = make_dictionary(*map(jnp.asarray, (components, concentrations)), noise_level)
    model = UnmixingModel(
        components=components,
        component_names=names,
        data_unit=1.0,
        component_norms=np.ones(len(components), np.float32),
        noise_model=white_noise(components.shape[1]),
        networks=AmortisedParams(book, {}),
        network_options=AmortisedOptions(),
    )
    unmix, params = jax.jit(joined.unmix), joined.params

    def transform(new_spectra: Float32[np.ndarray, "m c"]) -> Float32[np.ndarray, "m k"]:
        blocks = unmix_stream(unmix, params, padded_blocks(new_spectra))
        parts = [block.concentrations for block in blocks]
        return np.concatenate(parts)[: len(new_spectra)] * sizes.T

    return UnmixingResult(
        model=model,
        components=components,
        concentrations=concentrations,
        noise_deviation=spectrum_noise(np.asarray(spectra), noise_level, 1.0),
        noise_level=noise_level,
        converged=joined.converged,
        transform_function=transform,
    )
