"""Upstream's joint training of gMCR, from a table to a result."""

from dataclasses import replace
from functools import partial
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
from jaxhsi.precision import with_float32_products
from jaxhsi.sharding import device_mesh
from jaxhsi.training.checkpoints import Checkpoints
from jaxhsi.training.metrics_writer import MetricsWriter
from jaxhsi.training.stage_times import StageTimes
from jaxhsi.training.step_profiler import StepProfiler
from jaxhsi.unmixing_result import UnmixingResult
from jaxhsi.unmixing_units import library_component_names
from jaxhsi.upstream.gmcr.fit_levels import LevelStates, write_fit_levels
from jaxhsi.upstream.gmcr.training import JointResult, joint_method, train_joint
from jaxhsi.workflows.gmcr_inputs import GMCRInputs
from jaxhsi.workflows.spectra_blocks import padded_blocks
from jaxhsi.workflows.unmixing_model import UnmixingModel

SUMMARY = "loss {loss:.4g}, {num_active} components"
"""Format of what stands beside the progress bar."""


@with_float32_products
def run_upstream(
    config: GMCRConfig,
    inputs: GMCRInputs,
    folder: Path,
    times: StageTimes,
    profiler: StepProfiler,
) -> UnmixingResult:
    """Upstream's joint training; its networks are those for new spectra. Data are not scaled.

    The best state of each band of fit goes to ``bands``, as upstream's checkpoint.
    """
    spectra = jnp.asarray(inputs.table.spectra)
    method = joint_method(
        spectra.shape[1],
        replace(config.joint, bfloat16=config.precision == "bfloat16"),
        library=inputs.library,
        num_candidates=config.num_candidates,
        mesh=device_mesh(config.devices),
    )
    key = jax.random.key(config.seed)
    with Checkpoints(folder / "checkpoints") as checkpoints, times.measure("step"):
        open_logbook = partial(
            MetricsWriter, folder, last_step=config.epochs, summary_format=SUMMARY
        )
        level_states = LevelStates(folder / "band_states")
        train_result = train_joint(
            *(key, method, spectra, config.epochs, open_logbook, checkpoints, level_states),
            profiler=profiler,
        )
    write_fit_levels(folder / "bands", method.options, train_result.bands)
    return _as_result(inputs, train_result)


def _as_result(inputs: GMCRInputs, train_result: JointResult) -> UnmixingResult:
    """Unit rows and their concentrations, as the gated solver gives them."""
    spectra = jnp.asarray(inputs.table.spectra)
    unmixed = jax.device_get(train_result.unmix(train_result.params, spectra))
    if not len(unmixed.components):
        raise ValueError(
            "no component stands out of the noise; look at the data, or take more --epochs: every "
            "gate is closed"
        )
    row_norms = np.linalg.norm(unmixed.components, axis=1, keepdims=True)
    components = unmixed.components / row_norms
    concentrations = unmixed.concentrations * row_norms.T
    noise_level = residual_noise_level(
        spectra, jnp.asarray(concentrations), jnp.asarray(components)
    )
    num_library = 0 if inputs.library is None else len(inputs.library)
    from_library = np.flatnonzero(train_result.used) < num_library
    # The dictionary is what fits of spectra are evaluated by; upstream's networks do not use it.
    evaluation_dictionary = make_dictionary(
        *map(jnp.asarray, (components, concentrations)), noise_level
    )
    model = UnmixingModel(
        components=components,
        component_names=library_component_names(
            components, from_library, inputs.library, inputs.library_names
        ),
        data_unit=1.0,
        component_norms=np.ones(len(components), np.float32),
        noise_model=white_noise(components.shape[1]),
        networks=AmortisedParams(evaluation_dictionary, {}),
        network_options=AmortisedOptions(),
    )
    return UnmixingResult(
        model=model,
        components=components,
        concentrations=concentrations,
        noise_deviation=spectrum_noise(np.asarray(spectra), noise_level, 1.0),
        noise_level=noise_level,
        converged=train_result.converged,
        transform_function=partial(_transform, train_result, row_norms),
    )


def _transform(
    train_result: JointResult,
    row_norms: Float32[np.ndarray, "k 1"],
    new_spectra: Float32[np.ndarray, "m c"],
) -> Float32[np.ndarray, "m k"]:
    """Concentrations of unit rows by upstream's networks, block by block."""
    blocks = unmix_stream(train_result.unmix, train_result.params, padded_blocks(new_spectra))
    parts = [block.concentrations for block in blocks]
    return np.concatenate(parts)[: len(new_spectra)] * row_norms.T
