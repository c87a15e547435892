import pytest

from jaxhsi.training.run_folder import (
    CONFIG_FILE,
    check_run_folder,
    create_run_folder,
    next_free_folder,
)


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / CONFIG_FILE).write_text("seed: 0\n")
    return tmp_path / "run"


def test_fresh_folders_are_numbered(tmp_path):
    assert next_free_folder(tmp_path, "dgc").name == "dgc-1"
    (tmp_path / "dgc-1").mkdir()
    assert next_free_folder(tmp_path, "dgc").name == "dgc-2"


def test_a_run_is_not_overwritten_unasked(run):
    with pytest.raises(FileExistsError, match="--resume goes on with it, --overwrite deletes it"):
        check_run_folder(run, resume=False, overwrite=False)
    check_run_folder(run, resume=True, overwrite=False)
    check_run_folder(run, resume=False, overwrite=True)
    assert (run / CONFIG_FILE).exists()
    create_run_folder(run, overwrite=True)
    assert list(run.iterdir()) == []


def test_other_peoples_files_are_never_deleted(tmp_path):
    (tmp_path / "thesis.tex").write_text("dear to me")
    with pytest.raises(FileExistsError, match="no run of jaxhsi"):
        check_run_folder(tmp_path, resume=False, overwrite=True)
    create_run_folder(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").exists()


def test_an_empty_or_new_folder_is_free(tmp_path):
    check_run_folder(tmp_path, resume=False, overwrite=False)
    check_run_folder(tmp_path / "new", resume=False, overwrite=False)
    create_run_folder(tmp_path / "new", overwrite=False)
    assert (tmp_path / "new").is_dir()


def test_resume_needs_a_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no run"):
        check_run_folder(tmp_path, resume=True, overwrite=False)


def test_resume_and_overwrite_exclude_each_other(run):
    with pytest.raises(ValueError, match="give one"):
        check_run_folder(run, resume=True, overwrite=True)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match="is a file"):
        check_run_folder(tmp_path / "file", resume=False, overwrite=False)
