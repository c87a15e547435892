"""The folder of a run: who may write into it."""

import shutil
from itertools import count
from pathlib import Path

CONFIG = "config.yaml"


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


def claim_folder(folder: Path, *, overwrite: bool) -> None:
    """Make the folder of a run, empty if the run in it is to be overwritten; checked before."""
    if overwrite and (folder / CONFIG).is_file():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
