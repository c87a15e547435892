"""Maps of concentrations: a panel for each of the largest components, and what they leave."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxhsi.report.spectra_plots import save_figure

SIDE = 256  # pixels of a map at most
MOST_MAPS = 11
_COLUMNS = 5
_LARGEST = 99.5  # percentile of what is shown, which the colours end at
_LEFT = 3.0  # noise deviations, likewise


def draw_abundances(
    path: Path,
    colours: UInt8[np.ndarray, "h w 3"],
    maps: Sequence[Float[np.ndarray, "i j"]],
    residual: Float[np.ndarray, "i j"],
    names: Sequence[str],
    shares: Float[np.ndarray, " k"],
) -> None:
    """False colour, the 11 largest components on one scale, and the residual in noise units.

    Args:
        path: of the picture.
        colours: of the cube.
        maps: of each component, NaN where not valid.
        residual: root of its variance over that of the noise: 1 is noise.
        names: of the components.
        shares: of all that was found, by which they are sorted.
    """
    order = [k for k in np.argsort(-shares, kind="stable").tolist() if shares[k] > 0][:MOST_MAPS]
    panels = len(order) + 2
    columns = min(panels, _COLUMNS)
    rows = -(-panels // columns)
    ratio = residual.shape[0] / residual.shape[1]
    high = float(np.clip(2.6 * ratio, 1.2, 5.0)) + 0.45
    figure = Figure(figsize=(2.9 * columns, rows * high))
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(panels)]
    _panel(axes[0], "false colour").imshow(colours, interpolation="nearest")
    low, top = _limits([maps[k] for k in order])
    for panel, k in zip(axes[1:], order, strict=False):
        title = f"{_short(names[k])}, {shares[k]:.1%}"
        _image(figure, _panel(panel, title), maps[k], (low, top), "viridis")
    _image(figure, _panel(axes[-1], "residual, noise = 1"), residual, (0.0, _LEFT), "magma", "max")
    save_figure(figure, path)


def _limits(maps: Sequence[Float[np.ndarray, "i j"]]) -> tuple[float, float]:
    """One scale for all: from 0, or below it where there are negative values."""
    known = np.concatenate([m[np.isfinite(m)] for m in maps] or [np.zeros(0)])
    if not known.size:
        return 0.0, 1.0
    low, top = np.percentile(known, (100 - _LARGEST, _LARGEST))
    return min(float(low), 0.0), max(float(top), 1e-12)


def _panel(panel: Axes, title: str) -> Axes:
    panel.set_title(title, fontsize=8)
    panel.set_xticks([])
    panel.set_yticks([])
    panel.set_facecolor("0.6")
    return panel


def _image(
    figure: Figure,
    panel: Axes,
    values: Float[np.ndarray, "i j"],
    limits: tuple[float, float],
    colours: str,
    extend: str = "neither",
) -> None:
    low, top = limits
    image = panel.imshow(values, cmap=colours, vmin=low, vmax=top, interpolation="nearest")
    bar = figure.colorbar(image, ax=panel, fraction=0.046, pad=0.03, extend=extend)
    bar.ax.tick_params(labelsize=6)


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"
