"""Shapes drawn in the common tools: right pixels, right classes, right picture."""

import base64
import io
import json

import numpy as np
import pyogrio
import pytest
import shapely
from PIL import Image
from pycocotools import mask as coco_mask
from rasterio.warp import transform

from jaxhsi.data.georeference import Georeference
from jaxhsi.data.labels.annotation_file import number_shapes
from jaxhsi.data.labels.label_files import load_labels, open_labels
from jaxhsi.data.labels.label_search import find_labels
from tests.helpers.labelled_cubes import make_cubes

SIZE = (64, 80)
SQUARE = np.zeros(SIZE, int)
SQUARE[5:30, 10:40] = 1  # rows 5..29, columns 10..39
CORNERS = [[10, 5], [40, 5], [40, 30], [10, 30]]
BLOB = np.hypot(*np.mgrid[-20:44, -30:50]) < 15


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def coco(*segmentations, categories=("leaf",)):
    return {
        "images": [{"id": 7, "file_name": "sub/plot1.png", "height": 64, "width": 80}],
        "categories": [{"id": 3 + i, "name": name} for i, name in enumerate(categories)],
        "annotations": [
            {"id": i, "image_id": 7, "category_id": 3 + i % len(categories), "segmentation": each}
            for i, each in enumerate(segmentations)
        ],
    }


def rle(mask, *, compressed):
    if compressed:
        encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        return {"size": list(mask.shape), "counts": encoded["counts"].decode()}
    flat = mask.ravel(order="F")
    starts = np.flatnonzero(np.diff(np.r_[0, flat.astype(int)]) != 0)
    counts = np.diff(np.r_[0, starts, flat.size]).tolist()
    return {"size": list(mask.shape), "counts": counts}


def via_region(**shape):
    return {"shape_attributes": shape, "region_attributes": {"class": "leaf"}}


VIA = {
    "plot1.png123": {
        "filename": "plot1.png",
        "size": 123,
        "regions": [
            via_region(
                name="polygon",
                all_points_x=[x for x, _ in CORNERS],
                all_points_y=[y for _, y in CORNERS],
            )
        ],
        "file_attributes": {},
    }
}
VIA_3 = {
    "project": {"pid": "__VIA_PROJECT_ID__"},
    "attribute": {"1": {"aname": "kind", "options": {"a": "leaf", "b": "soil"}}},
    "file": {"1": {"fid": "1", "fname": "plot1.png"}},
    "view": {"1": {"fid_list": ["1"]}},
    "metadata": {"1_x": {"vid": "1", "xy": [7, 10, 5, 40, 5, 40, 30, 10, 30], "av": {"1": "a"}}},
}


def label_studio_result(kind, **value):
    return {
        "type": kind,
        "original_width": 80,
        "original_height": 64,
        "value": {**value, kind: ["leaf"]},
    }


LABEL_STUDIO = [
    {
        "id": 1,
        "data": {"image": "/data/upload/1/0a1b2c3d-plot1.png"},
        "annotations": [
            {
                "result": [
                    label_studio_result(
                        "polygonlabels", points=[[x / 0.8, y / 0.64] for x, y in CORNERS]
                    )
                ]
            }
        ],
    }
]
LABEL_STUDIO_BOX = [
    {
        "data": {"image": "/data/local-files/?d=pictures/plot1.png"},
        "annotations": [
            {
                "result": [
                    label_studio_result(
                        "rectanglelabels",
                        **{"x": 12.5, "y": 5 / 0.64, "width": 37.5, "height": 25 / 0.64},
                    )
                ]
            }
        ],
    }
]
LABEL_STUDIO_MIN = [
    {
        "image": "/data/upload/1/0a1b2c3d-plot1.png",
        "label": [
            {
                "points": [[x / 0.8, y / 0.64] for x, y in CORNERS],
                "polygonlabels": ["leaf"],
                "original_width": 80,
                "original_height": 64,
            }
        ],
    }
]


def cvat(shapes):
    return (
        '<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>'
        f'<image id="0" name="a/plot1.png" width="80" height="64">{shapes}</image></annotations>'
    )


