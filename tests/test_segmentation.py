"""The library's segmentation gives what the command writes, from arrays as from files."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxhsi.config.dgc import DGCConfig, EncoderOptions, StreamOptions
from jaxhsi.data.cube import open_cube
from jaxhsi.data.memory_cube import cube_from_array
from jaxhsi.dgc.options import DGCOptions, ViewOptions
from jaxhsi.predict import main as predict
from jaxhsi.segmentation import Segmentation, segment
from jaxhsi.training.metrics_writer import read_metric_rows
from jaxhsi.workflows.dgc_run import run_dgc
from tests.helpers.scenes import BANDS, blobs

NUM_CLUSTERS = 3
OPTIONS = {
    "steps": 3,
    "devices": 1,
    "log_every": 1,
    "views": ViewOptions(crop=12),
    "encoder": EncoderOptions(hidden_width=8, spatial_channels=4, num_blocks=1),
    "stream": StreamOptions(batch_size=2, tile_size=32),
    "teacher_student": DGCOptions(mixture_starts=2),
}


def two_arrays() -> list[np.ndarray]:
    arrays = [blobs(seed)[0] for seed in (0, 1)]
    arrays[0][2, 3, 4] = np.nan
    return arrays


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The folder of a run of the command on two files."""
    folder = tmp_path_factory.mktemp("segmentation")
    (folder / "cubes").mkdir()
    for name, values in zip("ab", two_arrays(), strict=True):
        np.save(folder / "cubes" / f"{name}.npy", values)
    data, out = str(folder / "cubes"), folder / "run"
    run_dgc(DGCConfig(data=data, out=out, num_clusters=NUM_CLUSTERS, **OPTIONS))
    return out


@pytest.fixture(scope="module")
def segmentation() -> Segmentation:
    return segment(two_arrays(), NUM_CLUSTERS, **OPTIONS)


def test_labels_and_tree_are_those_of_the_command(run, segmentation):
    assert isinstance(segmentation.labels, list)
    for name, labels, confidence in zip(
        "ab", segmentation.labels, segmentation.confidence, strict=True
    ):
        np.testing.assert_array_equal(labels, np.load(run / "labels" / f"{name}.npy"))
        store = open_cube(run / "labels" / f"{name}-confidence.zarr").array
        np.testing.assert_array_equal(confidence, store[..., 0].read().result())
    assert segmentation.labels[0][2, 3] == -1
    tree = json.loads((run / "tree.json").read_text())
    np.testing.assert_array_equal(segmentation.tree.merged_nodes, tree["pairs"])
    np.testing.assert_array_equal(segmentation.tree.heights, tree["heights"])
    stability = [each["stability"] for each in tree["cuts"].values()]
    np.testing.assert_array_equal(segmentation.cluster_tree.cut_stability, stability)
    scores = json.loads((run / "scores.json").read_text())
    for name in ("pixels", "invalid_pixels", "active_clusters", "steps", "best_step", "kept_step"):
        assert segmentation.scores[name] == scores[name]


@pytest.mark.slow
def test_eight_devices_give_the_labels_of_one(segmentation):
    spread = segment(two_arrays(), NUM_CLUSTERS, **OPTIONS | {"devices": 8})
    for name in ("labels", "confidence"):
        for one, other in zip(getattr(segmentation, name), getattr(spread, name), strict=True):
            np.testing.assert_allclose(other, one, atol=0.002)
    np.testing.assert_allclose(spread.tree.heights, segmentation.tree.heights, rtol=1e-3)
    np.testing.assert_allclose(
        spread.cluster_tree.cut_stability, segmentation.cluster_tree.cut_stability, atol=0.01
    )
    for name in ("loss", "monitor/mutual_information"):
        one, other = (
            [row[name] for _, row in each.history.metric_rows if name in row]
            for each in (segmentation, spread)
        )
        assert len(one) > 1
        np.testing.assert_allclose(other, one, rtol=1e-3)


def test_paths_give_the_same_labels_as_arrays(run, segmentation):
    from_paths = segment(str(run.parent / "cubes"), NUM_CLUSTERS, **OPTIONS)
    assert from_paths.cube_names == ("a", "b")
    for one, other in zip(from_paths.labels, segmentation.labels, strict=True):
        np.testing.assert_array_equal(one, other)


def test_cuts_are_those_of_the_tree(run, segmentation):
    groups = json.loads((run / "tree.json").read_text())["cuts"]["2"]["groups"]
    for cut_labels, labels in zip(segmentation.cut(2), segmentation.labels, strict=True):
        np.testing.assert_array_equal(cut_labels, np.array([*groups, -1])[labels])
    with pytest.raises(ValueError, match="1 to 3 groups, not 4"):
        segmentation.cut(4)


