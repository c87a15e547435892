"""From what a user names (a file, a folder, a store, a URL) to open cubes."""

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxhsi.data.band_subset import with_bands_at
from jaxhsi.data.cache import default_cache_folder, fingerprint
from jaxhsi.data.cube import Cube, cube_name_from_folder, is_store, open_cube
from jaxhsi.data.formats import FORMATS_BY_SUFFIX, RASTER, file_format, readable_files
from jaxhsi.data.formats.band_files import list_band_files
from jaxhsi.data.formats.envi_header import find_data_file, find_header, has_header
from jaxhsi.data.formats.raster_file import (
    RASTER_SUFFIXES,
    is_esri_header,
    raster_data_file,
    raster_files,
)
from jaxhsi.data.formats.raster_url import raster_url, write_url_raster
from jaxhsi.data.formats.reference_files import (
    capture_cube,
    find_references,
    without_references,
)
from jaxhsi.data.ingest.options import IngestOptions
from jaxhsi.data.ingest.pipeline import ingest, planned_shape
from jaxhsi.data.manifest import check_band_counts, manifest
from jaxhsi.data.store_url import STORE_FORMAT_NAMES

MAX_PREVIEW_BANDS = 4  # of a picture in colours, with alpha

INGEST_VERSION = 2  # raised when readers change what they write, so that old copies are not reused


class FileOptions(NamedTuple):
    """How files are read, see `ingest.pipeline.ingest` and `ingest.options.IngestOptions`."""

    key: str | None = None
    layout: str | None = None
    size: tuple[int, int] | None = None
    raw: bool = False
    no_data: float | None = None
    scale: float | None = None
    matching_wavelengths: tuple[float, ...] | None = None

    def ingest_arguments(self) -> dict[str, Any]:
        """As keywords of `ingest.pipeline.ingest`."""
        names = ("raw", "no_data", "scale", "matching_wavelengths")
        options = IngestOptions(**{name: getattr(self, name) for name in names})
        return {"key": self.key, "layout": self.layout, "size": self.size, "options": options}


CubeSource = Path | Cube
"""A local file or store, or what was opened by its URL."""


