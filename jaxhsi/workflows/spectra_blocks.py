"""Blocks of new spectra through the networks of a solution, or least squares in their place."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Float32

from jaxhsi.gmcr.amortised import AmortisedParams, unmix
from jaxhsi.gmcr.goodness_of_fit import spectrum_reduced_chi2
from jaxhsi.gmcr.mixing import UnmixedSpectra
from jaxhsi.gmcr.nnls import nonnegative_least_squares
from jaxhsi.gmcr.options import AmortisedOptions
from jaxhsi.table_sharding import compile_by_rows

BLOCK_ROWS = 4096
"""Spectra that the networks take at a time. Set by hand: 4096 x 200 bands are 3 MB; the result does
not depend on it."""

MAX_NETWORK_LOSS = 0.1
"""Share of the variance that networks may explain less than least squares do. Chosen by hand; not
tuned: trained ones lose a thousandth."""
LEAST_SQUARES_STEPS = 500
"""Accelerated steps where there are no networks to begin at. Set by hand: enough for spectra at
cosines of 0.99; a step is one product of the concentrations with the Gram matrix."""


def unmix_white(
    network_options: AmortisedOptions,
    refine_steps: int,
    uses_networks: bool,
    networks: AmortisedParams,
    x: Float[Array, "n c"],
) -> UnmixedSpectra:
    """Whitened spectra unmixed by networks, or by least squares alone; then refined.

    Args:
        network_options: of the networks.
        refine_steps: projected gradient steps after the networks, on the components that these
            found in a spectrum.
        uses_networks: without, all components may take part, and there are at least
            `LEAST_SQUARES_STEPS` steps.
        networks: their parameters and the components.
        x: whitened spectra.
    """
    dictionary = networks.dictionary
    if uses_networks:
        unmixed = unmix(network_options, networks, x)
        concentrations, support = unmixed.concentrations, unmixed.gates
        if not refine_steps:
            return unmixed
    else:
        refine_steps = max(refine_steps, LEAST_SQUARES_STEPS)
        support = jnp.ones((len(x), len(dictionary.components)))
        concentrations = jnp.zeros_like(support)
    concentrations = nonnegative_least_squares(
        concentrations,
        jnp.matmul(x, dictionary.components.T, precision="highest"),
        dictionary.gram,
        support,
        refine_steps,
        non_negative=network_options.non_negative,
    )
    reconstruction = concentrations @ dictionary.components
    return UnmixedSpectra(reconstruction, concentrations, dictionary.components, support)


def networks_explain(
    network_options: AmortisedOptions,
    networks: AmortisedParams,
    x: Float[Array, "n c"],
    mesh: Mesh | None = None,
) -> bool:
    """Whether networks explain whitened spectra about as well as non-negative least squares.

    Args:
        network_options: of the networks.
        networks: their parameters and the components.
        x: whitened spectra; of more than `BLOCK_ROWS`, as many are taken evenly.
        mesh: see `block_functions`.
    """
    x = np.asarray(x[:: -(-len(x) // BLOCK_ROWS)], np.float32)
    total = np.sum((x - np.mean(x)) ** 2)
    # Padded as `UnmixingModel.transform` pads it, so that both compile one program.
    x = next(padded_blocks(x))
    unmix = partial(block_functions(mesh).unmix_white, network_options, 0)
    errors = [
        jnp.sum((x - unmix(by_networks, networks, x).reconstruction) ** 2)
        for by_networks in (True, False)
    ]
    return bool(errors[0] <= errors[1] + MAX_NETWORK_LOSS * total)


class BlockFunctions(NamedTuple):
    """Functions of a block of spectra under jit."""

    unmix_white: Callable[..., UnmixedSpectra]
    reduced_chi2: Callable[..., Array]


@cache
def block_functions(mesh: Mesh | None) -> BlockFunctions:
    """Functions under jit; each device of a mesh computes a share of the spectra, None is one."""
    return BlockFunctions(
        compile_by_rows(mesh, unmix_white, 4, static_argnums=(0, 1, 2)),
        compile_by_rows(mesh, spectrum_reduced_chi2, 0, 1),
    )


def padded_blocks(rows: Float32[np.ndarray, "n m"]) -> Iterator[Float32[np.ndarray, "l m"]]:
    """Blocks of rows, the last padded with zero rows to a power of two: few shapes to compile.

    >>> [len(block) for block in padded_blocks(np.ones((4099, 2), np.float32))]
    [4096, 4]
    """
    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        missing = (1 << (len(block) - 1).bit_length()) - len(block)
        yield np.pad(block, ((0, missing), (0, 0))) if missing else block
