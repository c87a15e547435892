"""The contact sheet: every normalisation is drawn, and labelled pixels rank them."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxhsi.preview import main
from jaxhsi.workflows import preview_run
from jaxhsi.workflows.preview_run import agreement

SIDE, BANDS = 24, 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Left and right differ in brightness alone, so that l2 does not tell them apart."""
    folder = tmp_path_factory.mktemp("preview")
    rows = np.random.default_rng(0)
    cube = np.linspace(1, 3, BANDS) * np.ones((SIDE, SIDE, 1))
    cube[:, : SIDE // 2] *= 3
    cube += 0.01 * rows.normal(size=cube.shape)
    np.save(folder / "scene.npy", cube.astype(np.float32))
    lines = [f"scene,{row},{column},{'left' if column < 12 else 'right'}" for row, column in POINTS]
    (folder / "clicks.csv").write_text("cube,row,column,name\n" + "\n".join(lines))
    return folder


POINTS = [(row, column) for row in (2, 9, 15, 21) for column in (1, 5, 14, 22)]


def run(*arguments: object, code: int = 0) -> None:
    assert main([str(argument) for argument in arguments]) == code


def test_labelled_pixels_rank_the_normalisations(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = (folder / "scene.npy", "--num_clusters", "[2]", "--layout", "hwc")
    run(*arguments, "--points", folder / "clicks.csv", "--json")
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    agreed = {each["normalisation"]: each["agreement"] for each in result["segmentations"]}
    assert list(agreed) == ["none", "band", "l2", "snv", "log", "snv+band"]
    assert agreed["none"] == agreed["band"] == agreed["log"] == 1.0
    assert agreed["l2"] < 0.9
    assert "take: jaxhsi train dgc --normalisation none --num_clusters 2" in printed.err
    assert "as good by these pixels: band with 2" in printed.err
    with Image.open(tmp_path / "preview-scene.png") as picture:
        assert picture.width > picture.height > 100


def test_pixels_far_from_all_others_are_left_out_and_named(folder, tmp_path, capsys):
    cube = np.load(folder / "scene.npy")
    cube[7, 8] = 1e30
    np.save(tmp_path / "scene.npy", cube)
    arguments = ("--num_clusters", "[2]", "--layout", "hwc", "--out", tmp_path / "sheet.png")
    run(tmp_path / "scene.npy", *arguments, "--points", folder / "clicks.csv", "--json")
    printed = capsys.readouterr()
    agreed = {
        each["normalisation"]: each["agreement"]
        for each in json.loads(printed.out)["segmentations"]
    }
    assert agreed["none"] == agreed["band"] == 1.0
    assert "1 sampled pixel more than 30 times" in printed.err
    assert "scene row 7 column 8" in printed.err


def test_without_points_the_next_command_is_told(folder, tmp_path, capsys):
    out = tmp_path / "sheets" / "sheet.png"
    run(folder / "scene.npy", "--num_clusters", "[2]", "--layout", "hwc", "--out", out)
    assert "jaxhsi train dgc --normalisation NAME" in " ".join(capsys.readouterr().out.split())
    assert out.is_file()


def test_of_a_large_cube_the_middle_is_shown(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(preview_run, "WINDOW_SIDE", 16)
    out = tmp_path / "sheet.png"
    run(folder / "scene.npy", "--num_clusters", "[2]", "--layout", "hwc", "--out", out)
    assert "the middle 16 x 16 of 24 x 24 pixels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("other,1,1,a\nother,2,2,b", "no pixel of a cube called scene"),
        ("scene,1,1,a\nscene,2,2,a", "label pixels of two kinds"),
        ("scene,1,1,a\nscene,99,2,b", "row 99, column 2 lies outside of scene"),
    ],
)
def test_points_that_cannot_be_used_are_named(folder, tmp_path, capsys, lines, words):
    (tmp_path / "clicks.csv").write_text(lines)
    arguments = (folder / "scene.npy", "--layout", "hwc", "--points", tmp_path / "clicks.csv")
    run(*arguments, code=1)
    assert words in capsys.readouterr().err


def test_agreement_is_that_of_the_others_in_the_cluster():
    names = ["a", "a", "a", "b", "b"]
    assert agreement(names, np.array([0, 0, 0, 1, 1])) == 1.0
    assert agreement(names, np.array([0, 0, 0, 0, 0])) == 0.0
    assert agreement(names, np.array([0, 0, 1, 2, 2])) == 0.8
