"""The command that shows and clears what is kept between commands."""

import json

import numpy as np

from jaxhsi.cache import main
from jaxhsi.data.cache import default_cache_folder
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
    copies = record["kinds"]["copies of files, by their state"]
    assert copies["number"] == 1
    assert copies["bytes"] > 100
    assert main(["--clear"]) == 0
    assert "deleted" in capsys.readouterr().out
    assert [path.name for path in default_cache_folder().iterdir()] == ["letters"]
