"""NumPy .npz files: several arrays by name. Those that are not compressed are memory-mapped."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

from jaxhsi.data.formats.container import ArrayContainer, NamedArray
from jaxhsi.data.formats.file_errors import reading_errors
from jaxhsi.data.formats.named_arrays import select_cube
from jaxhsi.data.formats.volume import Volume

FILE_KIND = "an .npz"
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
    arrays = {}
    with reading_errors(path, FILE_KIND), zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.filename.endswith(".npy"):
                shape, _, dtype, _ = _read_header(archive, member)
                if dtype.kind in "iuf":
                    arrays[member.filename.removesuffix(".npy")] = NamedArray(shape, (), {})
    load_once = cache(lambda name: _load(path, name))

    def read(name: str, index: tuple[slice | int, ...]) -> np.ndarray:
        return np.asarray(load_once(name)[index])

    return ArrayContainer(path, arrays, read)


def _read_header(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo
) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, whether in Fortran's order, type, and bytes of the header of an array."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        reader = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, is_fortran, dtype = reader(file)
        return shape, is_fortran, dtype, file.tell()


def _load(path: Path, name: str) -> np.ndarray:
    """An array, mapped where it is stored as it is."""
    with reading_errors(path, FILE_KIND):
        with zipfile.ZipFile(path) as archive:
            member = archive.getinfo(f"{name}.npy")
            shape, is_fortran, dtype, header_bytes = _read_header(archive, member)
            if member.compress_type != zipfile.ZIP_STORED:
                with archive.open(member) as file:
                    return np.lib.format.read_array(file, allow_pickle=False)
        with path.open("rb") as file:
            file.seek(member.header_offset)
            local_header = file.read(LOCAL_HEADER_BYTES)
        lengths = np.frombuffer(local_header[26:30], "<u2")
        start = member.header_offset + LOCAL_HEADER_BYTES + int(lengths.sum()) + header_bytes
        return np.memmap(path, dtype, "r", start, shape, "F" if is_fortran else "C")
