"""Label maps for other programs: GeoTIFF and ENVI classification files, written block by block."""

import logging
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Integer, UInt8

from jaxhsi.data.formats.file_errors import import_reader_package
from jaxhsi.data.georeference import Georeference
from jaxhsi.data.tiles import split_into_tiles
from jaxhsi.storage.replacement import replace_path

BLOCK_SIDE = 256  # pixels; side of the blocks of a GeoTIFF, and rows of ENVI files written together
GDAL_CACHE_BYTES = 64 * 2**20  # of GDAL, which otherwise takes a share of the machine's memory
INVALID_COLOUR = (0, 0, 0)  # black
ENVI_UNIT_NAMES = {
    1.0: "Meters",
    1000.0: "Km",
    0.01: "cm",
    0.001: "mm",
    0.3048: "Feet",
}  # by their metres
UTM_CODE_BASES = ((32600, "North"), (32700, "South"))  # EPSG codes of WGS 84 / UTM, less the zone


class ClassMap(NamedTuple):
    """A label map and what its labels mean.

    Attributes:
        shape: (H, W).
        read_labels: labels 0..k-1 of a window, -1 where a pixel is not valid.
        class_names: of the labels.
        class_colours: of the labels.
        georeference: where the pixels lie, or None.
    """

    shape: tuple[int, int]
    read_labels: Callable[[slice, slice], Integer[np.ndarray, "h w"]]
    class_names: tuple[str, ...]
    class_colours: UInt8[np.ndarray, "k 3"]
    georeference: Georeference | None


def write_geotiff(path: Path, class_map: ClassMap) -> None:
    """Write a tiled, compressed GeoTIFF with a colour table.

    The values are the labels, the largest of the type (255 or 65,535) is "no data". Names of the
    classes are in the tags CLASS_0, CLASS_1 and so on of the band. A file that is there is
    replaced, by a whole one.

    Raises:
        ImportError: rasterio is not installed.
    """
    rasterio = import_reader_package("rasterio", path, "a TIFF")
    window = import_reader_package("rasterio.windows", path, "a TIFF").Window

    label_dtype = _label_dtype(len(class_map.class_names))
    no_data_label = np.iinfo(label_dtype).max
    file_profile = {
        **{
            "driver": "GTiff",
            "width": class_map.shape[1],
            "height": class_map.shape[0],
            "count": 1,
        },
        **{
            "dtype": label_dtype.name,
            "nodata": int(no_data_label),
            "compress": "deflate",
            "bigtiff": "IF_SAFER",
        },
        **{"tiled": True, "blockxsize": BLOCK_SIDE, "blockysize": BLOCK_SIDE},
    }
    georeference = class_map.georeference
    if georeference is not None:
        file_profile["transform"] = rasterio.Affine(*georeference.transform)
        file_profile["crs"] = (
            rasterio.CRS.from_user_input(georeference.crs) if georeference.crs else None
        )
    resolution_tags = _resolution_tags(georeference)
    colour_table = {i: (*colour, 255) for i, colour in enumerate(class_map.class_colours.tolist())}
    with (
        replace_path(path) as partial_path,
        rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES),
        warnings.catch_warnings(),
    ):
        # Pictures from a bench have no place on the ground; nothing is wrong with them.
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(partial_path, "w", **file_profile) as file:
            file.update_tags(**resolution_tags)
            file.write_colormap(1, colour_table | {int(no_data_label): (*INVALID_COLOUR, 0)})
            file.update_tags(
                1, **{f"CLASS_{i}": name for i, name in enumerate(class_map.class_names)}
            )
            for y0, x0, height, width in split_into_tiles(
                class_map.shape, (BLOCK_SIDE, BLOCK_SIDE)
            ):
                labels = class_map.read_labels(slice(y0, y0 + height), slice(x0, x0 + width))
                stored_values = np.where(labels < 0, np.int64(no_data_label), labels).astype(
                    label_dtype
                )
                file.write(stored_values, 1, window=window(x0, y0, width, height))


def _resolution_tags(georeference: Georeference | None) -> dict[str, str]:
    """Pixels in a centimetre, which tell the scale where no coordinate system does."""
    if georeference is None or georeference.crs is not None or not georeference.metres_per_unit:
        return {}
    a, b, _, d, e, _ = georeference.transform
    width, height = (
        math.hypot(*column) * georeference.metres_per_unit for column in ((a, d), (b, e))
    )
    return {
        "TIFFTAG_XRESOLUTION": repr(0.01 / width),
        "TIFFTAG_YRESOLUTION": repr(0.01 / height),
        "TIFFTAG_RESOLUTIONUNIT": "3",
    }


