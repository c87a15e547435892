"""Numbers of the bands in the XML that products deliver beside their raster."""

import re
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from jaxhsi.data.formats.volume import shared_value

GAIN_TAG, OFFSET_TAG = "gainofband", "offsetofband"
"""Elements of EnMAP's and DESIS's metadata, in lower case."""

NUMBER = re.compile(r"\s*[-+]?\d*\.?\d+(?:[eE][+-]?\d+)?\s*")
DETECTORS = ("_VNIR", "_SWIR")
"""Ends of the names of rasters with the bands of one detector alone, in the order of the XML."""


class BandColumn(NamedTuple):
    """Elements of one name in an XML file, one a band.

    Attributes:
        texts: their numbers as written.
        unit: that the first element states, or None.
    """

    texts: list[str]
    unit: str | None


def band_columns(path: Path, num_bands: int) -> tuple[str, dict[str, BandColumn]]:
    """Elements that occur once for every band in the first XML beside a raster that has any.

    An XML of both detectors serves a raster of one of them: the VNIR is first.

    Args:
        path: of the raster.
        num_bands: of it.

    Returns:
        The name of the XML file and its columns by the name of the element; nothing of a file
        that cannot be read.
    """
    for xml_path in product_xml_files(path):
        try:
            root = ElementTree.parse(xml_path).getroot()
        except (ElementTree.ParseError, OSError):
            continue
        columns = {
            name: fitting
            for name, column in _columns(root).items()
            if (fitting := _of_detector(path, column, num_bands)) is not None
        }
        if columns:
            return xml_path.name, columns
    return "", {}


def xml_gains(
    path: Path, num_bands: int
) -> tuple[float | np.ndarray | None, float | np.ndarray | None, tuple[str, ...]]:
    """Gains and offsets of the bands, as products of the DLR state them, and what is said of it.

    Args:
        path: of the raster.
        num_bands: of it.
    """
    xml_name, columns = band_columns(path, num_bands)
    by_tag = {name.lower(): column for name, column in columns.items()}
    gains = _shared_number(by_tag.get(GAIN_TAG), 1.0)
    offsets = _shared_number(by_tag.get(OFFSET_TAG), 0.0)
    used = [n for n, value in (("gains", gains), ("offsets", offsets)) if value is not None]
    return gains, offsets, (f"{' and '.join(used)} of the bands from {xml_name}",) if used else ()


def _shared_number(column: BandColumn | None, neutral: float) -> float | np.ndarray | None:
    if column is None:
        return None
    return shared_value(np.array([float(text) for text in column.texts]), neutral)


def _columns(root: ElementTree.Element) -> dict[str, BandColumn]:
    columns: dict[str, BandColumn] = {}
    for element in root.iter():
        texts = [(element.text or "").strip(), element.get("value") or ""]
        text = next((each for each in texts if NUMBER.fullmatch(each)), None)
        if text is not None:
            unit = element.get("unit") or element.get("units")
            name = element.tag.rpartition("}")[2]
            columns.setdefault(name, BandColumn([], unit)).texts.append(text)
    return columns


def _of_detector(path: Path, column: BandColumn, num_bands: int) -> BandColumn | None:
    """The column of as many numbers as the raster has bands, or None where it does not fit."""
    texts = column.texts
    if len(texts) > num_bands and (name := path.stem.upper()).endswith(DETECTORS):
        texts = texts[:num_bands] if name.endswith(DETECTORS[0]) else texts[-num_bands:]
    return column._replace(texts=texts) if len(texts) == num_bands else None


def product_xml_files(path: Path) -> list[Path]:
    """XML files beside a raster that share the longest start of its name, metadata first.

    Args:
        path: of the raster.
    """
    if not path.is_file():
        return []
    xml_files = [
        entry
        for entry in path.parent.iterdir()
        if entry.suffix.lower() == ".xml" and not entry.name.lower().endswith(".aux.xml")
    ]
    product_names = {_product_name(path.stem)}
    beside = [entry for entry in xml_files if _product_name(entry.stem) in product_names]
    return sorted(beside, key=lambda entry: ("metadata" not in entry.name.lower(), entry.name))


def _product_name(stem: str) -> str:
    """A name without the part that tells the files of a product apart."""
    return re.sub(
        r"[-_. ]*(spectral[-_]?image|metadata|mtd|img|image|data)(?:[-_]?(vnir|swir))?$",
        "",
        stem,
        flags=re.IGNORECASE,
    ).casefold()
