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
