import math
import sys

import numpy as np
import pytest

from jaxhsi.data.exports import ClassMap, envi_map_fields, write_envi_classification, write_geotiff
from jaxhsi.data.formats.envi_map import envi_georeference
from jaxhsi.data.georeference import Georeference

rasterio = pytest.importorskip("rasterio")
envi = pytest.importorskip("spectral.io.envi")

NORTH = Georeference("EPSG:32633", (2.5, 0.0, 430_000.0, 0.0, -2.5, 5_400_000.0), 1.0)
SOUTH = Georeference("EPSG:32719", (30.0, 0.0, 300_000.0, 0.0, -30.0, 7_000_000.0), 1.0)
COLOURS = np.array([[31, 119, 180], [255, 187, 51], [44, 160, 44]], np.uint8)


def labels(height: int = 300, width: int = 270, count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(-1, count, (height, width)).astype(np.int16)


def class_map(values: np.ndarray, where: Georeference | None = None, names=None) -> ClassMap:
    names = names or ("leaf", "stem, dry", "soil")
    colours = np.resize(COLOURS, (len(names), 3))
    return ClassMap(
        values.shape, lambda rows, columns: values[rows, columns], names, colours, where
    )


def test_geotiffs_hold_labels_colours_names_and_their_place(tmp_path):
    values = labels()
    write_geotiff(tmp_path / "a.tif", class_map(values, NORTH))
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.profile["tiled"]
        assert file.profile["compress"] == "deflate"
        assert file.dtypes == ("uint8",)
        np.testing.assert_array_equal(np.where(values < 0, 255, values), file.read(1))
        assert file.nodata == 255
        assert (file.read_masks(1) > 0).sum() == (values >= 0).sum()
        assert file.crs.to_epsg() == 32633
        assert tuple(file.transform[:6]) == NORTH.transform
        assert file.colormap(1)[1][:3] == (255, 187, 51)
        assert file.tags(1)["CLASS_1"] == "stem, dry"
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_geotiffs_without_a_place_are_fine(tmp_path):
    write_geotiff(tmp_path / "a.tif", class_map(labels(5, 7)))
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        file = rasterio.open(tmp_path / "a.tif")
    with file:
        assert file.crs is None
        assert file.shape == (5, 7)


def test_many_classes_take_a_wider_type(tmp_path):
    values = np.arange(-1, 299).reshape(15, 20).astype(np.int16)
    many = class_map(values, NORTH, tuple(f"class {i}" for i in range(299)))
    write_geotiff(tmp_path / "a.tif", many)
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.read(1).max() == file.nodata == 65_535
        assert file.read(1)[-1, -1] == 298
    write_envi_classification(tmp_path / "a.img", many)
    found = envi.open(str(tmp_path / "a.hdr"), str(tmp_path / "a.img"))
    np.testing.assert_array_equal(found.read_band(0), values + 1)


def test_envi_files_hold_labels_colours_and_names(tmp_path):
    values = labels()
    write_envi_classification(tmp_path / "a.img", class_map(values))
    found = envi.open(str(tmp_path / "a.hdr"), str(tmp_path / "a.img"))
    np.testing.assert_array_equal(found.read_band(0), values + 1)
    assert found.metadata["file type"] == "ENVI Classification"
    assert found.metadata["classes"] == "4"
    assert found.metadata["class names"][:2] == ["Unclassified", "leaf"]
    assert len(found.metadata["class names"]) == 4  # a comma would have parted one
    lookup = np.array(found.metadata["class lookup"], int).reshape(-1, 3)
    np.testing.assert_array_equal(lookup, np.concatenate([[[0, 0, 0]], COLOURS]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.hdr", "a.img"]


TURNED = Georeference(
    "EPSG:32633",
    tuple(
        float(v)
        for v in (
            *(2 * math.cos(0.3), 2 * math.sin(0.3), 430_000),
            *(2 * math.sin(0.3), -2 * math.cos(0.3), 5_400_000),
        )
    ),
    1.0,
)


@pytest.mark.parametrize("where", [NORTH, SOUTH, TURNED], ids=["north", "south", "turned"])
def test_the_place_comes_back_from_an_envi_header(tmp_path, where):
    write_envi_classification(tmp_path / "a.img", class_map(labels(4, 5), where))
    header = envi.read_envi_header(str(tmp_path / "a.hdr"))
    found, notes = envi_georeference(header["map info"], header["coordinate system string"])
    assert notes == ()
    assert found.transform == pytest.approx(where.transform)
    with rasterio.open(tmp_path / "a.img") as file:  # GDAL reads it alike
        assert tuple(file.transform[:6]) == pytest.approx(where.transform)
        assert file.crs.to_epsg() == int(where.crs.removeprefix("EPSG:"))
    assert found.metres_per_unit == 1.0
    assert rasterio.CRS.from_wkt(found.crs).to_epsg() == int(where.crs.removeprefix("EPSG:"))


def test_other_systems_are_written_out(tmp_path):
    degrees = Georeference("EPSG:4326", (0.001, 0.0, 15.0, 0.0, -0.001, 48.0), None)
    fields = envi_map_fields(degrees, tmp_path / "a.img")
    assert fields["map info"].startswith("{Geographic Lat/Lon, 1, 1, 15.0, 48.0, 0.001, 0.001")
    assert "GEOGCS" in fields["coordinate system string"]
    bench = Georeference(None, (0.5, 0.0, 0.0, 0.0, -0.5, 0.0), 0.001)
    found, _ = envi_georeference(envi_map_fields(bench, tmp_path / "a.img")["map info"][1:-1])
    assert found.pixel_area == pytest.approx(0.25e-6)


def test_a_grid_that_cannot_be_said_is_left_out_and_told(tmp_path, caplog):
    sheared = Georeference("EPSG:32633", (1.0, 0.4, 0.0, 0.0, -1.0, 0.0), 1.0)
    assert envi_map_fields(sheared, tmp_path / "a.img") == {}
    assert "a.img: its grid is sheared or mirrored" in caplog.text


@pytest.mark.parametrize("write", [write_geotiff, write_envi_classification])
def test_a_file_that_could_not_be_finished_is_not_there(tmp_path, write):
    def broken(rows: slice, columns: slice) -> np.ndarray:
        if rows.start > 0:
            raise ConnectionError("gone")
        return labels(256, 270)[:, columns]

    with pytest.raises(ConnectionError, match="gone"):
        write(tmp_path / "a.out", class_map(labels())._replace(read_labels=broken))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "write"), [("rasterio", write_geotiff), ("spectral", write_envi_classification)]
)
def test_a_missing_package_is_named(tmp_path, monkeypatch, module, write):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, f"{module}.io.envi", None)
    with pytest.raises(ImportError, match=r"a\.img .*needs .*jaxhsi\[io\]"):
        write(tmp_path / "a.img", class_map(labels(4, 5)))
