"""Values that took no part in a fit: where they are, in numbers, a file and a picture."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from jaxhsi.data.tables.spectra_table import SpectraTable
from jaxhsi.gmcr.clipped_values import clipped_values
from jaxhsi.report.csv_files import write_rows
from jaxhsi.report.spectra_plots import ESTIMATE_COLOUR, TRUTH_COLOUR, integer_ticks, save_figure

KINDS = ("spike", "clipped", "missing")
_COLOURS = ("#ffffff", TRUTH_COLOUR, "#ff7f0e", ESTIMATE_COLOUR)
_MAX_PLACES = 3
"""Spikes that are named on the screen; the file has them all. Set by hand."""


def value_kinds(table: SpectraTable, left_out: Bool[np.ndarray, "n c"]) -> Int[np.ndarray, "n c"]:
    """Number of the kind of each value, from 1 as in `KINDS`; 0 where it took part."""
    kinds = np.where(left_out, 1, 0)
    kinds[left_out & clipped_values(table.spectra)] = 2
    if table.missing_mask is not None:
        kinds[left_out & table.missing_mask] = 3
    return kinds


def left_out_scores(table: SpectraTable, left_out: Bool[np.ndarray, "n c"]) -> dict[str, Any]:
    """How many values of each kind, and the sample and band of the first spikes."""
    kinds = value_kinds(table, left_out)
    names, axis = _sample_names(table), _band_axis(table)
    spikes = np.argwhere(kinds == 1)[:_MAX_PLACES]
    return {
        **{kind: int(np.sum(kinds == i + 1)) for i, kind in enumerate(KINDS)},
        "first_spikes": [[names[i], float(axis[j])] for i, j in spikes],
    }


def write_left_out_values(
    path: Path,
    table: SpectraTable,
    left_out: Bool[np.ndarray, "n c"],
    reconstruction: Float32[np.ndarray, "n c"],
) -> None:
    """A row for each value: sample, band, what was measured, what is expected, kind.

    Args:
        path: of the file.
        table: table of the samples.
        left_out: entries that took no part in the fit.
        reconstruction: of all entries.
    """
    names, axis, kinds = _sample_names(table), _band_axis(table), value_kinds(table, left_out)
    rows = [["sample", "band", "measured", "expected", "kind"]]
    for i, j in zip(*np.nonzero(left_out), strict=True):
        kind = KINDS[kinds[i, j] - 1]
        measured = "" if kind == "missing" else f"{table.spectra[i, j]:.9g}"
        expected = f"{reconstruction[i, j]:.9g}"
        rows.append([names[i], f"{axis[j]:.10g}", measured, expected, kind])
    write_rows(path, rows)


def plot_left_out_values(
    path: Path, table: SpectraTable, left_out: Bool[np.ndarray, "n c"]
) -> None:
    """Samples by bands, with what took no part in the fit in a colour of its kind."""
    kinds = value_kinds(table, left_out)
    figure = Figure(figsize=(8, 4.5))
    panel = figure.add_subplot()
    # Every value that was left out is drawn, however many there are: no value is thinned out.
    rows, bands = np.nonzero(kinds)
    axis = _band_axis(table)
    colours = ListedColormap(_COLOURS)
    panel.scatter(axis[bands], rows + 1, c=kinds[rows, bands], cmap=colours, vmin=0, vmax=3, s=6)
    panel.set_xlim(axis[0], axis[-1])
    panel.set_ylim(len(kinds) + 0.5, 0.5)
    present = np.unique(kinds[kinds > 0])
    panel.legend(
        handles=[Patch(color=_COLOURS[kind], label=KINDS[kind - 1]) for kind in present],
        fontsize=7,
    )
    integer_ticks(panel.yaxis)
    panel.set(xlabel=table.axis_name or "band", ylabel="sample", title="left out of the fit")
    save_figure(figure, path)


def _sample_names(table: SpectraTable) -> list[str]:
    return list(table.sample_names or [str(row + 1) for row in table.row_indices])


def _band_axis(table: SpectraTable) -> Float[np.ndarray, " c"]:
    num_bands = table.spectra.shape[1]
    return np.arange(1.0, num_bands + 1) if table.axis is None else np.asarray(table.axis, float)
