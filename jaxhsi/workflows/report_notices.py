"""What a report says of files that are not there."""

from collections.abc import Sequence
from pathlib import Path


def missing_file_notices(folder: Path, names: Sequence[str], way_on: str) -> list[str]:
    """A sentence that names the files of a finished run that are gone; none where all are there.

    Args:
        folder: of the run.
        names: of the files that the report shows.
        way_on: what writes them anew, in words.
    """
    missing = [name for name in names if not (folder / name).is_file()]
    if not missing:
        return []
    verb = "is" if len(missing) == 1 else "are"
    return [f"{', '.join(missing)} {verb} gone, and the page is without; {way_on}"]


def run_notices(
    folder: Path, command: str, names: Sequence[str], *, is_finished: bool
) -> list[str]:
    """What a report of a run is without: its end, or files that are gone.

    Args:
        folder: of the run.
        command: that made it, such as "train dgc".
        names: of the files that a finished run has and the report shows.
        is_finished: the run has its scores.
    """
    resume = f"jaxhsi {command} --out {folder} --resume"
    if not is_finished:
        return [
            "this run has not come to its end: it has no scores.json. What there is so far is "
            f"shown; {resume} goes on with it"
        ]
    return missing_file_notices(folder, names, f"{resume} writes what its checkpoint knows")
