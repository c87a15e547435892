"""Names of classes in the files that GDAL, QGIS and ArcGIS keep beside a raster.

NAME.tif.aux.xml holds category names, or a raster attribute table (RAT) with a column of values and
one of names; NAME.tif.vat.dbf is ArcGIS's table, with VALUE and a column of text.
"""

from pathlib import Path
from xml.etree import ElementTree

from jaxhsi.data.formats.file_errors import import_reader_package, reading_errors

NAME_COLUMNS = ("class_name", "classname", "class_names", "class", "name", "label", "category")
"""Names of columns that hold the names of classes, in lower case, the likeliest first."""

VALUE_COLUMNS = ("value", "val", "class_value", "code", "class_id", "id")
VALUE_USAGES, NAME_USAGE = ("5", "3"), "2"  # of GDAL: MinMax, Min; Name


def class_names_beside(path: Path) -> dict[int, str]:
    """Class value -> name by the files beside a raster; empty where there are none.

    Args:
        path: of the raster.

    Raises:
        ValueError: such a file is damaged.
    """
    for name in (f"{path.name}.aux.xml", f"{path.stem}.aux.xml"):
        if (aux_path := path.with_name(name)).is_file() and (names := _aux_xml_names(aux_path)):
            return names
    for name in (f"{path.name}.vat.dbf", f"{path.stem}.vat.dbf"):
        if (table_path := path.with_name(name)).is_file():
            return _table_names(table_path)
    return {}


def _aux_xml_names(path: Path) -> dict[int, str]:
    with reading_errors(path, "an XML"):
        root = ElementTree.parse(path).getroot()
    band = root.find("PAMRasterBand[@band='1']")
    band = root.find("PAMRasterBand") if band is None else band
    if band is None:
        return {}
    categories = [(each.text or "").strip() for each in band.findall("CategoryNames/Category")]
    table = band.find("GDALRasterAttributeTable")
    names = {value: name for value, name in enumerate(categories) if name}
    return names or ({} if table is None else _attribute_table_names(table))


def _attribute_table_names(table: ElementTree.Element) -> dict[int, str]:
    fields = [
        ((f.findtext("Name") or "").lower(), f.findtext("Usage") or "", f.findtext("Type") or "")
        for f in table.findall("FieldDefn")
    ]
    by_usage = [i for i, field in enumerate(fields) if field[1] in VALUE_USAGES]
    value_column = by_usage[0] if by_usage else _first_column([f[0] for f in fields], VALUE_COLUMNS)
    named = [i for i, field in enumerate(fields) if field[1] == NAME_USAGE]
    name_column = named[0] if named else _first_column([f[0] for f in fields], NAME_COLUMNS)
    rows = [[cell.text or "" for cell in row.findall("F")] for row in table.findall("Row")]
    return _names_of_rows(rows, value_column, name_column)


def _table_names(path: Path) -> dict[int, str]:
    pyogrio = import_reader_package("pyogrio.raw", path, "a dBASE")
    with reading_errors(path, "a dBASE"):
        meta, _, _, columns = pyogrio.read(path, read_geometry=False)
    fields = [name.lower() for name in meta["fields"]]
    value_column = _first_column(fields, VALUE_COLUMNS)
    name_column = _first_column(fields, NAME_COLUMNS)
    rows = [[str(cell) for cell in row] for row in zip(*columns, strict=True)]
    return _names_of_rows(rows, value_column, name_column)


def _first_column(fields: list[str], names: tuple[str, ...]) -> int | None:
    return next((fields.index(name) for name in names if name in fields), None)


def _names_of_rows(
    rows: list[list[str]], value_column: int | None, name_column: int | None
) -> dict[int, str]:
    """Names by value; nothing where the table has no such columns."""
    if value_column is None or name_column is None:
        return {}
    names = {}
    for row in rows:
        try:
            value = float(row[value_column])
        except (ValueError, IndexError):
            continue
        if value.is_integer() and row[name_column].strip():
            names[int(value)] = row[name_column].strip()
    return names
