"""Training of the networks of a solution, whose failure loses nothing."""

import logging
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float32

from jaxhsi.callbacks import OnProgress, ignore_progress
from jaxhsi.gmcr.amortised import AmortisedParams
from jaxhsi.gmcr.amortised import Info as NetworkInfo
from jaxhsi.gmcr.amortised_training import initial_networks, train_amortised
from jaxhsi.gmcr.network_precision import is_rounding_hidden
from jaxhsi.gmcr.options import AmortisedOptions as NetworkOptions
from jaxhsi.gmcr.solution import Solution
from jaxhsi.gmcr.whitened_solution import WhitenedSolution, whiten_solution
from jaxhsi.workflows.spectra_blocks import networks_explain

_log = logging.getLogger(__name__)


def train_networks(
    key: Array,
    unit_solution: Solution,
    linear_spectra: Float32[np.ndarray, "n c"],
    whitener_of: WhitenedSolution,
    options: NetworkOptions,
    on_progress: OnProgress = ignore_progress,
    mesh: Mesh | None = None,
) -> tuple[AmortisedParams, NetworkOptions, bool]:
    """Networks that unmix whitened spectra, their options, and whether they are of use.

    They know linear mixtures of unit rows alone. A solution is not lost because its networks are:
    where their training diverges, or they explain the spectra clearly worse than least squares do,
    these take their place. Where rounding to bfloat16 would show above the noise they multiply in
    float32, which is logged.

    Args:
        key: of the mixtures that they are trained on.
        unit_solution: components of unit length and their concentrations.
        linear_spectra: the spectra as linear mixtures.
        whitener_of: the solution under its noise.
        options: of the networks.
        on_progress: called with the steps.
        mesh: devices that each compute a share of every batch; None for one.
    """
    # Spikes stay: those of new spectra, for which the networks are, cannot be looked up.
    white = whiten_solution(
        unit_solution, linear_spectra, fill_spikes=False, whitener_of=whitener_of
    )
    on_progress("networks", 0, options.training_steps)

    def report(step: int, info: NetworkInfo) -> None:
        on_progress("networks", step, options.training_steps, f"loss {info.loss:.4g}")

    solution_white = white.solution_white
    x_white = jnp.asarray(white.x_white)
    if options.product_dtype != "float32" and not is_rounding_hidden(
        x_white, solution_white.noise_level
    ):
        options = replace(options, product_dtype="float32")
        _log.info("the networks multiply in float32: the spectra have less noise than bfloat16")
    try:
        _, state = train_amortised(key, solution_white, white.x_white, options, report, mesh)
    except FloatingPointError:
        params = initial_networks(key, solution_white, white.x_white, options).params
        return params, options, False
    return state.params, options, networks_explain(options, state.params, x_white, mesh)
