"""CVAT's XML export for images: polygons, boxes, ellipses and masks."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from jaxhsi.data.labels.annotated_picture import AnnotatedPicture, Area, box, ellipse, polygon

KINDS = ("polygon", "box", "ellipse", "mask")
KINDS_WITHOUT_AREA = ("polyline", "points", "tag", "cuboid", "skeleton")


VOC_REMEDY = (
    "Boxes of Pascal VOC are no outlines; draw polygons, and export them as LabelMe, COCO or CVAT"
)


def cvat_pictures(path: Path) -> list[AnnotatedPicture]:
    """The pictures of a CVAT file, "CVAT for images 1.1".

    Args:
        path: the file.

    Raises:
        ValueError: no such XML, or a shape that is not complete.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"{path} is not valid XML, export it again ({error})") from error
    if root.tag != "annotations":
        raise ValueError(
            f"{path} is no export of CVAT: its first element is {root.tag!r}, not 'annotations'"
            + (". " + VOC_REMEDY if root.tag == "annotation" else "")
        )
    if root.find("track") is not None:
        raise ValueError(f"{path} holds tracks of a video; export it as 'CVAT for images 1.1'")
    return [_picture(path, image) for image in root.iter("image")]


def _picture(path: Path, image: ElementTree.Element) -> AnnotatedPicture:
    name = image.get("name", "").replace("\\", "/").rsplit("/", 1)[-1]
    try:
        size = int(image.attrib["height"]), int(image.attrib["width"])
        shapes = [shape for shape in image if shape.tag in KINDS]
        shapes.sort(key=lambda shape: int(shape.get("z_order", 0)))
        areas = [
            _area(f"{path}: {name}, {shape.tag} {number}", shape, size)
            for number, shape in enumerate(shapes, 1)
        ]
    except KeyError as error:
        raise ValueError(f"{path}: {name} lacks the attribute {error}; export it again") from error
    without_area = [shape.tag for shape in image if shape.tag in KINDS_WITHOUT_AREA]
    return AnnotatedPicture(name, size, tuple(areas), tuple(without_area))


def _area(source_name: str, shape: ElementTree.Element, size: tuple[int, int]) -> Area:
    label = shape.attrib["label"]
    if shape.tag == "mask":
        return Area(source_name, label, read_mask=lambda: _mask(source_name, shape, size))
    return Area(source_name, label, _geometry(source_name, shape))


def _geometry(source_name: str, shape: ElementTree.Element) -> dict:
    if shape.tag == "polygon":
        pairs = [pair.split(",") for pair in shape.attrib["points"].split(";")]
        return polygon(source_name, pairs)
    degrees = float(shape.get("rotation", 0.0))
    if shape.tag == "ellipse":
        centre = float(shape.attrib["cx"]), float(shape.attrib["cy"])
        return ellipse(
            source_name, centre, (float(shape.attrib["rx"]), float(shape.attrib["ry"])), degrees
        )
    left, top, right, bottom = (float(shape.attrib[n]) for n in ("xtl", "ytl", "xbr", "ybr"))
    if not degrees:
        return box(source_name, left, top, right - left, bottom - top)
    # CVAT turns a box about its centre.
    x, y = (left + right) / 2, (top + bottom) / 2
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)]) - (x, y)
    return polygon(source_name, (corners @ turn.T + (x, y)).tolist())


def _mask(source_name: str, shape: ElementTree.Element, size: tuple[int, int]) -> np.ndarray:
    """Runs of pixels outside and inside by turns, row by row of the mask's box."""
    left, top, width, height = (int(shape.attrib[n]) for n in ("left", "top", "width", "height"))
    runs = [int(run) for run in shape.attrib["rle"].split(",")]
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    fits = 0 <= left <= size[1] - width and 0 <= top <= size[0] - height
    if inside.size != width * height or not fits:
        raise ValueError(
            f"{source_name} is a mask of {width} x {height} pixels at ({left}, {top}) whose "
            f"{inside.size} values do not fit into it, or it into the picture; export it again"
        )
    mask = np.zeros(size, bool)
    mask[top : top + height, left : left + width] = inside.reshape(height, width)
    return mask
