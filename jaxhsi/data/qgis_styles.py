"""Style files of QGIS (.qml) that give labels their colours and names."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxhsi.storage.replacement import replace_file

_QGIS_VERSION = "3.22"
"""Version that the layout of the files is of; later ones read it."""

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold, however they are written."""


def write_raster_style(
    path: Path, label_names: Sequence[str], label_colours: UInt8[np.ndarray, "k 3"]
) -> None:
    """Write the style of a raster whose values are the labels.

    Args:
        path: of the file: that of the raster with the suffix ``.qml``, which QGIS opens with it.
        label_names: names of the labels.
        label_colours: of the labels.
    """
    root = _style_root()
    renderer = ElementTree.SubElement(
        ElementTree.SubElement(root, "pipe"),
        "rasterrenderer",
        {"type": "paletted", "band": "1", "opacity": "1", "alphaBand": "-1", "nodataColor": ""},
    )
    palette = ElementTree.SubElement(renderer, "colorPalette")
    for label, (name, colour) in enumerate(zip(label_names, label_colours.tolist(), strict=True)):
        entry = {"value": str(label), "color": _hex(colour), "alpha": "255", "label": _text(name)}
        ElementTree.SubElement(palette, "paletteEntry", entry)
    _write(path, root)


def write_polygon_style(
    path: Path, label_names: Sequence[str], label_colours: UInt8[np.ndarray, "k 3"]
) -> None:
    """Write the style of polygons with the attribute ``label``.

    Args:
        path: of the file: that of the polygons with the suffix ``.qml``.
        label_names: names of the labels.
        label_colours: of the labels.
    """
    root = _style_root()
    renderer = ElementTree.SubElement(
        root, "renderer-v2", {"type": "categorizedSymbol", "attr": "label", "enableorderby": "0"}
    )
    categories = ElementTree.SubElement(renderer, "categories")
    symbols = ElementTree.SubElement(renderer, "symbols")
    for label, (name, colour) in enumerate(zip(label_names, label_colours.tolist(), strict=True)):
        entry = {"value": str(label), "symbol": str(label), "label": _text(name), "render": "true"}
        ElementTree.SubElement(categories, "category", entry)
        symbol = ElementTree.SubElement(
            symbols, "symbol", {"type": "fill", "name": str(label), "alpha": "0.7"}
        )
        layer = ElementTree.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1"})
        fill = {"color": f"{','.join(map(str, colour))},255", "outline_color": "60,60,60,255"}
        for key, value in (fill | {"style": "solid", "outline_width": "0.1"}).items():
            ElementTree.SubElement(layer, "prop", {"k": key, "v": value})
    _write(path, root)


def _style_root() -> ElementTree.Element:
    return ElementTree.Element("qgis", {"version": _QGIS_VERSION, "styleCategories": "Symbology"})


def _write(path: Path, root: ElementTree.Element) -> None:
    ElementTree.indent(root)
    with replace_file(path, "wb") as file:
        ElementTree.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)


def _hex(colour: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _text(name: str) -> str:
    """A name that XML can hold."""
    return _NO_XML.sub("\ufffd", name)
