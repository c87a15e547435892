"""Pictures of labelled cubes: panels side by side with legends and a scale bar."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int
from PIL import Image, ImageDraw, ImageFont

from jaxhsi.label_counts import pixel_shares
from jaxhsi.report.cube_preview import CubePreview
from jaxhsi.report.label_pictures import (
    MAX_PANEL_SIDE,
    Picture,
    colour_class_map,
    colour_label_map,
)
from jaxhsi.report.palettes import class_colours, cluster_colours
from jaxhsi.storage.replacement import replace_file

PANEL_MARGIN, TEXT_LINE_HEIGHT, LEGEND_COLUMN_WIDTH = 12, 22, 190
"""Layout of a picture, in pixels."""

LENGTH_UNITS = (("km", 1e3), ("m", 1.0), ("cm", 1e-2), ("mm", 1e-3), ("µm", 1e-6))
"""Units of scale bars, the largest first, in metres."""


def draw_label_map(
    path: Path,
    preview: CubePreview,
    label_pixels: Int[np.ndarray, " k"],
    label_names: Sequence[str],
    class_names: Sequence[str] = (),
    kind: str = "cluster",
) -> None:
    """Draw a cube, its labels and, where they are known, its true classes, with legends.

    Args:
        path: of the picture.
        preview: of the cube.
        label_pixels: pixels of each label in the whole cube.
        label_names: names of the labels, for the legend.
        class_names: names of the true classes.
        kind: what the labels are, "cluster" or "group".
    """
    num_labels, shares = len(label_pixels), pixel_shares(label_pixels)
    label_panel = colour_label_map(preview.labels, num_labels)
    panels = [("false colour", preview.false_colour), (f"{kind}s", label_panel)]
    colours = cluster_colours(num_labels)
    largest_first = [k for k in np.argsort(-shares).tolist() if shares[k] > 0]
    entries = [(f"{label_names[k]}: {shares[k]:.1%}", colours[k]) for k in largest_first]
    legends = [Legend(f"{kind}s", entries)]
    if preview.true_classes is not None:
        num_classes = len(class_names)
        panels.append(("truth", colour_class_map(preview.true_classes, num_classes)))
        class_entries = list(zip(class_names, class_colours(num_classes), strict=True))
        legends.append(Legend("truth", class_entries))
    path.parent.mkdir(exist_ok=True)
    pixel_width = None
    if preview.pixel_size is not None:
        pixel_width = preview.pixel_size[1] * preview.map_step
    save_panels(path, panels, legends, pixel_width)


class Legend(NamedTuple):
    """Colours of one panel.

    Attributes:
        title: of the panel.
        entries: text and colour of each.
    """

    title: str
    entries: Sequence[tuple[str, Sequence[int] | np.ndarray]]


def save_panels(
    path: Path,
    panels: Sequence[tuple[str, Picture]],
    legends: Sequence[Legend] = (),
    pixel_width: float | None = None,
) -> None:
    """Save pictures side by side under their titles, with a legend for each set of colours.

    Args:
        path: of the file.
        panels: title and picture of each panel; all pictures have one size.
        legends: drawn below the panels, one after the other.
        pixel_width: width of a pixel of the pictures in metres, for a scale bar; None for none.
    """
    scale = max(1, MAX_PANEL_SIDE // 2 // max(panels[0][1].shape[:2]))
    pixel_block = np.ones((scale, scale, 1), np.uint8)
    pictures = [(title, np.kron(picture, pixel_block)) for title, picture in panels]
    height, width = pictures[0][1].shape[:2]
    total_width = PANEL_MARGIN + len(pictures) * (width + PANEL_MARGIN)
    legend_columns = max(1, (total_width - PANEL_MARGIN) // LEGEND_COLUMN_WIDTH)
    legend_rows = sum(1 + -(-len(each.entries) // legend_columns) for each in legends)
    bar_height = TEXT_LINE_HEIGHT if pixel_width is not None else 0
    legend_top = TEXT_LINE_HEIGHT + height + 2 * PANEL_MARGIN + bar_height
    canvas = Image.new("RGB", (total_width, legend_top + legend_rows * TEXT_LINE_HEIGHT), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=14)
    for i, (title, picture) in enumerate(pictures):
        left = PANEL_MARGIN + i * (width + PANEL_MARGIN)
        draw.text((left, 8), title, fill="black", font=font)
        canvas.paste(Image.fromarray(picture), (left, TEXT_LINE_HEIGHT + PANEL_MARGIN - 4))
    if pixel_width is not None:
        bar_top = TEXT_LINE_HEIGHT + PANEL_MARGIN + height + 4
        _draw_scale_bar(draw, font, (PANEL_MARGIN, bar_top), pixel_width / scale, width)
    top = legend_top
    for legend in legends:
        draw.text((PANEL_MARGIN, top - 1), legend.title, fill="black", font=font)
        _draw_legend(draw, font, legend, top + TEXT_LINE_HEIGHT, legend_columns)
        top += TEXT_LINE_HEIGHT * (1 + -(-len(legend.entries) // legend_columns))
    with replace_file(path, "wb") as file:
        canvas.save(file, "PNG")


def _draw_legend(draw: Any, font: Any, legend: Legend, top: int, num_columns: int) -> None:
    """Squares of colour with their texts, row by row; texts that are too wide are cut."""
    for i, (text, colour) in enumerate(legend.entries):
        left = PANEL_MARGIN + i % num_columns * LEGEND_COLUMN_WIDTH
        row_top = top + i // num_columns * TEXT_LINE_HEIGHT
        box = (left, row_top, left + 14, row_top + 14)
        draw.rectangle(box, fill=tuple(int(part) for part in colour), outline=(90, 90, 90))
        text = " ".join(text.split())
        while draw.textlength(text, font=font) > LEGEND_COLUMN_WIDTH - 26:
            text = f"{text[:-2]}…"
        draw.text((left + 20, row_top - 1), text, fill="black", font=font)


def _draw_scale_bar(
    draw: Any, font: Any, position: tuple[int, int], pixel_width: float, max_pixels: int
) -> None:
    """A bar of a round length with its length beside it."""
    length, text = scale_bar_length(pixel_width * max_pixels)
    left, top = position
    right = left + round(length / pixel_width)
    draw.rectangle((left, top + 4, right, top + 9), fill="black")
    draw.text((right + 8, top - 2), text, fill="black", font=font)


def scale_bar_length(picture_width: float) -> tuple[float, str]:
    """The longest round length of at most a third of a picture, and its text.

    Args:
        picture_width: width of the picture in metres.

    >>> scale_bar_length(0.1), scale_bar_length(1000.0)
    ((0.02, '2 cm'), (200.0, '200 m'))
    """
    limit = picture_width / 3
    power = 10.0 ** math.floor(math.log10(limit))
    length = max(factor * power for factor in (1, 2, 5) if factor * power <= limit * (1 + 1e-9))
    unit, metres = next((each for each in LENGTH_UNITS if length >= each[1]), LENGTH_UNITS[-1])
    return length, f"{length / metres:.6g} {unit}"
