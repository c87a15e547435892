"""Readers of file formats; one file per format, each streaming into a store."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from jaxhsi.data.formats.mat import mat_shapes, open_mat
from jaxhsi.data.formats.npy import npy_shapes, open_npy
from jaxhsi.data.formats.volume import Volume, resolve_layout, write_volume
from jaxhsi.data.store import Cube


class Format(NamedTuple):
    """How to look into a file and how to read it.

    Attributes:
        shapes: path -> shapes of its numeric arrays by key.
        open: (path, *, key, size) -> context of a `Volume`.
    """

    shapes: Callable[[Path], dict[str, tuple[int, ...]]]
    open: Callable[..., AbstractContextManager[Volume]]


FORMATS = {".mat": Format(mat_shapes, open_mat), ".npy": Format(npy_shapes, open_npy)}


def format_of(path: Path) -> Format:
    """The reader for a file, chosen by its suffix.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a suffix that no reader serves.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    if path.suffix.lower() not in FORMATS:
        raise ValueError(
            f"{path}: no reader for {path.suffix or 'a name without suffix'!r}; supported are "
            f"{', '.join(FORMATS)} and Zarr v3 stores"
        )
    return FORMATS[path.suffix.lower()]


def cube_shape(
    source: Path,
    *,
    key: str | None = None,
    layout: str | None = None,
    size: tuple[int, int] | None = None,
) -> tuple[int, int, int]:
    """(H, W, C) that `ingest` would make of a file, without reading its values.

    Raises:
        FileNotFoundError, ValueError, ImportError: as `ingest`.
    """
    with format_of(source).open(source, key=key, size=size) as volume:
        return resolve_layout(volume, layout)[1]


def ingest(
    source: Path,
    destination: Path,
    *,
    key: str | None = None,
    layout: str | None = None,
    size: tuple[int, int] | None = None,
) -> Cube:
    """Copy the cube in a file into a new Zarr v3 store.

    Args:
        source: file to read, see `FORMATS`.
        destination: folder to make, must not exist.
        key: name of the array inside of the file; guessed where there is no choice.
        layout: "hwc" or "chw" where `volume.guess_layout` errs or gives up.
        size: (H, W) of an array (C, H * W), whose pixels run down the columns.

    Returns:
        The opened store, in the file's data type, bands last.

    Raises:
        FileNotFoundError: no such file.
        FileExistsError: `destination` exists.
        ValueError: unreadable file, unknown key, array that is no cube, unclear layout.
        ImportError: the format needs a package that is not installed.
    """
    with format_of(source).open(source, key=key, size=size) as volume:
        return write_volume(volume, destination, layout)
