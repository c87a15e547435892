"""Files opened by the package that knows their format, and what is said where that fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from jaxhsi.data.external_files import check_external_files

HDF4_MARK = b"\x0e\x03\x13\x01"  # at the start of a file


def import_reader_package(
    package_name: str, file_path: Path, file_kind: str, extra: str = "io"
) -> ModuleType:
    """Import an optional package that reads a kind of file, such as "a TIFF".

    Raises:
        ImportError: it is not installed; says how to.
    """
    try:
        return import_module(package_name)
    except ImportError as error:
        raise ImportError(
            f"{file_path} is {file_kind} file, which needs {package_name.split('.')[0]}: pip "
            f"install 'jaxhsi[{extra}]'"
        ) from error


@contextmanager
def reading_errors(
    path: Path,
    file_kind: str,
    likely_cause: str = "it may be truncated",
    error_types: type[Exception] = Exception,
) -> Iterator[None]:
    """Turn the many errors of damaged files into one that names the file.

    Raises:
        ValueError: reading failed with one of ``error_types``.
    """
    try:
        yield
    except MemoryError:
        raise
    except error_types as error:
        cause = error.__cause__ or error
        raise ValueError(
            f"{path} cannot be read as {file_kind} file: {likely_cause}; copy or save it again "
            f"({type(cause).__name__}: {cause})"
        ) from error


@contextmanager
def open_hdf5_file(
    path: Path, file_kind: str, likely_cause: str = "it may be truncated"
) -> Iterator[Any]:
    """An open h5py file.

    Raises:
        ValueError: unreadable, or values that lie in other files, see `jaxhsi.data.external_files`.
        ImportError: h5py is not installed.
    """
    h5py = import_reader_package("h5py", path, file_kind)
    with path.open("rb") as start:
        if start.read(4) == HDF4_MARK:
            raise ValueError(
                f"{path} is an HDF4 file, which is another format than HDF5; convert it: "
                f"h4toh5 {path.name} {path.stem}.h5, or gdal_translate its cube to .tif"
            )
    with reading_errors(path, file_kind, likely_cause):
        file = h5py.File(path, "r")
    with file:
        with reading_errors(path, file_kind, likely_cause, RuntimeError):
            check_external_files(file, path)
        yield file