TOOLS = {
    "COCO polygon": ("all.json", coco([[10, 5, 40, 5, 40, 30, 10, 30]])),
    "COCO masks": ("all.json", coco(rle(SQUARE, compressed=True))),
    "COCO runs": ("all.json", coco(rle(SQUARE, compressed=False))),
    "COCO parts": (
        "all.json",
        coco([[10, 5, 20, 5, 20, 30, 10, 30], [20, 5, 40, 5, 40, 30, 20, 30]]),
    ),
    "VIA": ("via.json", VIA),
    "VIA project": ("via.json", {"_via_settings": {}, "_via_img_metadata": VIA}),
    "VIA 3": ("via.json", VIA_3),
    "Label Studio": ("export.json", LABEL_STUDIO),
    "Label Studio box": ("export.json", LABEL_STUDIO_BOX),
    "Label Studio minimal": ("export.json", LABEL_STUDIO_MIN),
    "CVAT polygon": (
        "annotations.xml",
        cvat('<polygon label="leaf" points="10.0,5.0;40.0,5.0;40.0,30.0;10.0,30.0"/>'),
    ),
    "CVAT box": ("annotations.xml", cvat('<box label="leaf" xtl="10" ytl="5" xbr="40" ybr="30"/>')),
    "CVAT mask": (
        "annotations.xml",
        cvat('<mask label="leaf" rle="0, 750" left="10" top="5" width="30" height="25"/>'),
    ),
    "GeoJSON": (
        "plot1.geojson",
        {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "properties": {"id": 4, "cls": "leaf"},
                    "geometry": {"type": "Polygon", "coordinates": [[*CORNERS, CORNERS[0]]]},
                }
            ],
        },
    ),
    "GeoJSON as .json, of QuPath": (
        "plot1.json",
        {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "properties": {"objectType": "annotation", "classification": {"name": "leaf"}},
                    "geometry": {"type": "MultiPolygon", "coordinates": [[[*CORNERS, CORNERS[0]]]]},
                }
            ],
        },
    ),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_square_is_the_same_in_every_tool(tmp_path, tool):
    name, content = TOOLS[tool]
    write(tmp_path / "labels" / name, content)
    cubes = make_cubes(tmp_path, "plot1", "plot2", size=SIZE)
    found = find_labels(tmp_path / "labels", cubes[:1] if "Geo" in tool else cubes)
    assert found == {"plot1": tmp_path / "labels" / name}
    label_map = open_labels(found["plot1"], SIZE, picture_name="plot1")
    np.testing.assert_array_equal(label_map.read_labels(slice(None), slice(None)), SQUARE)
    assert label_map.class_names == {0: "background", 1: "leaf"}


def test_masks_polygons_and_holes_of_coco(tmp_path):
    content = coco(rle(BLOB, compressed=True), [[0, 0, 6, 0, 6, 6]], categories=("leaf", "soil"))
    labels = load_labels(write(tmp_path / "a.json", content), SIZE)
    assert (labels == 1).sum() == BLOB.sum()
    encoded = coco_mask.merge(coco_mask.frPyObjects([[0, 0, 6, 0, 6, 6]], *SIZE))
    np.testing.assert_array_equal(labels == 2, coco_mask.decode(encoded).astype(bool))


def test_boxes_of_coco_have_no_mask(tmp_path, caplog):
    labels = load_labels(write(tmp_path / "a.json", coco([])), SIZE)
    assert not labels.any()
    assert "shapes without an area are ignored: 1 bounding box" in caplog.text


def test_circles_ellipses_and_turned_boxes(tmp_path):
    rows, columns = np.mgrid[:64, :80] + 0.5
    circle = np.hypot(rows - 30, columns - 40) < 12
    ellipse = ((rows - 30) / 6) ** 2 + ((columns - 40) / 20) ** 2 < 1
    turned = np.zeros(SIZE, bool)
    turned[20:50, 35:45] = True  # a box of 30 x 10 about (40, 35), turned by a right angle
    cases = {
        "via.json": (
            {
                "k": {
                    "filename": "plot1.png",
                    "regions": [via_region(name="circle", cx=40, cy=30, r=12)],
                }
            },
            circle,
        ),
        "ellipse.json": (
            {
                "k": {
                    "filename": "plot1.png",
                    "regions": [
                        via_region(name="ellipse", cx=40, cy=30, rx=6, ry=20, theta=np.pi / 2)
                    ],
                }
            },
            ellipse,
        ),
        "cvat.xml": (cvat('<ellipse label="leaf" cx="40" cy="30" rx="20" ry="6"/>'), ellipse),
        "box.xml": (
            cvat('<box label="leaf" xtl="25" ytl="30" xbr="55" ybr="40" rotation="90"/>'),
            turned,
        ),
        "ls.json": (
            [
                {
                    "data": {"image": "plot1.png"},
                    "annotations": [
                        {
                            "result": [
                                label_studio_result(
                                    "ellipselabels",
                                    **{"x": 50, "y": 30 / 0.64, "radiusX": 25, "radiusY": 6 / 0.64},
                                )
                            ]
                        }
                    ],
                }
            ],
            ellipse,
        ),
    }
    for name, (content, expected) in cases.items():
        labels = load_labels(write(tmp_path / name, content), SIZE)
        assert (labels != expected).sum() <= 4, name  # pixels that the rim cuts in half


