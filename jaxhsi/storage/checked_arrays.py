"""Arrays in .npz files that hold their own SHA-256."""

import hashlib
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from jaxhsi.storage.checksums import DamagedFileError, tell_unchecked
from jaxhsi.storage.replacement import replace_file

_HEX_DIGITS = 64
_BLOCK_BYTES = 2**20
_ZIP_END, _ZIP_END_BYTES = b"PK\x05\x06", 22
"""How the last record of a .zip file begins, and its length where there is no comment."""


def write_checked_npz(path: Path, arrays: Mapping[str, Any], *, compressed: bool = False) -> None:
    """Write arrays to a .npz file in one step; its comment is the checksum of all before it.

    Args:
        path: of the file.
        arrays: by their names.
        compressed: compress the arrays.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "line.npz"
    >>> write_checked_npz(path, {"slope": 2.0})
    >>> read_checked_npz(path, "write it anew")
    {'slope': array(2.)}
    """
    with replace_file(path, "w+b") as file:
        if compressed:
            _save_compressed(file, arrays)
        else:
            np.savez(file, **arrays)
        file.seek(-2, 2)  # length of the comment, the last field of a .zip file
        file.write(struct.pack("<H", _HEX_DIGITS))
        size = file.tell()
        file.seek(0)
        digest = _digest(file, size)
        file.seek(0, 2)
        file.write(digest.encode())


def _save_compressed(file: IO[bytes], arrays: Mapping[str, Any]) -> None:
    """As `numpy.savez_compressed`, a few times as fast; files of spectra are 5 % larger."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(values), allow_pickle=False)


def read_checked_npz(
    path: Path, remedy: str, *, allow_unchecked: bool = False
) -> dict[str, np.ndarray]:
    """Arrays of a file that :func:`write_checked_npz` wrote.

    Args:
        path: of the file.
        remedy: what a user can do where it is damaged.
        allow_unchecked: the file may be of an earlier version, without a checksum; the log says so.

    Raises:
        DamagedFileError: it is cut, or was changed.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2) - _HEX_DIGITS
        if allow_unchecked and _has_no_comment(file):
            tell_unchecked(path.parent)
        elif not _ends_with_digest(file, size):
            raise DamagedFileError(path, "it is cut, or not as it was written", remedy)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DamagedFileError(path, str(error), remedy) from error


def _has_no_comment(file: IO[bytes]) -> bool:
    """Whether an open .zip file ends without a comment, and so never had a checksum."""
    file.seek(max(0, file.seek(0, 2) - _ZIP_END_BYTES))
    end = file.read()
    return end.startswith(_ZIP_END) and end.endswith(b"\0\0")


def _ends_with_digest(file: IO[bytes], size: int) -> bool:
    """Whether an open file goes on, after so many bytes, with their checksum."""
    file.seek(0)
    return size >= 0 and _digest(file, size).encode() == file.read()


def _digest(file: IO[bytes], size: int) -> str:
    """SHA-256 of the next so many bytes of an open file."""
    digest = hashlib.sha256()
    while size > 0 and (block := file.read(min(size, _BLOCK_BYTES))):
        digest.update(block)
        size -= len(block)
    return digest.hexdigest()
