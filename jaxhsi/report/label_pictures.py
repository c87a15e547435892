"""Pictures of cubes and label maps."""

import colorsys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int, Shaped, UInt8
from PIL import Image, ImageDraw, ImageFont

from jaxhsi.data.cube import Cube
from jaxhsi.data.windows import Reader, Window

MAX_PANEL_SIDE = 1024  # pixels of a panel at most; a small cube is enlarged to about half of it
RGB_WAVELENGTHS_NM = (640.0, 550.0, 460.0)
INVALID_COLOUR = (0, 0, 0)
PANEL_MARGIN, TEXT_LINE_HEIGHT = 12, 22
CLUSTER_PALETTE = (
    *((31, 119, 180), (255, 187, 51), (44, 160, 44), (214, 39, 40), (148, 103, 189)),
    *((140, 86, 75), (227, 119, 194), (127, 127, 127), (188, 189, 34), (23, 190, 207)),
    *((174, 199, 232), (255, 152, 150), (152, 223, 138), (197, 176, 213), (219, 219, 141)),
)

Picture = UInt8[np.ndarray, "h w 3"]


def subsampling_step(shape: Sequence[int], max_side: int = MAX_PANEL_SIDE) -> int:
    """Every how many pixels are shown."""
    return max(1, -(-max(shape[:2]) // max_side))


class SubsampledMap:
    """A map at every few pixels, gathered from its tiles in any order.

    Attributes:
        values: (h, w, ...); as it was filled where no tile came.
    """

    def __init__(self, shape: Sequence[int], empty: np.ndarray, side: int = MAX_PANEL_SIDE):
        """Begin with nothing.

        Args:
            shape: rows and columns of the map, and more.
            empty: what a pixel holds where no tile came; gives the type and the number of values.
            side: pixels that are shown of a row or column at most.
        """
        self._step = subsampling_step(shape, side)
        size = [-(-size // self._step) for size in shape[:2]]
        self.values = np.broadcast_to(empty, (*size, *empty.shape)).copy()

    def add(self, place: tuple[slice, slice], values: Shaped[np.ndarray, "h w *n"]) -> None:
        """Keep what is shown of a tile.

        Args:
            place: rows and columns of the tile.
            values: of its pixels.
        """
        step = self._step
        y, x = (-part.start % step for part in place)
        kept = values[y::step, x::step]
        top, left = (-(-part.start // step) for part in place)
        self.values[top : top + kept.shape[0], left : left + kept.shape[1]] = kept


class FalseColourPicture:
    """A picture of a cube, gathered while its windows are read for something else.

    Red, green and blue are the bands nearest 640, 550 and 460 nm where the wavelengths are known
    to cover them, on one scale; else three bands spread over the cube, each on its own scale.
    """

    def __init__(self, cube: Cube, side: int = MAX_PANEL_SIDE):
        """Begin with nothing seen.

        Args:
            cube: to be seen.
            side: pixels of the picture at most.
        """
        self._bands, self._natural = _picture_bands(cube)
        self._seen = SubsampledMap(cube.shape, np.full(3, np.nan, np.float32), side)

    def recording_reader(self, read: Reader) -> Reader:
        """A reader of windows that lie within the cube, of which this picture keeps some pixels."""

        def reader(cube: Cube, y0: int, x0: int, height: int, width: int) -> Window:
            values, valid = read(cube, y0, x0, height, width)
            shown = np.where(valid[..., None], values[..., self._bands], np.nan)
            self._seen.add((slice(y0, y0 + height), slice(x0, x0 + width)), shown)
            return values, valid

        return reader

    def picture(self) -> Picture:
        """What was seen so far; the rest, and what is not valid, black."""
        values = self._seen.values
        valid = ~np.isnan(values).any(-1)
        if not valid.any():
            return np.zeros(values.shape, np.uint8)
        axis = None if self._natural else 0
        low, high = np.percentile(values[valid], (0.5, 99.0), axis=axis)
        scaled = np.clip((values - low) / np.maximum(high - low, 1e-12), 0, 1) ** (1 / 1.8)
        return np.where(valid[..., None], 255 * scaled, 0).astype(np.uint8)


def _picture_bands(cube: Cube) -> tuple[list[int], bool]:
    waves = cube.wavelengths
    if (
        waves is not None
        and waves.min() <= RGB_WAVELENGTHS_NM[2]
        and waves.max() >= RGB_WAVELENGTHS_NM[0]
    ):
        return [int(np.abs(waves - nm).argmin()) for nm in RGB_WAVELENGTHS_NM], True
    return [round(share * (cube.shape[2] - 1)) for share in (0.75, 0.45, 0.15)], False


def cluster_colours(num_clusters: int) -> UInt8[np.ndarray, "k 3"]:
    """A colour for each cluster: a fixed palette, then hues by the golden ratio."""
    more = [
        tuple(round(255 * part) for part in colorsys.hsv_to_rgb(0.618034 * i % 1, 0.6, 0.85))
        for i in range(max(num_clusters - len(CLUSTER_PALETTE), 0))
    ]
    return np.array([*CLUSTER_PALETTE, *more][:num_clusters], np.uint8).reshape(-1, 3)


def colour_label_map(labels: Int[np.ndarray, "h w"], num_clusters: int) -> Picture:
    """Labels in colour; pixels that are not valid (-1) are black."""
    table = np.concatenate([cluster_colours(num_clusters), np.array([INVALID_COLOUR], np.uint8)])
    return table[np.where(labels < 0, num_clusters, labels)]


def save_panels(
    path: Path, panels: Sequence[tuple[str, Picture]], legend: Sequence[tuple[str, int]] = ()
) -> None:
    """Panels side by side under their titles, and a legend of (text, cluster) below them."""
    scale = max(1, MAX_PANEL_SIDE // 2 // max(panels[0][1].shape[:2]))
    pictures = [(title, np.kron(p, np.ones((scale, scale, 1), np.uint8))) for title, p in panels]
    height, width = pictures[0][1].shape[:2]
    total = PANEL_MARGIN + len(pictures) * (width + PANEL_MARGIN)
    columns = max(1, (total - PANEL_MARGIN) // 190)
    rows = -(-len(legend) // columns)
    size = (
        total,
        TEXT_LINE_HEIGHT + PANEL_MARGIN + height + PANEL_MARGIN + rows * TEXT_LINE_HEIGHT,
    )
    canvas = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=14)
    for i, (title, picture) in enumerate(pictures):
        left = PANEL_MARGIN + i * (width + PANEL_MARGIN)
        draw.text((left, 8), title, fill="black", font=font)
        canvas.paste(Image.fromarray(picture), (left, TEXT_LINE_HEIGHT + PANEL_MARGIN - 4))
    palette = cluster_colours(1 + max((cluster for _, cluster in legend), default=0))
    for i, (text, cluster) in enumerate(legend):
        left, top = (
            PANEL_MARGIN + i % columns * 190,
            TEXT_LINE_HEIGHT + height + 2 * PANEL_MARGIN + i // columns * TEXT_LINE_HEIGHT,
        )
        draw.rectangle((left, top, left + 14, top + 14), fill=tuple(palette[cluster].tolist()))
        draw.text((left + 20, top - 1), text, fill="black", font=font)
    canvas.save(path)
