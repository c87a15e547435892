"""Files of drawn shapes: which tool wrote one, which pictures it holds, which classes there are."""

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32

from jaxhsi.data.georeference import Georeference
from jaxhsi.data.labels.annotated_picture import (
    AnnotatedPicture,
    paint_areas,
    paint_picture,
)
from jaxhsi.data.labels.coco import coco_pictures, is_coco
from jaxhsi.data.labels.cvat import cvat_pictures
from jaxhsi.data.labels.label_studio import is_label_studio, label_studio_pictures
from jaxhsi.data.labels.labelme import (
    BACKGROUND,
    is_labelme,
    labelme_classes,
    load_labelme,
    number_labelme_shapes,
)
from jaxhsi.data.labels.vector_file import (
    VECTOR_SUFFIXES,
    VectorLayer,
    is_geojson,
    read_vector_layer,
    vector_picture,
)
from jaxhsi.data.labels.via import is_via, via_pictures

ANNOTATION_SUFFIXES = (".json", ".xml", *VECTOR_SUFFIXES)
MAX_LISTED_PICTURES = 8

READABLE_TOOLS = "LabelMe, COCO, VGG Image Annotator, Label Studio, CVAT for images, GeoJSON"


def is_annotation(path: Path) -> bool:
    """Whether a file is one of drawn shapes, by its suffix."""
    return path.suffix.lower() in ANNOTATION_SUFFIXES


def annotation_kind(path: Path) -> str:
    """Which tool wrote a file: labelme, coco, via, label_studio, cvat or vector.

    Raises:
        ValueError: JSON of another kind, or none.
    """
    if path.suffix.lower() == ".xml":
        return "cvat"
    if path.suffix.lower() in VECTOR_SUFFIXES:
        return "vector"
    content = _read_json(path)
    kinds = {
        "labelme": is_labelme,
        "coco": is_coco,
        "vector": is_geojson,
        "via": is_via,
        "label_studio": is_label_studio,
    }
    for kind, test in kinds.items():
        if test(content):
            return kind
    top = list(content)[:6] if isinstance(content, dict) else f"a {type(content).__name__}"
    raise ValueError(
        f"{path} is no annotation that is read ({READABLE_TOOLS}); it holds {top}. Export it as "
        "one "
        "of these"
    )


def annotated_pictures(path: Path, key: str | None = None) -> tuple[AnnotatedPicture, ...]:
    """The pictures of a file by COCO, VIA, Label Studio or CVAT; empty for other files.

    Args:
        path: the file.
        key: attribute that holds the class, where shapes have several.
    """
    return _read_pictures(path, path.stat().st_mtime_ns, key)


@lru_cache(maxsize=16)
def _read_pictures(path: Path, _: int, key: str | None) -> tuple[AnnotatedPicture, ...]:
    kind = annotation_kind(path)
    if kind == "cvat":
        return tuple(cvat_pictures(path))
    try:
        if kind == "coco":
            return tuple(coco_pictures(path, _read_json(path)))
        if kind == "via":
            return tuple(via_pictures(path, _read_json(path), key))
        if kind == "label_studio":
            return tuple(label_studio_pictures(path, _read_json(path)))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is not complete ({type(error).__name__}: {error}); export it again"
        ) from error
    return ()


@lru_cache(maxsize=4)
def _read_layer(path: Path, _: int, key: str | None) -> VectorLayer:
    return read_vector_layer(path, key)


def number_annotation_classes(paths: Iterable[Path], key: str | None = None) -> dict[str, int]:
    """Number the classes of several files together.

    Args:
        paths: of drawn shapes.
        key: attribute that holds the class, where shapes have several.

    Returns:
        Class name -> class value: "background" 0, then 1, 2, ... by sorted names.
    """
    labels: set[str] = set().union(*(drawn_classes(path, key) for path in dict.fromkeys(paths)))
    names = [BACKGROUND, *sorted(labels - {BACKGROUND})]
    return {name: value for value, name in enumerate(names)}


