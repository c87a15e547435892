"""Pictures of an unmixing result."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxhsi.data.tables.spectra_table import SpectraTable
from jaxhsi.data.tables.truth import GroundTruth
from jaxhsi.report import spectra_plots
from jaxhsi.report.component_count import plot_component_count
from jaxhsi.report.concentration_profiles import plot_profiles
from jaxhsi.report.left_out_values import plot_left_out_values
from jaxhsi.report.place_maps import find_place_grid, plot_place_maps
from jaxhsi.training.metrics_writer import METRICS_FILE
from jaxhsi.unmixing_result import UnmixingResult
from jaxhsi.workflows.gmcr_scores import ComponentMatch, match_components


def draw_pictures(
    folder: Path,
    table: SpectraTable,
    result: UnmixingResult,
    ground_truth: GroundTruth | None,
    phase_steps: int | None = None,
    run_lengths: tuple[int, ...] | None = None,
) -> None:
    """Pictures of components and their ranges, concentrations, residual, training and count.

    Args:
        folder: of the run.
        table: the spectra.
        result: their components and concentrations.
        ground_truth: true components, or None.
        phase_steps: steps of a phase of the solver; None for a method without phases.
        run_lengths: samples of each run, of samples in an order; None where they are in none.
    """
    component_match = match_components(result.components, ground_truth)
    picture_folder = folder / "pictures"
    titles, true_spectra, true_concentrations = result.component_names, None, None
    if ground_truth is not None and component_match is not None:
        titles = tuple(
            f"{name}: {_match_title(i, ground_truth, component_match)}"
            for i, name in enumerate(titles)
        )
        true_spectra = _matched_columns(ground_truth.components.T, component_match).T
        if ground_truth.concentrations is not None:
            norms = np.linalg.norm(
                ground_truth.components, axis=1
            )  # estimated components are unit rows
            true_concentrations = _matched_columns(
                ground_truth.concentrations * norms, component_match
            )
    spectra_plots.plot_components(
        picture_folder / "components.png",
        result.components,
        titles,
        truth=true_spectra,
        ranges=None if result.ranges is None else result.ranges.component_ranges,
        axis=table.axis,
        axis_name=table.axis_name,
    )
    spectra_plots.plot_concentrations(
        picture_folder / "concentrations.png",
        result.concentrations,
        true_concentrations,
        table.sample_names,
    )
    place_grid = find_place_grid(table.references)
    if place_grid is not None:
        picture = picture_folder / "maps.png"
        plot_place_maps(picture, result.concentrations, result.component_names, place_grid)
    if run_lengths is not None:
        plot_profiles(
            picture_folder / "profiles.png",
            result.concentrations,
            result.component_names,
            run_lengths,
            sample_axis=table.sample_axis,
            sample_axis_name=table.sample_axis_name,
        )
    reconstruction = result.reconstruct(result.concentrations, with_offset=False)
    residual = result.subtract_offset(table.spectra) - reconstruction
    spectra_plots.plot_residual(
        picture_folder / "residual.png",
        residual,
        result.noise_deviation,
        table.axis,
        table.axis_name,
    )
    if result.left_out_mask is not None:
        picture = picture_folder / "left_out_values.png"
        plot_left_out_values(picture, table, result.left_out_mask)
    spectra_plots.plot_training(picture_folder / "training.png", folder / METRICS_FILE, phase_steps)
    if result.diagnostics is not None:
        true_count = None if ground_truth is None else len(ground_truth.components)
        plot_component_count(
            picture_folder / "count.png",
            result.diagnostics,
            result.num_components,
            true_count,
            result.misfit_curve,
            result.tolerance,
        )


def _match_title(i: int, ground_truth: GroundTruth, component_match: ComponentMatch) -> str:
    true_index = component_match.true_index[i]
    if true_index < 0:
        return "not in the truth"
    name = (
        ground_truth.component_names[true_index]
        if ground_truth.component_names
        else f"true {true_index + 1}"
    )
    return f"{name}, cosine {component_match.cosine[i]:.3f}"


def _matched_columns(
    columns: Float[np.ndarray, "m t"], component_match: ComponentMatch
) -> Float[np.ndarray, "m k"]:
    """The true columns in the order of the estimated ones, NaN where none is matched."""
    chosen = columns[:, np.maximum(component_match.true_index, 0)].astype(np.float64)
    return np.where(component_match.true_index >= 0, chosen, np.nan)
