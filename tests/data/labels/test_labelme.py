"""LabelMe files: which pixels a shape covers, how classes are numbered, what is refused."""

import json
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from jaxhsi.data.labels.label_files import load_labels, number_label_classes, open_labels
from jaxhsi.data.labels.labelme import labelme_classes, labelme_picture_name, load_labelme

SIZE = (6, 8)
NAMES = {"background": 0, "leaf": 1, "lesion": 2}


def shape(label, points, kind="polygon", **more):
    return {"label": label, "points": points, "shape_type": kind, "group_id": None} | more


def save(path, shapes, size=SIZE, **more):
    """A file as LabelMe writes it."""
    content = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": "photo.png"}
    content |= {"imageData": None, "imageHeight": size[0], "imageWidth": size[1]}
    path.write_text(json.dumps(content | more))
    return path


def painted(folder, *shapes, names=NAMES, size=SIZE):
    return load_labelme(save(folder / "a.json", list(shapes), size), size, names)


def block(rows, columns, value=1, size=SIZE):
    expected = np.zeros(size, int)
    expected[rows, columns] = value
    return expected


SQUARE = [[1, 1], [3, 1], [3, 3], [1, 3]]


def test_edges_of_polygons_are_in(tmp_path):
    np.testing.assert_array_equal(
        painted(tmp_path, shape("leaf", SQUARE)), block(np.s_[1:4], np.s_[1:4])
    )
    inside = [[1.1, 1.9], [3.9, 1.0], [3.5, 3.5], [1.99, 3.01]]  # other points of the same pixels
    np.testing.assert_array_equal(
        painted(tmp_path, shape("leaf", inside)), block(np.s_[1:4], np.s_[1:4])
    )


def test_triangle_by_hand(tmp_path):
    found = painted(tmp_path, shape("leaf", [[0, 0], [4, 0], [0, 4]]))
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    np.testing.assert_array_equal(found, x + y <= 4)


@pytest.mark.parametrize("points", [[[2, 1], [5, 3]], [[5, 3], [2, 1]], [[2, 3], [5, 1]]])
def test_rectangles_by_any_opposite_corners(tmp_path, points):
    expected = block(np.s_[1:4], np.s_[2:6])
    np.testing.assert_array_equal(painted(tmp_path, shape("leaf", points, "rectangle")), expected)


def test_rectangle_of_four_corners(tmp_path):
    found = painted(tmp_path, shape("leaf", SQUARE, "rectangle"))
    np.testing.assert_array_equal(found, block(np.s_[1:4], np.s_[1:4]))


def test_circle_by_hand(tmp_path):
    found = painted(tmp_path, shape("leaf", [[3, 2], [5, 2]], "circle"))
    expected = block(np.s_[0:5], np.s_[1:6])
    expected[[0, 0, 4, 4], [1, 5, 1, 5]] = 0
    np.testing.assert_array_equal(found, expected)
    found = painted(tmp_path, shape("leaf", [[3.5, 2.5], [3.5, 2.5]], "circle"))
    np.testing.assert_array_equal(found, block(2, 3))


def test_area_of_a_large_circle(tmp_path):
    size = (400, 500)
    found = painted(tmp_path, shape("leaf", [[200, 180], [320, 270]], "circle"), size=size)
    assert found.sum() == pytest.approx(np.pi * 150**2, rel=0.02)
    y, x = np.nonzero(found)
    assert (y.mean(), x.mean()) == pytest.approx((180, 200), abs=0.5)


def test_later_shapes_paint_over_earlier_ones(tmp_path):
    inner = shape("lesion", [[2, 2], [3, 3]], "rectangle")
    found = painted(tmp_path, shape("leaf", SQUARE), inner)
    assert found[2:4, 2:4].tolist() == [[2, 2], [2, 2]]
    assert found[1, 1] == 1
    assert painted(tmp_path, inner, shape("leaf", SQUARE)).max() == 1


def test_holes_by_the_background(tmp_path):
    hole = shape("background", [[2, 2], [2, 2]], "rectangle")
    assert painted(tmp_path, shape("leaf", SQUARE), hole).sum() == 8


