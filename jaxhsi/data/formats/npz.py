"""NumPy .npz files: several arrays by name. Those that are not compressed are memory-mapped."""

import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxhsi.data.formats.container import ArrayContainer, NamedArray
from jaxhsi.data.formats.file_errors import reading_errors
from jaxhsi.data.formats.named_arrays import select_cube
from jaxhsi.data.formats.volume import Volume

FILE_KIND = "an .npz"
_BYTES_PER_GB = 1e9
LOCAL_HEADER_BYTES = 30  # of a member, before its name and extra field


def npz_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the real numeric arrays by name.

    Raises:
        ValueError: unreadable, truncated, or pickled objects.
    """
    return {name: array.shape for name, array in describe_container(path).arrays.items()}


@contextmanager
def open_npz(
    path: Path, *, key: str | None = None, size: tuple[int, int] | None = None
) -> Iterator[Volume]:
    """Open the 3-D array of an .npz file, with the vector of wavelengths beside it.

    A compressed array passes through memory whole.

    Args:
        path: the file.
        key: name of the array; see `cube_choice.choose_cube`.
        size: not used.

    Raises:
        ValueError: unreadable, no such key, none or several 3-D arrays.
    """
    yield select_cube(describe_container(path), key)


def describe_container(path: Path) -> ArrayContainer:
    """What an .npz file holds; arrays are read when they are asked for.

    Raises:
        ValueError: unreadable, or pickled objects.
    """
    arrays = {
        name: NamedArray(header.shape, (), {})
        for name, header in read_headers(path).items()
        if header.dtype.kind in "iuf"
    }
    load_once = cache(lambda name: load_member(path, name))

    def read(name: str, index: tuple[slice | int, ...]) -> np.ndarray:
        return np.asarray(load_once(name)[index])

    return ArrayContainer(path, arrays, read)


class ArrayHeader(NamedTuple):
    """What is written before an array.

    Attributes:
        shape: of the array.
        is_fortran: whether its first axis runs fastest.
        dtype: of its values.
        num_bytes: of the header.
    """

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype
    num_bytes: int

    @property
    def array_bytes(self) -> int:
        """Bytes of the array in memory."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_headers(path: Path) -> dict[str, ArrayHeader]:
    """Headers of all arrays of a file by their names; no array is read.

    Raises:
        ValueError: unreadable, or an array that is not as long as its header claims.
    """
    with reading_errors(path, FILE_KIND), zipfile.ZipFile(path) as archive:
        return {
            member.filename.removesuffix(".npy"): _read_header(archive, member)
            for member in archive.infolist()
            if member.filename.endswith(".npy")
        }


def _read_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> ArrayHeader:
    """The header of an array, checked against the length of its member."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        reader = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        header = ArrayHeader(*reader(file), file.tell())
    if not header.dtype.hasobject:
        stored_bytes = member.file_size - header.num_bytes
        if min(header.shape, default=0) < 0 or stored_bytes != header.array_bytes:
            raise ValueError(
                f"{member.filename} claims {header.array_bytes:,} bytes and has {stored_bytes:,}"
            )
    return header


def load_member(path: Path, name: str) -> np.ndarray:
    """An array, mapped where it is stored as it is.

    Args:
        path: of the file.
        name: of the array.

    Raises:
        ValueError: unreadable, or compressed and larger than the memory of this machine.
    """
    with reading_errors(path, FILE_KIND):
        with zipfile.ZipFile(path) as archive:
            member = archive.getinfo(f"{name}.npy")
            header = _read_header(archive, member)
            shape, is_fortran, dtype, header_bytes = header
            if member.compress_type != zipfile.ZIP_STORED:
                _check_memory(path, name, header.array_bytes)
                with archive.open(member) as file:
                    return np.lib.format.read_array(file, allow_pickle=False)
        with path.open("rb") as file:
            file.seek(member.header_offset)
            local_header = file.read(LOCAL_HEADER_BYTES)
        lengths = np.frombuffer(local_header[26:30], "<u2")
        start = member.header_offset + LOCAL_HEADER_BYTES + int(lengths.sum()) + header_bytes
        return np.memmap(path, dtype, "r", start, shape, "F" if is_fortran else "C")


def _check_memory(path: Path, name: str, num_bytes: int) -> None:
    """Refuse what must pass through memory and cannot."""
    if not hasattr(os, "sysconf"):
        return
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if num_bytes > memory_bytes:
        raise ValueError(
            f"{name!r} has {num_bytes / _BYTES_PER_GB:,.1f} GB when it is unpacked, this machine "
            f"{memory_bytes / _BYTES_PER_GB:,.1f} GB of memory; save it with numpy.savez, which "
            "does not compress"
        )
