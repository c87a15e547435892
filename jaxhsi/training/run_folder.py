"""The folder of a run: its files, who may write into it, and who wrote it."""

from itertools import count
from pathlib import Path

from jaxhsi.storage.checksums import has_text_checksum
from jaxhsi.storage.file_lock import FOLDER_LOCK, clear_folder
from jaxhsi.storage.replacement import is_partial
from jaxhsi.training.tile_journal import JOURNAL_FILE

CONFIG_FILE = "config.yaml"
CONFIG_COPY = "checkpoints/config.yaml"  # used where the other is damaged
CUBES_FILE = "cubes.json"  # what a run was trained on, see data.manifest.manifest_json
TREE_FILE = "tree.json"  # of the clusters of a run, see hierarchy
GROUPS_FILE = "groups.yaml"  # what a person made of them
SOLUTION_FILE = "solution.npz"  # all that unmixes new spectra as a run of gmcr does, see unmixer
UNMIX_CONFIG_FILE = "unmix.yaml"  # takes the place of CONFIG in a folder of concentrations
PREDICT_CONFIG_FILE = "predict.yaml"  # takes the place of CONFIG in a folder of predictions


def repair_hint(folder: Path) -> str:
    """How a damaged file of a run, or of results, is made anew, for messages.

    Args:
        folder: of the run or the results.

    >>> repair_hint(Path("runs/saved"))
    'make runs/saved anew'
    """
    if (folder / PREDICT_CONFIG_FILE).is_file():
        return f"jaxhsi predict ... --out {folder} --overwrite makes the predictions anew"
    if (folder / UNMIX_CONFIG_FILE).is_file():
        return f"jaxhsi unmix ... --out {folder} --overwrite makes the concentrations anew"
    if not (folder / CONFIG_FILE).is_file():
        return f"make {folder} anew"
    method = "dgc" if (folder / CUBES_FILE).is_file() else "gmcr"
    return f"jaxhsi train {method} --out {folder} --resume writes it anew"


def may_lack_checksums(folder: Path) -> bool:
    """Whether an earlier version may have written a folder, whose files then have no checksums.

    The configuration says so. A folder without one, such as that of a saved result, may be of any
    version.

    Args:
        folder: of a run or of results.
    """
    names = (CONFIG_FILE, PREDICT_CONFIG_FILE, UNMIX_CONFIG_FILE)
    config = next((path for name in names if (path := folder / name).is_file()), None)
    return config is None or not (has_text_checksum(config) or (folder / CONFIG_COPY).is_file())


def next_free_folder(parent: Path, stem: str) -> Path:
    """The first of ``parent/stem-1``, ``parent/stem-2``, ... that does not exist."""
    return next(path for i in count(1) if not (path := parent / f"{stem}-{i}").exists())


def check_run_folder(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that a run must not use; changes nothing.

    Raises:
        FileExistsError: a run or other files are there and nothing was said about them.
        FileNotFoundError: to resume, a run must be there.
        ValueError: resume and overwrite at once.
    """
    if resume and overwrite:
        raise ValueError("--resume keeps the run in --out and --overwrite deletes it; give one")
    holds_run = (folder / CONFIG_FILE).is_file()
    if resume and not holds_run:
        raise FileNotFoundError(
            f"--resume: {folder} holds no run (no {CONFIG_FILE}); name its folder with --out"
        )
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"--out {folder} is a file; name another folder")
    if holds_run and not resume and not overwrite:
        raise FileExistsError(
            f"{folder} holds a run already; --resume goes on with it, --overwrite deletes it, "
            "or name another folder with --out"
        )
    if not holds_run and _holds_other_files(folder):
        raise FileExistsError(
            f"{folder} holds files that are no run of jaxhsi and are left alone; "
            "name an empty or new folder with --out"
        )


def check_result_folder(
    folder: Path, marker_file: str, content_name: str, *, overwrite: bool
) -> None:
    """Refuse a folder that results of a run must not be written to; changes nothing.

    Results beside which a journal lies are not complete: they are gone on with, or replaced.

    Args:
        folder: to write to.
        marker_file: file that tells such results.
        content_name: they are, such as "predictions".
        overwrite: they may be deleted.

    Raises:
        FileExistsError: such results are there and nothing was said about them, or other files.
    """
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"--out {folder} is a file; name another folder")
    is_unfinished = (folder / JOURNAL_FILE).is_file()
    if (folder / marker_file).is_file():
        if not overwrite and not is_unfinished:
            raise FileExistsError(
                f"{folder} holds {content_name} already; --overwrite deletes them, or name another "
                "folder with --out"
            )
    elif _holds_other_files(folder):
        raise FileExistsError(
            f"{folder} holds files that are no {content_name} and are left alone; name an empty or "
            "new folder with --out"
        )


def check_folder_of_parts(
    folder: Path, marker_file: str, content_name: str, parts_folder: Path
) -> None:
    """Refuse a folder that parts of results must not be written to; changes nothing.

    Args:
        folder: of the results of all parts.
        marker_file: file that tells whole results.
        content_name: they are, such as "predictions".
        parts_folder: folder of the parts, in that of the results.

    Raises:
        FileExistsError: whole results are there, or other files.
    """
    if (folder / marker_file).is_file():
        raise FileExistsError(
            f"{folder} holds {content_name} already, to which no part can be added; name another "
            "folder with --out"
        )
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"--out {folder} is a file; name another folder")
    if _holds_other_files(folder, parts_folder.name):
        raise FileExistsError(
            f"{folder} holds files that are no {content_name} and are left alone; name an empty or "
            "new folder with --out"
        )


def create_run_folder(folder: Path, *, overwrite: bool, marker_file: str = CONFIG_FILE) -> None:
    """Make a folder, empty if what is in it is to be overwritten; checked before.

    Args:
        folder: to make.
        overwrite: delete what it holds.
        marker_file: file that tells that it is ours to delete.
    """
    if overwrite and (folder / marker_file).is_file():
        clear_folder(folder, marker_file)
    folder.mkdir(parents=True, exist_ok=True)


def _holds_other_files(folder: Path, *own_names: str) -> bool:
    """Whether there is anything but locks and files that a killed process did not finish."""
    return folder.is_dir() and any(
        path.name not in (FOLDER_LOCK, JOURNAL_FILE, *own_names) and not is_partial(path)
        for path in folder.iterdir()
    )
