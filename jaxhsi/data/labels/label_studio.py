"""Label Studio's JSON and JSON-MIN exports; coordinates are per cent of the picture."""

import logging
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from jaxhsi.data.labels.annotated_picture import (
    AnnotatedPicture,
    Area,
    Number,
    box,
    ellipse,
    polygon,
)

UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")
"""What Label Studio puts in front of the names of files that are uploaded."""

KINDS = ("polygonlabels", "rectanglelabels", "ellipselabels")
KINDS_WITHOUT_AREA = ("keypointlabels", "choices", "textarea", "rating", "number", "vectorlabels")


def is_label_studio(content: Any) -> bool:
    """Whether JSON is a list of Label Studio's tasks."""
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(task, dict) for task in content)
        and any(
            "annotations" in task or "completions" in task or _min_results(task) for task in content
        )
    )


def label_studio_pictures(path: Path, content: list[dict[str, Any]]) -> list[AnnotatedPicture]:
    """The pictures of an export.

    Where several people have annotated a picture the first annotation counts; the log says so.

    Args:
        path: the file, for messages.
        content: of the file.

    Raises:
        ValueError: a task without a picture or with brush strokes, shapes that are not complete.
    """
    return [_picture(path, number, task) for number, task in enumerate(content, 1)]


def _picture(path: Path, number: int, task: dict[str, Any]) -> AnnotatedPicture:
    name = _picture_name(f"{path}: task {number}", task)
    areas, without_area, sizes = [], [], set()
    for result in _results(path, task, name):
        kind = result["type"]
        source_name = f"{path}: {name}, {kind} {len(areas) + 1}"
        if kind in KINDS_WITHOUT_AREA:
            without_area.append(kind)
            continue
        if kind not in KINDS:
            raise ValueError(
                f"{source_name}: shapes of this kind are not read; export the project as COCO, "
                "or brush strokes as PNG label maps"
            )
        value = result["value"]
        labels = value.get(kind) or []
        if len(labels) != 1:
            raise ValueError(f"{source_name} has {len(labels)} labels and needs one: {labels}")
        width, height = result["original_width"], result["original_height"]
        sizes.add((int(height), int(width)))
        areas.append(
            Area(source_name, labels[0], _geometry(source_name, kind, value, width, height))
        )
    if len(sizes) > 1:
        raise ValueError(f"{path}: {name} has shapes drawn at different sizes: {sorted(sizes)}")
    return AnnotatedPicture(name, next(iter(sizes), None), tuple(areas), tuple(without_area))


def _results(path: Path, task: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Shapes of a task in the form of the full export."""
    if minimal := _min_results(task):
        return minimal
    annotations = [
        each
        for each in task.get("annotations") or task.get("completions") or []
        if not each.get("was_cancelled")
    ]
    if len(annotations) > 1:
        logging.getLogger(__name__).warning(
            "%s: %s has %d annotations, the first is taken", path, name, len(annotations)
        )
    results = annotations[0].get("result", []) if annotations else []
    return [each for each in results if "value" in each]


def _min_results(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Shapes of a task of the JSON-MIN export, whose entries are the values themselves."""
    results = []
    for entries in task.values():
        for entry in entries if isinstance(entries, list) else []:
            kind = next((k for k in KINDS if isinstance(entry, dict) and k in entry), None)
            if kind is not None and "original_width" in entry:
                results.append({**entry, "type": kind, "value": entry})
    return results


def _picture_name(source_name: str, task: dict[str, Any]) -> str:
    """File name of a task's picture, without the prefix of uploads."""
    data = task.get("data", task)
    paths = [v for v in data.values() if isinstance(v, str) and re.search(r"\.\w{2,5}(\?|$|&)", v)]
    if not paths:
        raise ValueError(f"{source_name} names no picture")
    text = data.get("image", paths[0])
    query = parse_qs(urlsplit(text).query)
    text = query["d"][0] if "d" in query else urlsplit(text).path
    return UPLOAD_PREFIX.sub("", unquote(text).replace("\\", "/").rsplit("/", 1)[-1])


def _geometry(
    source_name: str, kind: str, value: dict[str, Any], width: Number, height: Number
) -> dict[str, Any]:
    x_unit, y_unit = width / 100, height / 100
    if kind == "polygonlabels":
        return polygon(source_name, [(x * x_unit, y * y_unit) for x, y in value["points"]])
    left, top, degrees = value["x"] * x_unit, value["y"] * y_unit, value.get("rotation", 0.0)
    if kind == "rectanglelabels":
        size = value["width"] * x_unit, value["height"] * y_unit
        return box(source_name, left, top, *size, degrees)
    radii = value["radiusX"] * x_unit, value["radiusY"] * y_unit
    return ellipse(source_name, (left, top), radii, degrees)
