"""Files opened by the package that knows their format, and what is said where that fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any


def reader_package(name: str, path: Path, kind: str) -> ModuleType:
    """Import an optional package that reads a kind of file, such as "a TIFF".

    Raises:
        ImportError: it is not installed; says how to.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{path} is {kind} file, which needs {name.split('.')[0]}: pip install 'jaxhsi[io]'"
        ) from error


@contextmanager
def readable(
    path: Path,
    kind: str,
    causes: str = "it may be truncated",
    errors: type[Exception] = Exception,
) -> Iterator[None]:
    """Turn the many errors of damaged files into one that names the file.

    Raises:
        ValueError: reading failed with one of ``errors``.
    """
    try:
        yield
    except MemoryError:
        raise
    except errors as error:
        cause = error.__cause__ or error
        raise ValueError(
            f"{path} cannot be read as {kind} file: {causes}; copy or save it again "
            f"({type(cause).__name__}: {cause})"
        ) from error


@contextmanager
def hdf5_file(path: Path, kind: str, causes: str = "it may be truncated") -> Iterator[Any]:
    """An open h5py file.

    Raises:
        ValueError: unreadable.
        ImportError: h5py is not installed.
    """
    h5py = reader_package("h5py", path, kind)
    with readable(path, kind, causes):
        file = h5py.File(path, "r")
    with file:
        yield file
