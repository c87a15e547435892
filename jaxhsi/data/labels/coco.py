"""COCO annotations: polygons and run-length masks of many pictures in one JSON file."""

from pathlib import Path
from typing import Any

import numpy as np

from jaxhsi.data.formats.file_errors import import_reader_package
from jaxhsi.data.labels.annotated_picture import AnnotatedPicture, Area


def is_coco(content: Any) -> bool:
    """Whether JSON is COCO's."""
    return isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys()


def coco_pictures(path: Path, content: dict[str, Any]) -> list[AnnotatedPicture]:
    """The pictures of a COCO file; masks are drawn by pycocotools, as COCO defines them.

    Annotations with a bounding box alone have no mask and are left out.

    Args:
        path: the file, for messages.
        content: of the file.

    Raises:
        ValueError: an annotation of a category or a picture that is not there.
    """
    names = {category["id"]: str(category["name"]) for category in content["categories"]}
    image_ids = {image["id"] for image in content["images"]}
    by_image: dict[Any, list[tuple[str, dict[str, Any]]]] = {key: [] for key in image_ids}
    for number, annotation in enumerate(content["annotations"], 1):
        source_name = f"{path}: annotation {number}"
        if annotation.get("image_id") not in image_ids:
            raise ValueError(
                f"{source_name} is of image {annotation.get('image_id')}, which the "
                "file does not list; export the file again"
            )
        if annotation.get("category_id") not in names:
            raise ValueError(
                f"{source_name} has category {annotation.get('category_id')}, which "
                "the file does not list; export the file again"
            )
        by_image[annotation["image_id"]].append((source_name, annotation))
    return [_picture(path, image, by_image[image["id"]], names) for image in content["images"]]


def _picture(
    path: Path,
    image: dict[str, Any],
    annotations: list[tuple[str, dict[str, Any]]],
    names: dict[Any, str],
) -> AnnotatedPicture:
    if not image.get("height") or not image.get("width"):
        raise ValueError(f"{path}: image {image.get('file_name')} has no height and width")
    size = int(image["height"]), int(image["width"])
    areas, without_area = [], []
    for source_name, annotation in annotations:
        segmentation = annotation.get("segmentation")
        if not segmentation:
            without_area.append("bounding box")
            continue

        def read_mask(segmentation=segmentation, source_name=source_name) -> np.ndarray:
            return _decode(path, source_name, segmentation, size)

        label = names[annotation["category_id"]]
        areas.append(Area(source_name, label, read_mask=read_mask))
    name = str(image["file_name"]).replace("\\", "/").rsplit("/", 1)[-1]
    return AnnotatedPicture(name, size, tuple(areas), tuple(without_area))


def _decode(path: Path, source_name: str, segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    mask = import_reader_package("pycocotools.mask", path, "a COCO")
    try:
        if isinstance(segmentation, list):
            encoded = mask.merge(mask.frPyObjects(segmentation, *size))
        elif isinstance(segmentation["counts"], list):
            encoded = mask.frPyObjects(segmentation, *size)
        else:
            encoded = segmentation
        decoded = mask.decode(encoded).astype(bool)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise ValueError(f"{source_name} has a mask that cannot be read ({error})") from error
    if decoded.shape != size:
        raise ValueError(f"{source_name} has a mask of {decoded.shape}, its picture {size}")
    return decoded
