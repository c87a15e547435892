"""Shapes drawn in LabelMe, as label maps.

A point (x, y) stands for the pixel in column floor(x) and row floor(y), and the shape is drawn
between the centres of these pixels, edges included: a rectangle from (1, 1) to (3, 3) covers
columns 1, 2, 3 and rows 1, 2, 3. This is how LabelMe itself and upstream's dataset.py make masks
(Pillow's ImageDraw). A mask that LabelMe's models drew covers the pixels that it names.
"""

import base64
import binascii
import io
import json
import logging
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, UnidentifiedImageError

from jaxhsi.data.labels.annotated_picture import warn_ignored

BACKGROUND = "background"
POINTS_NEEDED = {
    "polygon": "3 points or more",
    "rectangle": "2 opposite corners, or 4",
    "circle": "2 points, the centre and one on the rim",
    "oriented_rectangle": "4 corners",
    "mask": "2 opposite corners",
}
KINDS_WITHOUT_AREA = ("line", "linestrip", "point", "points")
MAX_COORDINATE = 10**6  # pixels; what lies further out is a mistake
MAX_RADIUS = 25_000  # pixels; Pillow's ellipses overflow beyond

Points = list[tuple[float, float]]


class Shape(NamedTuple):
    """A shape.

    Attributes:
        source_name: names it in messages.
        label: name of its class.
        shape_kind: as LabelMe calls it.
        points: (x, y) in pixels.
        mask: picture of the pixels between the corners, of a mask, else None.
    """

    source_name: str
    label: str
    shape_kind: str
    points: Points
    mask: Image.Image | None = None


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
    content = _read_annotation(path)
    drawn_size = content.get("imageHeight"), content.get("imageWidth")
    if drawn_size == (None, None):
        message = "%s states no size of its picture, which is taken to be that of the cube, %s"
        logging.getLogger(__name__).warning(message, path, image_size)
    elif drawn_size != image_size:
        raise ValueError(
            f"{path} was drawn on a picture of {drawn_size} pixels (imageHeight, imageWidth), "
            "its cube "
            f"has {image_size}; give the annotation of this cube, drawn at its full size"
        )
    fits_a_byte = all(0 <= value < 256 for value in class_values.values())
    canvas = Image.new("L" if fits_a_byte else "I", image_size[::-1], 0)
    shapes, num_cut_off = _parse_shapes(path, content), 0
    for shape in shapes:
        if shape.shape_kind in POINTS_NEEDED:
            num_cut_off += _paint_shape(canvas, shape, class_values, image_size)
    without_area = [s.shape_kind for s in shapes if s.shape_kind not in POINTS_NEEDED]
    warn_ignored(path, without_area, num_cut_off)
    return np.asarray(canvas)


