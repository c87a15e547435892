"""From what a user names (a file, a folder, a store, a URL) to open cubes."""

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxhsi.data.cache import default_cache, fingerprint
from jaxhsi.data.cube import NAMES, Cube, is_store, open_cube, store_name
from jaxhsi.data.formats import FORMATS, cube_shape, files_of, format_of
from jaxhsi.data.formats.envi_header import data_of, header_of, is_data
from jaxhsi.data.ingest.pipeline import ingest
from jaxhsi.data.manifest import check_bands, manifest

INGEST_VERSION = 1  # raised when readers change what they write, so that old copies are not reused


class Options(NamedTuple):
    """How files are read, see `ingesting.ingest`."""

    key: str | None = None
    layout: str | None = None
    size: tuple[int, int] | None = None


Source = Path | Cube
"""A local file or store, or what was opened by its URL."""


def open_sources(
    path: str | Path | Sequence[str | Path],
    *,
    cache: Path | None = None,
    key: str | None = None,
    layout: str | None = None,
    size: tuple[int, int] | None = None,
    tolerance: float | None = None,
    bands: Mapping[str, int] | None = None,
) -> tuple[Cube, ...]:
    """Open every cube that a path, or each of several, names; sorted by file name in a folder.

    A folder's cubes are its stores and its files with a 3-D array. Files with 2-D arrays alone are
    left for labels, and subfolders that are no store are not entered. A file is copied into a
    store once, and the copy is used again while its path, length, time of change and reading
    options stay the same. All names, shapes and band counts are checked before the first copy,
    and the wavelengths after the last (see `manifest.manifest`).

    Args:
        path: file, folder of cubes, store, or URL of a store; or several of them.
        cache: folder for the copies, `default_cache()` if None.
        key: array to read from files that hold several.
        layout: "hwc" or "chw" for all files.
        size: (H, W) of arrays (C, H * W).
        tolerance: nm by which the wavelengths of a band may differ between cubes.
        bands: number that something else asks for, by its name in messages.

    Returns:
        The cubes, named by the stems of the files, which are unique.

    Raises:
        FileNotFoundError: nothing at `path`.
        ConnectionError: a server does not answer.
        ValueError: no cubes, equal stems, unequal bands, or as `ingesting.ingest`.
    """
    options = Options(key, layout, size)
    named = [path] if isinstance(path, str | Path) else list(path)
    if not named:
        raise ValueError("no cube was named; give a file, a folder, a store or a URL")
    found = [source for each in named for source in _list_cubes(each, options)]
    _check_names(found)
    check_bands(dict(bands or {}) | {_where(source): _bands(source, options) for source in found})
    folder = default_cache() if cache is None else Path(cache)
    cubes = tuple(_open(source, folder, options) for source in found)
    manifest(cubes, tolerance=tolerance, cache=folder)
    return cubes


def _list_cubes(named: str | Path, options: Options) -> list[Source]:
    if "://" in str(named):
        return [open_cube(str(named))]
    path = Path(named)
    if not path.exists():
        raise FileNotFoundError(f"no data at {path}: the path does not exist")
    if path.is_file() or is_store(path):
        return [path]
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    whole = [entry for entry in entries if not _is_left_over(entry)]
    stores = [entry for entry in whole if entry.is_dir() and is_store(entry)]
    files = [file for file in files_of(path) if file in whole and _holds_cube(file, options)]
    found: list[Source] = sorted(stores + files)
    if not found:
        raise ValueError(
            f"{path} holds no cube: no {NAMES} store and no {' or '.join(FORMATS)} file with a 3-D "
            f"array. It holds: {', '.join(entry.name for entry in entries[:10]) or 'nothing'}. "
            "Tables (C, H * W) need --size '[H,W]'"
        )
    return found


def _is_left_over(entry: Path) -> bool:
    """Whether an interrupted write left it behind; the log says that it is passed over."""
    if ".partial" not in entry.name:
        return False
    note = "%s is passed over: an interrupted write left it behind, or one is under way"
    logging.getLogger(__name__).warning(note, entry)
    return True


def _holds_cube(file: Path, options: Options) -> bool:
    """Whether a file holds a cube; what holds only 2-D arrays is left for labels."""
    shapes = format_of(file).shapes(file)
    if any(len(shape) > 2 for shape in shapes.values()) or {"nRow", "nCol"} <= shapes.keys():
        return True
    pixels = math.prod(options.size or ())
    return options.size is not None and any(shape[1:] == (pixels,) for shape in shapes.values())


def _check_names(found: list[Source]) -> None:
    for name, count in Counter(_name(source) for source in found).items():
        if count > 1:
            same = ", ".join(_where(source) for source in found if _name(source) == name)
            raise ValueError(
                f"cubes need different stems, by which labels and outputs are named; these have "
                f"the same: {same}. Rename or move all but one"
            )


def _name(source: Source) -> str:
    if isinstance(source, Cube):
        return source.name
    return source.stem if source.is_file() else store_name(source.name)


def _where(source: Source) -> str:
    return source.url if isinstance(source, Cube) else str(source)


def _bands(source: Source, options: Options) -> int:
    if isinstance(source, Cube):
        return source.shape[2]
    if source.is_dir():
        return open_cube(source).shape[2]
    return cube_shape(source, **options._asdict())[2]


def _open(source: Source, cache: Path, options: Options) -> Cube:
    """Open a store, or the copy of a file, made first if it is not there."""
    if isinstance(source, Cube):
        return source
    if source.is_dir():
        return open_cube(source)

    def copy(target: Path) -> None:
        logging.getLogger(__name__).info("copying %s into %s", source, target)
        ingest(source, target, **options._asdict())

    return cached_cube(cache / _state(source, options) / f"{source.stem}.zarr", copy)


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


def _state(source: Path, options: Options) -> str:
    """Short name of the state of a file, with the header that tells how to read it."""
    files = [(str(file.resolve()), file.stat()) for file in _with_header(source)]
    states = tuple((path, state.st_size, state.st_mtime_ns) for path, state in files)
    return fingerprint((INGEST_VERSION, states, options))


def _with_header(source: Path) -> list[Path]:
    """A file and, where there is one, the other half of an ENVI pair: header or data."""
    if source.suffix.lower() == ".hdr":
        return [source, data_of(source)]
    header = header_of(source) if is_data(source) else None
    return [source] if header is None else [source, header]
