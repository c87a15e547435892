"""What the report of an unmixing run shows."""

import csv
import math
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from jaxhsi.callbacks import OnProgress, ignore_progress
from jaxhsi.config.files import options_text, read_options
from jaxhsi.data.cube import open_cube
from jaxhsi.report.component_ranges import shaded_range
from jaxhsi.report.csv_files import text_of_csv
from jaxhsi.report.gmcr_sentences import result_sentences
from jaxhsi.report.html_page import encode_array
from jaxhsi.storage.checksums import DamagedFileError
from jaxhsi.training.metrics_writer import METRICS_FILE, read_metric_rows
from jaxhsi.training.run_files import check_run_file, read_run_json
from jaxhsi.training.run_folder import CONFIG_FILE
from jaxhsi.unmixing_result import RESULT_FILE, UnmixingResult
from jaxhsi.workflows.report_notices import run_notices

MAX_REPORT_SAMPLES = 5000
"""Rows of concentrations in a report; set by hand: with 20 components they are 1 MB."""
MAX_MAP_SIDE, TOTAL_MAP_VALUES = 256, 1_500_000
"""Rows or columns of an abundance map, and values of all maps, of two bytes each."""
MAX_MAP_VALUE = 65534
"""Of the steps that a map is stored in; one more means not valid."""


def gmcr_report_data(
    folder: Path, *, thinning: float = 1.0, on_progress: OnProgress = ignore_progress
) -> dict[str, Any]:
    """Data of the page of a run of gmcr.

    Args:
        folder: of the run.
        thinning: factor below 1 by which maps and rows are reduced further.
        on_progress: called after every cube.

    Raises:
        ValueError: a file is damaged.
    """
    scores_path = folder / "scores.json"
    scores = read_run_json(scores_path) if scores_path.is_file() else {}
    config = read_options(folder / CONFIG_FILE)
    has_array = (folder / "concentrations.npy").is_file()
    samples_file = "concentrations.npy" if has_array else "concentrations.csv"
    shown_files = ["components.csv", samples_file, METRICS_FILE]
    # Runs of the upstream method have none.
    shown_files += [RESULT_FILE] * (config.get("method") != "upstream")
    notices = run_notices(folder, "train gmcr", shown_files, is_finished=bool(scores))
    result = _load_result(folder, notices)
    components = _components_data(folder, scores, result)
    names = [each["name"] for each in components["rows"]]
    sentences = []
    if scores and len(names) == scores["num_components"]:
        sentences = result_sentences(
            scores,
            names,
            config.get("mixing", "linear"),
            config.get("num_components"),
            config.get("pretreatment"),
        )
    return {
        "run_name": folder.resolve().name,
        "summary": _summary(scores),
        "notices": notices,
        "sentences": sentences,
        "components": components,
        "samples": _samples_data(folder, int(MAX_REPORT_SAMPLES * thinning)),
        "count": scores.get("diagnostics"),
        "num_components": scores.get("num_components"),
        "true_components": scores.get("true_components"),
        "residual": _residual_data(result),
        "noise": _noise_pairs(scores.get("noise", {})),
        "cubes": _maps_data(folder, list(scores.get("cubes", ())), thinning, on_progress),
        "curves": _training_data(folder / METRICS_FILE),
        "options": options_text(folder / CONFIG_FILE),
    }


def _load_result(folder: Path, notices: list[str]) -> UnmixingResult | None:
    """The result of the run; None, and a notice, where it cannot be read."""
    if not (folder / RESULT_FILE).is_file():
        return None
    try:
        return UnmixingResult.load(folder)
    except DamagedFileError:
        raise
    except ValueError as error:
        notices.append(f"ranges and residuals are not shown: {error}")
        return None


def _summary(scores: dict[str, Any]) -> str:
    if not scores:
        return "not finished"
    parts = [f"{scores['num_components']} components"]
    if "diagnostics" in scores:
        low, high = scores["diagnostics"]["plausible_counts"]
        parts.append(f"plausible: {low}" + f" to {high}" * (high > low))
    if scores.get("r2") is not None:
        parts.append(f"R² on the data {scores['r2']:.4f}")
    return " · ".join(parts)


def _components_data(
    folder: Path, scores: dict[str, Any], result: UnmixingResult | None
) -> dict[str, Any]:
    """Axis and spectra from ``components.csv``; confidence, matches and ranges where known."""
    path = folder / "components.csv"
    if not path.is_file():
        return {"axis": [], "axis_title": "", "rows": []}
    check_run_file(path, folder)
    with path.open(newline="", encoding="utf-8") as csv_file:
        header, *lines = csv.reader(csv_file)
    axis = [float(value) for value in header[1:]]
    has_axis = result is not None and result.model.axis is not None
    diagnostics, ranges = scores.get("diagnostics", {}), scores.get("ranges", {})
    component_ranges = None
    if ranges and result is not None and result.ranges is not None:
        component_ranges = np.asarray(result.ranges.component_ranges)
    rows = []
    for i, (name, *values) in enumerate(lines):
        row = {"name": text_of_csv(name), "values": [float(value) for value in values]}
        if component_ranges is not None:
            low, high = shaded_range(np.array(row["values"]), component_ranges[i])
            row |= {"low": _rounded(low), "high": _rounded(high)}
            row["range_share"] = ranges["signal_share"][i]
            row["range_angle"] = ranges["angle_degrees"][i]
        for key, source in (
            ("confidence", diagnostics.get("confidence")),
            ("share", scores.get("variance_share")),
            ("match", scores.get("matched_names")),
            ("cosine", scores.get("matched_cosines")),
        ):
            row[key] = None if source is None else source[i]
        rows.append(row)
    axis_name = result.model.axis_name if has_axis and result is not None else ""
    return {"axis": axis, "axis_title": axis_name or ("band" if not has_axis else ""), "rows": rows}


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.7g}") for value in values.tolist()]


