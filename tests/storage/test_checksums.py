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


def read_text(path, remedy, **options):
    text = checksums.checked_text(path, remedy, **options).removeprefix(checksums.TEXT_MARK)
    return json.loads(text.partition("#")[0])


def write_arrays(path, content):
    write_checked_npz(path, {name: np.array(value) for name, value in content.items()})


def read_arrays(path, remedy, **options):
    arrays = read_checked_npz(path, remedy, **options)
    return {name: value.tolist() for name, value in arrays.items()}


def write_unchecked(path, content, form):
    if form == "npz":
        with path.open("wb") as file:
            np.savez(file, **content)
    else:
        path.write_text(json.dumps(content))


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
        # Nothing of it looks as if an earlier version had written it; but a key of another name.
        for allow_unchecked in (False, b"sha256" in damaged or form != "json"):
            with pytest.raises(DamagedFileError, match=r"file is damaged: .*; write it anew"):
                read(path, "write it anew", allow_unchecked=allow_unchecked)


@pytest.mark.parametrize("form", FORMS)
def test_files_of_an_earlier_version_are_read_where_that_is_said(tmp_path, form, caplog):
    path, content = tmp_path / "file", {"a": [1.5, 2.0], "b": 3}
    write_unchecked(path, content, form)
    read = FORMS[form][1]
    with pytest.raises(DamagedFileError, match="file is damaged"):
        read(path, "write it anew")
    assert not caplog.text
    assert [read(path, "", allow_unchecked=True) for _ in range(2)] == [content] * 2
    assert caplog.text.count(f"{tmp_path} was written by an earlier version, without checks") == 1


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
    with pytest.raises(DamagedFileError, match=r"SHA256SUMS beside it does not list it"):
        checksums.check_listed_file(path, "write it anew", allow_unchecked=False)
    assert list(tmp_path.iterdir()) == [path]


def test_listed_folders(tmp_path):
    (tmp_path / "d").mkdir()
    for name in ("a", "d/b"):
        (tmp_path / name).write_text(name)
    assert checksums.folder_damage(tmp_path) == "SHA256SUMS is missing"
    checksums.list_folder(tmp_path)
    assert checksums.folder_damage(tmp_path) is None
    (tmp_path / "d" / "b").write_text("c")
    assert checksums.folder_damage(tmp_path) == "d/b is not as it was written"
    (tmp_path / "d" / "b").unlink()
    assert checksums.folder_damage(tmp_path) == "d/b is missing"
    (tmp_path / checksums.SUMS_FILE).write_text("")
    assert "cannot be read" in checksums.folder_damage(tmp_path)


def test_moved_files_keep_their_checksums_and_a_move_can_be_made_again(tmp_path):
    part, whole = tmp_path / "part", tmp_path / "whole"
    for folder, name in ((part, "b.csv"), (part, "c.csv"), (whole, "a.csv")):
        with checksums.replace_listed_file(folder / name) as file:
            file.write(name)
    (part / "d.zarr").mkdir()
    (part / "e.csv.partial").touch()
    checksums.move_entries(part, whole, ["b.csv", "none.csv"])  # as far as an interrupted move came
    checksums.move_entries(part, whole)
    names = [f"{name}.csv" for name in "abc"]
    assert sorted(path.name for path in whole.iterdir()) == ["SHA256SUMS", *names, "d.zarr"]
    assert checksums.folder_damage(whole) is None
    lines = (whole / "SHA256SUMS").read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == names
    assert sorted(path.name for path in part.iterdir()) == ["SHA256SUMS", "e.csv.partial"]
