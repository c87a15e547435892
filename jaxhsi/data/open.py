"""From what a user names (a file, a folder, a store, a URL) to open cubes."""

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jaxhsi.data.band_subset import with_bands_at
from jaxhsi.data.cache import default_cache_folder, fingerprint, source_digest
from jaxhsi.data.cube import Cube, cube_name_from_folder, is_store, open_cube
from jaxhsi.data.cube_files import CubeSource, FileOptions, list_cubes
from jaxhsi.data.formats import FORMATS_BY_SUFFIX, RASTER, file_format
from jaxhsi.data.formats.envi_header import find_data_file, find_header, has_header
from jaxhsi.data.formats.raster_file import (
    is_esri_header,
    raster_data_file,
    raster_files,
)
from jaxhsi.data.formats.raster_url import raster_url, write_url_raster
from jaxhsi.data.formats.reference_files import find_references
from jaxhsi.data.ingest.pipeline import ingest, planned_shape
from jaxhsi.data.manifest import check_band_counts, manifest
from jaxhsi.storage.checksums import DamagedFileError


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
    copies_folder = default_cache_folder() if cache_folder is None else Path(cache_folder)
    cube_sources = _list_sources(path, copies_folder, file_options)
    check_band_counts(
        dict(expected_band_counts or {})
        | {_source_location(source): _count_bands(source, file_options) for source in cube_sources}
    )
    cubes = tuple(_open_source(source, copies_folder, file_options) for source in cube_sources)
    manifest(cubes, tolerance=tolerance, cache_folder=copies_folder)
    return cubes


def cube_locations(
    path: str | Path | Sequence[str | Path],
    *,
    size: tuple[int, int] | None = None,
    cache_folder: Path | None = None,
) -> dict[str, str]:
    """Where each cube lies that `open_cubes` would open, by name and in that order.

    The cubes are not opened, but for those named by URLs: of files the headers are read, of stores
    nothing is.

    Args:
        path: as of `open_cubes`, which takes the locations as well.
        size: as of `open_cubes`.
        cache_folder: as of `open_cubes`.

    Raises:
        FileNotFoundError, ConnectionError, ValueError: as `open_cubes`.
    """
    copies_folder = default_cache_folder() if cache_folder is None else Path(cache_folder)
    cube_sources = _list_sources(path, copies_folder, FileOptions(size=size))
    return {_source_name(source): _source_location(source) for source in cube_sources}


def _list_sources(
    path: str | Path | Sequence[str | Path], cache_folder: Path, file_options: FileOptions
) -> list[CubeSource]:
    """The cubes that a path, or each of several, names; refuses equal names."""
    named_paths = [path] if isinstance(path, str | Path) else list(path)
    if not named_paths:
        raise ValueError("no cube was named; give a file, a folder, a store or a URL")
    local_paths = [_with_local_raster(each, cache_folder) for each in named_paths]
    cube_sources = [source for each in local_paths for source in list_cubes(each, file_options)]
    _check_names(cube_sources)
    return cube_sources


def _with_local_raster(named_path: str | Path, cache_folder: Path) -> str | Path:
    """What a user names; of a raster at an address, the local file that stands for it."""
    url = raster_url(str(named_path))
    return named_path if url is None else write_url_raster(url, cache_folder)


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
    if store_path.exists():
        try:
            return open_cube(store_path)
        except DamagedFileError as error:
            logging.getLogger(__name__).warning("the copy is made anew: %s", error)
            shutil.rmtree(store_path)
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
    # Sorted: the header and the data file of a pair name the same cube, of which one copy is kept.
    file_states = sorted({(path, state.st_size, state.st_mtime_ns) for path, state in files})
    is_raster = source.is_file() and file_format(source) is RASTER
    source_code = source_digest("data/formats", "data/ingest", "data/zarr_writer.py")
    return fingerprint((source_code, file_states, is_raster, file_options))


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
