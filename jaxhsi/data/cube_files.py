"""The cubes in what a user names: files and stores of a folder, and how they are to be read."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxhsi.data.cube import Cube, is_store, open_cube, refuse_damaged_store
from jaxhsi.data.formats import FORMATS_BY_SUFFIX, file_format, readable_files
from jaxhsi.data.formats.band_files import list_band_files
from jaxhsi.data.formats.raster_file import RASTER_SUFFIXES
from jaxhsi.data.formats.reference_files import without_references
from jaxhsi.data.formats.sensors import product_cube
from jaxhsi.data.ingest.options import IngestOptions
from jaxhsi.data.store_url import STORE_FORMAT_NAMES
from jaxhsi.storage.replacement import is_partial

MAX_PREVIEW_BANDS = 4  # of a picture in colours, with alpha


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


def list_cubes(named_path: str | Path, file_options: FileOptions | None = None) -> list[CubeSource]:
    """The cubes that a file, folder, store or URL names, not opened unless by a URL.

    Args:
        named_path: as a user gives it.
        file_options: how files are read, by default as they say.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: a folder without a cube, or a store without its metadata.
    """
    if "://" in str(named_path):
        return [open_cube(str(named_path))]
    path = Path(named_path)
    path = product_cube(path) or path
    if not path.exists():
        raise FileNotFoundError(f"no data at {path}: the path does not exist")
    if path.is_file() or is_store(path):
        return [path]
    refuse_damaged_store(path)
    folder_entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    finished_entries = [entry for entry in folder_entries if not _is_partial_write(entry)]
    for entry in finished_entries:
        refuse_damaged_store(entry)
    stores = [entry for entry in finished_entries if entry.is_dir() and is_store(entry)]
    cube_files = without_references(
        file
        for file in readable_files(path)
        if file in finished_entries and _holds_cube(file, file_options or FileOptions())
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
    if not is_partial(entry):
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