def write_envi_classification(path: Path, class_map: ClassMap) -> None:
    """Write an ENVI classification file: the data at `path`, and `<stem>.hdr` beside it.

    As ENVI has it, class 0 is "Unclassified" (pixels that are not valid), and label k is class
    k + 1. Files that are there are replaced, by whole ones; the header comes last.

    Raises:
        ImportError: spectral is not installed, or rasterio where it has to write out the
            coordinate reference system.
    """
    envi = import_reader_package("spectral.io.envi", path, "an ENVI")
    height, width = class_map.shape
    label_dtype = _label_dtype(len(class_map.class_names)).newbyteorder("<")
    flat_colours = [*INVALID_COLOUR, *class_map.class_colours.ravel().tolist()]
    header_fields = {
        "description": "labels written by jaxhsi",
        **{"samples": width, "lines": height, "bands": 1, "header offset": 0},
        **{"file type": "ENVI Classification", "data type": {1: 1, 2: 12}[label_dtype.itemsize]},
        **{"interleave": "bsq", "byte order": 0, "classes": len(class_map.class_names) + 1},
        "class lookup": flat_colours,
        "class names": ["Unclassified", *map(_escape_name, class_map.class_names)],
        **envi_map_fields(class_map.georeference, path),
    }
    with (
        replace_path(path.with_suffix(".hdr")) as partial_header,
        replace_path(path) as partial_path,
    ):
        with partial_path.open("wb") as file:
            for y0, x0, rows, columns in split_into_tiles(class_map.shape, (BLOCK_SIDE, width)):
                labels = class_map.read_labels(slice(y0, y0 + rows), slice(x0, x0 + columns))
                file.write((labels.astype(np.int32) + 1).astype(label_dtype).tobytes())
        envi.write_envi_header(str(partial_header), header_fields)


def envi_map_fields(georeference: Georeference | None, path: Path) -> dict[str, list | str]:
    """Header fields `map info` and `coordinate system string`, as far as they are known.

    A grid that is sheared, or whose pixels do not count from the north-west, has no `map info`;
    the log says so.

    Args:
        georeference: of the map.
        path: of the file, for messages.
    """
    if georeference is None:
        return {}
    a, b, c, d, e, f = georeference.transform
    pixel_width, pixel_height, rotation_angle = math.hypot(a, b), math.hypot(d, e), math.atan2(b, a)
    expected_row_step = (
        math.sin(rotation_angle) * pixel_height,
        -math.cos(rotation_angle) * pixel_height,
    )
    if not np.allclose((d, e), expected_row_step, rtol=1e-9, atol=1e-9 * pixel_height):
        logging.getLogger(__name__).warning(
            "%s: its grid is sheared or mirrored, which ENVI's map info cannot say; it has "
            "no position",
            path,
        )
        return {}
    coordinate_system = _utm_fields(georeference.crs) or (
        ["Geographic Lat/Lon"]
        if georeference.metres_per_unit is None and georeference.crs
        else ["Arbitrary"]
    )
    map_info = [
        coordinate_system[0],
        1,
        1,
        *(float(v) for v in (c, f, pixel_width, pixel_height)),
        *coordinate_system[1:],
    ]
    if georeference.metres_per_unit in ENVI_UNIT_NAMES:
        map_info.append(f"units={ENVI_UNIT_NAMES[georeference.metres_per_unit]}")
    if rotation_angle:
        map_info.append(f"rotation={math.degrees(rotation_angle)!r}")
    header_fields: dict[str, list | str] = {"map info": "{" + ", ".join(map(str, map_info)) + "}"}
    if georeference.crs is not None:
        header_fields["coordinate system string"] = "{" + _esri_wkt(georeference.crs, path) + "}"
    return header_fields


def _utm_fields(crs: str | None) -> list[str] | None:
    """Fields that ENVI has for WGS 84 / UTM."""
    code = (crs or "").upper().removeprefix("EPSG:")
    if not code.isdigit():
        return None
    for base, hemisphere in UTM_CODE_BASES:
        if 1 <= (zone := int(code) - base) <= 60:
            return ["UTM", str(zone), hemisphere, "WGS-84"]
    return None


def _esri_wkt(crs: str, path: Path) -> str:
    """In Esri's dialect, as ENVI writes it; text that is WKT already stays."""
    if "[" in crs:
        return crs
    rasterio = import_reader_package("rasterio", path, f"a georeferenced ({crs})")
    return rasterio.CRS.from_user_input(crs).to_wkt(version="WKT1_ESRI")


def _escape_name(name: str) -> str:
    """A name without the characters that end it in a header."""
    return name.translate(str.maketrans(",{}\n", ";() "))


def _label_dtype(num_classes: int) -> np.dtype:
    """Type with a value for every class and one more."""
    return np.dtype(np.uint8 if num_classes <= np.iinfo(np.uint8).max else np.uint16)
