"""What a finished run of gMCR keeps: components, noise, mixing and the networks for new spectra."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32

from jaxhsi.gmcr.amortised import AmortisedParams, unmix
from jaxhsi.gmcr.amortised_training import unmix_stream
from jaxhsi.gmcr.goodness_of_fit import spectrum_reduced_chi2
from jaxhsi.gmcr.mixing import FORWARD_MODELS, ForwardModel, UnmixedSpectra
from jaxhsi.gmcr.nnls import nonnegative_least_squares
from jaxhsi.gmcr.noise_covariance import NoiseModel
from jaxhsi.gmcr.options import AmortisedOptions
from jaxhsi.gmcr.whitened_solution import spectra_whitening

BLOCK_ROWS = 4096
"""Spectra that the networks take at a time. Set by hand: 4096 x 200 bands are 3 MB; the result does
not depend on it."""

LINEARISATION_STEPS = 8
"""Fixed-point steps by which new spectra are linearised under a mixing that is not linear. Set
by hand; one more step costs one more pass of the networks."""

FILLING_STEPS = 20
"""Steps by which missing values of new spectra are filled; the error falls by the share of a
component that is missing with each. Set by hand."""


MAX_NETWORK_LOSS = 0.1
"""Share of the variance that networks may explain less than least squares do. Chosen by hand; not
tuned: trained ones lose a thousandth."""
LEAST_SQUARES_STEPS = 500
"""Accelerated steps where there are no networks to begin at. Set by hand: enough for spectra at
cosines of 0.99; a step is one product of the concentrations with the Gram matrix."""


class FitEvaluation(NamedTuple):
    """How well concentrations explain spectra, in the units of the data.

    Attributes:
        spectra: the spectra without the offset that all of them have.
        reconstruction: the model's spectra, without offset.
        reduced_chi2: squared residual where noise is white, over its expectation, per degree of
            freedom of each spectrum: about 1 is noise alone.
    """

    spectra: Float32[np.ndarray, "n c"]
    reconstruction: Float32[np.ndarray, "n c"]
    reduced_chi2: Float32[np.ndarray, " n"]


@dataclass(frozen=True, kw_only=True, eq=False)
class UnmixingModel:
    """All that is needed to unmix new spectra as a run does.

    Attributes:
        components: unit rows (k, c).
        component_names: theirs.
        data_unit: number that data are divided by before anything else.
        component_norms: lengths of the reported components, by which concentrations are divided; 1
            unless a prior (closure) fixes the scale of concentrations.
        noise_model: covariance and offset of the noise of data divided by ``data_unit``, without
            spikes.
        networks: parameters of the gating and concentration networks, which take whitened data.
        network_options: options of the networks.
        mixing: "linear" or a name in `jaxhsi.gmcr.mixing.FORWARD_MODELS`.
        mixing_parameters: parameters of that model; empty where each spectrum has its own.
        axis: number of each band (wavelength, wavenumber, ...), or None.
        axis_name: name and unit of the axis, or empty.
        uses_networks: new spectra are unmixed by the networks; where their training failed, by
            non-negative least squares on all components.
    """

    components: Float32[np.ndarray, "k c"]
    component_names: tuple[str, ...]
    data_unit: float
    component_norms: Float32[np.ndarray, " k"]
    noise_model: NoiseModel
    networks: AmortisedParams
    network_options: AmortisedOptions
    mixing: str = "linear"
    mixing_parameters: Any = ()
    axis: Float[np.ndarray, " c"] | None = None
    axis_name: str = ""
    uses_networks: bool = True

    @cached_property
    def _whiten(self) -> Any:
        """The map of scaled spectra to where noise is white; one Cholesky factor a model."""
        return spectra_whitening(self.noise_model)

    @cached_property
    def shared_mixing(self) -> ForwardModel | None:
        """The mixing model if it is not linear and its parameters hold for new spectra, or None."""
        model = None if self.mixing == "linear" else FORWARD_MODELS[self.mixing]()
        return None if model is None or model.per_spectrum else model

    @property
    def offset(self) -> Float32[np.ndarray, " c"]:
        """Constant spectrum in all spectra, in the units of the data."""
        return np.asarray(self.noise_model.offset, np.float32) * np.float32(self.data_unit)

    def transform(
        self, spectra: Float32[np.ndarray, "n c"], refine_steps: int = 0
    ) -> Float32[np.ndarray, "n k"]:
        """Concentrations of new spectra, block by block, in the memory of one block.

        Where mixing is not linear, what it adds to linear mixing is subtracted and the rest unmixed
        anew, eight times; unless each spectrum has mixing parameters of its own, which networks
        do not know: such spectra are unmixed as linear mixtures.

        Args:
            spectra: in the units of the data that the run was made of.
            refine_steps: projected gradient steps after the networks, on the components that
                these found in a spectrum, see `jaxhsi.gmcr.nnls`.
        """
        if self.shared_mixing is None:
            return self._unit_concentrations(spectra, refine_steps) / self.component_norms
        concentrations = self._unit_concentrations(spectra, 0)
        for step in range(1, LINEARISATION_STEPS + 1):
            linearised = spectra - (self.mix(concentrations) - concentrations @ self.components)
            steps = refine_steps if step == LINEARISATION_STEPS else 0
            concentrations = self._unit_concentrations(linearised, steps)
        return concentrations / self.component_norms

    def fill_missing(
        self,
        spectra: Float32[np.ndarray, "n c"],
        missing_mask: Bool[np.ndarray, "n c"],
        refine_steps: int = 0,
    ) -> Float32[np.ndarray, "n c"]:
        """Spectra with what the mixture of their other values expects where values are missing.

        Concentrations and expected values in turn: the residual of the values that are there cannot
        grow by a step of least squares, and missing ones have none in the end (Dempster, Laird and
        Rubin 1977, J. R. Stat. Soc. B 39, 1).

        Args:
            spectra: in the units of the data, rough values where they are missing.
            missing_mask: of these.
            refine_steps: see `transform`.
        """
        has_gap = missing_mask.any(axis=1)
        part, mask = spectra[has_gap], missing_mask[has_gap]
        for _ in range(FILLING_STEPS):
            concentrations = self.transform(part, refine_steps) * self.component_norms
            part = np.where(mask, self.mix(concentrations) + self.offset, part)
        filled = spectra.copy()
        filled[has_gap] = part
        return filled

    def evaluate(
        self, spectra: Float32[np.ndarray, "n c"], concentrations: Float32[np.ndarray, "n k"]
    ) -> FitEvaluation:
        """Compare spectra with the mixtures of concentrations; uses no networks.

        Args:
            spectra: in the units of the data.
            concentrations: of the reported components, as `transform` returns them.
        """
        unit, dictionary = np.float32(self.data_unit), self.networks.dictionary
        concentrations = concentrations * self.component_norms
        linear = mixed = concentrations @ self.components
        linearised = spectra
        if self.shared_mixing is not None:
            mixed = self.mix(concentrations)
            linearised = spectra - (mixed - linear)
        blocks = zip(padded_blocks(linearised), padded_blocks(concentrations), strict=True)
        reduced_chi2 = [
            _reduced_chi2(
                self._whiten(x / unit), c / unit, dictionary.components, dictionary.noise_level
            )
            for x, c in blocks
        ]
        without_offset = spectra - self.offset if self.offset.any() else spectra
        return FitEvaluation(without_offset, mixed, np.concatenate(reduced_chi2)[: len(spectra)])

    def mix(self, concentrations: Float32[np.ndarray, "n k"]) -> Float32[np.ndarray, "n c"]:
        """Mixtures of the unit rows under the shared mixing model, block by block."""
        if self.shared_mixing is None:
            return concentrations @ self.components
        arguments = self.shared_mixing, self.mixing_parameters, self.components
        parts = [mixed_spectra(*arguments, block) for block in padded_blocks(concentrations)]
        return np.concatenate(parts)[: len(concentrations)]

    def _unit_concentrations(
        self, spectra: Float32[np.ndarray, "n c"], refine_steps: int
    ) -> Float32[np.ndarray, "n k"]:
        """Concentrations of the unit rows in linear mixtures."""
        unit = np.float32(self.data_unit)
        whitened = (self._whiten(block / unit) for block in padded_blocks(spectra))
        unmix = partial(unmix_white, self.network_options, refine_steps, self.uses_networks)
        parts = [part.concentrations for part in unmix_stream(unmix, self.networks, whitened)]
        return np.concatenate(parts)[: len(spectra)] * unit


def mixed_spectra(
    forward: ForwardModel,
    mixing_parameters: Any,
    components: Float32[np.ndarray, "k c"],
    concentrations: Float32[np.ndarray, "n k"],
) -> Float32[np.ndarray, "n c"]:
    """Mixtures of components by a model that is not linear."""
    arrays = jnp.asarray(concentrations), jnp.asarray(components)
    return np.asarray(_forward_spectra(forward, mixing_parameters, *arrays))


@partial(jax.jit, static_argnames="forward")
def _forward_spectra(forward: ForwardModel, mixing_parameters: Any, c: Array, s: Array) -> Array:
    return forward.mix(mixing_parameters, c, s)


@partial(jax.jit, static_argnames=("network_options", "refine_steps", "uses_networks"))
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
    network_options: AmortisedOptions, networks: AmortisedParams, x: Float[Array, "n c"]
) -> bool:
    """Whether networks explain whitened spectra about as well as non-negative least squares.

    Args:
        network_options: of the networks.
        networks: their parameters and the components.
        x: whitened spectra; of more than `BLOCK_ROWS`, as many are taken evenly.
    """
    x = np.asarray(x[:: -(-len(x) // BLOCK_ROWS)], np.float32)
    total = np.sum((x - np.mean(x)) ** 2)
    # Padded as `UnmixingModel.transform` pads it, so that both compile one program.
    x = next(padded_blocks(x))
    errors = [
        jnp.sum((x - unmix_white(network_options, 0, by_networks, networks, x).reconstruction) ** 2)
        for by_networks in (True, False)
    ]
    return bool(errors[0] <= errors[1] + MAX_NETWORK_LOSS * total)


_reduced_chi2 = jax.jit(spectrum_reduced_chi2)


def padded_blocks(rows: Float32[np.ndarray, "n m"]) -> Iterator[Float32[np.ndarray, "l m"]]:
    """Blocks of rows, the last padded with zero rows to a power of two: few shapes to compile.

    >>> [len(block) for block in padded_blocks(np.ones((4099, 2), np.float32))]
    [4096, 4]
    """
    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        missing = (1 << (len(block) - 1).bit_length()) - len(block)
        yield np.pad(block, ((0, missing), (0, 0))) if missing else block
