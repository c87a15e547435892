"""Every cut and every flipped bit of a file with a checksum is told."""

import json

import numpy as np
import pytest

from jaxhsi.storage import checksums
from jaxhsi.storage.checked_arrays import read_checked_npz, write_checked_npz
from jaxhsi.storage.checksums import DamagedFileError
from jaxhsi.storage.replacement import replace_text
from tests.helpers.damage import damages


def write_text(path, content):
    replace_text(path, checksums.text_with_checksum(json.dumps(content)))


def read_text(path, remedy):
    return json.loads(checksums.checked_text(path, remedy).splitlines()[0].partition("#")[0])


def write_arrays(path, content):
    write_checked_npz(path, {name: np.array(value) for name, value in content.items()})


def read_arrays(path, remedy):
    return {name: value.tolist() for name, value in read_checked_npz(path, remedy).items()}


FORMS = {
    "text": (write_text, read_text),
    "json": (checksums.write_checked_json, checksums.read_checked_json),
    "npz": (write_arrays, read_arrays),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_damage_is_named(tmp_path, form):
    write, read = FORMS[form]
    path, content = tmp_path / "file", {"a": [1.5, 2.0], "b": 3}
    write(path, content)
    assert read(path, "write it anew") == content
    whole = path.read_bytes()
    for damaged in damages(whole, min(len(whole), 200)):
        path.write_bytes(damaged)
        with pytest.raises(DamagedFileError, match=r"file is damaged: .*; write it anew"):
            read(path, "write it anew")


def test_json_is_read_by_every_reader(tmp_path):
    checksums.write_checked_json(tmp_path / "a.json", {"a": 1})
    assert json.loads((tmp_path / "a.json").read_text()).keys() == {"a", "sha256"}


def test_listed_tables(tmp_path):
    path = tmp_path / "a.csv"
    for text in ("a,b\n1,2\n", "a,b\n3,4\n"):
        with checksums.replace_listed_file(path) as file:
            file.write(text)
        checksums.check_listed_file(path, "write it anew")
    path.write_text("a,b\n")
    with pytest.raises(DamagedFileError, match=r"a\.csv is damaged: .*SHA256SUMS.*write it anew"):
        checksums.check_listed_file(path, "write it anew")
    checksums.unlist_file(path)
    checksums.check_listed_file(path, "write it anew")
    assert list(tmp_path.iterdir()) == [path]


def test_listed_folders(tmp_path):
    (tmp_path / "d").mkdir()
    for name in ("a", "d/b"):
        (tmp_path / name).write_text(name)
    assert checksums.folder_damage(tmp_path) is None  # of an earlier version
    checksums.list_folder(tmp_path)
    assert checksums.folder_damage(tmp_path) is None
    (tmp_path / "d" / "b").write_text("c")
    assert checksums.folder_damage(tmp_path) == "d/b is not as it was written"
    (tmp_path / "d" / "b").unlink()
    assert checksums.folder_damage(tmp_path) == "d/b is missing"
    (tmp_path / checksums.SUMS_FILE).write_text("")
    assert "cannot be read" in checksums.folder_damage(tmp_path)
