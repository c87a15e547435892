"""The command, end to end on tiny data, and all that a user can get wrong."""

import csv
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.io
import yaml

from jaxhsi.data.cube import open_cube
from jaxhsi.train import main
from jaxhsi.training.metrics_writer import read_metric_rows
from jaxhsi.workflows.dgc_training import TrainedStates
from jaxhsi.workflows.segmentation_model import open_segmentation_model
from tests.helpers.commands import DGC_ARGUMENTS
from tests.helpers.scenes import blobs

STEPS = ("--steps", "4")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("JAXHSI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def cube(tmp_path) -> tuple[Path, Path]:
    """A .mat cube with a dead pixel, and its labels, where 0 means unlabelled."""
    values, truth = blobs(0)
    values[2, 3, 4] = np.nan
    scipy.io.savemat(tmp_path / "field.mat", {"cube": values})
    np.save(tmp_path / "truth.npy", np.where(truth == 2, 7, truth + 1) * (values[..., 0] > 0))
    return tmp_path / "field.mat", tmp_path / "truth.npy"


def scores(run: Path) -> dict:
    return json.loads((run / "scores.json").read_text())


def test_a_run_leaves_all_that_it_promises(cube, tmp_path, capsys):
    data, labels = cube
    run = tmp_path / "run"
    given = ("--data", str(data), "--labels", str(labels), "--ignore_label", "0")
    assert main([*DGC_ARGUMENTS, *STEPS, *given, "--out", str(run)]) == 0
    found = scores(run)
    assert {
        *("mean_iou", "per_class_iou", "alignment", "oa", "nmi", "active_clusters"),
        *("seconds", "steps", "start"),
    } <= found.keys()
    for way in ("hungarian", "merge"):
        assert found["mean_iou"][way] > 0.8
        assert len(found["per_class_iou"][way]) == 3
        assert len(found["alignment"][way]) == 3
    assert found["steps"] == 4
    assert found["invalid_pixels"] == 1
    assert sum(found["pixels"]) == 48 * 48 - 1
    assert found["classes"] == ["class 1", "class 2", "class 7"]
    map_ = np.load(run / "labels" / "field.npy")
    assert map_[2, 3] == -1
    np.testing.assert_array_equal(
        open_cube(run / "labels" / "field.zarr").array.read().result()[..., 0], map_
    )
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]
    assert [line["step"] for line in lines if "monitor/vi" in line] == [4]
    stages = {"seconds/read", "seconds/transfer", "seconds/compile", "seconds/step"}
    assert [line["step"] for line in lines if stages <= line.keys()] == [1, 2, 3, 4]
    assert found["best_step"] == found["kept_step"]
    assert (run / "pictures" / "training.png").stat().st_size > 1000
    assert (run / "pictures" / "field.png").stat().st_size > 1000
    assert (run / "config.yaml").exists()
    assert list((run / "checkpoints").iterdir())
    assert list((run / "events").iterdir())
    assert yaml.safe_load((run / "config.yaml").read_text())["precision"] == "float32"
    stages = json.loads((run / "times.json").read_text())["stages"]
    assert {"start", "read", "transfer", "compile", "step", "wait", "label"} <= stages.keys()
    assert 0 < stages["step"] < found["seconds"]
    output = capsys.readouterr().out
    assert re.search(r"time: [\d.]+ s, of it start [\d.]+ s, .*step [\d.]+ s.*label", output)
    assert "mean IoU" in output
    assert "3 active clusters" in output
    assert "1 of 2,304 pixels read are not valid" in output


def test_an_interrupted_run_resumes_to_the_same_result(cube, tmp_path):
    data, _ = cube
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    given = ("--data", str(data), "--save_every", "2")
    assert main([*DGC_ARGUMENTS, *given, "--steps", "4", "--out", str(whole)]) == 0
    assert main([*DGC_ARGUMENTS, *given, "--steps", "2", "--out", str(parts)]) == 0
    # The run's own options come back: only what changes has to be said.
    assert main(["dgc", "--out", str(parts), "--resume", "--steps", "4"]) == 0
    np.testing.assert_array_equal(
        np.load(whole / "labels" / "field.npy"), np.load(parts / "labels" / "field.npy")
    )
    last = [read_metric_rows(run / "metrics.jsonl")[-2:] for run in (whole, parts)]
    assert [row["step"] for row in last[0]] == [4, 4]
    assert last[0][0] == last[1][0]
    found = [scores(run)["best_step"] for run in (whole, parts)]
    assert found[0] == found[1]