def test_values_beyond_a_byte_and_below_zero(tmp_path):
    names = {"leaf": 70_000, "lesion": -1}
    shapes = shape("leaf", SQUARE), shape("lesion", [[0, 0], [0, 0]], "rectangle")
    assert np.unique(painted(tmp_path, *shapes, names=names)).tolist() == [-1, 0, 70_000]


def test_shapes_are_cut_off_and_counted(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        found = painted(
            tmp_path,
            shape("leaf", [[-5, -5], [3, -5], [3, 3], [-5, 3]]),
            shape("lesion", [[6, 4], [9, 7]], "rectangle"),
            shape("leaf", [[7, 0], [8, 0], [8, 1]]),  # ends at the image's edge: whole
        )
    assert found[:4, :4].all()
    assert found[4:, 6:].tolist() == [[2, 2], [2, 2]]
    assert "2 shape(s) reach beyond the image" in caplog.text


def test_shapes_without_an_area_are_counted(tmp_path, caplog):
    lines = [shape("vein", [[0, 0], [5, 5]], "linestrip") for _ in range(2)]
    path = save(tmp_path / "a.json", [*lines, shape("tip", [[1, 1]], "point")])
    assert labelme_classes(path) == set()
    with caplog.at_level(logging.WARNING):
        assert not load_labelme(path, SIZE, NAMES).any()
    assert "a.json: shapes without an area are ignored: 2 linestrip, 1 point" in caplog.text


def test_cubes_share_one_numbering(tmp_path):
    first = save(tmp_path / "a.json", [shape("lesion", SQUARE)])
    second = save(
        tmp_path / "b.json", [shape("leaf", SQUARE), shape("Stem", [[6, 0], [7, 1]], "rectangle")]
    )
    names = number_label_classes([first, tmp_path / "c.png", second])
    assert names == {"background": 0, "Stem": 1, "leaf": 2, "lesion": 3}
    assert number_label_classes([tmp_path / "c.png"]) is None
    opened = open_labels(first, SIZE, class_values=names)
    assert opened.class_values == (0, 3)
    assert opened.class_names == {0: "background", 1: "Stem", 2: "leaf", 3: "lesion"}
    assert opened.read_labels(slice(3, 5), slice(3, 6)).tolist() == [[3, 0, 0], [0, 0, 0]]
    alone = open_labels(first, SIZE)
    assert (alone.class_values, alone.class_names) == ((0, 1), {0: "background", 1: "lesion"})


def test_values_by_the_user(tmp_path):
    path = save(
        tmp_path / "a.json", [shape("leaf", SQUARE), shape("leaves", [[7, 5], [7, 5]], "rectangle")]
    )
    opened = open_labels(path, SIZE, class_values={"leaf": 4, "leaves": 4})
    assert opened.class_values == (0, 4)
    assert opened.class_names == {0: "background", 4: "leaf"}
    assert (
        open_labels(path, SIZE, class_values={"soil": 0, "leaf": 1, "leaves": 2}).class_names[0]
        == "soil"
    )
    with pytest.raises(ValueError, match=r"a\.json: shape 2 of 2 has the label 'leaves', .*leaf, "):
        load_labels(path, SIZE, class_values={"leaf": 4})


def test_picture_of_a_file(tmp_path):
    path = save(tmp_path / "a.json", [], imagePath="..\\pictures\\a.png")
    assert labelme_picture_name(path) == "a.png"
    assert labelme_picture_name(save(path, [], imagePath=None)) == ""


def test_old_files_hold_polygons(tmp_path):
    old = {"label": "leaf", "points": SQUARE, "line_color": None}
    np.testing.assert_array_equal(painted(tmp_path, old), block(np.s_[1:4], np.s_[1:4]))


def test_another_size_names_both(tmp_path):
    path = save(tmp_path / "a.json", [], size=(3, 8))
    with pytest.raises(ValueError, match=r"a\.json was drawn on .*\(3, 8\).*its cube has \(6, 8\)"):
        load_labels(path, SIZE)


@pytest.mark.parametrize("text", ["", "{", '{"shapes": [', "\x80"])
def test_broken_files(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("latin1"))
    with pytest.raises(ValueError, match=r"a\.json is not valid JSON"):
        load_labels(path, SIZE)


def test_json_that_is_not_complete(tmp_path):
    (tmp_path / "a.json").write_text('{"imageHeight": 1}')
    with pytest.raises(ValueError, match=r"a\.json is no LabelMe annotation: it has no 'shapes'"):
        load_labels(tmp_path / "a.json", SIZE)
    with pytest.raises(ValueError, match="'shapes' are not a list"):
        load_labels(save(tmp_path / "a.json", {}), SIZE)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (shape("leaf", SQUARE[:2]), r"is a polygon of 2 point\(s\); it needs 3 points"),
        (
            shape("leaf", SQUARE[:1], "circle"),
            r"is a circle of 1 point\(s\); it needs 2 points, the",
        ),
        (shape("leaf", SQUARE[:3], "rectangle"), r"is a rectangle of 3 point\(s\)"),
        (shape("leaf", [[0, 0], [40_000, 0]], "circle"), "radius 40000 pixels"),
        (shape("leaf", SQUARE, "cuboid"), "is a 'cuboid'; shapes that can be read are polygon, "),
        (shape("leaf", SQUARE, "mask"), r"is a mask of 4 point\(s\); it needs 2 opposite corners"),
        (shape("leaf", SQUARE[:3], "oriented_rectangle"), r"of 3 point\(s\); it needs 4 corners"),
        (shape("leaf", [[1, 1], [2, float("nan")], [3, 3]]), "far from any image"),
        (shape("leaf", [[1, 1], [2, 1e12], [3, 3]]), r"the point \(2\.0, 1000000000000\.0\), far"),
        (shape("leaf", [[1, 1], [2], [3, 3]]), r"not pairs \(x, y\)"),
        (shape("leaf", None), "not pairs"),
        (shape(7, SQUARE), "has the label 7"),
        ({"label": "leaf"}, "has no 'points'"),
        ({"points": SQUARE}, "has no 'label'"),
        ("leaf", "has no 'label'"),
    ],
)
def test_wrong_shapes_are_named(tmp_path, wrong, message):
    path = save(tmp_path / "a.json", [shape("leaf", SQUARE), wrong])
    with pytest.raises(ValueError, match=r"a\.json: shape 2 of 2.*" + message):
        load_labels(path, SIZE)


