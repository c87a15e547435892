"""Annotations of the VGG Image Annotator (VIA), versions 2 and 3."""

from pathlib import Path
from typing import Any

from jaxhsi.data.labels.annotated_picture import (
    AnnotatedPicture,
    Area,
    box,
    ellipse,
    only_text_value,
    polygon,
)

CLASS_ATTRIBUTES = ("class", "label", "name", "type", "category", "cls", "species")
"""Usual names of the attribute that holds the class."""

SHAPES_WITHOUT_AREA = ("point", "line", "polyline")
SHAPES_BY_CODE = {
    **{1: "point", 2: "rect", 3: "circle", 4: "ellipse", 5: "line", 6: "polyline", 7: "polygon"}
}
"""Shapes of version 3 by their numbers."""


def is_via(content: Any) -> bool:
    """Whether JSON is VIA's: a project, or its annotations alone."""
    if not isinstance(content, dict):
        return False
    if "_via_img_metadata" in content or {"file", "metadata", "project"} <= content.keys():
        return True
    entries = list(content.values())
    return bool(entries) and all(
        isinstance(entry, dict) and {"filename", "regions"} <= entry.keys() for entry in entries
    )


def via_pictures(path: Path, content: dict[str, Any], key: str | None) -> list[AnnotatedPicture]:
    """The pictures of a VIA file.

    Args:
        path: the file, for messages.
        content: of the file.
        key: attribute that holds the class, needed where there are several.

    Raises:
        ValueError: a shape without a class, or that is not complete.
    """
    if {"file", "metadata", "project"} <= content.keys():
        return _version_3(path, content, key)
    entries = content.get("_via_img_metadata", content)
    return [_picture(path, entry, key) for entry in entries.values()]


def _picture(path: Path, entry: dict[str, Any], key: str | None) -> AnnotatedPicture:
    regions = entry["regions"]
    regions = list(regions.values()) if isinstance(regions, dict) else regions
    areas, without_area = [], []
    for number, region in enumerate(regions, 1):
        source_name = f"{path}: {entry['filename']}, region {number}"
        shape, attributes = region["shape_attributes"], region["region_attributes"]
        if shape["name"] in SHAPES_WITHOUT_AREA:
            without_area.append(shape["name"])
            continue
        label = only_text_value(source_name, _plain(attributes), key, CLASS_ATTRIBUTES)
        areas.append(Area(source_name, label, _geometry(source_name, shape)))
    return AnnotatedPicture(_file_name(entry["filename"]), None, tuple(areas), tuple(without_area))


def _plain(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes whose values are text; of check boxes those that are ticked."""
    return {
        name: ", ".join(k for k, ticked in value.items() if ticked)
        if isinstance(value, dict)
        else value
        for name, value in attributes.items()
    }


def _geometry(source_name: str, shape: dict[str, Any]) -> dict[str, Any]:
    name = shape["name"]
    if name == "polygon":
        xs, ys = shape["all_points_x"], shape["all_points_y"]
        return polygon(source_name, list(zip(xs, ys, strict=True)))
    if name == "rect":
        return box(source_name, shape["x"], shape["y"], shape["width"], shape["height"])
    centre = shape.get("cx", 0.0), shape.get("cy", 0.0)
    if name == "circle":
        return ellipse(source_name, centre, (shape["r"], shape["r"]))
    if name == "ellipse":
        # VIA gives the angle of the first radius in radians.
        degrees = float(shape.get("theta", 0.0)) * 57.29577951308232
        return ellipse(source_name, centre, (shape["rx"], shape["ry"]), degrees)
    raise ValueError(f"{source_name} is a {name!r}, which is not read; draw it as a polygon")


def _file_name(text: str) -> str:
    return str(text).replace("\\", "/").rsplit("/", 1)[-1]


def _version_3(path: Path, content: dict[str, Any], key: str | None) -> list[AnnotatedPicture]:
    """Version 3 keeps shapes as [code, x, y, ...] and attributes and options by number."""
    attributes = content.get("attribute", {})
    areas: dict[str, list[Area]] = {fid: [] for fid in content["file"]}
    without_area: dict[str, list[str]] = {fid: [] for fid in content["file"]}
    views = content.get("view", {})
    for number, entry in enumerate(content["metadata"].values(), 1):
        if not entry.get("xy"):
            continue
        source_name = f"{path}: region {number}"
        fids = views.get(str(entry["vid"]), {}).get("fid_list", [entry["vid"]])
        code, *values = entry["xy"]
        name = SHAPES_BY_CODE.get(int(code), f"shape of code {code}")
        if name in SHAPES_WITHOUT_AREA:
            without_area[str(fids[0])].append(name)
            continue
        named = {
            attributes.get(aid, {}).get("aname", aid): attributes.get(aid, {})
            .get("options", {})
            .get(value, value)
            for aid, value in entry.get("av", {}).items()
        }
        label = only_text_value(source_name, named, key, CLASS_ATTRIBUTES)
        shape = _shape_of_values(name, values)
        areas[str(fids[0])].append(Area(source_name, label, _geometry(source_name, shape)))
    return [
        AnnotatedPicture(
            _file_name(file["fname"]), None, tuple(areas[fid]), tuple(without_area[fid])
        )
        for fid, file in content["file"].items()
    ]


def _shape_of_values(name: str, values: list[int | float]) -> dict[str, Any]:
    fields = {
        "rect": ("x", "y", "width", "height"),
        "circle": ("cx", "cy", "r"),
        "ellipse": ("cx", "cy", "rx", "ry"),
    }
    if name == "polygon":
        return {"name": name, "all_points_x": values[::2], "all_points_y": values[1::2]}
    return {"name": name, **dict(zip(fields.get(name, ()), values, strict=False))}
