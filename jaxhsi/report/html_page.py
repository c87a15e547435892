"""One self-contained HTML page: a template, styles, scripts and data, without any address in it."""

import base64
import html
import io
import json
import zlib
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from jaxhsi.report.json_files import finite_content

SCRIPTS = {
    "dgc": ("common.js", "charts.js", "grouping.js", "map.js", "dgc.js"),
    "gmcr": ("common.js", "charts.js", "gmcr.js"),
}
"""Scripts of each kind of report, in their order."""

CURVES_TITLES = {"dgc": "Training", "gmcr": "Fit"}
"""Title of the curves of each kind, in the part of the page that both have."""

PICTURE_QUALITY = 90
"""Of WebP pictures. Set by hand: no difference is visible."""


def encode_array(array: Shaped[np.ndarray, "..."]) -> dict[str, Any]:
    """An array as JSON: its type, its shape, and its zlib-compressed bytes in base64.

    >>> encode_array(np.zeros((2, 3), np.uint8))["shape"]
    [2, 3]
    """
    little_endian = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    compressed = zlib.compress(little_endian.tobytes(), 9)
    return {
        "type": array.dtype.name,
        "shape": list(array.shape),
        "data": base64.b64encode(compressed).decode(),
    }


def encode_picture(picture: UInt8[np.ndarray, "h w 3"]) -> str:
    """A picture as a data URI."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "WEBP", quality=PICTURE_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def hex_colours(colours: UInt8[np.ndarray, "k 3"]) -> list[str]:
    """Colours as CSS has them.

    >>> hex_colours(np.array([[255, 0, 10]], np.uint8))
    ['#ff000a']
    """
    return ["#{:02x}{:02x}{:02x}".format(*colour) for colour in colours.tolist()]


def render_page(kind: str, title: str, data: dict[str, Any]) -> str:
    """The page of a report.

    Args:
        kind: "dgc" or "gmcr".
        title: of the page; any text.
        data: what the scripts show; numbers that are not finite become null.

    Returns:
        HTML. Text in the data cannot end the script that holds it: every "<" is escaped.
    """
    folder = files("jaxhsi.report") / "page"
    scripts = [(folder / name).read_text(encoding="utf-8") for name in SCRIPTS[kind]]
    data_text = json.dumps(finite_content(data), allow_nan=False, separators=(",", ":"))
    template = Template((folder / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=html.escape(title),
        style=(folder / "page.css").read_text(encoding="utf-8"),
        body=(folder / f"{kind}.html").read_text(encoding="utf-8").rstrip(),
        curves_title=CURVES_TITLES[kind],
        script="\n".join(scripts),
        data=data_text.replace("<", "\\u003c"),
    )
