"""Areas drawn on pictures by annotation tools, as label maps.

Coordinates are continuous pixels, x to the right and y down, (0, 0) at the upper left corner of the
upper left pixel. A pixel belongs to a shape where its centre lies in it: a square from (5, 5) to
(30, 30) covers 25 x 25 pixels. Later shapes cover earlier ones.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int32

from jaxhsi.data.formats.file_errors import import_reader_package

ELLIPSE_POINTS = 128  # corners of the polygon that stands for a circle or an ellipse

Number = int | float


class Area(NamedTuple):
    """A shape with an area.

    Attributes:
        source_name: file and shape, for messages.
        label: name of its class.
        geometry: GeoJSON polygon or multipolygon in pixels, or None.
        read_mask: the pixels of the shape in the whole picture, where there is no geometry.
    """

    source_name: str
    label: str
    geometry: dict[str, Any] | None = None
    read_mask: Callable[[], Bool[np.ndarray, "H W"]] | None = None


class AnnotatedPicture(NamedTuple):
    """What an annotation tool says of one picture.

    Attributes:
        name: file name of the picture.
        size: (H, W) that the shapes were drawn at, or None where the tool does not say.
        areas: its shapes, in the order in which they were drawn.
        without_area: kinds of shapes that have no area, and are left out.
    """

    name: str
    size: tuple[int, int] | None
    areas: tuple[Area, ...]
    without_area: tuple[str, ...] = ()


def paint_picture(
    path: Path,
    picture: AnnotatedPicture,
    image_size: tuple[int, int],
    class_values: Mapping[str, int],
) -> Int32[np.ndarray, "H W"]:
    """Paint the areas of a picture.

    Args:
        path: the file, for messages.
        picture: to paint.
        image_size: (H, W) of the cube, with which the picture must agree.
        class_values: class name -> class value.

    Returns:
        Class values; 0 where there is no shape.

    Raises:
        ValueError: a picture of another size.
    """
    if picture.size is not None and picture.size != image_size:
        raise ValueError(
            f"{path}: {picture.name} was annotated at {picture.size[0]} x {picture.size[1]} "
            "pixels, "
            f"its cube has {image_size[0]} x {image_size[1]}; give the annotation of this cube, "
            "drawn at its full size"
        )
    canvas = np.zeros(image_size, np.int32)
    num_cut_off = paint_areas(canvas, picture.areas, class_values)
    warn_ignored(path, picture.without_area, num_cut_off)
    return canvas


def paint_areas(
    canvas: Int32[np.ndarray, "H W"], areas: Sequence[Area], class_values: Mapping[str, int]
) -> int:
    """Paint areas on a map of class values; returns how many reach beyond it."""
    num_cut_off = 0
    for area in areas:
        value = class_values[area.label]
        if area.geometry is None:
            canvas[area.read_mask()] = value
            continue
        features = import_reader_package(
            "rasterio.features", Path(area.source_name), "an annotation"
        )
        features.rasterize([(area.geometry, value)], out=canvas)
        num_cut_off += _reaches_beyond(area.geometry, canvas.shape)
    return num_cut_off


def _reaches_beyond(geometry: dict[str, Any], image_size: tuple[int, ...]) -> bool:
    parts = geometry["coordinates"]
    rings = parts if geometry["type"] == "Polygon" else [ring for part in parts for ring in part]
    points = np.concatenate([np.asarray(ring, float)[:, :2] for ring in rings])
    return bool((points < 0).any() or (points > [image_size[1], image_size[0]]).any())


def warn_ignored(path: Path, without_area: Sequence[str], num_cut_off: int) -> None:
    """Log the shapes that have no area, and those that reach beyond the image."""
    log = logging.getLogger(__name__)
    if without_area:
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(without_area).items())
        log.warning("%s: shapes without an area are ignored: %s", path, kinds)
    if num_cut_off:
        log.warning(
            "%s: %d shape(s) reach beyond the image and were cut off there", path, num_cut_off
        )


def polygon(source_name: str, points: Any) -> dict[str, Any]:
    """GeoJSON polygon of its corners.

    Raises:
        ValueError: fewer than three corners, or what is no pair of numbers.
    """
    try:
        corners = [(float(x), float(y)) for x, y in points]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{source_name}: its points are not pairs (x, y) of numbers") from error
    if len(corners) < 3 or not all(math.isfinite(v) for corner in corners for v in corner):
        raise ValueError(
            f"{source_name} is a polygon of {len(corners)} finite corner(s) and needs 3 or more; "
            "draw it again"
        )
    return {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}


def box(
    source_name: str,
    left: Number,
    top: Number,
    width: Number,
    height: Number,
    degrees: Number = 0.0,
) -> dict[str, Any]:
    """GeoJSON polygon of a rectangle, turned clockwise about its upper left corner."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)]
    return polygon(
        source_name,
        [(left + x * cosine - y * sine, top + x * sine + y * cosine) for x, y in corners],
    )


def ellipse(
    source_name: str,
    centre: tuple[Number, Number],
    radii: tuple[Number, Number],
    degrees: Number = 0.0,
) -> dict[str, Any]:
    """GeoJSON polygon of an ellipse, turned clockwise about its centre."""
    angles = np.linspace(0, 2 * math.pi, ELLIPSE_POINTS, endpoint=False)
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = radii[0] * np.cos(angles), radii[1] * np.sin(angles)
    corners = np.stack([x * cosine - y * sine + centre[0], x * sine + y * cosine + centre[1]], 1)
    return polygon(source_name, corners.tolist())


def only_text_value(
    source_name: str, attributes: Mapping[str, Any], key: str | None, names: Sequence[str]
) -> str:
    """The class among the attributes of a shape.

    Args:
        source_name: for messages.
        attributes: of the shape.
        key: attribute that names the class, or None.
        names: usual names of it, which decide where there are several.

    Raises:
        ValueError: no such attribute, or several and nothing to choose by.
    """
    values = {name: str(value) for name, value in attributes.items() if value not in (None, "")}
    if key is not None:
        if key not in values:
            raise ValueError(
                f"{source_name} has no attribute {key!r} with a value; it has "
                f"{', '.join(values) or 'none'}"
            )
        return values[key]
    usual = [name for name in values if name.casefold().strip("_") in names]
    chosen = usual or list(values)
    if len(chosen) != 1:
        what = "several attributes" if chosen else "no attribute"
        raise ValueError(
            f"{source_name} has {what} that may name its class ({', '.join(chosen) or 'none'}); "
            "name one by --label_key"
        )
    return values[chosen[0]]
