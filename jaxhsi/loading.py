"""`jaxhsi.load`: the result of a finished run, of either kind."""

from pathlib import Path
from typing import TYPE_CHECKING, Union

from jaxhsi.unmixing_result import MODEL_FILE, UnmixingResult

if TYPE_CHECKING:
    from jaxhsi.segmentation import Segmentation


def load(folder: str | Path) -> Union["UnmixingResult", "Segmentation"]:
    """Load what a run, or the method ``save`` of a result, left in a folder.

    Args:
        folder: of a run of ``jaxhsi train dgc`` or ``gmcr``, or given to ``save``.

    Returns:
        The same numbers, bit for bit, that the run or the function gave.

    Raises:
        FileNotFoundError: the folder holds no finished run.
        ValueError: its files are damaged, or were written by another version.

    >>> load("no_such_folder")
    Traceback (most recent call last):
    FileNotFoundError: no_such_folder is no folder; name the folder of a run
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder; name the folder of a run")
    if (folder / MODEL_FILE).is_file():
        return UnmixingResult.load(folder)
    from jaxhsi.segmentation import Segmentation

    return Segmentation.load(folder)