def test_built_in_scenes_upstreams_method_and_a_folder_of_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = (
        *("dgc", "--scenes.image_size", "64", "--scenes.num_train", "1", "--scenes.num_test", "1"),
        *("--method", "upstream", "--stream.standardise_cubes", "true", "--num_clusters", "2"),
        *("--upstream_encoder.embed_dim", "4", "--views.crop", "12", "--stream.batch_size", "1"),
        *("--devices", "1", "--steps", "2", "--log_every", "1"),
    )
    assert main(list(arguments)) == 0
    found = scores(Path("runs/dgc-1"))
    assert found["classes"] == ["background", "tissue"]  # lesions count as tissue with K=2
    rows = map(json.loads, Path("runs/dgc-1/metrics.jsonl").read_text().splitlines())
    row = next(row for row in rows if row["step"] == 1)
    assert {"terms/usage_entropy", "terms/grid_consistency", "bandwidth"} <= row.keys()
    assert "runs/dgc-1" in capsys.readouterr().out


@pytest.mark.slow
def test_the_last_state_can_be_asked_for_afterwards(cube, tmp_path, capsys):
    data, run = cube[0], tmp_path / "run"
    given = ("--data", str(data), "--steps", "3", "--out", str(run), "--monitor.every", "1")
    assert main([*DGC_ARGUMENTS, *given, "--profile"]) == 0
    assert "profile of steps 2 to 3: open " in capsys.readouterr().out
    best = scores(run)["best_step"]
    assert scores(run)["kept_step"] == best
    assert int(open_segmentation_model(run).restore_state()[0].step) == best
    assert main(["dgc", "--out", str(run), "--resume", "--keep_state", "last"]) == 0
    assert (scores(run)["best_step"], scores(run)["kept_step"]) == (best, 3)
    assert open_segmentation_model(run).restore_state()[1] == 3


def test_no_steps_is_the_closed_form_start(cube, tmp_path):
    data, labels = cube
    run = tmp_path / "run"
    given = ("--data", str(data), "--labels", str(labels), "--out", str(run))
    assert main([*DGC_ARGUMENTS, "--steps", "0", *given]) == 0
    assert scores(run)["start"]["mean_iou"] == scores(run)["mean_iou"]


def refused(capsys, tmp_path, *arguments: str) -> str:
    """The message of a refused command; nothing may have been left behind."""
    assert main([*DGC_ARGUMENTS, *STEPS, "--out", str(tmp_path / "refused"), *arguments]) == 1
    assert not (tmp_path / "refused").exists()
    message = capsys.readouterr().err
    assert "error: " in message
    return message


def test_missing_data_is_named(capsys, tmp_path):
    assert "nowhere.mat" in refused(capsys, tmp_path, "--data", str(tmp_path / "nowhere.mat"))


def test_a_crop_larger_than_the_cube_is_named(capsys, tmp_path, cube):
    message = refused(capsys, tmp_path, "--data", str(cube[0]), "--views.crop", "64")
    assert "48 x 48 pixels, less than a crop of 64" in message
    assert "field" in message


def test_labels_of_another_shape_are_named(capsys, tmp_path, cube):
    np.save(tmp_path / "small.npy", np.zeros((3, 4), int))
    labels = ("--labels", str(tmp_path / "small.npy"))
    message = refused(capsys, tmp_path, "--data", str(cube[0]), *labels)
    assert "small.npy" in message
    assert "(3, 4)" in message


def test_labels_that_are_all_ignored_are_named(capsys, tmp_path, cube):
    np.save(tmp_path / "zeros.npy", np.zeros((48, 48), int))
    given = ("--labels", str(tmp_path / "zeros.npy"), "--ignore_label", "0")
    assert "zeros.npy" in refused(capsys, tmp_path, "--data", str(cube[0]), *given)


def test_labels_without_data_are_refused(capsys, tmp_path, cube):
    assert "--labels was given without --data" in refused(
        capsys, tmp_path, "--labels", str(cube[1])
    )


def test_an_unknown_key_names_those_that_are_there(capsys, tmp_path, cube):
    message = refused(capsys, tmp_path, "--data", str(cube[0]), "--key", "Y")
    assert "cube (48, 48, 12)" in message


def test_a_cube_without_valid_pixels_is_refused(capsys, tmp_path):
    np.save(tmp_path / "nan.npy", np.full((16, 16, 5), np.nan, np.float32))
    message = refused(capsys, tmp_path, "--data", str(tmp_path / "nan.npy"))
    assert "every pixel holds the no-data value" in message


def test_a_run_is_not_overwritten_unasked(capsys, tmp_path, cube):
    given = (*DGC_ARGUMENTS, "--steps", "1", "--data", str(cube[0]), "--out", str(tmp_path / "run"))
    assert main(list(given)) == 0
    before = (tmp_path / "run" / "scores.json").read_text()
    assert main(list(given)) == 1
    assert "--resume goes on with it, --overwrite deletes it" in capsys.readouterr().err
    assert (tmp_path / "run" / "scores.json").read_text() == before
    assert main([*given, "--overwrite"]) == 0


