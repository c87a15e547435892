"""Spectra of clusters, groups or polygons: a table, a picture, and a file of their sums."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxhsi.label_counts import pixel_shares
from jaxhsi.label_spectra import LabelSpectra
from jaxhsi.report.csv_files import write_rows
from jaxhsi.storage.checked_arrays import write_checked_npz
from jaxhsi.storage.replacement import replace_file
from jaxhsi.training.run_files import read_run_arrays

SPECTRA_STEM = "spectra"
SPECTRA_ARRAYS = "spectra.npz"
"""Numbers of ``spectra.csv`` with the sample that quartiles are taken of."""

MAX_SPECTRA_PANELS = 32
"""Labels that are drawn, the largest first. Set by hand: panels of 4 x 8 are legible."""
_PANEL_COLUMNS = 4

STATISTIC_NAMES = ("mean", "standard deviation", "lower quartile", "median", "upper quartile")


class BandAxis(NamedTuple):
    """What the bands of spectra are.

    Attributes:
        values: wavelength of each band in nm, or numbers from 1.
        unit: "nm" or "band".
        value_name: of the values, such as "reflectance".
    """

    values: Float[np.ndarray, " c"]
    unit: str
    value_name: str

    @property
    def title(self) -> str:
        """For the axis of a picture."""
        return "wavelength (nm)" if self.unit == "nm" else "band"


def band_axis(
    wavelengths: np.ndarray | None, num_bands: int, units: str | None, *, standardised: bool = False
) -> BandAxis:
    """The axis of the spectra of cubes.

    Args:
        wavelengths: in nm, or None where unknown.
        num_bands: number of bands.
        units: of the values, or None.
        standardised: each band was standardised over its cube.

    >>> band_axis(None, 2, None).values.tolist()
    [1.0, 2.0]
    """
    value_name = "standardised value" if standardised else units or "value"
    if wavelengths is None:
        return BandAxis(np.arange(1.0, num_bands + 1), "band", value_name)
    return BandAxis(np.asarray(wavelengths, float), "nm", value_name)


def statistic_rows(label_spectra: LabelSpectra) -> Float[np.ndarray, "k 5 c"]:
    """Mean, standard deviation and quartiles of each label; NaN where it has no pixel."""
    has_pixels = (label_spectra.pixel_counts > 0)[:, None]
    means = np.where(has_pixels, label_spectra.means, np.nan)
    moments = np.stack([means, label_spectra.deviations], axis=1)
    return np.concatenate([moments, label_spectra.quartiles()], axis=1)


def write_label_spectra(
    folder: Path,
    label_spectra: LabelSpectra,
    label_names: Sequence[str],
    axis: BandAxis,
    kind: str = "cluster",
    file_stem: str = SPECTRA_STEM,
) -> None:
    """Write ``spectra.csv``, ``spectra.png`` and ``spectra.npz``.

    Args:
        folder: where to write.
        label_spectra: of the labels.
        label_names: names of the labels.
        axis: of the bands.
        kind: what the labels are, "cluster", "group" or "polygon".
        file_stem: of the names of the files.
    """
    statistics = statistic_rows(label_spectra)
    _write_table(folder / f"{file_stem}.csv", label_spectra, statistics, label_names, axis, kind)
    _draw_spectra(folder / f"{file_stem}.png", label_spectra, statistics, label_names, axis)
    arrays = {
        "names": np.array(label_names, str),
        "axis_values": axis.values,
        "axis_unit": axis.unit,
        "value_name": axis.value_name,
        **vars(label_spectra),
    }
    write_checked_npz(folder / f"{file_stem}.npz", arrays, compressed=True)


def read_label_spectra(path: Path) -> tuple[LabelSpectra, tuple[str, ...], BandAxis]:
    """Read a file that :func:`write_label_spectra` wrote.

    Args:
        path: of the ``.npz`` file.

    Returns:
        The spectra, the names of the labels, and the axis.

    Raises:
        ValueError: the file is damaged.
    """
    arrays = read_run_arrays(path, path.parent)
    axis = BandAxis(
        arrays.pop("axis_values"), str(arrays.pop("axis_unit")), str(arrays.pop("value_name"))
    )
    names = tuple(arrays.pop("names").tolist())
    return LabelSpectra(**arrays), names, axis


def _write_table(
    path: Path,
    label_spectra: LabelSpectra,
    statistics: Float[np.ndarray, "k 5 c"],
    label_names: Sequence[str],
    axis: BandAxis,
    kind: str,
) -> None:
    """Five rows a label; the header holds the axis, whose unit is a column."""
    header = [kind, "name", "pixels", "statistic", "axis"]
    header += [f"{value:.10g}" for value in axis.values]
    counts = label_spectra.pixel_counts.tolist()
    rows = (
        [label, name, count, statistic, axis.unit]
        + ["" if np.isnan(value) else f"{value:.9g}" for value in row]
        for label, (name, count) in enumerate(zip(label_names, counts, strict=True))
        for statistic, row in zip(STATISTIC_NAMES, statistics[label], strict=True)
    )
    write_rows(path, [header, *rows])


def _draw_spectra(
    path: Path,
    label_spectra: LabelSpectra,
    statistics: Float[np.ndarray, "k 5 c"],
    label_names: Sequence[str],
    axis: BandAxis,
) -> None:
    """A panel a label on common axes: mean, range of the quartiles, mean +- deviation."""
    # Imported here: commands that draw nothing do without matplotlib.
    from matplotlib.figure import Figure

    from jaxhsi.report.figure_text import show_text_literally
    from jaxhsi.report.palettes import cluster_colours

    counts = label_spectra.pixel_counts
    largest = [k for k in np.argsort(-counts, kind="stable").tolist() if counts[k]]
    drawn = largest[:MAX_SPECTRA_PANELS]
    num_columns = min(max(len(drawn), 1), _PANEL_COLUMNS)
    num_rows = max(1, -(-len(drawn) // num_columns))
    figure = Figure(figsize=(3.1 * num_columns + 0.6, 2.2 * num_rows + 0.7), layout="constrained")
    grid = figure.subplots(num_rows, num_columns, squeeze=False, sharex=True, sharey=True)
    panels = list(grid.flat)
    colours, shares = cluster_colours(len(counts)) / 255, pixel_shares(counts)
    for panel, k in zip(panels, drawn, strict=False):
        mean, deviation, lower, _, upper = statistics[k]
        style = {"color": colours[k], "linewidth": 0}
        panel.fill_between(axis.values, lower, upper, alpha=0.35, label="quartiles", **style)
        for sign in (-1, 1):
            label = "mean ± standard deviation" if sign > 0 else None
            panel.plot(axis.values, mean + sign * deviation, ":", color="0.45", lw=0.8, label=label)
        # The colour of the label, where quartiles are too close together to show it.
        panel.plot(axis.values, mean, color=colours[k], linewidth=4.5, solid_capstyle="butt")
        panel.plot(axis.values, mean, color="black", linewidth=1.1, label="mean")
        title = f"{_short_title(label_names[k])}\n{shares[k]:.1%}, n = {counts[k]:,}"
        panel.set_title(title, fontsize=8)
        panel.tick_params(labelsize=7)
    for panel in panels[len(drawn) :]:
        panel.set_visible(False)
    if drawn:
        panels[0].legend(fontsize=6)
    hidden = len(largest) - len(drawn)
    note = f" (the {len(drawn)} largest; {hidden} more are in the table)" if hidden else ""
    figure.supxlabel(axis.title + note, fontsize=9)
    figure.supylabel(axis.value_name, fontsize=9)
    show_text_literally(figure)
    with replace_file(path, "wb") as file:
        figure.savefig(file, dpi=110, format="png")


def _short_title(name: str) -> str:
    """A name on one line of a panel."""
    one_line = " ".join(name.split())
    return one_line if len(one_line) <= 40 else f"{one_line[:39]}…"