def labelme(*shapes):
    head = {"version": "5.8.1", "imagePath": "plot1.png", "imageHeight": 64, "imageWidth": 80}
    return {**head, "imageData": None, "shapes": list(shapes)}


@pytest.mark.parametrize("scale", [1, 255])
@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_masks_of_labelme(tmp_path, scale, shift):
    rows, columns = np.nonzero(BLOB)
    top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
    buffer = io.BytesIO()
    inside = BLOB[top : bottom + 1, left : right + 1].astype(np.uint8) * scale
    Image.fromarray(inside).save(buffer, "PNG")
    shape = {
        "label": "leaf",
        "shape_type": "mask",
        "points": [[float(left) + shift, float(top) + shift], [right + shift, bottom + shift]],
        "mask": base64.b64encode(buffer.getvalue()).decode(),
    }
    labels = load_labels(write(tmp_path / "a.json", labelme(shape)), SIZE)
    np.testing.assert_array_equal(labels, BLOB)
    shape["points"][1][0] += 3
    with pytest.raises(ValueError, match=r"is a mask of .* pixels between corners that span"):
        load_labels(write(tmp_path / "a.json", labelme(shape)), SIZE)
    with pytest.raises(ValueError, match="is a mask whose picture cannot be read"):
        load_labels(write(tmp_path / "a.json", labelme({**shape, "mask": "no"})), SIZE)


def test_oriented_rectangles_of_labelme(tmp_path):
    points = [[10, 10], [30, 20], [25, 30], [5, 20]]
    polygon = {"label": "leaf", "shape_type": "polygon", "points": points}
    turned = {"label": "leaf", "shape_type": "oriented_rectangle", "points": points}
    expected, labels = (
        load_labels(write(tmp_path / "a.json", labelme(shape)), SIZE) for shape in (polygon, turned)
    )
    np.testing.assert_array_equal(labels, expected)
    assert labels.sum() > 200