def open_cubes(
    path: str | Path | Sequence[str | Path],
    *,
    cache_folder: Path | None = None,
    key: str | None = None,
    layout: str | None = None,
    size: tuple[int, int] | None = None,
    raw: bool = False,
    no_data: float | None = None,
    scale: float | None = None,
    matching_wavelengths: tuple[float, ...] | None = None,
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
        path: file, folder of cubes, store, or URL of a store or a raster; or several of them.
        cache_folder: folder for the copies, `default_cache_folder()` if None.
        key: array to read from files that hold several.
        layout: order of the axes such as "hwc", for all files.
        size: (H, W) of arrays (C, H * W).
        raw: keep stored values, whatever scale the files state.
        no_data: value that marks a missing measurement, in place of the files'.
        scale: factor for the values, in place of the scale that the files state.
        matching_wavelengths: in nm; only bands at these are read.
        tolerance: nm by which the wavelengths of a band may differ between cubes.
        expected_band_counts: number that something else asks for, by its name in messages.

    Returns:
        The cubes, named by the stems of the files, which are unique.

    Raises:
        FileNotFoundError: nothing at `path`.
        ConnectionError: a server does not answer.
        ValueError: no cubes, equal stems, unequal bands, or as `ingest.pipeline.ingest`.
    """
    file_options = FileOptions(key, layout, size, raw, no_data, scale, matching_wavelengths)
    named_paths = [path] if isinstance(path, str | Path) else list(path)
    if not named_paths:
        raise ValueError("no cube was named; give a file, a folder, a store or a URL")
    copies_folder = default_cache_folder() if cache_folder is None else Path(cache_folder)
    local_paths = [_with_local_raster(each, copies_folder) for each in named_paths]
    cube_sources = [source for each in local_paths for source in _list_cubes(each, file_options)]
    _check_names(cube_sources)
    check_band_counts(
        dict(expected_band_counts or {})
        | {_source_location(source): _count_bands(source, file_options) for source in cube_sources}
    )
    cubes = tuple(_open_source(source, copies_folder, file_options) for source in cube_sources)
    manifest(cubes, tolerance=tolerance, cache_folder=copies_folder)
    return cubes


def _with_local_raster(named_path: str | Path, cache_folder: Path) -> str | Path:
    """What a user names; of a raster at an address, the local file that stands for it."""
    url = raster_url(str(named_path))
    return named_path if url is None else write_url_raster(url, cache_folder)


def _list_cubes(named_path: str | Path, file_options: FileOptions) -> list[CubeSource]:
    if "://" in str(named_path):
        return [open_cube(str(named_path))]
    path = Path(named_path)
    path = capture_cube(path) or path
    if not path.exists():
        raise FileNotFoundError(f"no data at {path}: the path does not exist")
    if path.is_file() or is_store(path):
        return [path]
    folder_entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    finished_entries = [entry for entry in folder_entries if not _is_partial_write(entry)]
    stores = [entry for entry in finished_entries if entry.is_dir() and is_store(entry)]
    cube_files = without_references(
        file
        for file in readable_files(path)
        if file in finished_entries and _holds_cube(file, file_options)
    )
    cube_sources: list[CubeSource] = sorted(stores + cube_files)
    if not stores and _are_previews(cube_files, list_band_files(path)):
        return [path]
    if not cube_sources:
        raise ValueError(
            f"{path} holds no cube: no {STORE_FORMAT_NAMES} store and no "
            f"{' or '.join(FORMATS_BY_SUFFIX)} file with a 3-D "
            "array. It holds: "
            f"{', '.join(entry.name for entry in folder_entries[:10]) or 'nothing'}. "
            "Tables (C, H * W) need --size '[H,W]'; files of one band each need names that number "
            "it, such as scene_B01.tif, or jaxhsi ingest FIRST SECOND ... NAME.zarr"
        )
    return cube_sources


def _are_previews(cube_files: Sequence[Path], band_files: Sequence[Path]) -> bool:
    """Whether a folder's cube is its single-band files, beside no other than pictures of them.

    Products with one file a band hold a picture in true colours too, of three bands.
    """
    if len(band_files) < 2:
        return False
    return all(
        file.suffix.lower() in RASTER_SUFFIXES
        and min(file_format(file).array_shapes(file)[""]) <= MAX_PREVIEW_BANDS < len(band_files)
        for file in cube_files
    )


def _is_partial_write(entry: Path) -> bool:
    """Whether an interrupted write left it behind; the log says that it is passed over."""
    if ".partial" not in entry.name:
        return False
    warning_text = "%s is passed over: an interrupted write left it behind, or one is under way"
    logging.getLogger(__name__).warning(warning_text, entry)
    return True


def _holds_cube(file_path: Path, file_options: FileOptions) -> bool:
    """Whether a file holds a cube; what holds only 2-D arrays is left for labels."""
    array_shapes = file_format(file_path).array_shapes(file_path)
    if (
        any(len(shape) > 2 for shape in array_shapes.values())
        or {"nRow", "nCol"} <= array_shapes.keys()
    ):
        return True
    num_pixels = math.prod(file_options.size or ())
    return file_options.size is not None and any(
        shape[1:] == (num_pixels,) for shape in array_shapes.values()
    )


def _check_names(cube_sources: list[CubeSource]) -> None:
    for name, count in Counter(_source_name(source) for source in cube_sources).items():
        if count > 1:
            same_named = ", ".join(
                _source_location(source) for source in cube_sources if _source_name(source) == name
            )
            raise ValueError(
                f"cubes need different stems, by which labels and outputs are named; these have "
                f"the same: {same_named}. Rename or move all but one"
            )


def _source_name(source: CubeSource) -> str:
    if isinstance(source, Cube):
        return source.name
    return source.stem if source.is_file() else cube_name_from_folder(source.name)


def _source_location(source: CubeSource) -> str:
    return source.url if isinstance(source, Cube) else str(source)


def _count_bands(source: CubeSource, file_options: FileOptions) -> int:
    if isinstance(source, Cube) or is_store(source):
        return _open_store(source, file_options).shape[2]
    return planned_shape(source, **file_options.ingest_arguments())[2]


def _open_source(source: CubeSource, cache_folder: Path, file_options: FileOptions) -> Cube:
    """Open a store, or the copy of a file, made first if it is not there."""
    if isinstance(source, Cube) or is_store(source):
        return _open_store(source, file_options)

    def copy(target: Path) -> None:
        logging.getLogger(__name__).info("copying %s into %s", source, target)
        ingest(source, target, **file_options.ingest_arguments())

    folder = cache_folder / _file_fingerprint(source, file_options)
    store_path = folder / f"{_source_name(source)}.zarr"
    is_copied = store_path.exists()
    cube = open_cached_cube(store_path, copy)
    for warning in cube.warnings if is_copied else ():  # a new copy has told them itself
        logging.getLogger(__name__).warning("%s: %s", source, warning)
    return cube


def _open_store(source: CubeSource, file_options: FileOptions) -> Cube:
    """A store, with the bands that are asked for alone."""
    cube = source if isinstance(source, Cube) else open_cube(source)
    wavelengths = file_options.matching_wavelengths
    return cube if wavelengths is None else with_bands_at(cube, wavelengths)


def open_cached_cube(store_path: Path, write_cube: Callable[[Path], object]) -> Cube:
    """Open the store at `store_path`, made first if it is not there.

    Args:
        store_path: the store.
        write_cube: writes the store at the path that it is given, in one step
            (`zarr_writer.create_cube`).

    Returns:
        The cube; where another process made it meanwhile, that one.
    """
    if not store_path.exists():
        store_path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_cube(store_path)
        except OSError:
            if not store_path.exists():
                raise
    return open_cube(store_path)


def _file_fingerprint(source: Path, file_options: FileOptions) -> str:
    """Short name of the state of a file, with the header that tells how to read it."""
    paths = _with_header(source)
    if source.is_file():
        paths += [path for path in find_references(source)[0] if path is not None]
    files = [(str(file.resolve()), file.stat()) for file in paths]
    file_states = tuple((path, state.st_size, state.st_mtime_ns) for path, state in files)
    return fingerprint((INGEST_VERSION, file_states, file_options))


def _with_header(source: Path) -> list[Path]:
    """A file and, where there is one, the other half of an ENVI pair; the files of a folder.

    Of a raster also the sources of a virtual one, masks and headers beside it.
    """
    if source.is_dir():
        return [entry for entry in sorted(source.iterdir()) if entry.is_file()]
    if FORMATS_BY_SUFFIX.get(source.suffix.lower()) is RASTER:
        return raster_files(source)
    if source.suffix.lower() == ".hdr":
        return [
            source,
            raster_data_file(source) if is_esri_header(source) else find_data_file(source),
        ]
    header = find_header(source) if has_header(source) else None
    return [source] if header is None else [source, header]
