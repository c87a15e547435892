import csv

import numpy as np
from PIL import Image

from jaxhsi.report.cluster_presence import cluster_presence, write_presence_files
from jaxhsi.report.dgc_sentences import partial_presence_lines

PIXELS = {"a": np.array([990, 10, 0]), "b": np.array([999, 1, 0]), "c": np.array([600, 0, 0])}
NAMES = ("tissue", "lesion", "nothing")


def test_a_cluster_is_present_above_a_thousandth():
    found = cluster_presence(PIXELS, NAMES)
    assert found["cubes"]["a"] == {
        "shares": [0.99, 0.01, 0.0],
        "pixels": [990, 10, 0],
        "present": [0, 1],
    }
    assert found["cubes"]["b"]["present"] == [0]  # 0.1 % is not more than 0.1 %
    assert "0.1%" in found["rule"]


def test_what_is_in_some_cubes_alone_is_told():
    assert partial_presence_lines(cluster_presence(PIXELS, NAMES)) == [
        "lesion: in 1 of 3 cubes, up to 1.0% (a; b: 1 pixel, under 0.1%)"
    ]
    assert partial_presence_lines(cluster_presence({"a": PIXELS["a"]}, NAMES)) == []
    many = {str(i): np.array([1, int(i > 0)]) for i in range(9)}
    (line,) = partial_presence_lines(cluster_presence(many, NAMES[:2]))
    assert line == "lesion: in 8 of 9 cubes, up to 50.0% (not in 0)"
    many["0"] = np.array([99_964, 36])
    (line,) = partial_presence_lines(cluster_presence(many, NAMES[:2]))
    assert line == "lesion: in 8 of 9 cubes, up to 50.0% (0: 36 pixels, under 0.1%)"
    few = {str(i): np.array([1, int(i < 8)]) for i in range(20)}
    (line,) = partial_presence_lines(cluster_presence(few, NAMES[:2]))
    assert line == "lesion: in 8 of 20 cubes, up to 50.0% (0, 1, 2, 3, 4, 5, ...)"


def test_the_table_and_the_picture(tmp_path):
    write_presence_files(tmp_path, cluster_presence(PIXELS, NAMES))
    rows = list(csv.DictReader((tmp_path / "presence.csv").open()))
    assert len(rows) == 9
    assert rows[1] == {
        **{"cube": "a", "cluster": "1", "name": "lesion", "share": "0.010000", "present": "1"}
    }
    assert Image.open(tmp_path / "presence.png").size[0] > 200


def test_one_cube_needs_no_picture_and_none_is_full(tmp_path):
    write_presence_files(tmp_path, cluster_presence({"a": np.zeros(3, int)}, NAMES))
    assert not (tmp_path / "presence.png").exists()
    rows = list(csv.DictReader((tmp_path / "presence.csv").open()))
    assert {row["present"] for row in rows} == {"0"}
