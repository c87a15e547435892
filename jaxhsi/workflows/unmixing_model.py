"""What a finished run of gMCR keeps: components, noise, mixing and the networks for new spectra."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Float32

from jaxhsi.gmcr.amortised import AmortisedParams
from jaxhsi.gmcr.amortised_training import unmix_stream
from jaxhsi.gmcr.mixing import FORWARD_MODELS, ForwardModel
from jaxhsi.gmcr.noise_covariance import NoiseModel
from jaxhsi.gmcr.options import AmortisedOptions
from jaxhsi.gmcr.whitened_solution import spectra_whitening
from jaxhsi.precision import with_float32_products
from jaxhsi.sharding import replicate
from jaxhsi.workflows.spectra_blocks import block_functions, padded_blocks

LINEARISATION_STEPS = 8
"""Fixed-point steps by which new spectra are linearised under a mixing that is not linear. Set
by hand; one more step costs one more pass of the networks."""

FILLING_STEPS = 20
"""Steps by which missing values of new spectra are filled; the error falls by the share of a
component that is missing with each. Set by hand."""


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

    @with_float32_products
    def transform(
        self,
        spectra: Float32[np.ndarray, "n c"],
        refine_steps: int = 0,
        mesh: Mesh | None = None,
    ) -> Float32[np.ndarray, "n k"]:
        """Concentrations of new spectra, block by block, in the memory of one block.

        Where mixing is not linear, what it adds to linear mixing is subtracted and the rest unmixed
        anew, eight times; unless each spectrum has mixing parameters of its own, which networks
        do not know: such spectra are unmixed as linear mixtures.

        Args:
            spectra: in the units of the data that the run was made of.
            refine_steps: projected gradient steps after the networks, on the components that
                these found in a spectrum, see `jaxhsi.gmcr.nnls`.
            mesh: devices that each compute a share of every block; None for one.
        """
        if self.shared_mixing is None:
            return self._unit_concentrations(spectra, refine_steps, mesh) / self.component_norms
        concentrations = self._unit_concentrations(spectra, 0, mesh)
        for step in range(1, LINEARISATION_STEPS + 1):
            linearised = spectra - (self.mix(concentrations) - concentrations @ self.components)
            steps = refine_steps if step == LINEARISATION_STEPS else 0
            concentrations = self._unit_concentrations(linearised, steps, mesh)
        return concentrations / self.component_norms

    def fill_missing(
        self,
        spectra: Float32[np.ndarray, "n c"],
        missing_mask: Bool[np.ndarray, "n c"],
        refine_steps: int = 0,
        mesh: Mesh | None = None,
    ) -> Float32[np.ndarray, "n c"]:
        """Spectra with what the mixture of their other values expects where values are missing.

        Concentrations and expected values in turn: the residual of the values that are there cannot
        grow by a step of least squares, and missing ones have none in the end (Dempster, Laird and
        Rubin 1977, J. R. Stat. Soc. B 39, 1).

        Args:
            spectra: in the units of the data, rough values where they are missing.
            missing_mask: of these.
            refine_steps: see `transform`.
            mesh: likewise.
        """
        has_gap = missing_mask.any(axis=1)
        part, mask = spectra[has_gap], missing_mask[has_gap]
        for _ in range(FILLING_STEPS):
            concentrations = self.transform(part, refine_steps, mesh) * self.component_norms
            part = np.where(mask, self.mix(concentrations) + self.offset, part)
        filled = spectra.copy()
        filled[has_gap] = part
        return filled

    @with_float32_products
    def evaluate(
        self,
        spectra: Float32[np.ndarray, "n c"],
        concentrations: Float32[np.ndarray, "n k"],
        mesh: Mesh | None = None,
    ) -> FitEvaluation:
        """Compare spectra with the mixtures of concentrations; uses no networks.

        Args:
            spectra: in the units of the data.
            concentrations: of the reported components, as `transform` returns them.
            mesh: devices that each compute a share of every block; None for one.
        """
        unit, dictionary = np.float32(self.data_unit), self.networks.dictionary
        concentrations = concentrations * self.component_norms
        linear = mixed = concentrations @ self.components
        linearised = spectra
        if self.shared_mixing is not None:
            mixed = self.mix(concentrations)
            linearised = spectra - (mixed - linear)
        blocks = zip(padded_blocks(linearised), padded_blocks(concentrations), strict=True)
        compiled_chi2 = block_functions(mesh).reduced_chi2
        reduced_chi2 = [
            compiled_chi2(
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
        self, spectra: Float32[np.ndarray, "n c"], refine_steps: int, mesh: Mesh | None
    ) -> Float32[np.ndarray, "n k"]:
        """Concentrations of the unit rows in linear mixtures."""
        unit = np.float32(self.data_unit)
        networks = self.networks if mesh is None else replicate(mesh, self.networks)
        whitened = (self._whiten(block / unit) for block in padded_blocks(spectra))
        compiled_unmix = block_functions(mesh).unmix_white
        unmix = partial(compiled_unmix, self.network_options, refine_steps, self.uses_networks)
        parts = [part.concentrations for part in unmix_stream(unmix, networks, whitened)]
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
