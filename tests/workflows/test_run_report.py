"""The report of runs that were made by hand; what it does is tried in tests/report/test_browser."""

import base64
import json
import re
import zlib

import numpy as np
import pytest

from jaxhsi.config.report import ReportConfig
from jaxhsi.report.__main__ import main
from jaxhsi.workflows.run_report import MAX_REPORT_BYTES, make_report, write_report
from tests.helpers.labelled_runs import make_labelled_run

MISCHIEF = "</script><script>alert(1)</script>=\"'\n"


def page_data(page: str) -> dict:
    """What the scripts of a page read."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    return json.loads(text)


def decoded(part: dict) -> np.ndarray:
    values = np.frombuffer(zlib.decompress(base64.b64decode(part["data"])), part["type"])
    return values.reshape(part["shape"])


def test_a_report_is_one_file_that_asks_the_network_for_nothing(tmp_path):
    written = write_report(ReportConfig(run=make_labelled_run(tmp_path)))
    page = written["report"].read_text(encoding="utf-8")
    assert written["bytes"] == len(page.encode())
    assert not re.findall(r"""(?:src|href|url\(|import)\s*=?\s*["'(]?\s*https?:""", page)
    assert set(re.findall(r"https?://[^\"'\s]+", page)) == {"http://www.w3.org/2000/svg"}
    data = page_data(page)
    (cube,) = data["cubes"]
    assert decoded(cube["labels"]).shape == (40, 40)
    assert cube["pixel_area"] == 4.0
    counts = np.array(cube["counts"])
    assert counts.sum() == 1600
    assert counts.sum(1).tolist() == np.bincount(decoded(cube["labels"]).ravel()).tolist()
    assert len(data["tree"]["pairs"]) == 3
    assert data["notices"] == []


def test_building_says_how_many_cubes_are_done(tmp_path):
    run, calls = make_labelled_run(tmp_path, cube_names=("a", "b", "c")), []
    make_report(run, lambda *progress: calls.append(progress))
    assert calls == [("report, cubes", number, 3) for number in (1, 2, 3)]


def test_pixel_spectra_are_those_of_the_cube(tmp_path):
    from jaxhsi.data.cube import open_cube

    run = make_labelled_run(tmp_path)
    spectra = page_data(make_report(run))["cubes"][0]["spectra"]
    values = open_cube(tmp_path / "cubes" / "field.zarr").array.read().result()
    low, high = np.array(spectra["low"]), np.array(spectra["high"])
    found = low + decoded(spectra["values"]) / 65535 * (high - low)
    step = spectra["step"]
    np.testing.assert_allclose(found, values[::step, ::step], atol=2e-5)


@pytest.mark.parametrize(("side", "num_cubes"), [(700, 1), (120, 12)])
def test_a_report_stays_small(tmp_path, side, num_cubes):
    names = tuple(f"cube-{i}" for i in range(num_cubes))
    run = make_labelled_run(tmp_path, side=side, num_bands=40, num_clusters=16, cube_names=names)
    page = make_report(run)
    assert len(page.encode()) < MAX_REPORT_BYTES
    data = page_data(page)
    assert len(data["cubes"]) == num_cubes
    for cube in data["cubes"]:
        assert np.array(cube["counts"]).sum() == side**2  # counted on all pixels


def test_names_are_data_and_nothing_else(tmp_path):
    run = make_labelled_run(tmp_path, class_names=(MISCHIEF, "leaf"), cube_names=("a<b>&c",))
    groups = {MISCHIEF: [0, 1], "rest": [2, 3]}
    (run / "groups.yaml").write_text(json.dumps(groups))
    page = make_report(run)
    assert page.count("</script>") == 2  # of the data and of the program
    assert "<script>alert" not in page
    data = page_data(page)
    assert data["class_names"] == [MISCHIEF, "leaf"]
    assert data["cubes"][0]["name"] == "a<b>&c"
    # Names of groups are on one line.
    shown = "</script><script>alert(1)</script>=\"'"
    assert [each["name"] for each in data["saved_groups"]] == [shown, "rest"]


def test_a_run_that_is_not_finished_shows_what_there_is(tmp_path):
    run = make_labelled_run(tmp_path)
    (run / "scores.json").unlink()
    (run / "tree.json").unlink()
    rows = [{"step": 10, "loss": 3.0}, {"step": 20, "loss": 2.0}]
    lines = "".join(json.dumps(row) + "\n" for row in rows) + '{"step": 30, "lo'
    (run / "metrics.jsonl").write_text(lines)
    data = page_data(make_report(run))
    assert "has not come to its end" in data["notices"][0]
    assert "--resume" in data["notices"][0]
    assert data["tree"] is None
    assert data["curves"][0]["series"][0]["y"] == [3.0, 2.0]
    assert len(data["cubes"]) == 1


def test_a_run_without_previews_says_so(tmp_path):
    run = make_labelled_run(tmp_path)
    (run / "previews" / "field.npz").unlink()
    data = page_data(make_report(run))
    assert "no maps of field" in data["notices"][0]
    assert data["cubes"] == []


@pytest.mark.parametrize("name", ["tree.json", "spectra.npz", "metrics.jsonl"])
def test_a_file_that_is_gone_is_named_on_the_page_and_on_the_screen(tmp_path, capsys, name):
    run = make_labelled_run(tmp_path)
    (run / name).unlink()
    page = write_report(ReportConfig(run=run))["report"].read_text(encoding="utf-8")
    (notice,) = page_data(page)["notices"]
    assert notice.startswith(f"{name} is gone, and the page is without")
    assert notice in capsys.readouterr().out


def test_folders_without_a_run_are_refused(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert f"{tmp_path} holds no run" in capsys.readouterr().err


def test_a_damaged_preview_is_named(tmp_path, capsys):
    run = make_labelled_run(tmp_path)
    (run / "previews" / "field.npz").write_bytes(b"no preview")
    assert main([str(run)]) == 1
    assert "field.npz is damaged" in capsys.readouterr().err
