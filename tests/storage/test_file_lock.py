"""One process writes into a folder; the lock of one that was killed is free."""

import signal
import subprocess
import sys

import pytest

from jaxhsi.storage.file_lock import FOLDER_LOCK, clear_folder, is_unlocked, locked_folder

HOLD_LOCK = """
import sys, time
from pathlib import Path
from jaxhsi.storage.file_lock import locked_folder
with locked_folder(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_refused(tmp_path):
    with (
        locked_folder(tmp_path),
        pytest.raises(BlockingIOError, match=f"another process is writing {tmp_path}"),
        locked_folder(tmp_path),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    run = tmp_path / "run"
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(run)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "locked\n"
    assert not is_unlocked(run / FOLDER_LOCK)
    with pytest.raises(BlockingIOError), locked_folder(run):
        pass
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert (run / FOLDER_LOCK).is_file()
    with locked_folder(run):
        (run / "scores.json").touch()
    assert [path.name for path in run.iterdir()] == ["scores.json"]


def test_folders_that_stay_empty_go(tmp_path):
    with locked_folder(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="is a file"), locked_folder(tmp_path / "file"):
        pass


def test_the_file_that_names_a_folder_goes_last(tmp_path, monkeypatch):
    (tmp_path / "pictures").mkdir()
    for name in ("config.yaml", "scores.json", FOLDER_LOCK, "pictures/a.png"):
        (tmp_path / name).touch()
    deleted = []
    monkeypatch.setattr("pathlib.Path.unlink", lambda path: deleted.append(path.name))
    clear_folder(tmp_path, "config.yaml")
    assert deleted == ["scores.json", "config.yaml"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *(FOLDER_LOCK, "config.yaml", "scores.json")
    ]
