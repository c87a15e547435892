"""Scores of an unmixing result: its fit, and the truth where that is known."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxhsi.data.tables.spectra_table import SpectraTable
from jaxhsi.data.tables.truth import GroundTruth
from jaxhsi.gmcr.metrics import fit_sums, matched_cosines, nmse, r2, variance_share
from jaxhsi.gmcr.noise_covariance import noise_whitener
from jaxhsi.report.component_count import (
    diagnostic_scores,
    tolerance_scores,
)
from jaxhsi.report.component_ranges import range_scores
from jaxhsi.report.csv_files import numbered_names
from jaxhsi.report.left_out_values import left_out_scores
from jaxhsi.report.noise import noise_scores
from jaxhsi.unmixing_result import UnmixingResult


class ComponentMatch(NamedTuple):
    """Pairs of estimated and true components.

    Attributes:
        true_index: true component of each estimated one, -1 where there is none.
        cosine: of both spectra, NaN where there is none.
    """

    true_index: Int[np.ndarray, " k"]
    cosine: Float[np.ndarray, " k"]


def match_components(
    components: Float[np.ndarray, "k c"], ground_truth: GroundTruth | None
) -> ComponentMatch | None:
    """Pair estimated and true components so that the sum of cosines is largest.

    >>> true_components = np.eye(3)[:2]
    >>> match_components(np.eye(3)[::-1], GroundTruth(true_components)).true_index
    array([-1,  1,  0])
    """
    if ground_truth is None:
        return None
    cosines, rows, true_rows = matched_cosines(components, ground_truth.components)
    count = len(components)
    component_match = ComponentMatch(np.full(count, -1), np.full(count, np.nan))
    component_match.true_index[rows], component_match.cosine[rows] = true_rows, cosines
    return component_match


def noise_free_spectra(ground_truth: GroundTruth | None) -> Float[np.ndarray, "n c"] | None:
    """Noise-free data as given, or as the linear mixture of what is given, or None."""
    if ground_truth is None:
        return None
    if ground_truth.clean is None and ground_truth.concentrations is not None:
        return ground_truth.concentrations @ ground_truth.components
    return ground_truth.clean


# Scores -------------------------------------------------------------------------------------------


def fit_scores(
    spectra: Float[np.ndarray, "n c"],
    reconstruction: Float[np.ndarray, "n c"],
    ground_truth: GroundTruth | None,
) -> dict[str, float]:
    """Normalised MSE and R2 of a reconstruction; also against noise-free data where known."""
    squared_sums = fit_sums(jnp.asarray(spectra), jnp.asarray(reconstruction))
    scores = {"r2": float(r2(squared_sums)), "nmse": float(nmse(squared_sums))}
    clean_spectra = noise_free_spectra(ground_truth)
    if clean_spectra is not None:
        scores["r2_noise_free"] = _r2(clean_spectra, reconstruction)
    return scores


def result_scores(
    table: SpectraTable,
    result: UnmixingResult,
    ground_truth: GroundTruth | None,
    devices: int | None = None,
) -> dict[str, Any]:
    """What ``scores.json`` holds of a result, and of the networks on the same spectra."""
    spectra = result.subtract_offset(table.spectra)
    scores = _solver_scores(spectra, result, ground_truth)
    network_concentrations = result.transform(table.spectra, devices=devices)
    reconstruction = result.reconstruct(network_concentrations, with_offset=False)
    scores["converged"] = result.converged
    measured = _without_left_out(spectra, reconstruction, result)
    scores["networks"] = fit_scores(measured, reconstruction, ground_truth)
    scores["networks"]["used"] = result.model.uses_networks
    scores["noise"] = _noise_scores(table, result)
    if result.left_out_mask is not None:
        scores["left_out"] = left_out_scores(table, result.left_out_mask)
    scores["warnings"] = list(result.warnings)
    if result.fit_comparison is not None:
        scores["fit_comparison"] = result.fit_comparison._asdict()
    if result.diagnostics is not None:
        scores["diagnostics"] = diagnostic_scores(result.diagnostics, result.restarts)
    if result.misfit_curve is not None:
        is_image = bool(table.cubes)
        scores["tolerance"] = tolerance_scores(
            result.misfit_curve, result.tolerance, is_image=is_image
        )
    if result.ranges is not None:
        scores["ranges"] = range_scores(result.ranges)
    if result.goodness_of_fit is not None:
        fit_statistics = result.goodness_of_fit._asdict().items()
        scores["goodness_of_fit"] = {
            name: np.asarray(part).tolist() for name, part in fit_statistics
        }
    return scores


def _without_left_out(
    spectra: Float[np.ndarray, "n c"],
    reconstruction: Float[np.ndarray, "n c"],
    result: UnmixingResult,
) -> Float[np.ndarray, "n c"]:
    """Spectra whose spikes and clipped values, not part of the fit, count as explained."""
    mask = result.left_out_mask
    return spectra if mask is None else np.where(mask, reconstruction, spectra)


def _solver_scores(
    spectra: Float[np.ndarray, "n c"], result: UnmixingResult, ground_truth: GroundTruth | None
) -> dict[str, Any]:
    components, concentrations = result.components, result.concentrations
    reconstruction = result.reconstruct(concentrations, with_offset=False)
    spectra = _without_left_out(spectra, reconstruction, result)
    # Where noise is white, or a component of quiet bands would seem to explain nothing, and one
    # under a strong baseline less than nothing.
    whitener = None
    if result.noise_model is not None:
        whitener = noise_whitener(result.noise_model, spectra.shape[1])
    rows_white = [
        rows if whitener is None else whitener.transform(rows) for rows in (spectra, components)
    ]
    shares = variance_share(rows_white[0], concentrations, rows_white[1])
    scores = {
        "num_components": result.num_components,
        **fit_scores(spectra, reconstruction, ground_truth),
        "variance_share": shares.tolist(),
    }
    component_match = match_components(components, ground_truth)
    if ground_truth is None or component_match is None:
        return scores
    pair_cosines = component_match.cosine[component_match.true_index >= 0]
    scores |= {
        "true_components": len(ground_truth.components),
        "matched_cosine_mean": float(pair_cosines.mean()),
        "matched_cosine_min": float(pair_cosines.min()),
        "matched": component_match.true_index.tolist(),
        "matched_names": _matched_names(ground_truth, component_match),
        "matched_cosines": component_match.cosine.tolist(),
    }
    if ground_truth.concentrations is not None and len(ground_truth.concentrations) == len(spectra):
        scores["concentration_error"] = concentration_error(
            concentrations, ground_truth, component_match
        )
    clean_spectra = noise_free_spectra(ground_truth)
    if clean_spectra is not None:  # a fit above this score has fitted noise
        scores["r2_of_truth"] = _r2(spectra, clean_spectra)
    return scores


def _matched_names(ground_truth: GroundTruth, component_match: ComponentMatch) -> list[str | None]:
    """Name of the true component of each estimated one, None where there is none."""
    names = numbered_names(len(ground_truth.components), ground_truth.component_names)
    return [None if i < 0 else names[i] for i in component_match.true_index.tolist()]


def concentration_error(
    concentrations: Float[np.ndarray, "n k"],
    ground_truth: GroundTruth,
    component_match: ComponentMatch,
) -> float | None:
    """Relative error of the concentrations of matched components, whatever their units.

    The columns of each component are brought to the size of its true ones by least squares; the
    error is the root of the sum of squared differences over that of the true columns, each
    weighted by the size of its spectrum. None where nothing is matched.

    >>> truth = GroundTruth(np.eye(2), np.array([[1.0, 0], [0, 2], [1, 1]]))
    >>> match = ComponentMatch(np.array([1, 0]), np.ones(2))
    >>> round(concentration_error(5 * truth.concentrations[:, ::-1], truth, match), 6)
    0.0
    """
    error = total = 0.0
    for column, true_index in enumerate(component_match.true_index):
        if true_index < 0 or ground_truth.concentrations is None:
            continue
        weight = float(np.linalg.norm(ground_truth.components[true_index]))
        true = ground_truth.concentrations[:, true_index].astype(np.float64) * weight
        estimate = concentrations[:, column].astype(np.float64)
        size = float(estimate @ estimate)
        scale = float(estimate @ true) / size if size > 0 else 0.0
        error += float(((scale * estimate - true) ** 2).sum())
        total += float((true**2).sum())
    return float(np.sqrt(error / total)) if total > 0 else None


def _noise_scores(table: SpectraTable, result: UnmixingResult) -> dict[str, Any]:
    noise_level, noise_exponent = (float(part) for part in result.noise_level)
    scores = {"level": noise_level, "exponent": noise_exponent, "unit": result.model.data_unit}
    if result.noise_model is None:
        return scores
    signal_rms = np.sqrt(np.mean(table.spectra.astype(np.float64) ** 2, axis=1))
    noise_share = float(np.median(result.noise_deviation / signal_rms))
    return scores | noise_scores(result.noise_model, noise_share, result.model.data_unit)


def _r2(x: Float[np.ndarray, "n c"], reconstruction: Float[np.ndarray, "n c"]) -> float:
    return float(r2(fit_sums(jnp.asarray(x), jnp.asarray(reconstruction))))
