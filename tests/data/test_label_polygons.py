import json
import warnings
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from jaxhsi.data.exports import ClassMap, write_geotiff
from jaxhsi.data.georeference import Georeference
from jaxhsi.data.label_polygons import LabelAttributes, count_edges, write_label_polygons
from jaxhsi.data.qgis_styles import write_polygon_style, write_raster_style

PLACE = Georeference("EPSG:32633", (2.0, 0.0, 430_000.0, 0.0, -2.0, 5_400_000.0), 1.0)
NAMES = ("leaf & <stem>", 'a "b"\n\x07', "absent")
COLOURS = np.array([[1, 2, 3], [200, 100, 0], [9, 9, 9]], np.uint8)


ATTRIBUTES = {
    "pixel_area": 4.0,
    "confidence": np.array([0.25, 0.75, 0.0]),
    "mean_spectra": np.array([[1.5, 2.5], [3.0, 4.0], [0.0, 0.0]]),
    "wavelengths": np.array([500.0, 600.0]),
}


@pytest.fixture
def class_map() -> ClassMap:
    """Label 0 in two parts, one with a hole of label 1, and a pixel that is not valid."""
    labels = np.full((300, 280), 1, np.int16)
    labels[10:20, 10:30] = 0
    labels[14:16, 15:20] = 1
    labels[250:260, 255:270] = 0
    labels[0, 0] = -1
    return ClassMap(
        labels.shape, lambda rows, columns: labels[rows, columns], NAMES, COLOURS, PLACE
    )


def test_polygons_cover_the_pixels_of_their_label(class_map, tmp_path):
    pyogrio, shapely = pytest.importorskip("pyogrio"), pytest.importorskip("shapely")
    labels = class_map.read_labels(slice(None), slice(None))
    pixels = np.bincount(labels[labels >= 0].ravel(), minlength=3)
    attributes = LabelAttributes(pixels, **ATTRIBUTES)
    write_geotiff(tmp_path / "map.tif", class_map)
    path = tmp_path / "map-polygons.gpkg"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):  # the second takes the place of the first
            assert write_label_polygons(path, tmp_path / "map.tif", class_map, attributes)
    assert caught == []
    meta, _, geometries, columns = pyogrio.raw.read(path)
    table = dict(zip(meta["fields"], columns, strict=True))
    assert meta["crs"] == "EPSG:32633"
    assert table["label"].tolist() == [0, 1]
    assert table["name"].tolist() == list(NAMES[:2])
    assert table["pixels"].tolist() == pixels[:2].tolist()
    assert table["area_m2"].tolist() == (4.0 * pixels[:2]).tolist()
    assert table["confidence"].tolist() == [0.25, 0.75]
    assert json.loads(table["mean_spectrum"][0]) == [1.5, 2.5]
    assert json.loads(table["wavelengths_nm"][1]) == [500.0, 600.0]
    shapes = shapely.from_wkb(geometries)
    assert shapely.area(shapes).tolist() == table["area_m2"].tolist()
    assert len(shapes[0].geoms) == 2
    assert tuple(shapes[0].bounds) == (430_020.0, 5_399_480.0, 430_540.0, 5_399_980.0)


def test_geojson_has_longitude_latitude_and_lists_of_numbers(class_map, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    pytest.importorskip("pyogrio")
    write_geotiff(tmp_path / "map.tif", class_map)
    path = tmp_path / "map-polygons.geojson"
    attributes = LabelAttributes(np.array([350, 83_649, 0]), **ATTRIBUTES)
    assert write_label_polygons(path, tmp_path / "map.tif", class_map, attributes)
    written = json.loads(path.read_text())
    assert "crs" not in written  # RFC 7946 has WGS 84 alone
    first, second = (each["properties"] for each in written["features"])
    assert (first["name"], second["name"]) == NAMES[:2]
    assert (first["area_m2"], first["confidence"]) == (1400.0, 0.25)
    assert (first["mean_spectrum"], first["wavelengths_nm"]) == ([1.5, 2.5], [500.0, 600.0])
    corners = np.array(written["features"][0]["geometry"]["coordinates"][0][0])
    x, y = [430_020.0, 430_060.0] * 2, [5_399_960.0] * 2 + [5_399_980.0] * 2
    expected = np.array(rasterio.warp.transform("EPSG:32633", "EPSG:4326", x, y)).T
    distances = np.abs(corners[:, None] - expected).max(axis=2)
    np.testing.assert_allclose(distances.min(axis=0), 0, atol=2e-9)


def test_polygons_of_another_format_are_refused(class_map, tmp_path):
    nothing = LabelAttributes(np.zeros(3, int), None, np.zeros(3), np.zeros((3, 2)), None)
    with pytest.raises(ValueError, match=r"\.gpkg or \.geojson"):
        write_label_polygons(tmp_path / "map.shp", tmp_path / "map.tif", class_map, nothing)


def test_ragged_maps_are_not_made_into_polygons(tmp_path, caplog, monkeypatch, class_map):
    edges = count_edges(class_map)
    labels = class_map.read_labels(slice(None), slice(None))
    assert edges == (labels[1:] != labels[:-1]).sum() + (labels[:, 1:] != labels[:, :-1]).sum()
    monkeypatch.setattr("jaxhsi.data.label_polygons.MAX_POLYGON_EDGES", edges - 1)
    path = tmp_path / "map.gpkg"
    nothing = LabelAttributes(np.zeros(3, int), None, np.zeros(3), np.zeros((3, 2)), None)
    assert not write_label_polygons(path, tmp_path / "map.tif", class_map, nothing)
    assert "is not written" in caplog.text
    assert not path.exists()


def test_styles_give_labels_their_names_and_colours(tmp_path):
    shown = [name.replace("\x07", "\ufffd") for name in NAMES]
    write_raster_style(tmp_path / "a.qml", NAMES, COLOURS)
    entries = ElementTree.parse(tmp_path / "a.qml").getroot().findall(".//paletteEntry")
    assert [e.get("label") for e in entries] == shown
    assert [e.get("color") for e in entries] == ["#010203", "#c86400", "#090909"]
    assert [e.get("value") for e in entries] == ["0", "1", "2"]
    write_polygon_style(tmp_path / "b.qml", NAMES, COLOURS)
    root = ElementTree.parse(tmp_path / "b.qml").getroot()
    assert [e.get("label") for e in root.findall(".//category")] == shown
    fills = [e.get("v") for e in root.findall(".//prop") if e.get("k") == "color"]
    assert fills == ["1,2,3,255", "200,100,0,255", "9,9,9,255"]