def number_labelme_shapes(
    path: Path, image_size: tuple[int, int]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The number of the shape at each pixel, from 1; 0 where there is none.

    Args:
        path: the `.json` file.
        image_size: (H, W) of the cube.

    Returns:
        Numbers (H, W), and the class of each shape with an area.

    Raises:
        ValueError: as `load_labelme`.
    """
    canvas = Image.new("I", image_size[::-1], 0)
    shapes = _parse_shapes(path, _read_annotation(path))
    shapes = [shape for shape in shapes if shape.shape_kind in POINTS_NEEDED]
    for number, shape in enumerate(shapes, 1):
        _paint_shape(canvas, shape._replace(label=str(number)), {str(number): number}, image_size)
    return np.array(canvas, np.int32), tuple(shape.label for shape in shapes)


def is_labelme(content: Any) -> bool:
    """Whether JSON is LabelMe's, complete or not."""
    return isinstance(content, dict) and bool({"shapes", "imageHeight"} & content.keys())


def labelme_classes(path: Path) -> set[str]:
    """Names of the classes of the shapes with an area.

    Raises:
        ValueError: as `load_labelme`.
    """
    shapes = _parse_shapes(path, _read_annotation(path))
    return {shape.label for shape in shapes if shape.shape_kind in POINTS_NEEDED}


def labelme_picture_name(path: Path) -> str:
    """Name of the picture that a LabelMe file was drawn on, empty where it does not say."""
    picture = _read_annotation(path).get("imagePath")
    return picture.replace("\\", "/").rsplit("/", 1)[-1] if isinstance(picture, str) else ""


def _read_annotation(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not valid JSON, save it again from LabelMe ({error})"
        ) from error
    if not isinstance(content, dict) or "shapes" not in content:
        raise ValueError(f"{path} is no LabelMe annotation: it has no 'shapes'")
    if not isinstance(content["shapes"], list):
        raise ValueError(f"{path} is no LabelMe annotation: its 'shapes' are not a list")
    return content


def _parse_shapes(path: Path, content: dict[str, Any]) -> list[Shape]:
    entries = content["shapes"]
    return [
        _parse_shape(f"{path}: shape {number} of {len(entries)}", entry)
        for number, entry in enumerate(entries, 1)
    ]


def _parse_shape(source_name: str, entry: Any) -> Shape:
    """Check one shape; files older than LabelMe 3.4 hold polygons alone and do not say so."""
    for key in ("label", "points"):
        if not isinstance(entry, dict) or key not in entry:
            raise ValueError(f"{source_name} has no {key!r}; save the file again from LabelMe")
    label, shape_kind = entry["label"], entry.get("shape_type") or "polygon"
    if not isinstance(label, str) or not label:
        raise ValueError(f"{source_name} has the label {label!r}; a label is the name of a class")
    if shape_kind not in POINTS_NEEDED and shape_kind not in KINDS_WITHOUT_AREA:
        raise ValueError(
            f"{source_name} is a {shape_kind!r}; shapes that can be read are "
            f"{', '.join(POINTS_NEEDED)}; draw it as "
            "one of these"
        )
    points = _parse_points(source_name, entry["points"])
    num_points = len(points)
    has_enough = {
        "polygon": num_points >= 3,
        "rectangle": num_points in (2, 4),
        "oriented_rectangle": num_points == 4,
    }.get(shape_kind, num_points == 2)
    if shape_kind in POINTS_NEEDED and not has_enough:
        raise ValueError(
            f"{source_name} is a {shape_kind} of {num_points} point(s); it needs "
            f"{POINTS_NEEDED[shape_kind]}; draw it again"
        )
    mask = _read_mask(source_name, entry, points) if shape_kind == "mask" else None
    return Shape(source_name, label, shape_kind, points, mask)


def _read_mask(source_name: str, entry: dict[str, Any], points: Points) -> Image.Image:
    """The picture inside of a mask, which spans from corner to corner, both included."""
    try:
        picture = Image.open(io.BytesIO(base64.b64decode(entry["mask"], validate=True)))
        inside = np.asarray(picture) > 0
    except (KeyError, TypeError, binascii.Error, UnidentifiedImageError, OSError) as error:
        raise ValueError(
            f"{source_name} is a mask whose picture cannot be read ({error}); save the file again "
            "from LabelMe"
        ) from error
    (left, top), (right, bottom) = points
    size = math.floor(bottom) - math.floor(top) + 1, math.floor(right) - math.floor(left) + 1
    if inside.shape != size:
        raise ValueError(
            f"{source_name} is a mask of {inside.shape} pixels between corners that span {size}; "
            "save the file again from LabelMe"
        )
    return Image.fromarray(inside.astype(np.uint8) * 255)


def _parse_points(source_name: str, values: Any) -> Points:
    try:
        points = [(float(x), float(y)) for x, y in values]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{source_name}: its points are not pairs (x, y) of numbers") from error
    for point in points:
        if not all(math.isfinite(value) and abs(value) <= MAX_COORDINATE for value in point):
            raise ValueError(
                f"{source_name} has the point {point}, far from any image; draw it again"
            )
    return points


def _paint_shape(
    canvas: Image.Image,
    shape: Shape,
    class_values: dict[str, int],
    image_size: tuple[int, int],
) -> bool:
    """Draw a shape, and tell whether it reaches beyond the image."""
    if shape.label not in class_values:
        raise ValueError(
            f"{shape.source_name} has the label {shape.label!r}, which has no class value; those "
            "that "
            f"have one are: {', '.join(class_values)}"
        )
    class_value, corners = class_values[shape.label], shape.points
    if shape.shape_kind == "circle":
        corners = _circle_box(shape)
    pixels, draw = [(math.floor(x), math.floor(y)) for x, y in corners], ImageDraw.Draw(canvas)
    if shape.shape_kind == "circle":
        draw.ellipse(pixels, fill=class_value)
        draw.point([math.floor(position) for position in shape.points[0]], fill=class_value)
    elif shape.mask is not None:
        canvas.paste(class_value, pixels[0], shape.mask)
    elif len(pixels) == 2:
        (left, right), (top, bottom) = (sorted(ends) for ends in zip(*pixels, strict=True))
        draw.rectangle((left, top, right, bottom), fill=class_value)
    else:
        draw.polygon(pixels, fill=class_value)
    return any(not (0 <= x <= image_size[1] and 0 <= y <= image_size[0]) for x, y in corners)


def _circle_box(circle: Shape) -> Points:
    """Two corners of the square about a circle."""
    (x, y), radius = circle.points[0], math.dist(*circle.points)
    if radius > MAX_RADIUS:
        raise ValueError(
            f"{circle.source_name} is a circle of radius {radius:.0f} pixels, more than the "
            f"{MAX_RADIUS} that can be drawn; draw it as a polygon"
        )
    return [(x - radius, y - radius), (x + radius, y + radius)]
