"""The command, end to end on tiny data: what it shows and saves, and who uses it."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from jaxhsi.data.cube import open_cube
from jaxhsi.evaluate import main as evaluate
from jaxhsi.group import main
from jaxhsi.predict import main as predict
from jaxhsi.storage.checksums import text_with_checksum
from jaxhsi.train import main as train
from tests.helpers.commands import DGC_ARGUMENTS
from tests.helpers.cubes import write_cube
from tests.helpers.scenes import blobs

CLUSTERS = 5


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Path]:
    """A run on two cubes whose truth is known, and the folder of the truth."""
    folder = tmp_path_factory.mktemp("grouped")
    (folder / "truth").mkdir()
    for seed, name in enumerate("ab"):
        values, truth = blobs(seed)
        if name == "b":  # the third material is in one cube alone
            values, truth = values.copy(), truth.copy()
            values[truth == 2], truth[truth == 2] = values[truth == 1].mean(0), 1
        write_cube(folder / "cubes" / f"{name}.zarr", values)
        np.save(folder / "truth" / f"{name}.npy", truth)
    given = ("--num_clusters", str(CLUSTERS), "--steps", "2", "--data", str(folder / "cubes"))
    labels = ("--labels", str(folder / "truth"), "--out", str(folder / "run"))
    assert train([*DGC_ARGUMENTS, *given, *labels]) == 0
    return folder / "run", folder / "truth"


@pytest.fixture
def run(trained, tmp_path) -> Path:
    """A copy that may be written into."""
    shutil.copytree(trained[0], tmp_path / "run")
    return tmp_path / "run"


def saved(run: Path) -> dict:
    return yaml.safe_load((run / "groups.yaml").read_text())


def labels(folder: Path, name: str = "a") -> np.ndarray:
    return np.load(folder / "labels" / f"{name}.npy")


def majority(trained: tuple[Path, Path]) -> list[int]:
    return json.loads((trained[0] / "scores.json").read_text())["alignment"]["merge"]


def test_a_run_leaves_its_tree_and_the_scores_of_its_cuts(trained):
    run, _ = trained
    tree, scores = (json.loads((run / f"{n}.json").read_text()) for n in ("tree", "scores"))
    assert tree["clusters"] == CLUSTERS
    assert list(tree["cuts"]) == list(scores["cuts"]) == ["1", "2", "3", "4", "5"]
    assert all(0 <= each["stability"] <= 1 for each in tree["cuts"].values())
    assert scores["cuts"]["5"]["mean_iou"] == scores["mean_iou"]
    assert scores["cuts"]["3"]["mean_iou"]["merge"] > 0.9
    assert (run / "tree.png").stat().st_size > 1000
    assert (run / "presence.png").stat().st_size > 1000


def test_clusters_of_one_cube_alone_are_told(trained):
    run, _ = trained
    found = json.loads((run / "scores.json").read_text())["presence"]
    third = {k for k, c in enumerate(majority(trained)) if c == 2}
    assert third <= set(found["cubes"]["a"]["present"])
    assert not third & set(found["cubes"]["b"]["present"])
    rows = list(csv.DictReader((run / "presence.csv").open()))
    there = {int(row["cluster"]) for row in rows if row["cube"] == "b" and row["present"] == "1"}
    assert there == set(found["cubes"]["b"]["present"])
    shares = [float(row["share"]) for row in rows if row["cube"] == "a"]
    np.testing.assert_allclose(
        shares, np.bincount(labels(run).ravel(), minlength=CLUSTERS) / 48**2, atol=1e-6
    )


def test_alone_it_shows_and_writes_nothing(run, capsys):
    before = sorted(run.rglob("*"))
    assert main([str(run)]) == 0
    shown = capsys.readouterr().out
    assert "together in 1 group" in shown
    assert all(f"cluster {k} class" in shown for k in range(CLUSTERS))
    assert "no groups are saved" in shown
    assert sorted(run.rglob("*")) == before


def test_a_cut_is_saved_and_used_unless_told_otherwise(run, capsys, tmp_path):
    assert main([str(run), "--cut", "3"]) == 0
    groups = json.loads((run / "tree.json").read_text())["cuts"]["3"]["groups"]
    assert (run / "groups.yaml").read_text().splitlines()[1] == "# made by --cut 3"
    assert len(saved(run)) == 3
    cube = str(run.parent / "a.zarr")
    write_cube(Path(cube), blobs(0)[0])
    ways = {
        "saved": (),
        "bare": ("--ignore_groups",),
        "two": ("--cut", "2"),
        "named": ("--groups", "x=0,1"),
    }
    for name, options in ways.items():
        assert predict([str(run), cube, "--out", str(tmp_path / name), *options]) == 0
    bare = labels(tmp_path / "bare")
    np.testing.assert_array_equal(bare, labels(run))
    assert not (tmp_path / "bare" / "groups.yaml").exists()
    np.testing.assert_array_equal(labels(tmp_path / "saved"), np.array(groups)[bare])
    assert len(np.unique(labels(tmp_path / "two"))) == 2
    assert next(iter(yaml.safe_load((tmp_path / "named" / "groups.yaml").read_text()))) == "x"
    found = json.loads((tmp_path / "saved" / "areas.json").read_text())
    assert found["names"] == found["presence"]["names"] == list(saved(run))
    assert len(list(csv.DictReader((tmp_path / "saved" / "presence.csv").open()))) == 3
    history = open_cube(tmp_path / "saved" / "labels" / "a.zarr").history
    for name, members in saved(run).items():  # whatever the clusters that a cut puts together
        assert f"{name} ({', '.join(map(str, members))})" in history[-1]
    assert "3 groups of" in capsys.readouterr().out


def test_spectra_of_groups_are_those_of_their_pixels(run, tmp_path, capsys):
    (tmp_path / "groups.yaml").write_text('"[/b] [red]x": [0, 1]\n"=two": [2, 3]\n')
    assert main([str(run), "--groups", str(tmp_path / "groups.yaml")]) == 0
    assert "[/b] [red]x" in capsys.readouterr().out  # not taken as a colour of the screen
    rows = list(csv.reader((run / "group_spectra.csv").open()))
    assert [row[:4] for row in rows[6:8]] == [
        ["1", "'=two", str(_pixels(run, (2, 3))), "mean"],
        ["1", "'=two", str(_pixels(run, (2, 3))), "standard deviation"],
    ]
    pixels = np.concatenate(
        [
            open_cube(each["url"]).array.read().result()[np.isin(labels(run, each["name"]), (2, 3))]
            for each in json.loads((run / "cubes.json").read_text())["cubes"]
        ]
    )
    pixels = pixels.astype(np.float64)
    np.testing.assert_allclose(np.array(rows[6][5:], float), pixels.mean(0), rtol=1e-6)
    np.testing.assert_allclose(np.array(rows[7][5:], float), pixels.std(0, ddof=1), rtol=1e-4)


def test_spectra_of_the_shapes_that_name_groups(run, trained, tmp_path, capsys):
    shapes = [
        {"label": "soil", "points": [[2, 2], [9, 9]], "shape_type": "rectangle"},
        {"label": "leaf", "points": [[20, 30], [29, 39]], "shape_type": "rectangle"},
    ]
    drawing = {"shapes": shapes, "imageHeight": 48, "imageWidth": 48, "imagePath": "a.png"}
    (tmp_path / "a.json").write_text(json.dumps(drawing))
    assert main([str(run), "--labels", str(tmp_path / "a.json")]) == 0
    assert "spectra of the drawn shapes" in capsys.readouterr().out
    rows = list(csv.reader((run / "polygon_spectra.csv").open()))
    values = open_cube(trained[0].parent / "cubes" / "a.zarr").array.read().result()
    for row, name, pixels in (
        (rows[1], "a: soil 1", values[2:10, 2:10]),
        (rows[6], "a: leaf 2", values[30:40, 20:30]),
    ):
        count = pixels.shape[0] * pixels.shape[1]
        assert row[1:4] == [name, str(count), "mean"]
        mean = pixels.reshape(count, -1).astype(np.float64).mean(0)
        np.testing.assert_allclose(np.array(row[5:], float), mean, rtol=1e-6)
    assert (run / "polygon_spectra.png").stat().st_size > 1000


def test_shapes_on_cubes_that_are_gone_still_name_groups(run, tmp_path, capsys):
    config = yaml.safe_load((run / "config.yaml").read_text())
    text = yaml.safe_dump(config | {"data": str(tmp_path / "gone")})
    (run / "config.yaml").write_text(text_with_checksum(text))
    shape = {"label": "soil", "points": [[2, 2], [9, 9]], "shape_type": "rectangle"}
    drawing = {"shapes": [shape], "imageHeight": 48, "imageWidth": 48, "imagePath": "a.png"}
    (tmp_path / "a.json").write_text(json.dumps(drawing))
    assert main([str(run), "--labels", str(tmp_path / "a.json")]) == 0
    assert "cannot be read any more" in capsys.readouterr().err
    assert (run / "groups.yaml").is_file()
    assert not (run / "polygon_spectra.csv").exists()


def _pixels(run: Path, clusters: tuple[int, ...]) -> int:
    return sum(int(np.isin(labels(run, name), clusters).sum()) for name in "ab")


def test_what_a_person_wrote_is_kept_until_told_otherwise(run, capsys):
    (run / "groups.yaml").write_text("mine: [0]\n")
    assert main([str(run), "--cut", "2"]) == 1
    assert "--overwrite replaces them" in capsys.readouterr().err
    assert (run / "groups.yaml").read_text() == "mine: [0]\n"
    assert main([str(run)]) == 0
    assert "mine" in capsys.readouterr().out
    assert main([str(run), "--groups", "yours=0,1 rest=2", "--overwrite"]) == 0
    assert list(saved(run)) == ["yours", "rest", "cluster 3", "cluster 4"]


def test_saved_groups_are_evaluated(run, trained, tmp_path, capsys):
    best = majority(trained)
    groups = {f"class {c}": [k for k in range(CLUSTERS) if best[k] == c] for c in range(3)}
    (run / "groups.yaml").write_text(yaml.safe_dump(groups))
    out = ("--labels", str(trained[1]), "--out", str(tmp_path / "scores.json"))
    assert evaluate([str(run), *out]) == 0
    found = json.loads((tmp_path / "scores.json").read_text())
    kept = json.loads((run / "scores.json").read_text())
    assert found["names"] == list(groups)
    assert (
        found["mean_iou"]["manual"] == found["mean_iou"]["hungarian"] == kept["mean_iou"]["merge"]
    )
    assert "3 groups of" in capsys.readouterr().out
    assert evaluate([str(run), *out, "--ignore_groups"]) == 0
    found = json.loads((tmp_path / "scores.json").read_text())
    assert len(found["names"]) == CLUSTERS
    assert "manual" not in found["mean_iou"]
    # Groups of a cut have no names of classes: they are scored by the best ones.
    assert main([str(run), "--cut", "3", "--overwrite"]) == 0
    assert evaluate([str(run), *out]) == 0
    found = json.loads((tmp_path / "scores.json").read_text())
    assert found["mean_iou"]["merge"] == kept["cuts"]["3"]["mean_iou"]["merge"]
    assert "scored by the best classes alone" in capsys.readouterr().err


def test_clicks_name_clusters_and_relatives_follow(run, trained, tmp_path, capsys):
    truth = np.load(trained[1] / "a.npy")
    lines, names = [], ("soil", "leaf", "rust")
    for c, name in enumerate(names):
        rows, columns = np.nonzero(truth == c)
        lines += [f"a,{rows[i]},{columns[i]},{name}" for i in (7, len(rows) // 2)]
    (tmp_path / "clicks.csv").write_text("\n".join(lines))
    assert main([str(run), "--points", str(tmp_path / "clicks.csv")]) == 0
    shown = capsys.readouterr().out
    assert "6 labelled pixels in" in shown
    assert "its pixels" in shown
    found = saved(run)
    assert sorted(found) == sorted(names)
    best = majority(trained)
    expected = {name: [k for k in range(CLUSTERS) if best[k] == c] for c, name in enumerate(names)}
    assert found == expected


def labelme(path: Path, *shapes: tuple[str, int, int, int, int]) -> Path:
    content = {"imageHeight": 48, "imageWidth": 48, "shapes": []}
    for label, top, left, bottom, right in shapes:
        points = [[left, top], [right, bottom]]
        content["shapes"].append({"label": label, "shape_type": "rectangle", "points": points})
    path.write_text(json.dumps(content))
    return path


def test_of_a_labelme_file_the_shapes_alone_count(run, trained, tmp_path, capsys):
    truth, best = np.load(trained[1] / "a.npy"), majority(trained)
    first = {c: np.argwhere(truth[::12, ::12] == c)[0] * 12 for c in range(3)}
    shapes = [
        (name, *(first[c] + 4).tolist(), *(first[c] + 5).tolist())
        for c, name in enumerate(("background", "leaf", "rust"))
    ]
    path = labelme(tmp_path / "a.json", *shapes)
    assert main([str(run), "--labels", str(path)]) == 0
    assert "12 labelled pixels in" in capsys.readouterr().out
    found = saved(run)
    assert sorted(found) == ["background", "leaf", "rust"]
    assert found["rust"] == [k for k in range(CLUSTERS) if best[k] == 2]


def test_a_label_map_names_clusters_too(run, trained, capsys):
    given = ("--labels", str(trained[1]), "--class_names", "soil=0 leaf=1 rust=2")
    assert main([str(run), *given]) == 0
    assert f"{2 * 48 * 48:,} labelled pixels" in capsys.readouterr().out
    best = majority(trained)
    assert saved(run)["rust"] == [k for k in range(CLUSTERS) if best[k] == 2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--cut", "0"), "--cut 0 is out of range"),
        (("--cut", "6"), "1 to 5 groups, not 6"),
        (("--cut", "2", "--groups", "a=0"), "--cut and --groups ask for different groups"),
        (("--groups", "a=7"), "names cluster 7"),
        (("--labels", "nowhere"), "no labels at nowhere"),
        (("--points", "nowhere.csv"), "no file of clicks at nowhere.csv"),
        (("--points", "CLICKS:A,1,1,leaf"), "no cube 'A'; did you mean a? It has labelled: a, b"),
        (("--points", "CLICKS:a,1,48,leaf"), "outside a, which has 48 rows and 48 columns"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_saved(run, tmp_path, capsys, options, words):
    name, text = options[-2], options[-1]
    if text.startswith("CLICKS:"):
        (tmp_path / "clicks.csv").write_text(text.removeprefix("CLICKS:"))
        options = (*options[:-2], name, str(tmp_path / "clicks.csv"))
    assert main([str(run), *options]) == 1
    assert words in capsys.readouterr().err
    assert not (run / "groups.yaml").exists()


def test_what_is_no_run_is_refused(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert "has no tree.json" in capsys.readouterr().err
