"""Shapes drawn in LabelMe, as label maps.

A point (x, y) stands for the pixel in column floor(x) and row floor(y), and the shape is drawn
between the centres of these pixels, edges included: a rectangle from (1, 1) to (3, 3) covers
columns 1, 2, 3 and rows 1, 2, 3. This is how LabelMe itself and upstream's dataset.py make masks
(Pillow's ImageDraw).
"""

import json
import logging
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

BACKGROUND = "background"
POINTS_NEEDED = {
    "polygon": "3 points or more",
    "rectangle": "2 opposite corners, or 4",
    "circle": "2 points, the centre and one on the rim",
}
KINDS_WITHOUT_AREA = ("line", "linestrip", "point", "points")
MAX_COORDINATE = 10**6  # pixels; what lies further out is a mistake
MAX_RADIUS = 25_000  # pixels; Pillow's ellipses overflow beyond

Points = list[tuple[float, float]]


class Shape(NamedTuple):
    """A shape; `where` names it in messages, `points` are (x, y) in pixels."""

    where: str
    label: str
    kind: str
    points: Points


def load_labelme(
    path: Path, image_size: tuple[int, int], class_values: dict[str, int]
) -> np.ndarray:
    """Paint the shapes of a LabelMe file, later ones over earlier ones.

    Lines and points have no area and are left out, parts beyond the image too; the log says how
    many. Groups, flags and the embedded picture are not used.

    Args:
        path: the `.json` file.
        image_size: (H, W) of the cube, with which the file must agree.
        class_values: class name -> class value.

    Returns:
        Class values (H, W); 0 where there is no shape.

    Raises:
        ValueError: no LabelMe file, another size, a shape that is not complete, or a class that
            has no value.
    """
    content = _read(path)
    found = content["imageHeight"], content["imageWidth"]
    if found != image_size:
        raise ValueError(
            f"{path} was drawn on a picture of {found} pixels (imageHeight, imageWidth), its cube "
            f"has {image_size}; give the annotation of this cube, drawn at its full size"
        )
    small = all(0 <= value < 256 for value in class_values.values())
    canvas = Image.new("L" if small else "I", image_size[::-1], 0)
    shapes, beyond = _shapes(path, content), 0
    for shape in shapes:
        if shape.kind in POINTS_NEEDED:
            beyond += _paint(ImageDraw.Draw(canvas), shape, class_values, image_size)
    _report(path, shapes, beyond)
    return np.asarray(canvas)


def number_labelme_classes(paths: Iterable[Path]) -> dict[str, int]:
    """Number the classes of several LabelMe files together.

    Returns:
        Class name -> class value: "background" 0, then 1, 2, ... by sorted names.

    Raises:
        ValueError: as `load_labelme`.
    """
    shapes = [shape for path in paths for shape in _shapes(path, _read(path))]
    labels = {shape.label for shape in shapes if shape.kind in POINTS_NEEDED} - {BACKGROUND}
    return {name: value for value, name in enumerate([BACKGROUND, *sorted(labels)])}


def labelme_picture_name(path: Path) -> str:
    """Name of the picture that a LabelMe file was drawn on, empty where it does not say."""
    picture = _read(path).get("imagePath")
    return picture.replace("\\", "/").rsplit("/", 1)[-1] if isinstance(picture, str) else ""


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not valid JSON, save it again from LabelMe ({error})"
        ) from error
    for key in ("shapes", "imageHeight", "imageWidth"):
        if not isinstance(content, dict) or key not in content:
            raise ValueError(f"{path} is no LabelMe annotation: it has no {key!r}")
    if not isinstance(content["shapes"], list):
        raise ValueError(f"{path} is no LabelMe annotation: its 'shapes' are not a list")
    return content


def _shapes(path: Path, content: dict[str, Any]) -> list[Shape]:
    entries = content["shapes"]
    return [
        _shape(f"{path}: shape {number} of {len(entries)}", entry)
        for number, entry in enumerate(entries, 1)
    ]


def _shape(where: str, entry: Any) -> Shape:
    """Check one shape; files older than LabelMe 3.4 hold polygons alone and do not say so."""
    for key in ("label", "points"):
        if not isinstance(entry, dict) or key not in entry:
            raise ValueError(f"{where} has no {key!r}; save the file again from LabelMe")
    label, kind = entry["label"], entry.get("shape_type") or "polygon"
    if not isinstance(label, str) or not label:
        raise ValueError(f"{where} has the label {label!r}; a label is the name of a class")
    if kind not in POINTS_NEEDED and kind not in KINDS_WITHOUT_AREA:
        raise ValueError(
            f"{where} is a {kind!r}; shapes that can be read are {', '.join(POINTS_NEEDED)}; draw it as "
            "one of these"
        )
    points = _points(where, entry["points"])
    count = len(points)
    enough = count >= 3 if kind == "polygon" else count == 2 or (kind == "rectangle" and count == 4)
    if kind in POINTS_NEEDED and not enough:
        raise ValueError(
            f"{where} is a {kind} of {count} point(s); it needs {POINTS_NEEDED[kind]}; draw it again"
        )
    return Shape(where, label, kind, points)


def _points(where: str, values: Any) -> Points:
    try:
        points = [(float(x), float(y)) for x, y in values]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: its points are not pairs (x, y) of numbers") from error
    for point in points:
        if not all(math.isfinite(value) and abs(value) <= MAX_COORDINATE for value in point):
            raise ValueError(f"{where} has the point {point}, far from any image; draw it again")
    return points


def _paint(
    draw: ImageDraw.ImageDraw, shape: Shape, names: dict[str, int], size: tuple[int, int]
) -> bool:
    """Draw a shape, and tell whether it reaches beyond the image."""
    if shape.label not in names:
        raise ValueError(
            f"{shape.where} has the label {shape.label!r}, which has no class value; those that "
            f"have one are: {', '.join(names)}"
        )
    value, corners = names[shape.label], shape.points
    if shape.kind == "circle":
        corners = _box(shape)
    pixels = [(math.floor(x), math.floor(y)) for x, y in corners]
    if shape.kind == "circle":
        draw.ellipse(pixels, fill=value)
        draw.point([math.floor(position) for position in shape.points[0]], fill=value)
    elif len(pixels) == 2:
        (left, right), (top, bottom) = (sorted(ends) for ends in zip(*pixels, strict=True))
        draw.rectangle((left, top, right, bottom), fill=value)
    else:
        draw.polygon(pixels, fill=value)
    return any(not (0 <= x <= size[1] and 0 <= y <= size[0]) for x, y in corners)


def _box(circle: Shape) -> Points:
    """Two corners of the square about a circle."""
    (x, y), radius = circle.points[0], math.dist(*circle.points)
    if radius > MAX_RADIUS:
        raise ValueError(
            f"{circle.where} is a circle of radius {radius:.0f} pixels, more than the "
            f"{MAX_RADIUS} that can be drawn; draw it as a polygon"
        )
    return [(x - radius, y - radius), (x + radius, y + radius)]


def _report(path: Path, shapes: list[Shape], beyond: int) -> None:
    log = logging.getLogger(__name__)
    ignored = Counter(shape.kind for shape in shapes if shape.kind not in POINTS_NEEDED)
    if ignored:
        listing = ", ".join(f"{count} {kind}" for kind, count in ignored.items())
        log.warning("%s: shapes without an area are ignored: %s", path, listing)
    if beyond:
        log.warning("%s: %d shape(s) reach beyond the image and were cut off there", path, beyond)
