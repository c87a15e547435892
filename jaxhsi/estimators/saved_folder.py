"""Results as bytes, so that estimators are pickled as numbers and text alone."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxhsi.storage.replacement import write_errors_named

FileContents = dict[str, bytes]
"""Contents of the files of a folder, by their paths in it."""


def folder_bytes(save: Callable[[Path], Any]) -> FileContents:
    """What a result writes into a folder.

    Args:
        save: writes the result into a folder that is not there yet.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "result"
        save(folder)
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def result_from_bytes(load: Callable[[Path], Any], contents: FileContents) -> Any:
    """A result read from the contents of its folder.

    Args:
        load: reads a result from a folder.
        contents: see :func:`folder_bytes`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "result"
        for name, content in contents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with write_errors_named(path):
                path.write_bytes(content)
        return load(folder)


def integer_seed(random_state: Any) -> int:
    """A seed of scikit-learn's ``random_state``: an integer is itself, all else draws one.

    Args:
        random_state: an integer, a ``RandomState``, or None.

    >>> integer_seed(3)
    3
    """
    from numbers import Integral

    from sklearn.utils import check_random_state

    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