def test_a_saved_segmentation_is_loaded_and_used_by_the_commands(segmentation, tmp_path):
    segmentation.save(tmp_path / "run")
    loaded = Segmentation.load(tmp_path / "run")
    assert repr(loaded) == repr(segmentation)
    for name in ("labels", "confidence"):
        for one, other in zip(getattr(loaded, name), getattr(segmentation, name), strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(loaded.tree.heights, segmentation.tree.heights)
    other_cube = blobs(5)[0]
    labels = loaded.predict(other_cube)
    np.testing.assert_array_equal(labels, segmentation.predict([other_cube])[0])
    np.save(tmp_path / "other.npy", other_cube)
    assert predict([str(tmp_path / "run"), str(tmp_path / "other.npy")]) == 0
    predicted = np.load(tmp_path / "run" / "predictions" / "labels" / "other.npy")
    np.testing.assert_array_equal(labels, predicted)
    with pytest.raises(FileExistsError, match="holds a run already"):
        segmentation.save(tmp_path / "run")
    loaded.save(tmp_path / "copy")
    np.testing.assert_array_equal(Segmentation.load(tmp_path / "copy").labels[1], loaded.labels[1])


def test_saved_metrics_are_those_of_the_command(run, segmentation, tmp_path):
    segmentation.save(tmp_path / "run")
    rows = [read_metric_rows(folder / "metrics.jsonl") for folder in (run, tmp_path / "run")]
    assert rows[0] == rows[1]


def test_results_print_and_plot(segmentation):
    assert repr(segmentation).startswith("Segmentation(3 clusters, ")
    assert "2 cube(s) of 48 x 48, 48 x 48 pixels" in repr(segmentation)
    assert segmentation._repr_html_().count("<tr>") == 1 + NUM_CLUSTERS
    figure = segmentation.plot(num_groups=2)
    assert [panel.get_title() for panel in figure.axes] == ["array-0", "array-1"]


def test_progress_is_reported_step_by_step_and_one_cube_gives_arrays():
    calls = []
    values, wavelengths = blobs(0)[0], np.linspace(400.0, 700.0, BANDS)
    segmentation = segment(
        cube_from_array(values, "field", wavelengths=wavelengths),
        NUM_CLUSTERS,
        on_progress=lambda stage, done, total: calls.append((stage, done, total)),
        **OPTIONS | {"steps": 1},
    )
    assert calls == [("training", 1, 1), ("labelling", 1, 1)]
    assert segmentation.labels.shape == segmentation.confidence.shape == (48, 48)
    assert segmentation.cut(1).max() == 0
    off = cube_from_array(values, "off", wavelengths=wavelengths + 50)
    with pytest.raises(ValueError, match="the run in memory and array in memory: off"):
        segmentation.predict(off)


@pytest.mark.parametrize(
    ("cubes", "options", "error", "words"),
    [
        ([], {}, ValueError, "no cube was given"),
        (np.ones((4, 5)), {}, ValueError, r"shape \(4, 5\)"),
        (np.ones((2, 4, 5, 3)), {}, ValueError, "Give several cubes as a list"),
        (np.ones((20, 20, 3), bool), {}, ValueError, "holds bool"),
        ([np.ones((20, 20, 3)), np.ones((20, 20, 4))], {}, ValueError, "need the same bands"),
        ("nowhere.npy", {}, FileNotFoundError, "nowhere.npy"),
        (np.ones((20, 20, 3)), {"out": "x"}, TypeError, "takes no out"),
        (np.ones((20, 20, 3)), {"colour": 1}, TypeError, "colour"),
        (np.full((20, 20, 3), np.nan), {}, ValueError, "no valid pixel"),
        (np.ones((8, 8, 3)), {"views": ViewOptions(crop=12)}, ValueError, "crop to at most 8"),
        (np.ones((1, 80, 3)), {"views": ViewOptions(crop=12)}, ValueError, "need 4 rows and col"),
    ],
)
def test_cubes_and_options_that_cannot_be_used_are_refused(cubes, options, error, words):
    with pytest.raises(error, match=words):
        segment(cubes, 2, **options)


def test_importing_the_module_loads_nothing_heavy():
    heavy = ["jax", "orbax", "tensorboardX", "rich", "matplotlib", "jsonargparse", "grain"]
    code = f"import sys, jaxhsi.segmentation; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