corners = st.tuples(st.integers(-3, 10), st.integers(-3, 10))


@settings(deadline=None, max_examples=40)
@given(first=corners, second=corners)
def test_rectangle_and_its_polygon_agree(tmp_path_factory, first, second):
    folder = tmp_path_factory.mktemp("shapes")
    (a, b), (c, d) = first, second
    rectangle = painted(folder, shape("leaf", [first, second], "rectangle"))
    polygon = painted(folder, shape("leaf", [(a, b), (c, b), (c, d), (a, d)]))
    np.testing.assert_array_equal(rectangle, polygon)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    inside = (min(a, c) <= x) & (x <= max(a, c)) & (min(b, d) <= y) & (y <= max(b, d))
    np.testing.assert_array_equal(rectangle, inside)


@settings(deadline=None, max_examples=40)
@given(points=st.lists(st.tuples(st.floats(0, 8), st.floats(0, 6)), min_size=3, max_size=7))
def test_polygons_are_those_of_upstream(tmp_path_factory, points):
    canvas = Image.new("L", SIZE[::-1], 0)
    ImageDraw.Draw(canvas).polygon(points, fill=1)  # dataset.py, __getitem__
    found = painted(tmp_path_factory.mktemp("shapes"), shape("leaf", points))
    np.testing.assert_array_equal(found, np.asarray(canvas))


def test_old_files_without_the_size_of_the_picture(tmp_path, caplog):
    path = save(tmp_path / "a.json", [shape("leaf", SQUARE)])
    expected = load_labels(path, SIZE)
    content = json.loads(path.read_text())
    del content["imageHeight"], content["imageWidth"]
    path.write_text(json.dumps(content))
    np.testing.assert_array_equal(load_labels(path, SIZE), expected)
    assert "taken to be that of the cube" in caplog.text
