"""Names of classes in the files beside a raster of labels: those of GDAL, QGIS and ArcGIS."""

import numpy as np
import pyogrio.raw
import pytest

from jaxhsi.data.labels.class_tables import class_names_beside
from jaxhsi.data.labels.label_files import open_labels
from tests.helpers.rasters import PLACE, save_raster

LABELS = np.arange(30).reshape(1, 5, 6).astype(np.uint8) % 3
NAMES = {0: "soil", 1: "leaf", 2: "Müll & Co"}
ESCAPED = [name.replace("&", "&amp;") for name in NAMES.values()]


def save_labels(folder, suffix, text):
    path = save_raster(folder / "truth.tif", LABELS, **PLACE)
    (folder / f"truth{suffix}").write_text(text, encoding="utf-8")
    return path


def categories():
    inside = "".join(f"<Category>{name}</Category>" for name in ESCAPED)
    return f"<CategoryNames>{inside}</CategoryNames>"


def attribute_table(value="Value", name="Class_Name", usages=(5, 2)):
    """With a column of counts between the two, as programs write it."""
    columns = ((value, 0, usages[0]), ("Histogram", 1, 1), (name, 2, usages[1]))
    fields = "".join(
        f'<FieldDefn index="{i}"><Name>{n}</Name><Type>{t}</Type><Usage>{u}</Usage></FieldDefn>'
        for i, (n, t, u) in enumerate(columns)
    )
    rows = "".join(
        f'<Row index="{i}"><F>{i}</F><F>10</F><F>{ESCAPED[i]}</F></Row>' for i in reversed(range(3))
    )
    return (
        f'<GDALRasterAttributeTable tableType="thematic">{fields}{rows}</GDALRasterAttributeTable>'
    )


def pam(inside):
    return f'<PAMDataset><PAMRasterBand band="1">{inside}</PAMRasterBand></PAMDataset>'


@pytest.mark.parametrize("suffix", [".tif.aux.xml", ".aux.xml"])
@pytest.mark.parametrize(
    "inside",
    [
        categories(),
        attribute_table(),
        attribute_table(usages=(0, 0)),
        attribute_table("VALUE", "label", usages=(0, 0)),
        f"<Description>x</Description>{attribute_table(usages=(3, 2))}",
    ],
    ids=["categories", "usages", "names", "other names", "range"],
)
def test_xml_of_gdal(tmp_path, suffix, inside):
    path = save_labels(tmp_path, suffix, pam(inside))
    label_map = open_labels(path, (5, 6))
    assert label_map.class_names == NAMES
    np.testing.assert_array_equal(label_map.read_labels(slice(None), slice(None)), LABELS[0])


def test_a_table_without_names_and_a_class_without_pixels(tmp_path):
    path = save_labels(tmp_path, ".tif.aux.xml", pam(attribute_table("x", "y", usages=(0, 0))))
    assert class_names_beside(path) == {}
    (tmp_path / "truth.tif.aux.xml").write_text(pam("<CategoryNames/>"))
    assert class_names_beside(path) == {}
    (tmp_path / "truth.tif.aux.xml").write_text("<PAMDataset>")
    with pytest.raises(ValueError, match=r"truth\.tif\.aux\.xml cannot be read as an XML file"):
        class_names_beside(path)


def test_a_class_that_means_none(tmp_path):
    text = pam(categories().replace("soil", "Unclassified"))
    label_map = open_labels(save_labels(tmp_path, ".tif.aux.xml", text), (5, 6))
    assert label_map.class_values == (1, 2)


@pytest.mark.parametrize("column", ["CLASS", "class_name"])
def test_table_of_arcgis(tmp_path, column):
    path = save_raster(tmp_path / "truth.tif", LABELS, **PLACE)
    columns = [
        np.array(list(NAMES)),
        np.array([10, 10, 10]),
        np.array(list(NAMES.values()), object),
    ]
    pyogrio.raw.write(
        tmp_path / "truth.tif.vat.dbf",
        geometry=None,
        field_data=columns,
        fields=["VALUE", "COUNT", column],
        driver="ESRI Shapefile",
        geometry_type=None,
    )
    assert open_labels(path, (5, 6)).class_names == NAMES
