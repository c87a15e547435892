"""Files in the folder of a run, or of results, read back: as they were written, or refused.

Those of an earlier version have no checksums. They are read with a notice where the configuration
of the folder is of such a version too; otherwise a checksum that is not there is damage.
"""

from pathlib import Path
from typing import Any

import numpy as np

from jaxhsi.storage.checked_arrays import read_checked_npz
from jaxhsi.storage.checksums import check_listed_file, read_checked_json
from jaxhsi.training.run_folder import may_lack_checksums, repair_hint


def read_run_json(path: Path) -> dict[str, Any]:
    """A JSON file in the folder of a run or of results, checked.

    Args:
        path: of the file.

    Raises:
        DamagedFileError: it is not as it was written.
    """
    folder = path.parent
    is_of_any_version = may_lack_checksums(folder)
    return read_checked_json(path, repair_hint(folder), allow_unchecked=is_of_any_version)


def read_run_arrays(path: Path, folder: Path | None = None) -> dict[str, np.ndarray]:
    """Arrays of a .npz file of a run or of results, checked.

    Args:
        path: of the file.
        folder: of the run, where the file is not directly in it.

    Raises:
        DamagedFileError: it is not as it was written.
    """
    folder = path.parent if folder is None else folder
    is_of_any_version = may_lack_checksums(folder)
    return read_checked_npz(path, repair_hint(folder), allow_unchecked=is_of_any_version)


def check_run_file(path: Path, folder: Path) -> None:
    """Refuse a table or an array of a run that is not as it was written.

    Args:
        path: of the file.
        folder: of the run.

    Raises:
        DamagedFileError: it is cut, was changed, or is not in the list of checksums.
    """
    is_of_any_version = may_lack_checksums(folder)
    check_listed_file(path, repair_hint(folder), allow_unchecked=is_of_any_version)
