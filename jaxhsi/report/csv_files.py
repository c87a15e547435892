"""CSV files of results: components, and concentrations of samples."""

import csv
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from jaxhsi.data.tables.spectra_table import SpectraTable
from jaxhsi.storage.checksums import replace_listed_file

MAX_CSV_ROWS = 100_000
"""Rows of a CSV; more go into .npy files. Set by hand: spreadsheets open about a million."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""Characters by which spreadsheets recognise a formula in a CSV file."""

NamedBlocks = Iterable[tuple[Sequence[str], Float32[np.ndarray, "m k"]]]
"""Blocks of names of samples and their concentrations."""


def numbered_names(num_components: int, component_names: Sequence[str] | None = None) -> list[str]:
    """Names for the columns and rows of tables: given ones, or numbers from 1.

    >>> numbered_names(2)
    ['component 1', 'component 2']
    """
    default_names = [f"component {i + 1}" for i in range(num_components)]
    return list(component_names[:num_components]) if component_names else default_names


def write_components(
    path: Path,
    components: Float32[np.ndarray, "k c"],
    table: SpectraTable,
    component_names: Sequence[str],
) -> None:
    """A row a component; the first row holds the axis, or numbers of the bands from 1."""
    band_axis = np.arange(1, components.shape[1] + 1) if table.axis is None else table.axis
    header = ["component", *(f"{value:.10g}" for value in band_axis)]
    write_csv(path, header, [(component_names, components)])


def write_concentrations(
    path_stem: Path,
    table: SpectraTable,
    concentrations: Float32[np.ndarray, "n k"],
    component_names: Sequence[str],
) -> str:
    """A row a sample, under its name or the number of its row in the file; says where.

    What stood beside the spectra, such as classes, follows the concentrations.

    Args:
        path_stem: path without .csv; .npy where there are too many rows.
        table: table of the samples.
        concentrations: their concentrations.
        component_names: names of the components.
    """
    if len(concentrations) > MAX_CSV_ROWS:
        with replace_listed_file(Path(f"{path_stem}.npy"), "wb") as array_file:
            np.save(array_file, concentrations)
        return f"{path_stem.name}.npy (more than {MAX_CSV_ROWS:,} rows)"
    sample_names = table.sample_names or [str(row + 1) for row in table.row_indices]
    header = ["sample", *component_names, *(name for name, _ in table.references)]
    references = [values for _, values in table.references]
    rows = (
        [name, *_format_cells(row), *map(_format_reference, values)]
        for name, row, *values in zip(sample_names, concentrations, *references, strict=True)
    )
    write_rows(Path(f"{path_stem}.csv"), chain([header], rows))
    return f"{path_stem.name}.csv"


def write_concentration_ranges(
    path: Path,
    table: SpectraTable,
    ranges: Float32[np.ndarray, "2 n k"],
    component_names: Sequence[str],
) -> None:
    """A row a sample: least and largest concentration of each component over all equal fits."""
    sample_names = table.sample_names or [str(row + 1) for row in table.row_indices]
    header = [f"{name} {bound}" for name in component_names for bound in ("low", "high")]
    columns = np.stack([ranges[0], ranges[1]], axis=-1).reshape(len(ranges[0]), -1)
    write_csv(path, ["sample", *header], [(sample_names, columns)])


def to_fractions(concentrations: Float32[np.ndarray, "n k"]) -> Float32[np.ndarray, "n k"]:
    """Concentrations divided by their sum in each sample; zeros where nothing is there.

    >>> to_fractions(np.array([[1, 3], [0, 0]], np.float32)).tolist()
    [[0.25, 0.75], [0.0, 0.0]]
    """
    totals = concentrations.sum(axis=1, keepdims=True)
    return np.divide(concentrations, totals, out=np.zeros_like(concentrations), where=totals != 0)


def write_rows(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file; every text goes through `csv_text`, whatever it is.

    Args:
        path: of the file.
        rows: cells, the header first; written as they come.
    """
    with replace_listed_file(path, newline="") as csv_file:
        writer = csv.writer(csv_file)
        for row in rows:
            writer.writerow([csv_text(cell) if isinstance(cell, str) else cell for cell in row])


def csv_text(text: str) -> str:
    """Text for a cell; an apostrophe goes before what a spreadsheet would take as a formula.

    >>> csv_text("=1+1"), csv_text("leaf"), csv_text("-12 dB"), csv_text("-1.5")
    ("'=1+1", 'leaf', "'-12 dB", '-1.5')
    """
    if not text.startswith(FORMULA_STARTS):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def text_of_csv(cell: str) -> str:
    """The text that `csv_text` made a cell of.

    >>> text_of_csv("'=1+1"), text_of_csv("'a'")
    ('=1+1', "'a'")
    """
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA_STARTS) else cell


def _format_reference(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.9g}"


def write_csv(path: Path, header: Sequence[str], named_blocks: NamedBlocks) -> None:
    """A CSV file of rows under their names; blocks are written as they come."""
    rows = (
        [name, *_format_cells(row)]
        for row_names, block in named_blocks
        for name, row in zip(row_names, block, strict=True)
    )
    write_rows(path, chain([header], rows))


def _format_cells(row: Float[np.ndarray, " m"]) -> list[str]:
    return [f"{value:.9g}" for value in row]  # nine digits give a float32 back
