"""From what a user names (a file, a folder, a store, a URL) to open cubes."""

import hashlib
import logging
import math
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import platformdirs

from jaxhsi.data.formats import FORMATS, cube_shape, format_of, ingest
from jaxhsi.data.store import Cube, open_cube

INGEST_VERSION = 1  # raised when readers change what they write, so that old copies are not reused


class Options(NamedTuple):
    """How files are read, see `formats.ingest`."""

    key: str | None = None
    layout: str | None = None
    size: tuple[int, int] | None = None


def default_cache() -> Path:
    """Folder for copies of ingested files: $JAXHSI_CACHE, or the user's cache folder."""
    chosen = os.environ.get("JAXHSI_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("jaxhsi")


def open_sources(
    path: str | Path,
    *,
    cache: Path | None = None,
    key: str | None = None,
    layout: str | None = None,
    size: tuple[int, int] | None = None,
) -> tuple[Cube, ...]:
    """Open every cube that a path names, sorted by file name.

    A folder's cubes are its Zarr v3 stores and its .mat and .npy files with a 3-D array. Files
    with 2-D arrays alone are left for labels, and subfolders that are no store are not entered.
    A file is copied into a store once, and the copy is used again while its path, length, time of
    change and reading options stay the same. All names, shapes and band counts are checked before
    the first copy.

    Args:
        path: file, folder of cubes, store, or URL of a store.
        cache: folder for the copies, `default_cache()` if None.
        key: array to read from .mat files.
        layout: "hwc" or "chw" for all files.
        size: (H, W) of arrays (C, H * W).

    Returns:
        The cubes, named by the stems of the files, which are unique.

    Raises:
        FileNotFoundError: nothing at `path`.
        ValueError: no cubes, equal stems, unequal band counts, or as `formats.ingest`.
    """
    options = Options(key, layout, size)
    if "://" in str(path):
        return (open_cube(str(path)),)
    found = _list_cubes(Path(path), options)
    _check_names(found)
    _check_bands({source: _bands(source, options) for source in found})
    folder = default_cache() if cache is None else Path(cache)
    return tuple(_open(source, folder, options) for source in found)


def _list_cubes(path: Path, options: Options) -> list[Path]:
    if not path.exists():
        raise FileNotFoundError(f"no data at {path}: the path does not exist")
    if path.is_file() or (path / "zarr.json").is_file():
        return [path]
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    found = [entry for entry in entries if _is_cube(entry, options)]
    if not found:
        raise ValueError(
            f"{path} holds no cube: no Zarr v3 store and no {' or '.join(FORMATS)} file with a 3-D "
            f"array. It holds: {', '.join(entry.name for entry in entries[:10]) or 'nothing'}. "
            "Tables (C, H * W) need --size '[H,W]'"
        )
    return found


def _is_cube(entry: Path, options: Options) -> bool:
    """Whether an entry of a folder is a cube; what holds only 2-D arrays is left for labels."""
    if entry.is_dir():
        return (entry / "zarr.json").is_file() and ".partial-" not in entry.name
    if entry.suffix.lower() not in FORMATS:
        return False
    shapes = format_of(entry).shapes(entry)
    if any(len(shape) > 2 for shape in shapes.values()) or {"nRow", "nCol"} <= shapes.keys():
        return True
    pixels = math.prod(options.size or ())
    return options.size is not None and any(shape[1:] == (pixels,) for shape in shapes.values())


def _check_names(found: list[Path]) -> None:
    for name, count in Counter(_name(source) for source in found).items():
        if count > 1:
            same = ", ".join(source.name for source in found if _name(source) == name)
            raise ValueError(
                f"cubes need different stems, by which labels and outputs are named; these have "
                f"the same: {same}. Rename or move all but one"
            )


def _name(source: Path) -> str:
    return source.stem if source.is_file() else source.name.removesuffix(".zarr")


def _bands(source: Path, options: Options) -> int:
    if source.is_dir():
        return open_cube(source).shape[2]
    return cube_shape(source, **options._asdict())[2]


def _check_bands(bands: dict[Path, int]) -> None:
    first, *others = bands
    for source in others:
        if bands[source] != bands[first]:
            raise ValueError(
                f"all cubes need the same bands, but {first} has {bands[first]} and {source} has "
                f"{bands[source]}; keep the cubes of one sensor in a folder, or check --layout"
            )


def _open(source: Path, cache: Path, options: Options) -> Cube:
    """Open a store, or the copy of a file, made first if it is not there."""
    if source.is_dir():
        return open_cube(source)

    def copy(target: Path) -> None:
        logging.getLogger(__name__).info("copying %s into %s", source, target)
        ingest(source, target, **options._asdict())

    return cached_cube(cache / _fingerprint(source, options) / f"{source.stem}.zarr", copy)


def cached_cube(target: Path, make: Callable[[Path], object]) -> Cube:
    """Open the store at `target`, made first if it is not there.

    Args:
        target: the store.
        make: writes the store at the path that it is given, in one step (`store.create_cube`).

    Returns:
        The cube; where another process made it meanwhile, that one.
    """
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            make(target)
        except OSError:
            if not target.exists():
                raise
    return open_cube(target)


def _fingerprint(source: Path, options: Options) -> str:
    """Short name of a file's state and of how it is read."""
    state = source.stat()
    facts = (INGEST_VERSION, str(source.resolve()), state.st_size, state.st_mtime_ns, options)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
