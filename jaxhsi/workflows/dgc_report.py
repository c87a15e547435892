"""What the report of a segmentation shows: a run, finished or not, or a prediction."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxhsi.callbacks import OnProgress, ignore_progress
from jaxhsi.cluster_groups import default_cluster_name
from jaxhsi.config.files import options_text, read_options
from jaxhsi.config.grouping_files import read_grouping, read_groups
from jaxhsi.label_counts import pixel_shares
from jaxhsi.metrics import ACTIVE_SHARE
from jaxhsi.report.areas import AREAS_FILE
from jaxhsi.report.cube_preview import CubePreview, read_preview, thinned
from jaxhsi.report.dgc_tables import report_scores
from jaxhsi.report.html_page import encode_array, encode_picture, hex_colours
from jaxhsi.report.label_spectra_files import SPECTRA_ARRAYS, read_label_spectra
from jaxhsi.report.palettes import class_colours, cluster_colours
from jaxhsi.report.training_curves import read_training_curves
from jaxhsi.training.metrics_writer import METRICS_FILE
from jaxhsi.training.run_files import read_run_json
from jaxhsi.training.run_folder import (
    CONFIG_FILE,
    GROUPS_FILE,
    PREDICT_CONFIG_FILE,
    TREE_FILE,
)
from jaxhsi.workflows.merge_tree_files import read_cluster_tree, tree_identifier
from jaxhsi.workflows.report_notices import missing_file_notices, run_notices

MAX_REPORT_CUBES = 60
"""Cubes in a report. Set by hand: their maps would be too small with more."""
MAX_MAP_SIDE, TOTAL_MAP_PIXELS = 512, 800_000
"""Rows or columns of a map, and pixels of all maps: about 2.5 MB in the file."""
TOTAL_SPECTRUM_VALUES, MAX_SPECTRUM_BANDS = 2_000_000, 128
"""Values of all pixel spectra, of two bytes each, and bands of one: about 5 MB in the file."""


@dataclass(frozen=True, kw_only=True)
class LabelledFolder:
    """What a folder of a run or prediction says of its labels.

    Attributes:
        cube_names: cubes that were labelled.
        label_names: names of the labels.
        members: clusters that each label stands for.
        kind: what the labels are, "cluster" or "group".
        scores: content of ``scores.json``, empty for a prediction.
        notices: what is missing, in sentences.
        run: folder of the run that labelled.
    """

    cube_names: tuple[str, ...]
    label_names: tuple[str, ...]
    members: list[list[int]]
    kind: str
    scores: dict[str, Any]
    notices: list[str]
    run: Path


def dgc_report_data(
    folder: Path, *, thinning: float = 1.0, on_progress: OnProgress = ignore_progress
) -> dict[str, Any]:
    """Data of the page of a run of dgc or of a prediction.

    Args:
        folder: of the run or the prediction.
        thinning: factor below 1 by which maps and spectra are reduced further.
        on_progress: called after every cube.

    Raises:
        ValueError: a file is damaged.
    """
    is_prediction = (folder / PREDICT_CONFIG_FILE).is_file()
    labelled = _predicted_folder(folder) if is_prediction else _run_folder(folder)
    notices = list(labelled.notices)
    shown = labelled.cube_names[:MAX_REPORT_CUBES]
    if len(shown) < len(labelled.cube_names):
        notices.append(
            f"the first {len(shown)} of {len(labelled.cube_names)} cubes are shown; presence.csv "
            "and scores.json hold all"
        )
    previews = {name: read_preview(folder, name) for name in shown}
    missing = [name for name, preview in previews.items() if preview is None]
    if missing:
        listed = ", ".join(missing[:6]) + ", ..." * (len(missing) > 6)
        notices.append(
            f"no maps of {listed}: previews/NAME.npz is gone, or of an earlier version; predict "
            "labels the cubes anew with them"
        )
    present = {name: preview for name, preview in previews.items() if preview is not None}
    cubes = []
    for number, (name, preview) in enumerate(present.items(), 1):
        cubes.append(_cube_data(name, preview, len(present), thinning))
        on_progress("report, cubes", number, len(present))
    pixels = _total_pixels(present, len(labelled.label_names))
    class_names = labelled.scores.get("classes", [])
    return {
        "run_name": folder.resolve().name,
        "summary": _summary(labelled, present),
        "notices": notices,
        "kind": labelled.kind,
        "label_names": list(labelled.label_names),
        "label_pixels": pixels.tolist(),
        "label_shares": pixel_shares(pixels).tolist(),
        "label_colours": hex_colours(cluster_colours(len(labelled.label_names))),
        "members": labelled.members,
        **_tree_data(labelled),
        "saved_groups": _saved_groups(labelled, folder),
        "cubes": cubes,
        "class_names": class_names,
        "class_colours": hex_colours(class_colours(len(class_names))),
        "spectra": _spectra_data(folder / SPECTRA_ARRAYS),
        "present_share": ACTIVE_SHARE,
        **_training_data(folder, labelled.scores),
        "scores": report_scores(labelled.scores) if class_names else None,
        "options": options_text(folder / (PREDICT_CONFIG_FILE if is_prediction else CONFIG_FILE)),
    }


def _run_folder(folder: Path) -> LabelledFolder:
    """The labels of a run, finished or not."""
    scores_path = folder / "scores.json"
    scores = read_run_json(scores_path) if scores_path.is_file() else {}
    config = read_options(folder / CONFIG_FILE)
    shown_files = (TREE_FILE, SPECTRA_ARRAYS, METRICS_FILE)
    notices = run_notices(folder, "train dgc", shown_files, is_finished=bool(scores))
    cube_names = tuple(scores.get("cubes", ())) or _preview_names(folder)
    num_clusters = int(config.get("num_clusters", len(scores.get("pixels", ()))))
    label_names = tuple(default_cluster_name(k) for k in range(num_clusters))
    return LabelledFolder(
        cube_names=cube_names,
        label_names=label_names,
        members=[[k] for k in range(num_clusters)],
        kind="cluster",
        scores=scores,
        notices=notices,
        run=folder,
    )


def _predicted_folder(folder: Path) -> LabelledFolder:
    config = read_options(folder / PREDICT_CONFIG_FILE)
    run, areas_path, notices = Path(config["run"]), folder / AREAS_FILE, []
    record = read_run_json(areas_path) if areas_path.is_file() else {}
    if not record:
        notices.append(
            f"this prediction has not come to its end: it has no {AREAS_FILE}. What there is so "
            "far is shown; predict with --overwrite makes it anew"
        )
    else:
        way_on = "predict with --overwrite makes it anew"
        notices += missing_file_notices(folder, (SPECTRA_ARRAYS,), way_on)
    groups_path = folder / GROUPS_FILE
    if groups_path.is_file():
        members = list(read_groups(groups_path).values())
    else:
        members = [[k] for k in range(len(record.get("names", ())))]
    names = record.get("names") or [default_cluster_name(k) for k in range(len(members))]
    return LabelledFolder(
        cube_names=tuple(record.get("cubes", ())) or _preview_names(folder),
        label_names=tuple(names),
        members=members,
        kind="group" if groups_path.is_file() else "cluster",
        scores={},
        notices=notices,
        run=run,
    )


def _preview_names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (folder / "previews").glob("*.npz")))


def _summary(labelled: LabelledFolder, previews: dict[str, CubePreview]) -> str:
    """One line: labels, cubes and steps."""
    parts = [f"{len(labelled.label_names)} {labelled.kind}s"]
    if previews:
        sizes = {preview.shape for preview in previews.values()}
        size_text = " × ".join(map(str, sizes.pop())) if len(sizes) == 1 else "several sizes"
        parts.append(f"{len(labelled.cube_names)} cube(s) of {size_text}")
    if "kept_step" in labelled.scores:
        steps = labelled.scores["kept_step"], labelled.scores["steps"]
        parts.append("state of step {} of {}".format(*steps))
    return " · ".join(parts)


def _cube_data(name: str, preview: CubePreview, num_cubes: int, thinning: float) -> dict[str, Any]:
    """One cube: its maps, its pixel spectra, and its counts."""
    pixels_each = TOTAL_MAP_PIXELS * thinning / num_cubes
    longer_share = max(preview.labels.shape) / max(1, math.prod(preview.labels.shape))
    side = min(MAX_MAP_SIDE, int(math.sqrt(pixels_each)), int(pixels_each * longer_share) or 1)
    thin = thinned(preview, max(side, 16))
    truth = thin.true_classes
    return {
        "name": name,
        "height": preview.shape[0],
        "width": preview.shape[1],
        "step": thin.map_step,
        "picture": encode_picture(thin.false_colour),
        "labels": encode_array(thin.labels.astype(np.int16)),
        "confidence": encode_array(thin.confidence),
        "truth": None if truth is None else encode_array(truth.astype(np.int16)),
        "counts": preview.confidence_counts.tolist(),
        "pixel_area": preview.pixel_area,
        "pixel_size": preview.pixel_size,
        "spectra": _pixel_spectra(preview, num_cubes, thinning),
    }


def _pixel_spectra(preview: CubePreview, num_cubes: int, thinning: float) -> dict[str, Any]:
    """Spectra of a grid of pixels in 65,536 steps of the range of each band."""
    num_rows, num_columns, num_bands = preview.spectra.shape
    band_step = -(-num_bands // MAX_SPECTRUM_BANDS)
    bands = np.arange(0, num_bands, band_step)
    values_each = TOTAL_SPECTRUM_VALUES * thinning / num_cubes
    step = max(1, math.ceil(math.sqrt(num_rows * num_columns * len(bands) / values_each)))
    spectra = preview.spectra[::step, ::step, bands].astype(np.float64)
    low, high = spectra.min((0, 1)), spectra.max((0, 1))
    steps = np.round((spectra - low) / np.maximum(high - low, 1e-30) * 65535)
    axis = np.arange(1, num_bands + 1) if preview.wavelengths is None else preview.wavelengths
    return {
        "axis": _rounded(axis[bands], 7),
        "low": _rounded(low, 7),
        "high": _rounded(high, 7),
        "step": preview.spectra_step * step,
        "values": encode_array(steps.astype(np.uint16)),
    }


def _total_pixels(previews: dict[str, CubePreview], num_labels: int) -> np.ndarray:
    counts = [preview.confidence_counts.sum(1) for preview in previews.values()]
    return np.sum(counts, axis=0) if counts else np.zeros(num_labels, np.int64)


def _tree_data(labelled: LabelledFolder) -> dict[str, Any]:
    """The merge tree, where the labels are the clusters of a finished run."""
    if labelled.kind != "cluster" or not (labelled.run / TREE_FILE).is_file():
        return {"tree": None, "tree_id": None, "suggested": []}
    cluster_tree = read_cluster_tree(labelled.run)
    tree = cluster_tree.tree
    return {
        "tree": {"pairs": tree.merged_nodes.tolist(), "heights": tree.heights.tolist()},
        "tree_id": tree_identifier(tree),
        "suggested": [each._asdict() for each in cluster_tree.suggested_cuts],
    }


def _saved_groups(labelled: LabelledFolder, folder: Path) -> list[dict[str, Any]] | None:
    """Groups that a person saved with the run."""
    path = folder / GROUPS_FILE
    if labelled.kind != "cluster" or not path.is_file():
        return None
    members = read_grouping(str(path), len(labelled.label_names)).members_by_name()
    return [{"name": name, "members": each} for name, each in members.items()]


def _spectra_data(path: Path) -> dict[str, Any] | None:
    """Mean and deviation of each label over all cubes."""
    if not path.is_file():
        return None
    label_spectra, _, axis = read_label_spectra(path)
    return {
        "axis": _rounded(axis.values, 7),
        "title": axis.title,
        "unit": axis.unit,
        "value_name": axis.value_name,
        "counts": label_spectra.pixel_counts.tolist(),
        "means": _rounded(label_spectra.means, 7),
        "deviations": _rounded(label_spectra.deviations, 7),
    }


def _rounded(values: np.ndarray, digits: int) -> list[Any]:
    """Numbers of a few digits, which take less room in the page."""
    texts = np.vectorize(lambda value: float(f"{value:.{digits}g}"), otypes=[float])
    return texts(values).tolist()


def _training_data(folder: Path, scores: dict[str, Any]) -> dict[str, Any]:
    """Curves of the training with their marks."""
    metrics_path = folder / METRICS_FILE
    curves = read_training_curves(metrics_path) if metrics_path.is_file() else []
    marks = []
    if curves and "kept_step" in scores:
        marks.append({"x": scores["kept_step"], "text": f"labels: step {scores['kept_step']}"})
    return {"curves": curves, "marks": marks}
