"""Maps of concentrations of a table whose spectra have places on a grid, such as a Raman map."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from jaxhsi.data.tables.stored_table import Reference
from jaxhsi.report.spectra_plots import save_figure

MIN_SIDE = 2
"""Places along either side of what is taken for a map."""
MIN_FILLED_SHARE = 0.5
"""Of the places of a grid that must have a spectrum; less is no map. Set by hand."""
_NUM_COLUMNS, _MAX_MAPS = 4, 12
_PAIRS = ((r"#?\s*x\b", r"#?\s*y\b"), (r"column 1$", r"column 2$"))
"""Names of the two coordinates; the second are those of columns without names."""


class PlaceGrid(NamedTuple):
    """Places of spectra on a grid.

    Attributes:
        rows: of each spectrum, from the least y.
        columns: of each spectrum, from the least x.
        x: of the columns.
        y: of the rows.
        names: of the two coordinates.
    """

    rows: Int[np.ndarray, " n"]
    columns: Int[np.ndarray, " n"]
    x: Float[np.ndarray, " w"]
    y: Float[np.ndarray, " h"]
    names: tuple[str, str]


def find_place_grid(references: Sequence[Reference]) -> PlaceGrid | None:
    """The grid on which spectra lie, by columns called x and y, or two first ones without names.

    Args:
        references: what stands beside the spectra.

    Returns:
        None where there are no such columns, or they are no grid: two spectra at one place, or
        fewer than half of the places filled.

    >>> x, y = Reference("X", (0.0, 1.0, 0.0, 1.0)), Reference("Y", (5.0, 5.0, 7.0, 7.0))
    >>> find_place_grid((x, y)).rows.tolist()
    [0, 0, 1, 1]
    """
    numbers = [each for each in references if not isinstance(each.values[0], str)]
    for x_pattern, y_pattern in _PAIRS:
        x, y = (
            next((each for each in numbers if re.match(pattern, each.name, re.IGNORECASE)), None)
            for pattern in (x_pattern, y_pattern)
        )
        if x is not None and y is not None:
            return _grid(x, y)
    return None


def _grid(x: Reference, y: Reference) -> PlaceGrid | None:
    (columns, x_values), (rows, y_values) = (_levels(np.asarray(each.values)) for each in (x, y))
    num_places = len(x_values) * len(y_values)
    is_single = len(np.unique(rows * len(x_values) + columns)) == len(rows)
    is_filled = len(rows) >= MIN_FILLED_SHARE * num_places
    if not is_single or not is_filled or min(len(x_values), len(y_values)) < MIN_SIDE:
        return None
    return PlaceGrid(rows, columns, x_values, y_values, (x.name, y.name))


def _levels(
    values: Float[np.ndarray, " n"],
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " m"]]:
    """Number of each value among those that differ, and these; stages repeat to a few digits."""
    order = np.argsort(values, kind="stable")
    steps = np.diff(values[order])
    is_new = np.concatenate([[False], steps > 0.2 * steps.max(initial=0.0)])
    levels = np.empty(len(values), int)
    levels[order] = np.cumsum(is_new)
    return levels, np.bincount(levels, values) / np.bincount(levels)


def plot_place_maps(
    path: Path,
    concentrations: Float[np.ndarray, "n k"],
    names: Sequence[str],
    grid: PlaceGrid,
) -> None:
    """A map for each of the first twelve components, each on a scale of its own.

    Args:
        path: of the picture.
        concentrations: spectra by components.
        names: of the components.
        grid: places of the spectra; those without a spectrum are grey.
    """
    num_maps = min(concentrations.shape[1], _MAX_MAPS)
    num_columns = min(num_maps, _NUM_COLUMNS)
    num_rows = -(-num_maps // num_columns)
    height = float(np.clip(2.6 * len(grid.y) / len(grid.x), 1.2, 5.0)) + 0.7
    figure = Figure(figsize=(3.2 * num_columns, height * num_rows))
    for k in range(num_maps):
        values = np.full((len(grid.y), len(grid.x)), np.nan)
        values[grid.rows, grid.columns] = concentrations[:, k]
        panel = figure.add_subplot(num_rows, num_columns, k + 1)
        panel.set_title(names[k], fontsize=8)
        panel.set_facecolor("0.6")
        edges = [_edges(axis) for axis in (grid.x, grid.y)]
        image = panel.pcolormesh(*edges, values, cmap="viridis", vmin=min(0.0, np.nanmin(values)))
        panel.set_aspect("equal")
        panel.set_xlabel(grid.names[0], fontsize=7)
        panel.set_ylabel(grid.names[1], fontsize=7)
        panel.tick_params(labelsize=6)
        # Of the height of the map, whose panel is shrunk to equal steps.
        bar = figure.colorbar(image, cax=panel.inset_axes((1.03, 0.0, 0.05, 1.0)))
        bar.set_label("concentration", fontsize=7)
        bar.ax.tick_params(labelsize=6)
    left_out = concentrations.shape[1] - num_maps
    if left_out:
        figure.suptitle(f"and {left_out} more components", fontsize=8)
    save_figure(figure, path)


def _edges(centres: Float[np.ndarray, " m"]) -> Float[np.ndarray, " e"]:
    """Borders between places, and as far beyond the first and the last."""
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])
