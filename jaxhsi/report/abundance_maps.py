"""Maps of concentrations: a panel for each of the largest components, and what they leave."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxhsi.report.spectra_plots import save_figure

MAX_MAP_SIDE = 256
"""Pixels of the longer side of a map. Set by hand: a panel is about so many pixels wide."""
MAX_MAPS = 11
"""Components that are drawn; with false colour and residual they are 13 panels. Set by hand."""
_NUM_COLUMNS = 5
_TOP_PERCENTILE = 99.5
"""Percentile of the values at which the colour scale ends: single bright pixels do not set it."""
_TOP_RESIDUAL = 3.0
"""Noise deviations at which the colour scale of the residual ends."""


def draw_abundance_maps(
    path: Path,
    false_colour: UInt8[np.ndarray, "h w 3"],
    maps: Sequence[Float[np.ndarray, "i j"]],
    residual: Float[np.ndarray, "i j"],
    component_names: Sequence[str],
    signal_shares: Float[np.ndarray, " k"],
) -> None:
    """False colour, the 11 largest components on one scale, and the residual in noise units.

    Args:
        path: of the picture.
        false_colour: picture of the cube.
        maps: of each component, NaN where not valid.
        residual: root of its variance over that of the noise: 1 is noise.
        component_names: names of the components.
        signal_shares: share of each in the signal of all, by which they are sorted.
    """
    by_share = np.argsort(-signal_shares, kind="stable").tolist()
    order = [k for k in by_share if signal_shares[k] > 0][:MAX_MAPS]
    num_panels = len(order) + 2
    num_columns = min(num_panels, _NUM_COLUMNS)
    num_rows = -(-num_panels // num_columns)
    aspect_ratio = residual.shape[0] / residual.shape[1]
    panel_height = float(np.clip(2.6 * aspect_ratio, 1.2, 5.0)) + 0.45
    figure = Figure(figsize=(2.9 * num_columns, num_rows * panel_height))
    axes = [figure.add_subplot(num_rows, num_columns, i + 1) for i in range(num_panels)]
    _panel(axes[0], "false colour").imshow(false_colour, interpolation="nearest")
    low, top = _colour_limits([maps[k] for k in order])
    for panel, k in zip(axes[1:], order, strict=False):
        title = f"{_short_name(component_names[k])}, {signal_shares[k]:.1%}"
        _image(figure, _panel(panel, title), maps[k], (low, top), "viridis")
    last_panel = _panel(axes[-1], "residual, noise = 1")
    _image(figure, last_panel, residual, (0.0, _TOP_RESIDUAL), "magma", "max")
    save_figure(figure, path)


def _colour_limits(maps: Sequence[Float[np.ndarray, "i j"]]) -> tuple[float, float]:
    """One scale for all: from 0, or below it where there are negative values."""
    finite_values = np.concatenate([m[np.isfinite(m)] for m in maps] or [np.zeros(0)])
    if not finite_values.size:
        return 0.0, 1.0
    low, top = np.percentile(finite_values, (100 - _TOP_PERCENTILE, _TOP_PERCENTILE))
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
    colour_map: str,
    extend: str = "neither",
) -> None:
    low, top = limits
    image = panel.imshow(values, cmap=colour_map, vmin=low, vmax=top, interpolation="nearest")
    bar = figure.colorbar(image, ax=panel, fraction=0.046, pad=0.03, extend=extend)
    bar.ax.tick_params(labelsize=6)


def _short_name(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"
