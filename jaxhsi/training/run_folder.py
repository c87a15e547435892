"""The folder of a run: who may write into it."""

import shutil
from itertools import count
from pathlib import Path

CONFIG = "config.yaml"
CUBES = "cubes.json"  # what a run was trained on, see data.manifest.manifest_json
TREE = "tree.json"  # of the clusters of a run, see hierarchy
GROUPS = "groups.yaml"  # what a person made of them
SOLVED = "solution.npz"  # all that unmixes new spectra as a run of gmcr does, see unmixer
UNMIXED = "unmix.yaml"  # takes the place of CONFIG in a folder of concentrations
PREDICTED = "predict.yaml"  # takes the place of CONFIG in a folder of predictions


def fresh_folder(parent: Path, stem: str) -> Path:
    """The first of ``parent/stem-1``, ``parent/stem-2``, ... that does not exist."""
    return next(path for i in count(1) if not (path := parent / f"{stem}-{i}").exists())


def check_folder(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that a run must not use; changes nothing.

    Raises:
        FileExistsError: a run or other files are there and nothing was said about them.
        FileNotFoundError: to resume, a run must be there.
        ValueError: resume and overwrite at once.
    """
    if resume and overwrite:
        raise ValueError("--resume keeps the run in --out and --overwrite deletes it; give one")
    holds_run = (folder / CONFIG).is_file()
    if resume and not holds_run:
        raise FileNotFoundError(
            f"--resume: {folder} holds no run (no {CONFIG}); name its folder with --out"
        )
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"--out {folder} is a file; name another folder")
    if holds_run and not resume and not overwrite:
        raise FileExistsError(
            f"{folder} holds a run already; --resume goes on with it, --overwrite deletes it, "
            "or name another folder with --out"
        )
    if not holds_run and folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(
            f"{folder} holds files that are no run of jaxhsi and are left alone; "
            "name an empty or new folder with --out"
        )


def check_results(folder: Path, mark: str, what: str, *, overwrite: bool) -> None:
    """Refuse a folder that results of a run must not be written to; changes nothing.

    Args:
        folder: to write to.
        mark: file that tells such results.
        what: they are, such as "predictions".
        overwrite: they may be deleted.

    Raises:
        FileExistsError: such results are there and nothing was said about them, or other files.
    """
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"--out {folder} is a file; name another folder")
    if (folder / mark).is_file():
        if not overwrite:
            raise FileExistsError(
                f"{folder} holds {what} already; --overwrite deletes them, or name another folder "
                "with --out"
            )
    elif folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(
            f"{folder} holds files that are no {what} and are left alone; name an empty or new "
            "folder with --out"
        )


def claim_folder(folder: Path, *, overwrite: bool, mark: str = CONFIG) -> None:
    """Make a folder, empty if what is in it is to be overwritten; checked before.

    Args:
        folder: to make.
        overwrite: delete what it holds.
        mark: file that tells that it is ours to delete.
    """
    if overwrite and (folder / mark).is_file():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