def test_classes_are_numbered_over_all_files_and_tools(tmp_path):
    cubes = make_cubes(tmp_path, "plot1", "plot2", size=SIZE)
    write(tmp_path / "labels/plot2.json", labelme({"label": "soil", "points": CORNERS}))
    write(tmp_path / "labels/all.json", coco([[10, 5, 40, 5, 40, 30, 10, 30]]))
    found = find_labels(tmp_path / "labels", cubes)
    assert {name: path.name for name, path in found.items()} == {
        "plot1": "all.json",
        "plot2": "plot2.json",
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": 1}, r"no annotation that is read \(LabelMe, COCO, .*it holds \['a'\]"),
        ("[]", "it holds a list"),
        (coco(rle(BLOB[:30], compressed=True)), r"mask of \(30, 80\), its picture \(64, 80\)"),
        ({**coco(), "annotations": [{"image_id": 9, "category_id": 3}]}, "image 9, which the file"),
        ({**coco(), "annotations": [{"image_id": 7, "category_id": 9}]}, "category 9, which the"),
        (
            {"k": {"filename": "p.png", "regions": [{"shape_attributes": {"name": "rect"}}]}},
            r"not complete \(KeyError",
        ),
        (
            {
                "k": {
                    "filename": "p.png",
                    "regions": [
                        {
                            "shape_attributes": {"name": "circle", "cx": 1, "cy": 1, "r": 1},
                            "region_attributes": {"a": "x", "b": "y"},
                        }
                    ],
                }
            },
            r"several attributes .*\(a, b\); name one by --label_key",
        ),
        (
            [
                {
                    "data": {"image": "p.png"},
                    "annotations": [{"result": [label_studio_result("brushlabels")]}],
                }
            ],
            "export the project as COCO",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, content, words):
    with pytest.raises(ValueError, match=words):
        load_labels(write(tmp_path / "a.json", content), SIZE)


def test_a_picture_of_another_size_or_name(tmp_path):
    path = write(tmp_path / "a.json", coco([[1, 1, 9, 1, 9, 9]]))
    with pytest.raises(ValueError, match=r"annotated at 64 x 80 pixels, its cube has 32 x 40"):
        load_labels(path, (32, 40))
    content = coco([[1, 1, 9, 1, 9, 9]])
    content["images"].append({"id": 8, "file_name": "b.png", "height": 64, "width": 80})
    with pytest.raises(
        ValueError, match=r"no picture\(s\) named field; it has 2: plot1.png, b.png"
    ):
        load_labels(write(tmp_path / "a.json", content), SIZE, picture_name="field")


def test_label_key_names_the_attribute(tmp_path):
    content = json.loads(json.dumps(VIA))
    content["plot1.png123"]["regions"][0]["region_attributes"] = {"organ": "leaf", "health": "ill"}
    path = write(tmp_path / "a.json", content)
    assert open_labels(path, SIZE, key="health").class_names == {0: "background", 1: "ill"}
    with pytest.raises(
        ValueError, match="no attribute 'colour' with a value; it has organ, health"
    ):
        open_labels(path, SIZE, key="colour")


# Polygons with coordinates ------------------------------------------------------------------------

PLACE = Georeference("EPSG:32632", (10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0), 1.0)
ON_GROUND = [[500000 + 10 * x, 5000000 - 10 * y] for x, y in CORNERS]


def geojson(ring, crs=None, **properties):
    feature = {
        "type": "Feature",
        "properties": properties or {"class": "leaf"},
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
    }
    content = {"type": "FeatureCollection", "features": [feature]}
    if crs:
        content["crs"] = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:{crs}"}}
    return content


def in_degrees(ring):
    xs, ys = transform("EPSG:32632", "EPSG:4326", *zip(*ring, strict=True))
    return [list(pair) for pair in zip(xs, ys, strict=True)]


def as_file(tmp_path, suffix):
    path = tmp_path / f"fields{suffix}"
    pyogrio.raw.write(
        path,
        np.array([shapely.to_wkb(shapely.Polygon(ON_GROUND))]),
        [np.array(["leaf"], object)],
        ["class"],
        crs="EPSG:32632",
        geometry_type="Polygon",
    )
    return path


@pytest.mark.parametrize(
    "source",
    [
        lambda t: write(t / "a.geojson", geojson(in_degrees(ON_GROUND))),
        lambda t: write(t / "a.geojson", geojson(ON_GROUND, "EPSG::32632")),
        lambda t: write(t / "a.geojson", geojson(ON_GROUND)),  # no degrees: the cube's system
        lambda t: as_file(t, ".gpkg"),
        lambda t: as_file(t, ".shp"),
        lambda t: as_file(t, ".fgb"),
    ],
)
def test_polygons_are_placed_by_their_coordinates(tmp_path, source):
    labels = load_labels(source(tmp_path), SIZE, place=PLACE)
    np.testing.assert_array_equal(labels, SQUARE)


def test_polygons_of_a_picture_in_qgis_count_upwards(tmp_path):
    path = write(tmp_path / "a.geojson", geojson([[x, -y] for x, y in CORNERS]))
    np.testing.assert_array_equal(load_labels(path, SIZE), SQUARE)


def test_polygons_elsewhere_are_refused_in_metres(tmp_path):
    far = [[x + 5000, y] for x, y in ON_GROUND]
    path = write(tmp_path / "a.geojson", geojson(far, "EPSG::32632"))
    with pytest.raises(ValueError, match=r"no polygon lies in the cube; the nearest is 4,300 m"):
        load_labels(path, SIZE, place=PLACE)


def test_one_file_of_polygons_serves_all_cubes_in_it(tmp_path):
    cubes = make_cubes(tmp_path, "plot1", "plot2", size=SIZE, georeference=PLACE)
    path = as_file(tmp_path, ".gpkg")
    assert find_labels(path, cubes) == {"plot1": path, "plot2": path}


def test_classes_by_number_and_by_key(tmp_path):
    path = write(
        tmp_path / "a.geojson", geojson(ON_GROUND, "EPSG::32632", id=3, code=7.0, area=2.5)
    )
    assert open_labels(path, SIZE, place=PLACE).class_names[1] == "7"
    assert open_labels(path, SIZE, place=PLACE, key="id").class_names[1] == "3"
    path = write(tmp_path / "b.geojson", geojson(ON_GROUND, "EPSG::32632", id=3, area=2.5))
    with pytest.raises(
        ValueError, match=r"several attributes .*\(id, area\); name one by --label_key"
    ):
        open_labels(path, SIZE, place=PLACE)


def test_shapes_are_numbered_whatever_their_classes(tmp_path):
    content = geojson(CORNERS)
    content["features"] += geojson([[0, 0], [12, 0], [12, 8], [0, 8]])["features"]
    found = number_shapes(write(tmp_path / "a.geojson", content), SIZE)
    assert found.labels == ("leaf", "leaf")
    expected = SQUARE.copy()
    expected[:8, :12] = 2  # the later one covers the earlier
    np.testing.assert_array_equal(found.numbers, expected)
    both = coco([[10, 5, 40, 5, 40, 30, 10, 30]], [[0, 0, 12, 0, 12, 8, 0, 8]])
    drawn = number_shapes(write(tmp_path / "b.json", both), SIZE, picture_name="plot1")
    np.testing.assert_array_equal(drawn.numbers, expected)
