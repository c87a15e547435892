"""Whatever ends a writer, the file is the old one or the new one."""

import errno

import pytest

from jaxhsi.storage.replacement import partial_path, replace_file, replace_path, replace_text


@pytest.mark.parametrize("replace", [replace_file, replace_path])
def test_errors_of_writing_name_the_file(tmp_path, replace):
    path = tmp_path / "scores.txt"
    with pytest.raises(OSError, match="space") as error, replace(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert error.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as error, replace(path):
        (tmp_path / "other.txt").read_text()
    assert error.value.filename == str(tmp_path / "other.txt")


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "folder" / "scores.txt"
    replace_text(path, "old")
    for write in (_interrupted_file, _interrupted_path):
        with pytest.raises(KeyboardInterrupt):
            write(path)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def _interrupted_file(path):
    with replace_file(path) as file:
        file.write("new")
        raise KeyboardInterrupt


def _interrupted_path(path):
    with replace_path(path) as temporary:
        temporary.write_text("new")
        raise KeyboardInterrupt


def test_what_a_killed_writer_left_is_cleared(tmp_path):
    path = tmp_path / "scores.txt"
    for write in (lambda: replace_text(path, "whole"), lambda: _replace_path(path, "whole")):
        partial_path(path).write_text("half of something that is much longer")
        write()
        assert path.read_text() == "whole"
        assert list(tmp_path.iterdir()) == [path]


def _replace_path(path, text):
    with replace_path(path) as temporary:
        assert not temporary.exists()
        temporary.write_text(text)


def test_two_writers_of_a_file_are_kept_apart(tmp_path):
    path = tmp_path / "scores.txt"
    with replace_file(path) as file:
        file.write("first")
        with pytest.raises(BlockingIOError, match="being written by another process"):
            replace_text(path, "second")
    assert path.read_text() == "first"
