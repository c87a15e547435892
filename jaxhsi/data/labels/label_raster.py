"""Label maps in rasters: GeoTIFF, ENVI classification, ESRI grids and what else GDAL reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32

from jaxhsi.data.cube import open_cube
from jaxhsi.data.formats import file_format
from jaxhsi.data.formats.envi_header import find_header, read_header
from jaxhsi.data.formats.raster_file import (
    is_erdas_file,
    is_esri_header,
    open_dataset,
    raster_data_file,
)
from jaxhsi.data.formats.volume import Volume, read_image_part, resolve_layout
from jaxhsi.data.georeference import Georeference
from jaxhsi.data.labels.class_tables import class_names_beside
from jaxhsi.data.labels.label_map import UNLABELLED
from jaxhsi.data.labels.placement import check_same_place
from jaxhsi.storage.checksums import read_checked_json

ROWS_PER_BLOCK = 512  # rows of a raster that are read at a time

UNLABELLED_NAMES = ("unclassified", "unlabelled", "unlabeled", "undefined", "nodata", "no data")
"""Names of class 0 by which files say that a pixel has no class."""

TIFF_SUFFIXES = (".tif", ".tiff")  # a header beside them is of another file

CLASS_TAG = "CLASS_"
"""Start of the tags that `exports.write_geotiff` keeps names of classes in."""


class LabelRaster(NamedTuple):
    """Class values of a raster.

    Attributes:
        values: (H, W), `UNLABELLED` where the file says that there is no class.
        class_names: class value -> name, where the file knows them.
        notes: what was decided, for the screen.
    """

    values: Int32[np.ndarray, "H W"]
    class_names: dict[int, str]
    notes: tuple[str, ...]


def load_label_raster(
    path: Path, image_size: tuple[int, int], place: Georeference | None, key: str | None = None
) -> LabelRaster:
    """Read a raster of one band; no data and masked pixels are unlabelled.

    Args:
        path: the file.
        image_size: (H, W) of the cube.
        place: of the cube on the ground, or None.
        key: page of a TIFF file that holds several images.

    Raises:
        ValueError: several bands, another size, another place, or no whole numbers.
    """
    with file_format(path).open_volume(path, key=key, size=None) as volume:
        layout, (height, width, num_bands) = resolve_layout(volume)
        if num_bands != 1:
            raise ValueError(
                f"{path} has {num_bands} bands; labels have one, a class value for each pixel: "
                "save them so, not as colours"
            )
        if (height, width) != image_size:
            raise ValueError(_size_message(path, (height, width), image_size, volume, place))
        offset_note = check_same_place(path, volume.georeference, place, image_size)
        values, num_missing = _read_values(path, volume, layout, image_size)
        no_data = volume.no_data
    names = _class_names(path)
    notes = [] if offset_note is None else [offset_note]
    if num_missing:
        mark = "masked" if no_data is None else f"no data ({no_data:g}) or masked"
        notes.append(f"{num_missing:,} pixels are {mark}: unlabelled")
    if names.get(0, "").casefold() in UNLABELLED_NAMES:
        num_unclassified = int((values == 0).sum())
        if num_unclassified:
            notes.append(f'{num_unclassified:,} pixels are 0, "{names[0]}": unlabelled')
        values[values == 0] = UNLABELLED
    return LabelRaster(values, names, tuple(notes))


def _size_message(
    path: Path,
    label_size: tuple[int, int],
    cube_size: tuple[int, int],
    volume: Volume,
    place: Georeference | None,
) -> str:
    has_places = volume.georeference is not None and place is not None and place.crs is not None
    remedy = (
        f"put it on the cube's grid: rio warp {path.name} new.tif --like CUBE.tif --resampling "
        "nearest"
        if has_places
        else "give the labels of this cube, one value for each pixel"
    )
    return f"{path} has shape {label_size}, its cube has {cube_size} pixels; {remedy}"


def _read_values(
    path: Path, volume: Volume, layout: str, image_size: tuple[int, int]
) -> tuple[Int32[np.ndarray, "H W"], int]:
    """Class values, and how many pixels have none."""
    height, width = image_size
    values, num_missing = np.empty(image_size, np.int32), 0
    for top in range(0, height, ROWS_PER_BLOCK):
        rows, columns = slice(top, min(top + ROWS_PER_BLOCK, height)), slice(0, width)
        stored = read_image_part(volume, layout, rows, columns)[..., 0]
        is_missing = np.zeros(stored.shape, bool)
        if stored.dtype.kind == "f":
            is_missing |= np.isnan(stored)
        if volume.no_data is not None:
            is_missing |= stored == volume.no_data
        if volume.read_mask is not None:
            is_missing |= ~volume.read_mask(rows, columns)
        filled = stored.astype(np.float64 if stored.dtype.kind == "f" else np.int64)
        filled[is_missing] = UNLABELLED
        with np.errstate(invalid="ignore"):
            values[rows] = filled
        if not np.array_equal(values[rows], filled):
            raise ValueError(
                f"{path} holds values that are not whole numbers of 32 bits; round them"
            )
        num_missing += int(is_missing.sum())
    return values, num_missing


def _class_names(path: Path) -> dict[int, str]:
    """Names of the classes in an ENVI header, in tags of the raster, or in a table beside it."""
    header_path = path if path.suffix.lower() == ".hdr" else find_header(path)
    is_envi = header_path is not None and not is_esri_header(header_path)
    if is_envi and not is_erdas_file(path) and path.suffix.lower() not in TIFF_SUFFIXES:
        names = read_header(header_path).get("class names")
        names = [names] if isinstance(names, str) else names or []
        return {value: name.strip() for value, name in enumerate(names) if name.strip()}
    data_path = raster_data_file(path)
    with open_dataset(data_path) as file:
        names = _numbered_names(file.tags(1))
    return names or class_names_beside(data_path)


def _numbered_names(tags: Mapping[str, Any]) -> dict[int, str]:
    return {
        int(name.removeprefix(CLASS_TAG)): text
        for name, text in tags.items()
        if name.startswith(CLASS_TAG) and name.removeprefix(CLASS_TAG).isdecimal()
    }


def load_label_store(
    path: Path, image_size: tuple[int, int], place: Georeference | None
) -> LabelRaster:
    """Read a label store that a run or a prediction of jaxhsi wrote.

    Args:
        path: folder of the store.
        image_size: (H, W) of the cube.
        place: of the cube on the ground, or None.

    Raises:
        ValueError: several bands, another size or another place.
    """
    store = open_cube(path)
    if store.shape != (*image_size, 1):
        raise ValueError(
            f"{path} has shape {store.shape}, its cube has {image_size} pixels; give the label map "
            "of this cube"
        )
    offset_note = check_same_place(path, store.georeference, place, image_size)
    values = store.array[..., 0].read().result().astype(np.int32)
    notes = () if offset_note is None else (offset_note,)
    num_invalid = int((values == UNLABELLED).sum())
    if num_invalid:
        notes = (*notes, f"{num_invalid:,} pixels are not valid: unlabelled")
    return LabelRaster(values, _names_of_run(path.parent.parent), notes)


def _names_of_run(folder: Path) -> dict[int, str]:
    """Names of the labels in the folder of a prediction, empty elsewhere."""
    areas_path = folder / "areas.json"
    if not areas_path.is_file():
        return {}
    return dict(
        enumerate(
            read_checked_json(areas_path, "predict with --overwrite makes it anew").get("names", ())
        )
    )