def test_resuming_with_other_clusters_is_refused_and_loses_nothing(capsys, tmp_path, cube):
    given = (*DGC_ARGUMENTS, "--steps", "1", "--data", str(cube[0]), "--out", str(tmp_path / "run"))
    assert main(list(given)) == 0
    before = (tmp_path / "run" / "config.yaml").read_text()
    again = ["dgc", "--out", str(tmp_path / "run"), "--resume", "--num_clusters", "4"]
    assert main(again) == 1
    assert "num_clusters" in capsys.readouterr().err
    assert (tmp_path / "run" / "config.yaml").read_text() == before


def test_resuming_with_other_bands_is_refused(capsys, tmp_path, cube):
    given = (*DGC_ARGUMENTS, "--steps", "1", "--data", str(cube[0]), "--out", str(tmp_path / "run"))
    assert main(list(given)) == 0
    scipy.io.savemat(cube[0], {"cube": blobs(0)[0][..., :-1]})
    assert main(["dgc", "--out", str(tmp_path / "run"), "--resume", "--steps", "2"]) == 1
    message = capsys.readouterr().err
    assert "the checkpoint does not fit" in message
    assert "number of bands" in message


def test_constant_bands_and_cubes_of_several_sizes_are_fine(tmp_path):
    folder = tmp_path / "cubes"
    folder.mkdir()
    for name, rows in (("a", 48), ("b", 30)):
        values = blobs(1)[0][:rows]
        values[..., 5] = 3.0
        np.save(folder / f"{name}.npy", values)
    run = tmp_path / "run"
    assert main([*DGC_ARGUMENTS, *STEPS, "--data", str(folder), "--out", str(run)]) == 0
    assert np.load(run / "labels" / "b.npy").shape == (30, 48)
    assert scores(run)["active_clusters"] == 3


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["pca"], 2), (["--help"], 0)])
def test_without_a_command_it_says_what_there_is(capsys, arguments, code):
    assert main(arguments) == code
    output = capsys.readouterr()
    assert "segment hyperspectral cubes" in output.out + output.err
    assert "components of mixed spectra" in output.out + output.err


def test_spectra_of_drawn_shapes_are_those_of_their_pixels(tmp_path):
    values = blobs(0)[0]
    values[3, 3, 1] = np.nan
    np.save(tmp_path / "field.npy", values)
    shapes = [
        {"label": "soil", "points": [[2, 2], [9, 9]], "shape_type": "rectangle"},
        {"label": "=crop", "points": [[20, 30], [29, 39]], "shape_type": "rectangle"},
        {"label": "soil", "points": [[25, 30], [40, 35]], "shape_type": "rectangle"},
    ]
    drawing = {"shapes": shapes, "imageHeight": 48, "imageWidth": 48, "imagePath": "field.png"}
    (tmp_path / "field.json").write_text(json.dumps(drawing))
    given = ("--data", str(tmp_path / "field.npy"), "--labels", str(tmp_path / "field.json"))
    run = tmp_path / "run"
    assert main([*DGC_ARGUMENTS, *STEPS, *given, "--out", str(run)]) == 0
    rows = list(csv.reader((run / "polygon_spectra.csv").open()))
    assert rows[0][:5] == ["polygon", "name", "pixels", "statistic", "axis"]
    numbers = np.zeros((48, 48), int)
    for number, (rows_of, columns) in enumerate(
        [
            (slice(2, 10), slice(2, 10)),
            (slice(30, 40), slice(20, 30)),
            (slice(30, 36), slice(25, 41)),
        ]
    ):
        numbers[rows_of, columns] = number + 1  # later shapes cover earlier ones
    numbers[3, 3] = 0
    for number, name in enumerate(("soil 1", "=crop 2", "soil 3"), 1):
        pixels = values[numbers == number].astype(np.float64)
        mean, _, *quartiles = rows[5 * number - 4 : 5 * number + 1]
        assert mean[:4] == [str(number - 1), f"field: {name}", str(len(pixels)), "mean"]
        np.testing.assert_allclose(np.array(mean[5:], float), pixels.mean(0), rtol=1e-6)
        expected = np.quantile(pixels, (0.25, 0.5, 0.75), axis=0)
        np.testing.assert_allclose(np.array([q[5:] for q in quartiles], float), expected, rtol=1e-6)
    assert (run / "polygon_spectra.png").is_file()


@pytest.mark.parametrize(("skipped", "more"), [(None, {}), (3, {"skipped_steps": 3})])
def test_scores_hold_the_steps_that_were_left_out(skipped, more):
    last, selected = (SimpleNamespace(step=np.int32(step)) for step in (9, 4))
    trained = TrainedStates(
        last_state=last,
        selected_state=selected,
        best_step=4,
        stop_reason=None,
        skipped_steps=skipped,
    )
    assert trained.step_scores() == {"steps": 9, "best_step": 4, "kept_step": 4} | more