def drawn_classes(path: Path, key: str | None = None) -> set[str]:
    """Names of the classes of the shapes with an area in a file.

    Args:
        path: the file.
        key: attribute that holds the class, where shapes have several.
    """
    kind = annotation_kind(path)
    if kind == "labelme":
        return labelme_classes(path)
    if kind == "vector":
        return {area.label for area in _read_layer(path, path.stat().st_mtime_ns, key).areas}
    return {area.label for picture in annotated_pictures(path, key) for area in picture.areas}


def load_annotation(
    path: Path,
    image_size: tuple[int, int],
    class_values: dict[str, int],
    *,
    picture_name: str | None = None,
    place: Georeference | None = None,
    key: str | None = None,
) -> np.ndarray:
    """Paint the shapes that a file holds for one cube.

    Args:
        path: the file.
        image_size: (H, W) of the cube.
        class_values: class name -> class value.
        picture_name: stem of the picture, that of the cube.
        place: of the cube on the ground, for polygons with coordinates.
        key: attribute that holds the class, where shapes have several.

    Returns:
        Class values (H, W); 0 where there is no shape.

    Raises:
        ValueError: no picture of this name, another size, or shapes that cannot be read.
    """
    kind = annotation_kind(path)
    if kind == "labelme":
        return load_labelme(path, image_size, class_values)
    if kind == "vector":
        layer = _read_layer(path, path.stat().st_mtime_ns, key)
        picture = vector_picture(path, layer, place, image_size)
    else:
        picture = choose_picture(path, annotated_pictures(path, key), picture_name)
    return paint_picture(path, picture, image_size, class_values)


class NumberedShapes(NamedTuple):
    """Which drawn shape each pixel of a cube lies in.

    Attributes:
        numbers: number of the shape, from 1; 0 where there is none. Later shapes cover earlier.
        labels: class of each shape.
    """

    numbers: Int32[np.ndarray, "H W"]
    labels: tuple[str, ...]


def number_shapes(
    path: Path,
    image_size: tuple[int, int],
    *,
    picture_name: str | None = None,
    place: Georeference | None = None,
    key: str | None = None,
) -> NumberedShapes:
    """Number the shapes that a file holds for one cube; arguments as of :func:`load_annotation`.

    Args:
        path: the file.
        image_size: (H, W) of the cube.
        picture_name: stem of the picture, that of the cube.
        place: of the cube on the ground, for polygons with coordinates.
        key: attribute that holds the class, where shapes have several.

    Raises:
        ValueError: no picture of this name, or shapes that cannot be read.
    """
    kind = annotation_kind(path)
    if kind == "labelme":
        return NumberedShapes(*number_labelme_shapes(path, image_size))
    if kind == "vector":
        layer = _read_layer(path, path.stat().st_mtime_ns, key)
        areas = vector_picture(path, layer, place, image_size).areas
    else:
        areas = choose_picture(path, annotated_pictures(path, key), picture_name).areas
    canvas = np.zeros(image_size, np.int32)
    numbered = [area._replace(label=str(number)) for number, area in enumerate(areas, 1)]
    paint_areas(canvas, numbered, {area.label: int(area.label) for area in numbered})
    return NumberedShapes(canvas, tuple(area.label for area in areas))


def choose_picture(
    path: Path, pictures: Sequence[AnnotatedPicture], picture_name: str | None
) -> AnnotatedPicture:
    """The picture of a cube: the one of its name, or the only one there is.

    Raises:
        ValueError: no picture of this name among several, or several.
    """
    matching = [picture for picture in pictures if picture_stem(picture.name) == picture_name]
    chosen = matching or (list(pictures) if len(pictures) == 1 else [])
    if len(chosen) != 1:
        names = ", ".join(picture.name for picture in pictures[:MAX_LISTED_PICTURES])
        raise ValueError(
            f"{path} has {len(chosen) or 'no'} picture(s) named {picture_name}; it has "
            f"{len(pictures)}: {names or 'none'}. Rename the cube or the picture"
        )
    return chosen[0]


def picture_stem(name: str) -> str:
    """Name of a picture without its suffix, by which it is matched to a cube."""
    return Path(name).stem


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON, save it again ({error})") from error
