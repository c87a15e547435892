"""What unmixing a table of spectra gives: components, concentrations, and how sure they are."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np
from jaxtyping import Array, Bool, Float, Float32

from jaxhsi.gmcr.diagnostics import CountInterval, ModelConfidence
from jaxhsi.gmcr.fit_comparison import FitComparison, fit_warnings
from jaxhsi.gmcr.goodness_of_fit import GoodnessOfFit
from jaxhsi.gmcr.misfit_curve import MisfitCurve
from jaxhsi.gmcr.mixing import FORWARD_MODELS
from jaxhsi.gmcr.noise_covariance import NoiseModel
from jaxhsi.gmcr.noise_model import SignalDependentNoise
from jaxhsi.gmcr.rotational_ambiguity import BandBoundaries
from jaxhsi.gmcr.solution import RestartVote
from jaxhsi.storage.checked_arrays import write_checked_npz
from jaxhsi.table_sharding import several_devices
from jaxhsi.training.run_files import read_run_arrays
from jaxhsi.workflows.npz_files import add_arrays, tree_of_arrays
from jaxhsi.workflows.unmixing_model import (
    FitEvaluation,
    UnmixingModel,
    mixed_spectra,
)
from jaxhsi.workflows.unmixing_model_file import (
    read_mixing_parameters,
    read_unmixing_model,
    write_unmixing_model,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODEL_FILE = "solution.npz"
"""What unmixes new spectra, see `jaxhsi.workflows.unmixing_model`."""
RESULT_FILE = "result.npz"
"""All else: concentrations of the run's own spectra, noise, diagnostics and ranges."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class UnmixingResult:
    """Components of a table of spectra, their concentrations, and how sure both are.

    X = C S + offset + noise, with concentrations C (n, k) and components S (k, c); under another
    mixing, C S is the argument of a forward model. All arrays are in the units of the data unless
    said otherwise.

    Attributes:
        model: what unmixes new spectra.
        components: S, unit rows unless a prior (closure) fixes the scale of concentrations.
        concentrations: C, of the spectra that were unmixed.
        noise_deviation: standard deviation of the noise of each spectrum.
        noise_level: how the noise variance depends on the signal, for data divided by
            ``model.data_unit``.
        noise_model: covariance, offset and spikes of the noise, for data divided by
            ``model.data_unit``; None where the method does not estimate them.
        converged: whether the algorithm stopped by itself; if not, the result is uncertain.
        mixing_parameters: of the forward model, those of each spectrum's own included.
        goodness_of_fit: residuals against the noise, and a test of the mixing model.
        diagnostics: confidence of each component and plausible numbers of components.
        restarts: numbers of components and description lengths of the restarts.
        ranges: extremes of each component over results that fit equally well; None if not asked
            for, or of more than 24 components.
        misfit_curve: what each number of components would leave of the data beyond the noise.
        tolerance: relative misfit below which structure was not counted; 0 is the noise.
        fit_comparison: residual beside those of simpler methods told the same number; None where
            these do not apply.
        transform_function: concentrations of new spectra where ``model`` is not what gives them
            (upstream's networks), else None.
        source_array: the xarray array that was unmixed, if it was one, see `to_xarray`.

    Examples:
        >>> import jaxhsi
        >>> result = jaxhsi.unmix(spectra)  # doctest: +SKIP
        >>> result.num_components, result.confidence  # doctest: +SKIP
        >>> result.transform(new_spectra)  # doctest: +SKIP
    """

    model: UnmixingModel
    components: Float32[np.ndarray, "k c"]
    concentrations: Float32[np.ndarray, "n k"]
    noise_deviation: Float32[np.ndarray, " n"]
    noise_level: SignalDependentNoise
    noise_model: NoiseModel | None = None
    converged: bool = True
    mixing_parameters: Any = ()
    goodness_of_fit: GoodnessOfFit | None = None
    diagnostics: ModelConfidence | None = None
    restarts: RestartVote | None = None
    ranges: BandBoundaries | None = None
    misfit_curve: MisfitCurve | None = None
    tolerance: float = 0.0
    fit_comparison: FitComparison | None = None
    transform_function: Callable[[np.ndarray], np.ndarray] | None = None
    source_array: Any = None

    @property
    def num_components(self) -> int:
        """Number of components, k."""
        return len(self.components)

    @property
    def component_names(self) -> tuple[str, ...]:
        """Names from the library, or numbers from 1."""
        return self.model.component_names

    @property
    def confidence(self) -> Float32[np.ndarray, " k"] | None:
        """How sure each component is, 0 to 1; None where not estimated."""
        return None if self.diagnostics is None else self.diagnostics.component_confidence

    @property
    def plausible_counts(self) -> CountInterval | None:
        """Least and largest number of components that the data do not rule out."""
        return None if self.diagnostics is None else self.diagnostics.plausible_counts

    @property
    def offset(self) -> Float32[np.ndarray, " c"]:
        """Constant spectrum in all spectra, zeros if there is none."""
        return self.model.offset

    @property
    def signal_shares(self) -> Float[np.ndarray, " k"]:
        """Share of each component in the sum of the sizes of all contributions."""
        component_norms = np.linalg.norm(self.components, axis=1)
        component_signal = np.abs(self.concentrations).sum(0, dtype=np.float64) * component_norms
        return component_signal / max(component_signal.sum(), np.finfo(float).tiny)

    @property
    def left_out_mask(self) -> Bool[np.ndarray, "n c"] | None:
        """Spikes and clipped values, which took no part in the fit; None if there are none."""
        return None if self.noise_model is None else self.noise_model.spike_mask

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why the result is not to be trusted; empty where nothing speaks against it."""
        return () if self.fit_comparison is None else fit_warnings(self.fit_comparison)

    def transform(
        self,
        spectra: Float[np.ndarray | Array, "m c"],
        refine_steps: int = 0,
        devices: int | None = None,
    ) -> Float32[np.ndarray, "m k"]:
        """Concentrations of new spectra by the trained networks.

        Args:
            spectra: new spectra of the same bands, in the same units.
            refine_steps: projected gradient steps after the networks.
            devices: number of devices to compute on; all if None.
        """
        spectra = np.asarray(spectra, np.float32)
        if self.transform_function is not None:
            return self.transform_function(spectra)
        return self.model.transform(spectra, refine_steps, several_devices(devices))

    def evaluate(
        self,
        spectra: Float32[np.ndarray, "m c"],
        concentrations: Float32[np.ndarray, "m k"],
        devices: int | None = None,
    ) -> FitEvaluation:
        """Compare spectra with the mixtures of concentrations, spectrum by spectrum."""
        return self.model.evaluate(spectra, concentrations, several_devices(devices))

    def reconstruct(
        self, concentrations: Float32[np.ndarray, "n k"], *, with_offset: bool = True
    ) -> Float32[np.ndarray, "n c"]:
        """Spectra of given concentrations.

        Args:
            concentrations: (n, k); under a mixing whose parameters belong to each spectrum, of the
                spectra that were unmixed, in their order.
            with_offset: add the offset that all spectra have.
        """
        if self.model.mixing == "linear":
            mixed = concentrations @ self.components
        else:
            forward, model = FORWARD_MODELS[self.model.mixing](), self.model
            scaled = concentrations * model.component_norms
            mixed = mixed_spectra(forward, self.mixing_parameters, model.components, scaled)
        return mixed + self.offset if with_offset and self.offset.any() else mixed

    def subtract_offset(self, spectra: Float32[np.ndarray, "n c"]) -> Float32[np.ndarray, "n c"]:
        """What mixtures have to explain of the spectra."""
        return spectra - self.offset if self.offset.any() else spectra

    def to_xarray(self) -> Any:
        """Components, concentrations and confidence as an xarray Dataset, with their coordinates.

        Of an image every pixel is unmixed by the networks, and its concentrations are maps with the
        coordinates of the image, NaN where not valid.

        Raises:
            ImportError: xarray is not installed.
        """
        from jaxhsi.unmixing_dataset import result_dataset

        return result_dataset(self)

    def save(self, folder: str | Path) -> None:
        """Write the result into a folder that `load` reads; made if it is not there.

        Raises:
            ValueError: the result is one of upstream's networks, which are saved by their run.
        """
        if self.transform_function is not None:
            raise ValueError("networks of the upstream method are saved in the folder of their run")
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_unmixing_model(folder / MODEL_FILE, self.model)
        arrays: dict[str, Any] = {}
        for field in _saved_fields():
            add_arrays(field, getattr(self, field), arrays)
        write_checked_npz(folder / RESULT_FILE, arrays)

    @classmethod
    def load(cls, folder: str | Path) -> "UnmixingResult":
        """Read what `save` or a run of ``jaxhsi train gmcr`` wrote, bit for bit.

        Raises:
            FileNotFoundError: the folder holds no result.
            ValueError: a file is damaged, or was written by another version.
        """
        folder = Path(folder)
        if not (folder / RESULT_FILE).is_file():
            raise FileNotFoundError(f"{folder} holds no {RESULT_FILE}; name the folder of a result")
        model = read_unmixing_model(folder / MODEL_FILE)
        arrays = read_run_arrays(folder / RESULT_FILE, folder)
        field_types = get_type_hints(cls)
        field_values = {
            name: tree_of_arrays(field_types[name], name, arrays) for name in _saved_fields()
        }
        num_spectra = len(field_values["concentrations"])
        field_values["mixing_parameters"] = read_mixing_parameters(model, num_spectra, arrays)
        field_values["converged"] = bool(field_values["converged"])
        return cls(model=model, **field_values)

    def __repr__(self) -> str:
        """A table of the components, in text."""
        header, *component_rows = self._summary_rows()
        column_widths = [
            max(map(len, column)) for column in zip(header, *component_rows, strict=True)
        ]
        text_lines = [
            "  ".join(
                cell.ljust(width) for cell, width in zip(row, column_widths, strict=True)
            ).rstrip()
            for row in (header, *component_rows)
        ]
        return "\n".join([f"UnmixingResult: {self._summary_line()}", *text_lines])

    def _repr_html_(self) -> str:
        """The same table for notebooks."""
        header, *component_rows = self._summary_rows()
        header_cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
        body_rows = "".join(
            f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>"
            for row in component_rows
        )
        table = f"<table><tr>{header_cells}</tr>{body_rows}</table>"
        return f"<p>{html.escape(self._summary_line())}</p>{table}"

    def _summary_line(self) -> str:
        count, num_bands = self.components.shape
        summary = "".join(f"WARNING {warning}; " for warning in self.warnings)
        summary += f"{count} components of {len(self.concentrations):,} spectra, {num_bands} bands"
        if self.plausible_counts is not None:
            low, high = self.plausible_counts
            summary += f"; plausible: {low}" + f" to {high}" * (high > low)
        return summary if self.converged else f"{summary}; not converged"

    def _summary_rows(self) -> list[list[str]]:
        header = ["component", "share of signal", "in spectra"]
        table_columns: list[Sequence[str]] = [
            self.component_names,
            [f"{share:.1%}" for share in self.signal_shares],
            [f"{used:,}" for used in (self.concentrations != 0).sum(0)],
        ]
        if self.confidence is not None:
            header.append("confidence")
            table_columns.append([f"{each:.2f}" for each in self.confidence])
        return [header, *map(list, zip(*table_columns, strict=True))]

    def plot(self) -> "Figure":
        """A matplotlib figure of the components, with their ranges where these are known."""
        from jaxhsi.report.spectra_plots import components_figure  # matplotlib: only if used

        return components_figure(
            self.components,
            self.component_names,
            ranges=None if self.ranges is None else np.asarray(self.ranges.component_ranges),
            axis=self.model.axis,
            axis_name=self.model.axis_name,
        )


def _saved_fields() -> list[str]:
    apart = ("model", "transform_function", "source_array")
    return [field.name for field in fields(UnmixingResult) if field.name not in apart]
