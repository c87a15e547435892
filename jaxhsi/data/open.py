"""From what a user names (a file, a folder, a store, a URL) to open cubes."""

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxhsi.data.cache import default_cache_folder, fingerprint
from jaxhsi.data.cube import Cube, cube_name_from_folder, is_store, open_cube
from jaxhsi.data.formats import FORMATS_BY_SUFFIX, cube_shape, file_format, readable_files
from jaxhsi.data.formats.envi_header import find_data_file, find_header, has_header
from jaxhsi.data.ingest.pipeline import ingest
from jaxhsi.data.manifest import check_band_counts, manifest
from jaxhsi.data.store_url import STORE_FORMAT_NAMES

INGEST_VERSION = 1  # raised when readers change what they write, so that old copies are not reused


class FileOptions(NamedTuple):
    """How files are read, see `ingesting.ingest`."""

    key: str | None = None
    layout: str | None = None
    size: tuple[int, int] | None = None


CubeSource = Path | Cube
"""A local file or store, or what was opened by its URL."""


def open_cubes(
    path: str | Path | Sequence[str | Path],
    *,
    cache_folder: Path | None = None,
    key: str | None = None,
    layout: str | None = None,
    size: tuple[int, int] | None = None,
    tolerance: float | None = None,
    expected_band_counts: Mapping[str, int] | None = None,
) -> tuple[Cube, ...]:
    """Open every cube that a path, or each of several, names; sorted by file name in a folder.

    A folder's cubes are its stores and its files with a 3-D array. Files with 2-D arrays alone are
    left for labels, and subfolders that are no store are not entered. A file is copied into a
    store once, and the copy is used again while its path, length, time of change and reading
    options stay the same. All names, shapes and band counts are checked before the first copy,
    and the wavelengths after the last (see `manifest.manifest`).

    Args:
        path: file, folder of cubes, store, or URL of a store; or several of them.
        cache_folder: folder for the copies, `default_cache_folder()` if None.
        key: array to read from files that hold several.
        layout: "hwc" or "chw" for all files.
        size: (H, W) of arrays (C, H * W).
        tolerance: nm by which the wavelengths of a band may differ between cubes.
        expected_band_counts: number that something else asks for, by its name in messages.

    Returns:
        The cubes, named by the stems of the files, which are unique.

    Raises:
        FileNotFoundError: nothing at `path`.
        ConnectionError: a server does not answer.
        ValueError: no cubes, equal stems, unequal bands, or as `ingesting.ingest`.
    """
    options = FileOptions(key, layout, size)
    named = [path] if isinstance(path, str | Path) else list(path)
    if not named:
        raise ValueError("no cube was named; give a file, a folder, a store or a URL")
    found = [source for each in named for source in _list_cubes(each, options)]
    _check_names(found)
    check_band_counts(
        dict(expected_band_counts or {})
        | {_where(source): _bands(source, options) for source in found}
    )
    folder = default_cache_folder() if cache_folder is None else Path(cache_folder)
    cubes = tuple(_open(source, folder, options) for source in found)
    manifest(cubes, tolerance=tolerance, cache_folder=folder)
    return cubes


def _list_cubes(named: str | Path, options: FileOptions) -> list[CubeSource]:
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
    files = [file for file in readable_files(path) if file in whole and _holds_cube(file, options)]
    found: list[CubeSource] = sorted(stores + files)
    if not found:
        raise ValueError(
            f"{path} holds no cube: no {STORE_FORMAT_NAMES} store and no {' or '.join(FORMATS_BY_SUFFIX)} file with a 3-D "
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


def _holds_cube(file: Path, options: FileOptions) -> bool:
    """Whether a file holds a cube; what holds only 2-D arrays is left for labels."""
    shapes = file_format(file).array_shapes(file)
    if any(len(shape) > 2 for shape in shapes.values()) or {"nRow", "nCol"} <= shapes.keys():
        return True
    pixels = math.prod(options.size or ())
    return options.size is not None and any(shape[1:] == (pixels,) for shape in shapes.values())


def _check_names(found: list[CubeSource]) -> None:
    for name, count in Counter(_name(source) for source in found).items():
        if count > 1:
            same = ", ".join(_where(source) for source in found if _name(source) == name)
            raise ValueError(
                f"cubes need different stems, by which labels and outputs are named; these have "
                f"the same: {same}. Rename or move all but one"
            )


def _name(source: CubeSource) -> str:
    if isinstance(source, Cube):
        return source.name
    return source.stem if source.is_file() else cube_name_from_folder(source.name)


def _where(source: CubeSource) -> str:
    return source.url if isinstance(source, Cube) else str(source)


def _bands(source: CubeSource, options: FileOptions) -> int:
    if isinstance(source, Cube):
        return source.shape[2]
    if source.is_dir():
        return open_cube(source).shape[2]
    return cube_shape(source, **options._asdict())[2]


def _open(source: CubeSource, cache: Path, options: FileOptions) -> Cube:
    """Open a store, or the copy of a file, made first if it is not there."""
    if isinstance(source, Cube):
        return source
    if source.is_dir():
        return open_cube(source)

    def copy(target: Path) -> None:
        logging.getLogger(__name__).info("copying %s into %s", source, target)
        ingest(source, target, **options._asdict())

    return open_cached_cube(cache / _state(source, options) / f"{source.stem}.zarr", copy)


def open_cached_cube(target: Path, write_cube: Callable[[Path], object]) -> Cube:
    """Open the store at `target`, made first if it is not there.

    Args:
        target: the store.
        write_cube: writes the store at the path that it is given, in one step (`store.create_cube`).

    Returns:
        The cube; where another process made it meanwhile, that one.
    """
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_cube(target)
        except OSError:
            if not target.exists():
                raise
    return open_cube(target)


def _state(source: Path, options: FileOptions) -> str:
    """Short name of the state of a file, with the header that tells how to read it."""
    files = [(str(file.resolve()), file.stat()) for file in _with_header(source)]
    states = tuple((path, state.st_size, state.st_mtime_ns) for path, state in files)
    return fingerprint((INGEST_VERSION, states, options))


def _with_header(source: Path) -> list[Path]:
    """A file and, where there is one, the other half of an ENVI pair: header or data."""
    if source.suffix.lower() == ".hdr":
        return [source, find_data_file(source)]
    header = find_header(source) if has_header(source) else None
    return [source] if header is None else [source, header]