def _samples_data(folder: Path, max_rows: int) -> dict[str, Any] | None:
    """The first rows of ``concentrations.csv`` or ``.npy``."""
    csv_path, array_path = folder / "concentrations.csv", folder / "concentrations.npy"
    if csv_path.is_file():
        check_run_file(csv_path, folder)
        with csv_path.open(newline="", encoding="utf-8") as csv_file:
            reader = csv.reader(csv_file)
            heads = list(map(text_of_csv, next(reader)))
            rows = [
                [text_of_csv(row[0]), *map(_number_or_text, row[1:])]
                for row in islice(reader, max_rows)
            ]
            total = len(rows) + sum(1 for _ in reader)
        return {"file": csv_path.name, "heads": heads, "rows": rows, "total": total}
    if array_path.is_file():
        check_run_file(array_path, folder)
        values = np.load(array_path, mmap_mode="r")
        heads = ["sample", *(f"component {i + 1}" for i in range(values.shape[1]))]
        rows = [[str(i + 1), *_rounded(row)] for i, row in enumerate(values[:max_rows])]
        return {"file": array_path.name, "heads": heads, "rows": rows, "total": len(values)}
    return None


def _number_or_text(cell: str) -> float | str:
    try:
        value = float(cell)
    except ValueError:
        return text_of_csv(cell)
    return value if math.isfinite(value) else cell


def _residual_data(result: UnmixingResult | None) -> dict[str, Any] | None:
    """Residual of each band and sample in units of the noise: 1 is noise alone."""
    if result is None or result.goodness_of_fit is None:
        return None
    fit = result.goodness_of_fit
    sample_rms = np.sqrt(np.asarray(fit.spectrum_chi2, float))
    step = max(1, -(-len(sample_rms) // MAX_REPORT_SAMPLES))
    return {
        "bands": _rounded(np.sqrt(np.asarray(fit.band_chi2, float))),
        "samples": _rounded(sample_rms[::step]),
        "sample_step": step,
    }


def _noise_pairs(noise: dict[str, Any]) -> list[list[str]]:
    """What the noise was taken to be, as names and values."""
    if "share" not in noise:
        return []
    low, high = noise["offset_range"]
    by_band = f"by a factor of {noise['band_ratio']:.3g} (2 % to 98 % of the bands)"
    pairs = [
        ("size", f"{100 * noise['share']:.3g} % of the signal in the median band"),
        ("depends on the signal", f"variance with the power {noise['exponent']:.3g} of the signal"),
        ("differs by band", by_band if noise["band_ratio"] else "no"),
        ("correlated over bands", str(noise["correlated_bands"] or "no")),
        (
            "smooth baselines",
            f"{noise['baseline']:.3g} times the noise" if noise["baseline"] else "no",
        ),
        ("offset of all spectra", f"{low:.4g} to {high:.4g}" if low or high else "none"),
        ("spikes and clipped values", f"{noise['spikes']:,} left out"),
    ]
    return [list(pair) for pair in pairs]


def _maps_data(
    folder: Path, cube_names: list[str], thinning: float, on_progress: OnProgress
) -> list[dict[str, Any]]:
    """Thinned abundance maps of each cube."""
    cubes = []
    for number, name in enumerate(cube_names, 1):
        path = folder / "concentrations" / f"{name}.zarr"
        if not path.is_dir():
            continue
        store = open_cube(path)
        height, width, num_components = store.shape
        values_each = TOTAL_MAP_VALUES * thinning / len(cube_names)
        step = max(
            -(-max(height, width) // MAX_MAP_SIDE),
            math.ceil(math.sqrt(height * width * num_components / values_each)),
        )
        values = store.array[::step, ::step].read().result().astype(np.float64)
        place = store.georeference
        cubes.append(
            {
                "name": name,
                "height": height,
                "width": width,
                "step": step,
                "pixel_size": None if place is None else place.pixel_size,
                **_encoded_maps(values),
            }
        )
        on_progress("report, cubes", number, len(cube_names))
    return cubes


def _encoded_maps(values: np.ndarray) -> dict[str, Any]:
    """Maps in 65,535 steps of the range of each component; one more step means not valid."""
    is_valid = np.isfinite(values)
    low = np.where(is_valid, values, np.inf).min((0, 1))
    high = np.where(is_valid, values, -np.inf).max((0, 1))
    low, high = (np.where(np.isfinite(each), each, 0.0) for each in (low, high))
    share = (np.where(is_valid, values, low) - low) / np.maximum(high - low, 1e-30)
    steps = np.where(is_valid, np.round(share * MAX_MAP_VALUE), MAX_MAP_VALUE + 1)
    return {
        "low": _rounded(low),
        "high": _rounded(high),
        "values": encode_array(steps.astype(np.uint16)),
    }


def _training_data(metrics_path: Path) -> list[dict[str, Any]]:
    """Number of components and loss over the steps."""
    if not metrics_path.is_file():
        return []
    rows = read_metric_rows(metrics_path)
    curves = []
    for key, title in (("num_active", "components"), ("loss", "loss")):
        points = [(row["step"], row[key]) for row in rows if key in row]
        if points:
            x, y = map(list, zip(*points, strict=True))
            curves.append({"title": title, "series": [{"name": title, "x": x, "y": y}]})
    return curves
