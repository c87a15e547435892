"""Scores of maps against true classes, after training and after prediction."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxhsi import metrics
from jaxhsi.evaluate import main
from jaxhsi.predict import main as predict
from jaxhsi.report.json_files import write_json
from jaxhsi.train import main as train
from tests.helpers.commands import DGC_ARGUMENTS
from tests.helpers.cubes import write_cube
from tests.helpers.scenes import blobs

SIZES = {"a": 48, "b": 36}


def truth_of(seed: int, rows: int) -> np.ndarray:
    """0 is unlabelled, in the first rows; the classes are 1, 2 and 7."""
    classes = blobs(seed)[1][:rows]
    labels = np.where(classes == 2, 7, classes + 1)
    labels[:6] = 0
    return labels


@pytest.fixture(scope="module")
def setting(tmp_path_factory) -> tuple[Path, Path, Path]:
    """A run on two cubes, the cubes, and their labels."""
    folder = tmp_path_factory.mktemp("setting")
    (folder / "truth").mkdir()
    for seed, (name, rows) in enumerate(SIZES.items()):
        write_cube(folder / "cubes" / f"{name}.zarr", blobs(seed)[0][:rows].copy())
        np.save(folder / "truth" / f"{name}.npy", truth_of(seed, rows))
    given = ("--steps", "2", "--data", str(folder / "cubes"), "--out", str(folder / "run"))
    labels = ("--labels", str(folder / "truth"), "--ignore_label", "0")
    assert train([*DGC_ARGUMENTS, *given, *labels]) == 0
    return folder / "run", folder / "cubes", folder / "truth"


@pytest.fixture(scope="module")
def counts(setting) -> np.ndarray:
    """Clusters against the classes, counted in one piece."""
    total = np.zeros((3, 3), np.int64)
    for name in SIZES:
        labels = np.load(setting[0] / "labels" / f"{name}.npy")
        truth = np.load(setting[2] / f"{name}.npy")
        coded = np.array([-1, 0, 1, -1, -1, -1, -1, 2])[truth]
        total += metrics.confusion_matrix(labels, coded, 3, 3)
    return total


def evaluated(folder: Path, labels: Path, out: Path, *options: str) -> dict:
    given = (str(folder), "--labels", str(labels), "--ignore_label", "0", "--out", str(out))
    assert main([*given, *options]) == 0
    return json.loads(out.read_text())


def groups(counts: np.ndarray, names: tuple[str, ...]) -> str:
    """A merge that gives every cluster its majority class, by name."""
    best = metrics.best_merge(counts)
    found = {name: np.flatnonzero(best == i).tolist() for i, name in enumerate(names)}
    return " ".join(f"{name}={','.join(map(str, k))}" for name, k in found.items() if k)


def test_a_runs_scores_are_those_of_its_training(setting, counts, tmp_path, capsys):
    run, _, truth = setting
    found = evaluated(run, truth, tmp_path / "scores.json")
    kept = json.loads((run / "scores.json").read_text())
    for name, score in metrics.clustering_scores(counts).items():
        if name != "active_clusters":
            assert found[name] == kept[name] == score
    assert found["confusion"] == counts.tolist()
    assert found["classes"] == kept["classes"] == ["class 1", "class 2", "class 7"]
    assert found["labelled_pixels"] == 48 * (48 + 36 - 12)
    assert sum(found["pixels"]) == 48 * (48 + 36)
    assert list(found["cubes"]) == ["a", "b"]
    assert found["cubes"]["a"]["oa"]["merge"] > 0.8
    table = capsys.readouterr().out
    for title in ("mean IoU", "mean Dice", "area RMSE", "NMI", "entropy", "IoU of class 7"):
        assert title in table


def test_active_clusters_have_one_meaning(setting):
    """Of all valid pixels, with and without labels; those of labelled ones have their own name."""
    kept = json.loads((setting[0] / "scores.json").read_text())
    pixels = np.array(kept["pixels"])
    assert kept["active_clusters"] == (pixels > 1e-3 * pixels.sum()).sum()
    assert {"active_clusters", "active_clusters_labelled"} <= kept["start"].keys()


def test_the_users_own_groups_are_scored_beside_the_best(setting, counts, tmp_path, capsys):
    run, _, truth = setting
    names = ("ground", "leaf", "stem")
    given = ("--class_names", "Ground=1 leaf=2 stem=7", "--groups", groups(counts, names))
    found = evaluated(run, truth, tmp_path / "scores.json", *given)
    assert found["classes"] == ["Ground", "leaf", "stem"]
    assert found["mean_iou"]["manual"] == found["mean_iou"]["merge"]
    assert found["alignment"]["manual"] == metrics.best_merge(counts).tolist()
    assert "as named" in capsys.readouterr().out


def test_groups_that_match_no_class_are_told(setting, counts, tmp_path, capsys):
    run, _, truth = setting
    best = int(metrics.best_merge(counts)[0])
    name = ("leaf", "stem", "soil")[best]
    given = ("--class_names", "leaf=1 stem=2 soil=7", "--groups", f"{name}=0 water=1")
    found = evaluated(run, truth, tmp_path / "scores.json", *given)
    assert found["alignment"]["manual"] == [best, -1, -1]
    told = capsys.readouterr().err
    assert "groups that no class is named like: water, cluster 2" in told
    assert "classes that no group is named like" in told


def test_merged_predictions_are_scored_by_their_names(setting, counts, tmp_path):
    run, cubes, truth = setting
    merge = groups(counts, ("ground", "leaf", "stem"))
    out = tmp_path / "out"
    assert predict([str(run), str(cubes), "--out", str(out), "--groups", merge]) == 0
    given = ("--class_names", "ground=1 leaf=2 stem=7")
    found = evaluated(out, truth, tmp_path / "scores.json", *given)
    assert found["oa"]["manual"] == metrics.clustering_scores(counts)["oa"]["merge"]
    assert main([str(out), "--labels", str(truth), "--groups", "leaf=0"]) == 1


def test_maps_without_labels_are_left_out_and_named(setting, tmp_path, capsys):
    run, _, truth = setting
    found = evaluated(run, truth / "a.npy", tmp_path / "scores.json")
    assert list(found["cubes"]) == ["a"]
    assert sum(found["pixels"]) == 48 * 48
    assert "has no labels for the cubes: b" in capsys.readouterr().err


def test_scores_lie_beside_the_maps_and_the_runs_own_are_kept(setting):
    run, _, truth = setting
    kept = (run / "scores.json").read_text()
    assert main([str(run), "--labels", str(truth)]) == 0
    found = json.loads((run / "evaluation.json").read_text())
    assert found["classes"][0] == "class 0"  # nothing was said to be unlabelled
    assert (run / "scores.json").read_text() == kept


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "--labels is missing"),
        (("--labels", "nowhere"), "no labels at nowhere"),
        (("--labels", "TRUTH", "--groups", "leaf=0"), "no group (leaf, cluster 1, cluster 2) has"),
        (("--labels", "TRUTH", "--groups", "class 1=9"), "names cluster 9"),
        (("--labels", "TRUTH", "--class_names", "leaf=1,2"), "one name of its own"),
        (("--labels", "OTHER"), "no label file in"),
    ],
)
def test_what_cannot_be_scored_is_refused(setting, tmp_path, capsys, options, words):
    run, _, truth = setting
    (tmp_path / "other").mkdir()
    np.save(tmp_path / "other" / "c.npy", np.zeros((4, 4), int))
    paths = {"TRUTH": str(truth), "OTHER": str(tmp_path / "other")}
    out = ("--out", str(tmp_path / "scores.json"))
    assert main([str(run), *(paths.get(option, option) for option in options), *out]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "scores.json").exists()


def test_labels_of_another_shape_are_named(setting, tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.zeros((3, 4), int))
    assert main([str(setting[0]), "--labels", str(tmp_path / "a.npy")]) == 1
    message = capsys.readouterr().err
    assert "a.npy" in message
    assert "(3, 4)" in message


def test_folders_without_maps_are_refused(tmp_path, capsys):
    write_json(tmp_path / "scores.json", {"num_components": 3})
    for folder in (tmp_path, tmp_path / "none"):
        assert main([str(folder), "--labels", str(tmp_path)]) == 1
        assert "holds no label maps" in capsys.readouterr().err


def test_parts_put_together_score_as_all_at_once(setting, tmp_path, capsys):
    run, _, truth = setting
    whole, out = tmp_path / "whole.json", tmp_path / "parts.json"
    evaluated(run, truth, whole)
    given = [str(run), "--labels", str(truth), "--ignore_label", "0", "--out", str(out)]
    assert main([*given, "--part", "2/2"]) == 0
    assert "part 2/2: 1 of 2 maps: b" in capsys.readouterr().err
    assert not out.exists()
    assert main([*given, "--merge_parts"]) == 1
    assert f"--ignore_label 0 --out {out} --part 1/2" in capsys.readouterr().err
    assert main([*given, "--part", "1/2", "--unlabelled_outside", "true"]) == 1
    assert "otherwise: --unlabelled_outside True (was None)" in capsys.readouterr().err
    assert main([*given, "--part", "1/2"]) == 0
    assert main([*given, "--merge_parts"]) == 0
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts.json", "whole.json"]
