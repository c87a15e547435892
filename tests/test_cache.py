"""The command that shows and clears what is kept between commands."""

import json

import numpy as np

from jaxhsi.cache import main
from jaxhsi.data import cache
from jaxhsi.data.cache import default_cache_folder, source_digest
from jaxhsi.data.open import open_cubes


def test_kinds_are_shown_and_cleared_and_other_files_stay(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JAXHSI_CACHE", str(tmp_path / "cache"))
    assert main([]) == 0
    assert "holds nothing of jaxhsi" in " ".join(capsys.readouterr().out.split())
    np.save(tmp_path / "scene.npy", np.ones((8, 9, 12), np.float32))
    open_cubes(tmp_path / "scene.npy", layout="hwc")
    (default_cache_folder() / "letters").mkdir()
    assert main(["--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    copies = record["kinds"]["copies of files"]
    assert (copies["number"], copies["stores"]) == (1, ["scene.zarr"])
    assert copies["bytes"] > 100
    assert main(["--clear"]) == 0
    assert "deleted" in capsys.readouterr().out
    assert [path.name for path in default_cache_folder().iterdir()] == ["letters"]


def test_copies_are_of_the_options_the_file_and_the_code_that_made_them(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXHSI_CACHE", str(tmp_path / "cache"))
    np.save(tmp_path / "scene.npy", np.ones((8, 9, 12), np.float32))

    def copied(**options) -> str:
        [cube] = open_cubes(tmp_path / "scene.npy", layout="hwc", **options)
        return cube.url

    first = copied()
    assert copied() == first
    others = {copied(no_data=-1.0)}
    np.save(tmp_path / "scene.npy", np.full((8, 9, 12), 2, np.float32))
    others.add(copied())
    monkeypatch.setattr("jaxhsi.data.open.source_digest", lambda *_: "of other code")
    others.add(copied())
    assert len(others | {first}) == 4


def test_digests_of_source_code_change_with_any_of_its_files(tmp_path, monkeypatch):
    (tmp_path / "readers").mkdir()
    (tmp_path / "readers" / "a.py").write_text("x = 1")
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "data" / "cache.py"))
    source_digest.cache_clear()
    digests = [source_digest("readers")]
    (tmp_path / "readers" / "b.npz").write_bytes(b"data")
    source_digest.cache_clear()
    digests.append(source_digest("readers"))
    source_digest.cache_clear()
    assert digests[0] != digests[1]
